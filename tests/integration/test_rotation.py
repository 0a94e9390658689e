# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""playbooks/rotate.yml and credentials.yml with ec2_credentials_rotate: a host that is down, and a client that reads its profile anew."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import BotoCoreError, ClientError

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
LOCAL = {"ansible_connection": "local"}
AWAY = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}


@dataclass
class Site:
    """A controller and three hosts, each with a profile file of its own; the hosts are this machine."""

    cloud: Any
    folder: Path
    play: Any
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def file(self, name: str) -> Path:
        return self.folder / name / "config"

    def pair(self, name: str) -> tuple[str, str]:
        text = self.file(name).read_text()
        access, secret = (re.findall(rf"^{key} = (\S+)$", text, re.MULTILINE)[0] for key in ("aws_access_key_id", "aws_secret_access_key"))
        return access, secret

    def keys(self, *names: str) -> set[str]:
        return {self.pair(name)[0] for name in names}

    def ask(self, name: str) -> str:
        """One signed request with what the profile says now; a client for each pair, since to make one costs more than the request."""
        pair = self.pair(name)
        client = self.clients.setdefault(pair, None) or self.cloud.s3(*pair)
        self.clients[pair] = client
        try:
            client.list_buckets()
        except (ClientError, BotoCoreError) as error:
            return f"{name}: {error}"
        return "ok"

    @contextmanager
    def asked_meanwhile(self) -> Iterator[Counter[str]]:
        """Ask from every host, again and again, and count what comes back."""
        answers: Counter[str] = Counter()
        over = threading.Event()

        def loop() -> None:
            while not over.wait(0.2):
                answers.update(self.ask(name) for name in ("controller", *HOSTS))

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield answers
        finally:
            over.set()
            thread.join()

    def listed(self) -> set[str]:
        with self.cloud.connect() as connection:
            entries = connection.identity.get(f"/users/{connection.current_user_id}/credentials/OS-EC2").json()["credentials"]
        return {entry["access"] for entry in entries}

    def run(self, playbook: str, *arguments: str, down: tuple[str, ...] = (), groups: tuple[str, ...] = (), **more: Any) -> Any:
        hosts = {name: (AWAY if name in down else LOCAL) | {"aws_profile_config_file": str(self.file(name))} for name in HOSTS}
        python = {"ansible_python_interpreter": self.play.python}
        inventory = {"zarr_hosts": {"hosts": hosts}, "ungrouped": {"hosts": {"localhost": LOCAL}}, "all": {"vars": python}}
        inventory |= {group: {"hosts": {HOSTS[0]: {}}} for group in groups}
        path = self.folder / "inventory.json"
        path.write_text(json.dumps(inventory))
        return self.play(PLAYBOOKS / playbook, *arguments, inventory=path, extra_vars={**self.variables, **more}, check=False)

    @property
    def variables(self) -> dict[str, Any]:
        return {
            "zarr_openstack_environment": {"OS_CLIENT_CONFIG_FILE": str(self.cloud.clouds_file)},
            "zarr_cloud": "embedded",
            "zarr_profile": "default",
            "zarr_profile_file": str(self.file("controller")),
            "zarr_stack_path": "/nowhere",
            "zarr_buckets": [{"name": BUCKET}],
            "aws_profile_python": self.play.python,
            "aws_profile_probe_bucket": BUCKET,
            "ec2_credentials_grace": 3,
        }


HOSTS = ("one", "two", "three")
BUCKET = f"rotation-{uuid4().hex[:8]}"  # on Ceph RGW one name space is everybody's


@pytest.fixture(scope="module")
def cloud(cloud: Any, own_users: Any) -> Any:
    """The users of these tests are nobody else's: their keys are counted and revoked."""
    return own_users(cloud)


@pytest.fixture
def site(cloud: Any, modules: Any, run_playbook: Any, tmp_path: Path) -> Iterator[Site]:
    """A site whose hosts have the pair of the controller."""
    built = Site(cloud, tmp_path, run_playbook)
    with cloud.connect() as connection:
        connection.object_store.create_container(BUCKET)
    before = built.listed()
    arguments = {"cloud": "embedded", "config_file": str(built.file("controller")), "adopt": False}
    modules("ec2_credential", arguments, env={"OS_CLIENT_CONFIG_FILE": str(cloud.clouds_file)})
    for name in HOSTS:
        built.file(name).parent.mkdir(0o700)
        built.file(name).touch(0o600)
        built.file(name).write_text(built.file("controller").read_text())
    yield built
    for access_key in built.listed() - before:
        with cloud.connect() as connection:
            connection.identity.delete(f"/users/{connection.current_user_id}/credentials/OS-EC2/{access_key}")


def test_rotation_with_a_host_that_is_down_goes_on_in_the_next_run(site: Site) -> None:
    """So it does with one where AWS tools would go on with the old pair. No request of whoever reads the profile anew fails."""
    (old,), others = site.keys("controller"), site.listed() - site.keys("controller")
    predicted = site.run("rotate.yml", "--check", down=("three",))
    assert predicted.rc == 0, predicted.output
    assert {name: each["changed"] for name, each in predicted.stats.items()} == {"localhost": 1, "one": 1, "two": 1, "three": 0}
    assert "three: unreachable" in predicted.stdout
    assert f"revoked, when everybody has the new one: {old}" in predicted.stdout
    assert site.listed() == {old} | others
    shadow = site.file("two").with_name("credentials")
    shadow.write_text("[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n".format(*site.pair("two")))
    with site.asked_meanwhile() as answers:
        first = site.run("rotate.yml", down=("three",))
        assert first.rc == 2, first.output
        assert f"The old one, {old}, was not revoked" in first.stdout
        assert f"two: Profile 'default' on two cannot be proved: AWS tools do not use it, since {shadow} is asked first" in first.stdout
        # Ansible's words, by whether ssh ended before or after it was sent the module.
        assert re.search(r"three: unreachable \(.*(Connection refused|could not be sent)", first.stdout), first.stdout
        (new,) = site.keys("controller")
        assert (site.keys("one", "two"), site.keys("three")) == ({new}, {old})
        assert site.listed() == {old, new} | others

        shadow.unlink()
        second = site.run("rotate.yml")
        assert second.rc == 0, second.output
        assert {name: second.stats[name]["changed"] for name in ("one", "two", "three")} == {"one": 0, "two": 0, "three": 1}
        assert site.keys("controller", *HOSTS) == {new}
        assert site.listed() == {new} | others
        asked = answers.total()
    assert set(answers) == {"ok"}
    assert asked > 60


def test_rotation_in_the_stage_of_the_keys_revokes_last_too(site: Site) -> None:
    (old,) = site.keys("controller")
    refused = site.run("credentials.yml", groups=("dask_workers",), ec2_credentials_rotate=True, aws_profile_probe_bucket="")
    assert refused.rc == 2
    assert "Run playbooks/rotate.yml" in refused.stdout
    assert site.keys("controller") == {old}
    with site.asked_meanwhile() as answers:
        done = site.run("credentials.yml", ec2_credentials_rotate=True, aws_profile_probe_bucket="")
    assert done.rc == 0, done.output
    (new,) = site.keys("controller", *HOSTS)
    assert old not in site.listed()
    assert new in site.listed()
    assert set(answers) == {"ok"}
