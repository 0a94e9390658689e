# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a Dask scheduler is, and whether it lets us in: found out with a socket, so that one message names the cause in time.

Dask itself tries again until its time is up and then says that it timed out, whatever is wrong.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import AccessRefused, BadRequest, Unreachable, ZarrstreamError

KNOCK = 10.0  # seconds for a connection and the first byte, at most
_ADDRESS = re.compile(r"(tls|tcp)://(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]@]+):(\d{1,5})/?")
_FILES = ("ca_file", "cert", "key")


@dataclass(frozen=True)
class Scheduler:
    """Address of a scheduler and, for TLS, the paths of CA, certificate and key; without them those of Dask's own settings."""

    address: str
    host: str
    port: int
    files: Mapping[str, str] | None = None

    @property
    def encrypted(self) -> bool:
        """Whether it speaks TLS."""
        return self.address.startswith("tls://")

    def security(self) -> Any:
        """What Dask needs to know; raises BadRequest for files that are none."""
        from distributed.security import Security

        if not self.encrypted:
            return Security(require_encryption=False)  # type: ignore[no-untyped-call]
        files = self.files or {}
        named = {"tls_ca_file": files.get("ca_file"), "tls_client_cert": files.get("cert"), "tls_client_key": files.get("key")}
        known = {name: path for name, path in named.items() if path}
        security = Security(require_encryption=True, **known)  # type: ignore[no-untyped-call]
        fields = zip(_FILES, ("tls_ca_file", "tls_client_cert", "tls_client_key"), strict=True)
        for field, name in fields:
            self._check_file(field, getattr(security, name))
        return security

    def knock(self, security: Any, timeout: float) -> None:
        """Connect once, as Dask will; raises Unreachable where nobody answers, AccessRefused where one side refuses the other."""
        seconds = min(timeout, KNOCK)
        try:
            with socket.create_connection((self.host.strip("[]"), self.port), seconds) as plain:
                self._greet(plain, security)
        except ssl.SSLError as error:
            raise self._refused(error) from None
        except socket.gaierror as error:
            text = f"scheduler is '{self.address}': the name '{self.host}' cannot be resolved ({error.strerror}). Write its address."
            raise Unreachable(text, scheduler=self.address) from None
        except TimeoutError:
            raise self._silent(f"nothing answered within {seconds:g} s") from None
        except OSError as error:
            raise self._silent(error.strerror or str(error)) from None

    def _greet(self, plain: socket.socket, security: Any) -> None:
        """Wait for the first byte, which Dask sends when it has accepted the certificate of its client."""
        if not self.encrypted:
            first = plain.recv(1)
        else:
            with self._context(security).wrap_socket(plain) as secure:
                first = secure.recv(1)
        if not first:
            raise self._silent("the connection was closed at once")

    def _context(self, security: Any) -> ssl.SSLContext:
        try:
            return security.get_connection_args("client")["ssl_context"]
        except (OSError, ValueError) as error:
            text = f"scheduler_tls: the certificate, its key and the CA do not fit each other: {error}. Name the files of one cluster."
            raise BadRequest(text, scheduler=self.address) from None

    def _silent(self, why: str) -> Unreachable:
        text = (
            f"no Dask scheduler answers at {self.address}: {why}. Is it running, and is port {self.port} of {self.host} open to this host "
            f"(security group, firewall){'' if self.encrypted else '? If it speaks TLS, write tls://'}?"
        )
        return Unreachable(text, scheduler=self.address, host=self.host, port=self.port)

    def _refused(self, error: ssl.SSLError) -> ZarrstreamError:
        reason = error.reason or ""
        if isinstance(error, ssl.SSLCertVerificationError):
            text = (
                f"the scheduler at {self.address} has a certificate that scheduler_tls.ca_file does not verify: {error.verify_message}. "
                "Name the CA of its cluster, or renew its certificate (role dask_tls)."
            )
        elif "VERSION_NUMBER" in reason or "RECORD_LAYER" in reason:
            text = f"what answers at {self.address} does not speak TLS. Is it the scheduler's port? An unencrypted one is written tcp://."
        else:
            alert = reason.rpartition("ALERT_")[2].replace("_", " ").lower() or str(error)
            text = (
                f"the scheduler at {self.address} refuses this host's certificate: {alert}. It has to be signed by the cluster's CA and "
                "not be expired: name the files of that cluster in scheduler_tls, or renew them (role dask_tls)."
            )
        return AccessRefused(text, scheduler=self.address)

    def _check_file(self, field: str, path: str | None) -> None:
        where = f"scheduler_tls.{field}" if self.files else f"scheduler_tls is not set, and Dask's own setting of {field}"
        if not path:
            text = f"scheduler is '{self.address}': TLS needs scheduler_tls with {', '.join(_FILES)}, or the same in Dask's settings."
            raise BadRequest(text, scheduler=self.address)
        if "-----BEGIN" in path:
            return  # Dask takes the text itself in its settings
        try:
            Path(path).open("rb").close()
        except OSError as error:
            raise BadRequest(f"{where} is '{path}', which cannot be read: {error.strerror}. Name a file of the cluster.") from None


def parse_scheduler(address: str | None, files: Any) -> Scheduler | None:
    """The options ``scheduler`` and ``scheduler_tls``; None for none. Raises BadRequest; sends nothing."""
    if not address:
        if files:
            raise BadRequest("scheduler_tls is set without scheduler: name the scheduler, such as tls://10.0.0.5:8786.")
        return None
    matched = _ADDRESS.fullmatch(address)
    if matched is None or not 0 < int(matched[3]) < 2**16:
        raise BadRequest(f"scheduler is '{address}': write tls://host:port, such as tls://10.0.0.5:8786, or tcp://host:port.")
    kind, host, port = matched.groups()
    if files and kind == "tcp":
        text = f"scheduler is '{address}', which is not encrypted, and scheduler_tls is set. Write tls://{host}:{port}."
        raise BadRequest(text, scheduler=address)
    return Scheduler(f"{kind}://{host}:{port}", host, int(port), _parse_files(files) if files else None)


def _parse_files(files: Any) -> dict[str, str]:
    if not isinstance(files, Mapping):
        raise BadRequest(f"scheduler_tls is {files!r}: it is a dictionary with {', '.join(_FILES)}, each the path of a file.")
    unknown = sorted(set(files) - set(_FILES))
    if unknown:
        raise BadRequest(f"scheduler_tls has the unknown key '{unknown[0]}'. It has {', '.join(_FILES)}, each the path of a file.")
    lacking = [name for name in _FILES if not files.get(name)]
    if lacking:
        raise BadRequest(f"scheduler_tls has no {lacking[0]}: give {', '.join(_FILES)}, each the path of a file.")
    return {name: str(Path(str(files[name])).expanduser()) for name in _FILES}
