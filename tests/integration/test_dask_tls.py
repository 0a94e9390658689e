# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role dask_tls: what it shows and refuses, and who is let in by a real scheduler. The life of its files is a Molecule scenario."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

NODES = "nodes: {hosts: {one: {dask_tls_addresses: [127.0.0.1, localhost]}, two: {dask_tls_addresses: [10.0.0.2]}}}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dask")


@pytest.fixture(scope="module")
def issued(run_playbook: Any, folder: Path) -> Any:
    """What the role said: it has issued certificates for two nodes, then another generation, and then refused."""
    (folder / "nodes.yml").write_text(NODES)
    steps: list[dict[str, Any]] = [{}, {"dask_tls_generation": 2}, {"dask_tls_valid_days": 30}]
    plays = [{"hosts": "nodes", "gather_facts": False, "roles": ["dask_tls"], "vars": step} for step in steps]
    path = {"dask_tls_path": str(folder / "tls")}
    return run_playbook(yaml.safe_dump(plays), "--diff", "-vvv", inventory=folder / "nodes.yml", extra_vars=path, check=False)


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
