# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role dask_tls: what it shows and refuses, and who is let in by a real scheduler. The life of its files is a Molecule scenario."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Any

import pytest

PLAY = "- {hosts: nodes, gather_facts: false, roles: [dask_tls]}"
NODES = "nodes: {hosts: {one: {dask_tls_addresses: [127.0.0.1, localhost]}, two: {dask_tls_addresses: [10.0.0.2]}}}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dask")


@pytest.fixture
def issue(run_playbook: Any, folder: Path) -> Any:
    """A function that runs the role for two nodes; the files stay from test to test."""
    (folder / "nodes.yml").write_text(NODES)

    def run(*arguments: str, **variables: Any) -> Any:
        wanted = {"dask_tls_path": str(folder / "tls"), **variables}
        return run_playbook(PLAY, *arguments, inventory=folder / "nodes.yml", extra_vars=wanted, check=False)

    return run


def certificate(path: Path) -> Any:
    from cryptography import x509

    return x509.load_pem_x509_certificate(path.read_bytes())


def test_refuses_to_renew_in_each_run(issue: Any) -> None:
    refused = issue(dask_tls_valid_days=30)
    assert refused.rc, refused.output
    assert "dask_tls_renew_days has to be less than" in " ".join(refused.output.split())


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


def test_a_scheduler_lets_in_its_own_and_nobody_else(issue: Any, folder: Path) -> None:
    """Real scheduler, real clients: two nodes of the CA; then none, another CA's, and an expired certificate."""
    from distributed import Client, Scheduler
    from distributed.security import Security

    made = issue("--diff", "-vvv")
    assert made.rc == 0, made.output
    for key in (folder / "tls" / "1").glob("*.key"):
        assert key.read_text().splitlines()[1] not in made.output
    assert issue(dask_tls_generation=2).rc == 0
    files, others = folder / "tls" / "1", folder / "tls" / "2"
    expired(files, folder / "expired.pem")

    def security(role: str, pem: Path, key: Path, ca: Path) -> Security:
        settings = {"tls_ca_file": str(ca), f"tls_{role}_cert": str(pem), f"tls_{role}_key": str(key)}
        return Security(require_encryption=True, **settings)

    own = security("client", files / "two.pem", files / "two.key", files / "ca.pem")
    strangers = {
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
            for name, stranger in strangers.items():
                address = scheduler.address if stranger else scheduler.address.replace("tls://", "tcp://")
                try:
                    async with Client(address, security=stranger, asynchronous=True, timeout="1s"):
                        answers[name] = "in"
                except (OSError, TimeoutError):
                    answers[name] = "refused"
        return answers

    assert asyncio.run(play()) == {"own": "in"} | dict.fromkeys(strangers, "refused")
