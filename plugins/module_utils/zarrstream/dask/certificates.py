# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which certificates of a Dask cluster, in a folder on the controller, are not as declared.

Only a look: what is not as declared is made by community.crypto's modules. They need a program start for each key, request and
certificate, which a run that changes nothing spares.
"""

from __future__ import annotations

import datetime
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

FOLDER, AUTHORITY = ".", "ca"
_FOLDER_MODE, _KEY_MODE, _CERTIFICATE_MODE = 0o700, 0o600, 0o644


@dataclass(frozen=True)
class Wanted:
    """A certificate: the name of its file, what it says of itself, at which addresses it serves, and for what it is good."""

    name: str
    common_name: str
    addresses: tuple[str, ...]  # IP:10.0.0.5 or DNS:node
    usage: tuple[str, ...]  # serverAuth, clientAuth


def unfit(folder: Path, wanted: list[Wanted], common_name: str, renew_days: float) -> list[str]:
    """The names of those that are to be made or renewed: ``ca``, and with it all, where the CA itself is; ``.`` is the folder."""
    if not folder.is_dir() or stat.S_IMODE(folder.stat().st_mode) != _FOLDER_MODE:
        return [FOLDER, *_unfit_files(folder, wanted, common_name, renew_days)]
    return _unfit_files(folder, wanted, common_name, renew_days)


def _unfit_files(folder: Path, wanted: list[Wanted], common_name: str, renew_days: float) -> list[str]:
    authority = _load(folder, AUTHORITY, common_name)
    if authority is None or not _signs(authority) or not _is_signed_by(authority, authority):
        return [AUTHORITY, *(each.name for each in wanted)]
    return [each.name for each in wanted if not _fits(folder, each, authority, renew_days)]


def _fits(folder: Path, wanted: Wanted, authority: Certificate, renew_days: float) -> bool:
    certificate = _load(folder, wanted.name, wanted.common_name)
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=renew_days)
    return (
        certificate is not None
        and _is_signed_by(certificate, authority)
        and certificate.not_valid_before_utc <= datetime.datetime.now(datetime.UTC)
        and until < certificate.not_valid_after_utc
        and _addresses(certificate) == set(wanted.addresses)
        and _usage(certificate) == set(wanted.usage)
    )


def _load(folder: Path, name: str, common_name: str) -> Certificate | None:
    """The certificate, where it belongs to its key, both have the modes and the form that the role gives them; else None."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        texts = [_read(folder / f"{name}.key", _KEY_MODE), _read(folder / f"{name}.pem", _CERTIFICATE_MODE)]
        key, certificate = load_pem_private_key(texts[0], None), x509.load_pem_x509_certificate(texts[1])
    except (OSError, ValueError, TypeError):  # TypeError: a key with a password
        return None
    names = [attribute.value for attribute in certificate.subject]
    is_ours = isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1) and names == [common_name]
    return certificate if is_ours and key.public_key() == certificate.public_key() else None


def _read(path: Path, mode: int) -> bytes:
    if stat.S_IMODE(path.stat().st_mode) != mode:
        raise ValueError
    return path.read_bytes()


def _signs(certificate: Certificate) -> bool:
    from cryptography import x509

    extensions = {each.oid: each for each in certificate.extensions}
    constraints = extensions.get(x509.BasicConstraints.oid)
    usage = extensions.get(x509.KeyUsage.oid)
    if constraints is None or usage is None or not (constraints.critical and usage.critical):
        return False
    return constraints.value == x509.BasicConstraints(ca=True, path_length=0) and usage.value.key_cert_sign and usage.value.crl_sign


def _is_signed_by(certificate: Certificate, authority: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _addresses(certificate: Certificate) -> set[str]:
    found: Any = _extension(certificate, "SubjectAlternativeName")
    kinds = {"IPAddress": "IP", "DNSName": "DNS"}
    return {f"{kinds.get(type(name).__name__, '?')}:{name.value}" for name in found or ()}


def _usage(certificate: Certificate) -> set[str]:
    return {usage._name for usage in _extension(certificate, "ExtendedKeyUsage") or ()}


def _extension(certificate: Certificate, name: str) -> Any:
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(getattr(x509, name)).value
    except x509.ExtensionNotFound:
        return None
