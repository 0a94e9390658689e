# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The programs of the RGW cloud: their configuration and certificates, and the supervisor that keeps them running."""

from __future__ import annotations

import datetime
import ipaddress
import secrets
import shlex
import ssl
import sys
import urllib.request
from pathlib import Path

from cloud.shell import CloudError, run, wait
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rgw import ceph, layout

sys.path.append(str(layout.ROLE / "files" / "server"))
from control import Cloud as Supervisor
from control import start_programs

ANSWER_SECONDS = 180
DAYS = 365


def make_secrets() -> dict[str, str]:
    """A password for each user; in files that nobody else reads."""
    made = {name: secrets.token_urlsafe(24) for name in ("admin", "rgw", "zarr", "zarr-colleague", "zarr-reader", "other")}
    for name, password in made.items():
        write(layout.STATE / "secrets" / name, password)
    return made


def configure(environment: Path, passwords: dict[str, str]) -> None:
    """Write the configuration of everything."""
    folders = [layout.HERE / "templates", layout.ROLE / "templates"]
    engine = Environment(
        loader=FileSystemLoader(folders), undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
    keystone = [environment / "bin" / "python", layout.ROLE / "files" / "server" / "keystone_server.py"]
    options = {
        "--config": layout.ETC / "keystone.conf",
        "--state": layout.STATE / "keystone",
        "--password-file": layout.STATE / "secrets" / "admin",
        "--host": layout.ADDRESS,
        "--port": layout.PORTS["keystone"],
        "--region": "IU",
    }
    programs = {
        "keystone": shlex.join(map(str, [*keystone, *(part for option in options.items() for part in option)])),
        **{name: shlex.join(ceph.inside(*command)) for name, command in ceph.PROGRAMS.items()},
    }
    values = {
        "layout": layout,
        "programs": programs,
        "password": passwords["rgw"],
        "fsid": (layout.CEPH / "fsid").read_text(),
        "osd_bytes": ceph.OSD_BYTES,
        "ansible_managed": "Written by tests/rgw; made anew at each start.",
        "embedded_cloud_path": layout.STATE,
    }
    for name, file in {"supervisord.conf": layout.ETC, "keystone.conf": layout.ETC, "ceph.conf": layout.CEPH}.items():
        write(file / name, engine.get_template(f"{name}.j2").render(values))
    for gateway in layout.GATEWAYS.values():
        write(layout.CEPH / f"{gateway.name}.pem", certify(gateway))


def certify(gateway: layout.Gateway) -> str:
    """Make an authority of the gateway's own, and return the gateway's key and certificate by it."""
    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"RGW {gateway.name} CA")])
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"RGW {gateway.name}")])
    now = datetime.datetime.now(datetime.UTC)
    template = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
    )
    usage = dict.fromkeys(
        ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only",
         "decipher_only"], False,
    )  # fmt: skip
    root = (
        template.subject_name(name)
        .public_key(authority.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**usage, key_cert_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority.public_key()), critical=False)
        .sign(authority, hashes.SHA256())
    )
    names = [x509.IPAddress(ipaddress.ip_address(layout.ADDRESS)), x509.DNSName("localhost")]
    server = (
        template.subject_name(own)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        .sign(authority, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    gateway.authority.parent.mkdir(parents=True, exist_ok=True)
    gateway.authority.write_bytes(root.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return (private + server.public_bytes(pem)).decode()


def write(path: Path, text: str) -> None:
    """Write a file that only its owner reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def supervisor() -> Supervisor:
    """The client of this cloud's supervisor."""
    return Supervisor(layout.STATE)


def start_supervisor(environment: Path) -> None:
    """Start the supervisor, without any program, in an environment that holds nothing of the caller's."""
    clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore"}
    run(environment / "bin" / "supervisord", "-c", layout.ETC / "supervisord.conf", env=clean, cwd=layout.STATE)
    wait("The supervisor answers", lambda: supervisor().states(), 30)


def start(*names: str) -> None:
    """Start programs that do not run yet, without waiting for them."""
    start_programs(supervisor(), list(names))


def stop(*names: str) -> None:
    """Stop programs that run, and wait until they have ended."""
    states = supervisor().states()
    for name in names:
        if states.get(name) in ("STARTING", "RUNNING", "BACKOFF"):
            supervisor().call("stopProcess", name, True)


def await_answer(name: str) -> None:
    """Wait until Keystone or a gateway answers."""
    gateway = layout.GATEWAYS.get(name)
    url = f"{gateway.url}/swift/healthcheck" if gateway else layout.KEYSTONE
    context = ssl.create_default_context(cafile=gateway.authority) if gateway else None

    def answered() -> bool:
        if supervisor().states().get(name) not in ("STARTING", "RUNNING", "BACKOFF"):
            raise CloudError(f"{name} does not stay up.\n{supervisor().last_lines(name)}")
        return answers(url, context)

    wait(f"{name} answers", answered, ANSWER_SECONDS)


def answers(url: str, context: ssl.SSLContext | None) -> bool:
    """Tell whether a GET of url succeeds."""
    handlers = [urllib.request.ProxyHandler({}), *([urllib.request.HTTPSHandler(context=context)] if context else [])]
    try:
        urllib.request.build_opener(*handlers).open(url, timeout=30).close()
    except OSError:
        return False
    return True
