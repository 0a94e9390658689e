# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module aws_profile, its profile in the hands of s3fs and boto3, and the two roles that carry keys to a host."""

import json
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

FIELDS = {"profile", "path", "files", "access_key", "secret_fingerprint", "shadowed_by", "read_as", "changed", "diff"}
OTHERS = b"# mine \xc3\xa9\r\n[profile a]\r\n\tregion=x\r\n\r\n# end\r\n"


@pytest.fixture(scope="module")
def cloud(cloud, own_users):
    """The users of these tests are nobody else's: their keys are rotated and revoked."""
    return own_users(cloud)


@pytest.fixture
def ask(modules):
    """A function that runs the module once and returns its result."""

    def run(check=False, **arguments):
        answer = modules("aws_profile", arguments, check)
        result = answer.result
        assert result.get("failed") or result.keys() >= FIELDS
        assert arguments.get("secret_key", "?") not in answer.said
        return result

    return run


@pytest.fixture
def config(home):
    return home / ".aws" / "config"


KEYS = {"access_key": "AK12", "secret_key": "s%#;=/+ %%t", "endpoint_url": "https://object.example.org:8001"}


def test_life_of_a_profile(ask, config):
    missing = ask(name="lab", access_key="AK12")
    assert "state is present but all of the following are missing: secret_key, endpoint_url" in missing["msg"]

    config.parent.mkdir(0o755)
    config.write_bytes(OTHERS)
    foreseen = ask(check=True, name="lab", **KEYS)
    assert foreseen["changed"]
    assert "[profile lab]" in foreseen["diff"][0]["after"]
    assert config.read_bytes() == OTHERS

    created = ask(name="lab", **KEYS)
    assert created["changed"]
    assert created["diff"] == foreseen["diff"]
    assert config.read_bytes().startswith(OTHERS)
    assert (config.stat().st_mode & 0o777, config.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    again = ask(name="lab", **KEYS)
    assert not again["changed"]
    assert again["diff"][0]["before"] == again["diff"][0]["after"]
    assert again["secret_fingerprint"] == created["secret_fingerprint"]

    changed = ask(name="lab", **{**KEYS, "region": "elsewhere"})
    assert changed["changed"]
    assert "region = elsewhere" in changed["diff"][0]["after"]
    assert not ask(check=True, name="lab", **{**KEYS, "region": "elsewhere"})["changed"]

    assert ask(check=True, name="lab", state="absent")["changed"]
    absent = ask(name="lab", state="absent")
    assert (absent["changed"], absent["access_key"], absent["secret_fingerprint"]) == (True, None, None)
    assert config.read_bytes() == OTHERS
    assert not ask(name="lab", state="absent")["changed"]


def test_shadow_is_a_warning(ask, config):
    config.parent.mkdir()
    (config.parent / "credentials").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    result = ask(**KEYS)
    assert result["shadowed_by"] == [str(config.parent / "credentials")]
    assert "AWS tools do not use what profile 'default' says" in json.dumps(result["warnings"])
    assert result["read_as"]["aws_secret_access_key"] == "(hidden)"


def test_what_leads_elsewhere_is_named_before_anything_is_written(ask, config):
    config.parent.mkdir()
    config.write_text("[default]\nignore_configured_endpoint_urls = true\n")
    foreseen = ask(check=True, **KEYS)
    assert foreseen["shadowed_by"] == [f"{config}: ignore_configured_endpoint_urls"]
    assert foreseen["read_as"] == {"endpoint_url": "https://s3.RegionOne.amazonaws.com"}
    assert "is asked first (endpoint_url: https://s3.RegionOne.amazonaws.com)" in json.dumps(foreseen["warnings"])
    result = ask(**KEYS)
    assert (result["shadowed_by"], result["read_as"]) == (foreseen["shadowed_by"], foreseen["read_as"])
    config.write_text(config.read_text().replace("ignore_configured_endpoint_urls = true\n", ""))
    assert ask(**KEYS)["shadowed_by"] == []


def test_file_in_a_variable_of_the_environment(ask, config, monkeypatch):
    monkeypatch.setenv("AWS_CONFIG_FILE", "$HOME/.aws/config")
    assert ask(**KEYS)["path"] == str(config)
    monkeypatch.setenv("AWS_CONFIG_FILE", "$NOWHERE/.aws/config")
    assert "AWS_CONFIG_FILE is '$NOWHERE/.aws/config', and $NOWHERE is not set here" in ask(**KEYS)["msg"]


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda config: config.symlink_to("/dev/null"), "symbolic link"),
        (lambda config: config.write_text("hunter2\n"), "not in INI form: line 1"),
        (lambda config: config.write_bytes(b"\xef\xbb\xbf[a]\nk = hunter2\n"), "byte order mark"),
        (lambda config: config.write_bytes(b"# \xe9 hunter2\n"), "no UTF-8"),
        (lambda config: config.write_text("[a]\ncredential_process =\n  hunter2\n"), "are not all 'name = value'"),
        (lambda config: config.mkdir(), "is not a file"),
    ],
    ids=["link", "broken", "BOM", "Latin-1", "value below", "folder"],
)
def test_file_that_is_not_safe_to_edit_is_refused(ask, config, prepare, says):
    config.parent.mkdir()
    prepare(config)
    result = ask(**KEYS)
    assert says in result["msg"]
    assert str(config) in result["msg"]
    assert "hunter2" not in json.dumps(result)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"endpoint_url": "https://js2.jetstream-cloud.org:8001/swift/v1"}, "Use 'https://js2.jetstream-cloud.org:8001'"),
        ({"name": "a b"}, "a name is made of"),
        ({"secret_key": "two\nlines"}, "aws_secret_access_key"),
        ({"addressing_style": "sideways"}, "path, virtual, auto"),
    ],
)
def test_wrong_value_is_refused(ask, config, wrong, says):
    assert says in ask(**{**KEYS, **wrong})["msg"]
    assert not config.exists()


# --- in the hands of the clients --------------------------------------------------------------------------------------


@pytest.fixture
def odd_pair(cloud):
    """A pair that Keystone believes, with a secret that tries every parser: made by the one call that lets us choose it."""
    pair = {"access": secrets.token_hex(8), "secret": f"%s%% #;=/+{secrets.token_hex(8)}=="}
    with cloud.connect() as connection:
        body = {"blob": json.dumps(pair), "type": "ec2", "user_id": connection.current_user_id, "project_id": connection.current_project_id}
        made = connection.identity.post("/credentials", json={"credential": body})
        assert made.status_code == 201, made.text
        yield pair
        connection.identity.delete(f"/credentials/{made.json()['credential']['id']}")


CLIENTS = {
    "boto3": "import boto3; print([b['Name'] for b in boto3.Session(profile_name='lab').client('s3').list_buckets()['Buckets']])",
    "s3fs": "import s3fs; print(s3fs.S3FileSystem(profile='lab').ls(''))",
}


@pytest.mark.parametrize("code", CLIENTS.values(), ids=CLIENTS)
def test_clients_need_nothing_but_the_name(ask, cloud, odd_pair, code, home):
    ask(
        name="lab",
        access_key=odd_pair["access"],
        secret_key=odd_pair["secret"],
        endpoint_url=cloud.s3_endpoint,
        ca_bundle=cloud.ca_bundle,
    )
    bucket = f"profile-{secrets.token_hex(4)}"
    with cloud.connect() as connection:
        connection.object_store.create_container(bucket)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        connection.object_store.delete_container(bucket)
    assert bucket in done.stdout, done.stderr


# --- the roles --------------------------------------------------------------------------------------------------------

PLAYBOOK = Path(__file__).parents[2] / "playbooks" / "credentials.yml"


@pytest.fixture
def variables(run_playbook, cloud, home):
    bucket = f"roles-{secrets.token_hex(4)}"
    with cloud.connect() as connection:
        connection.object_store.create_container(bucket)
        yield {
            "zarr_openstack_environment": {"OS_CLIENT_CONFIG_FILE": str(cloud.clouds_file)},
            "ec2_credentials_cloud": "embedded",
            "ec2_credentials_profile": "default",
            "ec2_credentials_config_file": "~/.aws/config",
            "aws_profile_name": "default",
            "aws_profile_config_file": "",
            "aws_profile_source_file": "~/.aws/config",
            "aws_profile_python": run_playbook.python,
            "aws_profile_probe_bucket": bucket,
        }
        connection.object_store.delete_container(bucket)


def test_roles_with_one_file_for_both(run_playbook, variables, home):
    """Host and controller are one user of one machine: the second role has nothing to do."""
    config = home / ".aws" / "config"
    foreseen = run_playbook(PLAYBOOK, "--check", "--diff", extra_vars=variables)
    assert (foreseen.changed, config.exists()) == (1, False)
    first = run_playbook(PLAYBOOK, extra_vars=variables)
    assert first.changed == 1
    assert "[WARNING]" not in first.output

    absent = {**variables, "aws_profile_state": "absent", "ec2_credentials_state": "absent"}
    assert run_playbook(PLAYBOOK, extra_vars=absent).changed == 1
    assert config.read_text() == ""


def test_rotation_that_is_interrupted_before_hosts_have_the_new_pair(run_playbook, modules, variables, cloud, tmp_path):
    """The controller's pair is new, the hosts' is dead, one of them cannot be reached: the next runs bring each the living one."""
    source, files = tmp_path / "controller" / "config", {name: tmp_path / name / "config" for name in ("near", "far")}
    variables |= {"ec2_credentials_config_file": source, "aws_profile_source_file": source}
    del variables["aws_profile_config_file"]

    def inventory(*unreachable):
        local = {"ansible_connection": "local", "ansible_python_interpreter": run_playbook.python}
        away = local | {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
        hosts = {name: (away if name in unreachable else local) | {"aws_profile_config_file": str(file)} for name, file in files.items()}
        path = tmp_path / "inventory.json"
        path.write_text(json.dumps({"zarr_hosts": {"hosts": hosts}, "ungrouped": {"hosts": {"localhost": local}}}))
        return path

    def key(file):
        found = re.findall(r"^aws_access_key_id = (\w+)$", file.read_text(), re.MULTILINE)
        return found[0]

    def works(file):
        access, secret = (
            re.search(rf"^{name} = (\S+)$", file.read_text(), re.MULTILINE)[1] for name in ("aws_access_key_id", "aws_secret_access_key")
        )
        try:
            cloud.s3(access, secret).list_buckets()
        except ClientError:
            return False
        return True

    def make_pair(**options):
        arguments = {"cloud": "embedded", "config_file": str(source), **options}
        return modules("ec2_credential", arguments, env=variables["zarr_openstack_environment"]).result["access_key"]

    old = make_pair()
    for file in files.values():
        file.parent.mkdir(0o700)
        file.touch(0o600)
        file.write_text(source.read_text())
    assert all(works(file) for file in files.values())

    new = make_pair(rotate=True)  # and no further
    assert new != old
    assert works(source)
    ends = time.monotonic() + 30
    while works(files["near"]):  # Swift remembers a secret for a second
        assert time.monotonic() < ends
        time.sleep(0.2)

    second = run_playbook(PLAYBOOK, extra_vars=variables, inventory=inventory("far"), check=False)
    assert second.rc == 4  # unreachable, said so
    assert (second.stats["far"]["unreachable"], second.stats["near"]["failed"], second.stats["localhost"]["changed"]) == (1, 0, 0)
    assert (key(files["near"]), key(files["far"])) == (new, old)
    assert works(files["near"])

    third = run_playbook(PLAYBOOK, extra_vars=variables, inventory=inventory())
    assert (third.stats["localhost"]["changed"], third.stats["near"]["changed"]) == (0, 0)
    assert all(works(file) for file in files.values())
    assert {key(source), *map(key, files.values())} == {new}


def test_roles_say_what_is_missing_or_wrong(run_playbook, home):
    play = "- {hosts: cases, gather_facts: false, tasks: [{ansible.builtin.include_role: {name: '{{ role }}'}}]}"
    wrong = {"role": "ec2_credentials", "ec2_credentials_cloud": "embedded", "ec2_credentials_rotate": "perhaps"}
    without_keys = {"role": "aws_profile", "aws_profile_python": run_playbook.python}
    of_missing_keys, of_a_wrong_type = run_playbook.each(play, "cases", [without_keys, wrong])
    assert "Run the role ec2_credentials first" in of_missing_keys
    assert "ec2_credentials_rotate" in of_a_wrong_type
    assert not (home / ".aws").exists()
