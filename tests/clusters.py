# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dask clusters for tests and benchmarks: real processes on loopback, over TLS, with certificates made at run time."""

from __future__ import annotations

import datetime
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ports

# An idle node looks at itself up to a hundred times a second, for its dashboard: with these settings it costs a fifth.
CALM = {
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.worker.profile.enabled": False,
}
CALM_ENVIRONMENT = {f"DASK_{name.upper().replace('.', '__').replace('-', '_')}": str(value) for name, value in CALM.items()}


@dataclass(frozen=True)
class Certificates:
    """A CA of its own in a folder, and what it signed: ``node`` is good, ``expired`` ended yesterday."""

    folder: Path

    @property
    def files(self) -> dict[str, str]:
        """As the option scheduler_tls takes them."""
        return self.named("node")

    def named(self, name: str) -> dict[str, str]:
        """The same with another certificate."""
        return {"ca_file": str(self.folder / "ca.pem"), "cert": str(self.folder / f"{name}.pem"), "key": str(self.folder / "node.key")}

    def security(self) -> Any:
        """What Dask's own classes take."""
        from distributed.security import Security

        files = self.files
        roles = ("client", "scheduler", "worker")
        nodes = {f"tls_{role}_{part}": files[part] for role in roles for part in ("cert", "key")}
        return Security(require_encryption=True, tls_ca_file=files["ca_file"], **nodes)


def make_certificates(folder: Path, days: int = 3) -> Certificates:
    """Make them; the good ones end so many days from now."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def certificate(name: str, key: Any, issuer: str, signer: Any, days: tuple[int, int], signs: bool) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)]) for each in (issuer, name)]
        builder = x509.CertificateBuilder(*names, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now + datetime.timedelta(days=days[0])).not_valid_after(now + datetime.timedelta(days=days[1]))
        builder = builder.add_extension(x509.BasicConstraints(ca=signs, path_length=None), critical=True)
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    folder.mkdir(parents=True, exist_ok=True)
    ca = f"ca of {secrets.token_hex(4)}"
    authority, node = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    (folder / "ca.pem").write_bytes(certificate(ca, authority, ca, authority, (-3, days), True))
    (folder / "node.pem").write_bytes(certificate("node", node, ca, authority, (-3, days), False))
    (folder / "expired.pem").write_bytes(certificate("node", node, ca, authority, (-3, -1), False))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "node.key").touch(mode=0o600)
    (folder / "node.key").write_bytes(node.private_bytes(*plain))
    return Certificates(folder)


@contextmanager
def local_cluster(certificates: Certificates | None, **options: Any) -> Iterator[Any]:
    """A LocalCluster of worker processes with nannies; without certificates it does not encrypt."""
    from dask import config
    from distributed import LocalCluster

    kind = "tls" if certificates else "tcp"
    wanted = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": "1GiB", "dashboard_address": "127.0.0.1:0", **options}
    security = certificates.security() if certificates else None
    # On a busy machine a killed worker takes longer to come back than the cluster waits before it gives its place up.
    settings = config.set({"distributed.deploy.lost-worker-timeout": "600s", **CALM})
    with settings, LocalCluster(host=f"{kind}://127.0.0.1", processes=True, security=security, **wanted) as cluster:
        yield cluster


class Daemons:
    """A scheduler and a worker as services run them, to be killed and started again; without certificates they do not encrypt."""

    def __init__(self, certificates: Certificates | None, folder: Path) -> None:
        self.port, self.folder = ports.free_ports(1)[0], folder
        self.protocol = "tls" if certificates else "tcp"
        self.address = f"{self.protocol}://127.0.0.1:{self.port}"
        files = certificates.files if certificates else {}
        options = {"ca_file": "--tls-ca-file", "cert": "--tls-cert", "key": "--tls-key"}
        self._tls = [word for name, file in files.items() for word in (options[name], file)]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str, **environment: str) -> None:
        """Start ``scheduler``, or a worker of any other name, with arguments of its own."""
        own = ["--host", "127.0.0.1", "--port", str(self.port), "--protocol", self.protocol] if name == "scheduler" else [self.address]
        if name != "scheduler":
            own += ["--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--name", name, "--local-directory", str(self.folder)]
        kind = "scheduler" if name == "scheduler" else "worker"
        command = [sys.executable, "-m", "dask", kind, *own, *self._tls, "--no-dashboard", *arguments]
        variables = {**os.environ, **CALM_ENVIRONMENT, **environment}
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, env=variables, cwd=self.folder)

    def kill(self, name: str) -> None:
        """With SIGKILL."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def log(self, name: str) -> str:
        """What it has said."""
        return (self.folder / f"{name}.log").read_text()

    def wait_for(self, name: str, text: str, seconds: float = 90) -> None:
        """Until the log of ``name`` has ``text``."""
        ends = time.monotonic() + seconds
        while text not in self.log(name):
            assert time.monotonic() < ends, self.log(name)
            time.sleep(0.1)

    def stop(self) -> None:
        """Kill all."""
        for name in list(self.processes):
            self.kill(name)
