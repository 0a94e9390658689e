# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which certificates of a Dask cluster are to be made: each thing that is not as declared is seen, and nothing else."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from zarrstream.dask import certificates
from zarrstream.dask.certificates import Wanted

CA = "Zarrstream Dask CA"
NODE = Wanted("node1", "Zarrstream Dask node", ("IP:10.0.0.5", "DNS:node1"), ("serverAuth", "clientAuth"))
CLIENT = Wanted("client-ada", "Zarrstream Dask client", (), ("clientAuth",))
KEY_USAGE = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)


def name_of(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def write(folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for path, content, mode in (
        (folder / f"{name}.key", text, 0o600),
        (folder / f"{name}.pem", certificate.public_bytes(Encoding.PEM), 0o644),
    ):
        path.write_bytes(content)
        path.chmod(mode)


class Authority:
    """A CA, and what it signs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(**KEY_USAGE, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False)
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        builder = self._builder(CA, self.key).add_extension(constraints, critical=True).add_extension(usage, critical=True)
        write(folder, "ca", self.key, builder.sign(self.key, hashes.SHA256()))

    def _builder(self, common_name: str, key: ec.EllipticCurvePrivateKey, days: float = 90) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(name_of(common_name)).issuer_name(name_of(CA)).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        return builder.not_valid_after(now + datetime.timedelta(days=days))

    def issue(self, wanted: Wanted, days: float = 90) -> None:
        """Key and certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        oids = {"serverAuth": ExtendedKeyUsageOID.SERVER_AUTH, "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH}
        usage = x509.ExtendedKeyUsage([oids[name] for name in wanted.usage])
        builder = self._builder(wanted.common_name, key, days).add_extension(usage, critical=False)
        kinds: dict[str, Callable[[str], x509.GeneralName]] = {
            "IP": lambda text: x509.IPAddress(ipaddress.ip_address(text)),
            "DNS": x509.DNSName,
        }
        names = [kinds[kind](text) for kind, _colon, text in (each.partition(":") for each in wanted.addresses)]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        write(self.folder, wanted.name, key, builder.sign(self.key, hashes.SHA256()))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """With both certificates."""
    folder = tmp_path / "dask"
    folder.mkdir(0o700)
    made = Authority(folder)
    made.issue(NODE)
    made.issue(CLIENT)
    return made


def unfit(authority: Authority, *wanted: Wanted) -> list[str]:
    return certificates.unfit(authority.folder, list(wanted or (NODE, CLIENT)), CA, 30)


def test_what_is_as_declared_is_not_named(authority: Authority) -> None:
    assert unfit(authority) == []


@pytest.mark.parametrize(
    ("wanted"),
    [
        replace(NODE, addresses=("IP:10.0.0.6", "DNS:node1")),
        replace(NODE, addresses=("IP:10.0.0.5",)),
        replace(NODE, usage=("clientAuth",)),
        replace(NODE, common_name="another"),
        replace(NODE, name="node2"),
    ],
    ids=["another address", "an address more", "another use", "another name", "missing"],
)
def test_another_certificate_than_declared_is_named(authority: Authority, wanted: Wanted) -> None:
    assert unfit(authority, wanted, CLIENT) == [wanted.name]


SPOIL: dict[str, Callable[[Authority], object]] = {
    "near its end": lambda ca: ca.issue(NODE, days=29),
    "ended": lambda ca: ca.issue(NODE, days=0),
    "another key": lambda ca: (ca.folder / "client-ada.key").replace(ca.folder / "node1.key"),
    "open key": lambda ca: (ca.folder / "node1.key").chmod(0o640),
    "cut short": lambda ca: (ca.folder / "node1.pem").write_text("-----BEGIN CERTIFICATE-----"),
}


@pytest.mark.parametrize("spoil", SPOIL.values(), ids=SPOIL)
def test_each_thing_that_is_wrong_with_one_names_it_alone(authority: Authority, spoil: Callable[[Authority], object]) -> None:
    spoil(authority)
    assert unfit(authority, NODE) == ["node1"]


def test_another_authority_names_all(authority: Authority) -> None:
    Authority(authority.folder)
    assert unfit(authority) == ["node1", "client-ada"], "it is as the role makes it, and has signed none of them"
    (authority.folder / "ca.key").unlink()
    assert unfit(authority) == ["ca", "node1", "client-ada"]


def test_a_folder_that_others_may_read_is_named(authority: Authority, tmp_path: Path) -> None:
    authority.folder.chmod(0o755)
    assert unfit(authority) == ["."]
    assert certificates.unfit(tmp_path / "none", [NODE], CA, 30) == [".", "ca", "node1"]
