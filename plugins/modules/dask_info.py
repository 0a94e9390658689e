#!/usr/bin/python
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: dask_info
short_description: Look at a Dask cluster, and prove that it can work
version_added: "0.1.0"
author:
  - Zarrstream authors (@zarrstream)
description:
  - Talks to the scheduler of a Dask cluster and through it to each worker, and checks what a cluster needs to read and write Zarr.
  - What is wrong with the cluster is a result that names the worker. What keeps it from being looked at, such as a scheduler that is not
    there, another CA or an expired certificate, is an error.
  - Nothing that stays is changed. Workers need not have this collection installed, but for O(bucket).
  - No secret travels. Each worker uses the AWS profile of its own host.
  - Workers whose Python has another minor version than the module's cannot be asked; the check V(answers) names them.
requirements:
  - distributed
extends_documentation_fragment:
  - zarrstream.platform.dask
  - zarrstream.platform.s3
attributes:
  check_mode:
    support: full
    description: Makes all checks, but writes nothing into O(bucket), and no file O(junit).
  diff_mode:
    support: none
    description: A cluster is never changed.
options:
  scheduler:
    description:
      - The address of the Dask scheduler, such as V(tls://10.0.0.5:8786).
      - Where this is not set, that of the host's Dask configuration is used, as C(distributed.Client()) does.
    type: str
  workers:
    description:
      - The workers that are expected, as a number, or as a list of the hosts that have to have at least one.
      - A host is the host's own name, its address, or a worker's name up to its last hyphen.
      - The module waits for them, up to O(timeout). Without this option, one worker is enough.
    type: raw
  packages:
    description:
      - Python packages, by the names under which they are imported, that every worker has to have.
      - Where this is not set, those that M(zarrstream.platform.zarr_write) and M(zarrstream.platform.zarr_check) need.
    type: list
    elements: str
  bucket:
    description:
      - A bucket in which a worker on each host has to list, and to put, read and delete an object with a name of its own.
      - O(profile), O(config_file), O(endpoint_url) and O(ca_bundle) are those of the workers' hosts.
    type: str
  config_file:
    description:
      - The AWS configuration file that holds O(profile), on the workers' hosts. V(~) is the home of the worker's user.
      - Where this is not set, the worker's E(AWS_CONFIG_FILE) or V(~/.aws/config) is used, as any AWS tool does.
    type: str
  ca_bundle:
    description: The CA of the endpoint, a PEM file on the workers' hosts. Taken from the profile where this is not set.
    type: str
  bandwidth:
    description:
      - How many MiB each probe of the bandwidth carries, 64 at most. V(0) measures none.
      - Measured are the ways between the scheduler and each worker, between the workers once around, and to the store.
    type: int
    default: 4
  timeout:
    description: Seconds to wait for workers that are expected, and for each answer.
    type: float
    default: 60
  junit:
    description:
      - A file on the host into which to write the results as JUnit XML.
      - It says nothing that changes from run to run, and counts as changed when it says something else.
    type: path
  fail_on:
    description: The severity from which on a finding makes the task fail. With V(never) it only shows in the result.
    type: str
    choices: [error, warning, never]
    default: error
seealso:
  - module: zarrstream.platform.s3_probe
"""

EXAMPLES = r"""
- name: Prove the cluster that the configuration of Dask on this host names
  zarrstream.platform.dask_info:
    workers: "{{ groups.dask_workers }}"
    bucket: my-project-zarr
    profile: zarr
  register: cluster

- name: Show it
  ansible.builtin.debug:
    msg: "{{ cluster.table }}"

- name: Watch a cluster from elsewhere, without loading the network
  zarrstream.platform.dask_info:
    scheduler: tls://10.0.0.5:8786
    scheduler_tls:
      ca_file: /etc/dask/tls/ca.pem
      cert: /etc/dask/tls/node.pem
      key: /etc/dask/tls/node.key
    workers: 4
    bandwidth: 0
    fail_on: warning
    junit: /srv/reports/dask.xml
"""

RETURN = r"""
changed:
  description: Whether the file O(junit) was written. Without O(junit), always V(false).
  type: bool
  returned: always
ok:
  description: Whether no check found what O(fail_on) names. For V(never), errors count.
  type: bool
  returned: when the scheduler could be talked to
scheduler:
  description: The scheduler.
  type: dict
  returned: when the scheduler could be talked to
  contains:
    name: {description: Always V(scheduler)., type: str, sample: scheduler}
    address: {description: Its address., type: str, sample: "tls://10.0.0.5:8786"}
    host: {description: The name of its host; null where it could not be asked., type: str, sample: zarr-1}
    version: {description: The version of distributed., type: str, sample: 2026.8.0}
    dashboard: {description: Where its dashboard listens; null for none., type: str, sample: "http://127.0.0.1:8787/status"}
    tls: {description: Whether connections are encrypted., type: bool, sample: true}
    cipher: {description: How; null without TLS., type: str, sample: TLS_AES_256_GCM_SHA384 TLSv1.3}
    certificate_days_left: {description: Whole days until its certificate ends; null without TLS., type: int, sample: 89}
workers:
  description: The workers.
  type: list
  elements: dict
  returned: when the scheduler could be talked to
  contains:
    name: {description: The name of the worker., type: str, sample: zarr-2-0}
    host: {description: The name of its host; its address where it could not be asked., type: str, sample: zarr-2}
    address: {description: Its address., type: str, sample: "tls://10.0.0.6:40001"}
    nthreads: {description: Its threads., type: int, sample: 2}
    memory_limit: {description: Its limit of memory in bytes; 0 for none., type: int, sample: 4294967296}
    pid: {description: Its process; null where it could not be asked., type: int, sample: 812}
    versions: {description: Versions by package; null for what is missing., type: dict, sample: {dask: 2026.8.0, zarr: 3.1.6}}
    zarrstream: {description: The version of the package zarrstream; null for none., type: str, sample: 0.1.0}
    certificate_days_left: {description: Whole days until the certificate ends that it came with; null without TLS., type: int, sample: 89}
checks:
  description:
    - The results, one for each check. In their order
    - V(joined), those who are expected have joined, and nobody else.
    - V(answers), every process tells of itself.
    - V(versions), Python, Dask and the packages have one version everywhere, as C(Client.get_versions(check=True)) wants it.
    - V(packages), every worker imports O(packages).
    - V(zarrstream), every worker has the package zarrstream, in the version of this collection.
    - V(tls), every connection is encrypted.
    - V(certificates), no certificate ends within two weeks.
    - V(dashboard), dashboards listen on loopback only.
    - V(memory), the limits of a host's workers sum up to less than its memory.
    - V(spill), every worker can write where it spills, and there is space for what it holds.
    - V(clock), the clocks of nodes and store agree within 5 seconds.
    - V(latency), nodes reach each other, within 100 milliseconds.
    - V(bandwidth), every way carries 5 MiB/s.
    - V(bucket), a worker on each host can list, put, get and delete.
  type: list
  elements: dict
  returned: when the scheduler could be talked to
  contains:
    id: {description: The identifier of the check., type: str, sample: joined}
    status: {description: "One of V(passed), V(failed), V(warning), V(skipped).", type: str, sample: passed}
    severity: {description: "How bad a finding is, one of V(error), V(warning).", type: str, sample: error}
    message: {description: "What was found, or why the check was skipped.", type: str, sample: 2 workers with 4 threads}
    evidence: {description: "What the result rests on, with the first 20 findings.", type: dict, sample: {workers: 2}}
table:
  description: All that in a table for people, in lines.
  type: list
  elements: str
  returned: when the scheduler could be talked to
summary:
  description: The numbers of checks by status, and one line for people.
  type: dict
  returned: when the scheduler could be talked to
  contains:
    passed: {description: Checks without a finding., type: int, sample: 14}
    failed: {description: Checks with a finding of severity V(error)., type: int, sample: 0}
    warning: {description: Checks with a finding of severity V(warning)., type: int, sample: 0}
    skipped: {description: Checks that were not made., type: int, sample: 0}
    line:
      description: All that in a line, with the first finding.
      type: str
      sample: "tls://10.0.0.5:8786: 14 passed, 0 failed, 0 warnings, 0 skipped"
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.zarrstream.dask.state.info import look_at, request_from
from ..module_utils.zarrstream.dask.state.junit import junit_xml, write_junit
from ..module_utils.zarrstream.errors import ZarrstreamError
from ..module_utils.zarrstream.options import DASK_OPTIONS, S3_OPTIONS

SPEC: dict[str, dict[str, Any]] = {
    **DASK_OPTIONS,
    **S3_OPTIONS,
    # Not paths of this host, whose user may have another home.
    "config_file": {"type": "str"},
    "ca_bundle": {"type": "str"},
    "workers": {"type": "raw"},
    "packages": {"type": "list", "elements": "str"},
    "bucket": {"type": "str"},
    "bandwidth": {"type": "int", "default": 4},
    "timeout": {"type": "float", "default": 60},
    "junit": {"type": "path"},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    junit, changed = module.params["junit"], False
    try:
        request = request_from({**module.params, "write": not module.check_mode})
        report = look_at(request)
        if junit:
            text = junit_xml(report.facts.scheduler.address, report.checks, request.fail_on)
            changed = write_junit(junit, text, dry_run=module.check_mode)
    except ZarrstreamError as error:
        module.fail_json(msg=str(error), **error.details)
    result = {**report.as_result(), "changed": changed}
    if report.ok or request.fail_on == "never":
        module.exit_json(**result)
    # The table comes along: what is not wrong tells as much.
    module.fail_json(msg="\n".join([report.summary["line"], "", *result["table"]]), **result)


if __name__ == "__main__":
    main()
