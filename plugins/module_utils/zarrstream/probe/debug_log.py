# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""botocore's debug stream in a file that may be shown to others: without secrets, signatures and tokens."""

from __future__ import annotations

import base64
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, quote_plus

from ..errors import ZarrstreamError
from ..text import shown_log

REMOVED = "(removed)"
_LOGGERS = ("boto3", "botocore", "aiobotocore", "s3fs")
# A header or field whose whole value is removed, as it stands in a Python dictionary, in HTTP, or in a query.
_NAMES = (
    r"authorization|x-auth-token|x-subject-token|x-amz-security-token|x-amz-signature|cookie|set-cookie|signature|secret[\w-]*|password"
)
_QUOTED = re.compile(rf"(?i)(['\"](?:{_NAMES})['\"]\s*[:,]\s*b?)(['\"])(?:\\.|(?!\2).)*\2")
_HEADER = re.compile(rf"(?im)\b((?:{_NAMES}):[ \t]*\n?)[^\s(].*$")
_FIELD = re.compile(rf"(?i)\b((?:{_NAMES})=)[^&,\s'\"]+")
_AWS4 = re.compile(r"AWS4-HMAC-SHA256 Credential=[^\n'\"]*")


class Redacted(logging.Formatter):
    """Formats a record, its traceback included, and only then removes: nothing can slip in behind."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__("%(asctime)s %(name)s %(levelname)s %(message)s")
        self._spellings = sorted({form for secret in secrets if secret for form in spellings(secret)}, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        return shown_log(self.clean(super().format(record)))

    def clean(self, text: str) -> str:
        """The text without secrets, signatures and tokens."""
        for form in self._spellings:
            text = text.replace(form, REMOVED)
        text = _AWS4.sub(f"AWS4-HMAC-SHA256 {REMOVED}", text)
        text = _QUOTED.sub(rf"\1\2{REMOVED}\2", text)
        text = _FIELD.sub(rf"\1{REMOVED}", text)
        return _HEADER.sub(rf"\1{REMOVED}", text)


def spellings(secret: str) -> set[str]:
    """The secret as it may appear in a log: plain, in a URL, in base64 of itself or of 'name:secret'."""
    raw = secret.encode()
    inner = {base64.b64encode(b"x" * shift + raw).decode()[(0, 2, 3)[shift] :].rstrip("=")[:-1] for shift in range(3)}
    return {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), *(form for form in inner if len(form) > 8)}


@contextmanager
def debug_log(path: str | None, secrets: tuple[str, ...]) -> Iterator[None]:
    """Everything that the S3 clients say while this is open, in a file with mode 0600 that replaces an older one."""
    if not path:
        yield
        return
    handler = logging.StreamHandler(_opened(Path(path).expanduser()))
    handler.setFormatter(Redacted(secrets))
    before = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG)
        logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).removeHandler(handler)
            logging.getLogger(name).setLevel(level)
        handler.stream.close()


def _opened(path: Path):  # type: ignore[no-untyped-def]  # a text file
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.fchmod(handle, 0o600)
        os.ftruncate(handle, 0)
    except OSError as error:
        raise ZarrstreamError(f"cannot write debug_log {path}: {error.strerror}. Name a file in a folder of yours.") from None
    return os.fdopen(handle, "w", encoding="utf-8")
