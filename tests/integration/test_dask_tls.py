# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role dask_tls: the life of its files as openssl reads them, what it shows and refuses, and who is let in by a real scheduler."""

from __future__ import annotations

import asyncio
import datetime
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

NODES = 'nodes: {hosts: {one: {dask_tls_addresses: [127.0.0.1, "fd00::1", localhost]}, two: {dask_tls_addresses: [10.0.0.2]}}}\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dask")


@pytest.fixture(scope="module")
def issued(run_playbook: Any, folder: Path) -> Any:
    """What the role said: certificates for two nodes, one of them near its end, renewed; another generation; and then it refused."""
    controller = {"ungrouped": {"hosts": {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": run_playbook.python}}}}
    (folder / "nodes.yml").write_text(NODES + yaml.safe_dump(controller))
    steps: list[dict[str, Any]] = [{}, {"dask_tls_generation": 2}, {"dask_tls_valid_days": 30}]
    plays: list[dict[str, Any]] = [{"hosts": "nodes", "gather_facts": False, "roles": ["dask_tls"], "vars": step} for step in steps]
    copied = {"src": f"{folder}/tls/1/", "dest": str(folder / "before"), "mode": "0600"}
    near_its_end = {
        "hosts": "two",
        "gather_facts": False,
        "vars": {"dask_tls_valid_days": 20, "dask_tls_renew_days": 10},
        "pre_tasks": [on_the_controller({"ansible.builtin.file": {"path": str(folder / "tls/1/two.pem"), "state": "absent"}})],
        "roles": ["dask_tls"],
        "post_tasks": [on_the_controller({"ansible.builtin.copy": copied})],
    }
    path = {"dask_tls_path": str(folder / "tls")}
    text = yaml.safe_dump([plays[0], near_its_end, *plays])
    return run_playbook(text, "--diff", "-vvv", inventory=folder / "nodes.yml", extra_vars=path, check=False)


def on_the_controller(task: dict[str, Any]) -> dict[str, Any]:
    """The task, for the machine that has the files."""
    return {**task, "delegate_to": "localhost"}


def openssl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What openssl says, which did not make the files."""
    return subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)


USES = [
    ("sslclient", (), "one"),
    ("sslclient", (), "two"),
    ("sslserver", ("-verify_ip", "127.0.0.1"), "one"),
    ("sslserver", ("-verify_ip", "fd00::1"), "one"),
    ("sslserver", ("-verify_hostname", "localhost"), "one"),
    ("sslserver", ("-verify_ip", "10.0.0.2"), "two"),
]


def test_a_node_is_client_and_server_at_its_addresses_and_signs_nothing(issued: Any, folder: Path) -> None:
    files = folder / "tls" / "1"
    for purpose, where, node in USES:
        done = openssl(files, "verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", purpose, *where, f"{node}.pem")
        assert not done.returncode, (purpose, where, node, done.stderr)
    extensions = "basicConstraints,keyUsage,extendedKeyUsage,subjectAltName"
    texts = {
        name: " ".join(openssl(files, "x509", "-in", f"{name}.pem", "-noout", "-ext", extensions).stdout.split())
        for name in ("ca", "one", "two")
    }
    assert re.search(r"Basic Constraints: critical CA:TRUE, pathlen:0", texts["ca"])
    assert re.search(r"Key Usage: critical Certificate Sign, CRL Sign", texts["ca"])
    for node in ("one", "two"):
        assert "TLS Web Server Authentication, TLS Web Client Authentication" in texts[node]
        assert "CA:TRUE" not in texts[node]
    assert re.search(r"Alternative Name: IP Address:10\.0\.0\.2( X509|$)", texts["two"])


def test_the_keys_are_their_owners_alone_and_those_of_the_certificates(issued: Any, folder: Path) -> None:
    modes = {path.name: f"{path.stat().st_mode & 0o7777:o}" for path in (folder / "tls").rglob("*") if path.parts[-2] != "2"}
    assert {"1": "700", "ca.key": "600", "ca.pem": "644", "one.key": "600", "one.pem": "644"}.items() <= modes.items()
    assert set(modes) == {"1", "2", "ca.key", "ca.pem", "one.key", "one.pem", "two.key", "two.pem"}
    for name in ("ca", "one", "two"):
        public = openssl(folder / "tls/1", "pkey", "-in", f"{name}.key", "-pubout").stdout
        assert public == openssl(folder / "tls/1", "x509", "-in", f"{name}.pem", "-noout", "-pubkey").stdout


def test_a_certificate_near_its_end_is_renewed_and_it_alone(issued: Any, folder: Path) -> None:
    before, after = folder / "before", folder / "tls" / "1"
    new = [path.name for path in sorted(after.iterdir()) if path.read_bytes() != (before / path.name).read_bytes()]
    assert new == ["two.pem"]
    for file, days in (("two", 89), ("one", 89), ("ca", 3600)):
        assert not openssl(after, "x509", "-in", f"{file}.pem", "-noout", "-checkend", str(days * 86400)).returncode
    assert openssl(before, "x509", "-in", "two.pem", "-noout", "-checkend", str(21 * 86400)).returncode


def test_generations_do_not_know_each_other(issued: Any, folder: Path) -> None:
    for ca in ("1", "2"):
        for node in ("1", "2"):
            done = openssl(folder / "tls", "verify", "-CAfile", f"{ca}/ca.pem", f"{node}/two.pem")
            assert (done.returncode == 0) == (ca == node), done.stderr


def certificate(path: Path) -> Any:
    from cryptography import x509

    return x509.load_pem_x509_certificate(path.read_bytes())


def test_refuses_to_renew_in_each_run(issued: Any) -> None:
    assert issued.rc, issued.output
    assert "dask_tls_renew_days has to be less than" in " ".join(issued.output.split())


def expired(files: Path, target: Path) -> None:
    """Write a certificate for the key of `one` that the same CA signed and that ended yesterday."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509 import CertificateBuilder

    good = certificate(files / "one.pem")
    now = datetime.datetime.now(datetime.UTC)
    builder = CertificateBuilder(good.issuer, good.subject, good.public_key(), good.serial_number + 1)
    builder = builder.not_valid_before(now - datetime.timedelta(days=3)).not_valid_after(now - datetime.timedelta(days=1))
    key: Any = serialization.load_pem_private_key((files / "ca.key").read_bytes(), None)
    target.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def test_a_scheduler_lets_in_its_own_and_nobody_else(issued: Any, folder: Path) -> None:
    """Real scheduler, real clients: two nodes of the CA; then none, another CA's, and an expired certificate."""
    from distributed import Client, Scheduler
    from distributed.security import Security

    for key in (folder / "tls").glob("[12]/*.key"):
        assert key.read_text().splitlines()[1] not in issued.output
    files, others = folder / "tls" / "1", folder / "tls" / "2"
    expired(files, folder / "expired.pem")

    def security(role: str, pem: Path, key: Path, ca: Path) -> Security:
        settings = {"tls_ca_file": str(ca), f"tls_{role}_cert": str(pem), f"tls_{role}_key": str(key)}
        return Security(require_encryption=True, **settings)

    own = security("client", files / "two.pem", files / "two.key", files / "ca.pem")
    foreign = {
        "without a certificate": None,
        "another CA's": security("client", others / "one.pem", others / "one.key", files / "ca.pem"),
        "expired": security("client", folder / "expired.pem", files / "one.key", files / "ca.pem"),
    }

    async def play() -> dict[str, str]:
        answers = {}
        listening = security("scheduler", files / "one.pem", files / "one.key", files / "ca.pem")
        async with Scheduler(host="tls://127.0.0.1", port=0, dashboard=False, security=listening) as scheduler:
            async with Client(scheduler.address, security=own, asynchronous=True, timeout="10s") as client:
                answers["own"] = await client.run_on_scheduler(lambda: "in")
            for name, other in foreign.items():
                address = scheduler.address if other else scheduler.address.replace("tls://", "tcp://")
                try:
                    async with Client(address, security=other, asynchronous=True, timeout="1s"):
                        answers[name] = "in"
                except (OSError, TimeoutError):
                    answers[name] = "refused"
        return answers

    assert asyncio.run(play()) == {"own": "in"} | dict.fromkeys(foreign, "refused")
