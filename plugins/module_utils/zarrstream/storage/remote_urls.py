# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""URLs of sources that are read by ranges: what they name, what may be shown of them, and patterns of keys."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from ..errors import BadRequest
from ..text import shortened
from .location import _BUCKET

WEB, S3 = ("http://", "https://"), "s3://"
# Letters of a path that are sent as they are. Not the semicolon, behind which botocore leaves out the rest.
_KEPT = "/%:@!$&'()*+,=~-._"
_PORTS = {"http": 80, "https": 443}
_GLOB = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\]")


@dataclass(frozen=True)
class KeyPattern:
    """``s3://bucket/pattern``: keys begin with ``prefix``, what it has no sign in; ``flat`` where they lie in that folder itself."""

    bucket: str
    pattern: str
    prefix: str
    flat: bool

    def matches(self, key: str) -> bool:
        """Whether the pattern names this key."""
        return re.fullmatch(_expression(self.pattern), key, re.DOTALL) is not None


def is_remote(text: str) -> bool:
    """Whether a source is the URL of an object in a bucket or on the web; says nothing about what kind of object."""
    return text.lower().startswith((*WEB, S3))


def shown_url(url: str) -> str:
    """The URL without what may be secret: credentials, the query (of a presigned one), the fragment."""
    if url.lower().startswith(S3):
        return url
    scheme, _unused, rest = re.split(r"[?#]", url, maxsplit=1)[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def check_url(url: str) -> None:
    """Raises BadRequest for what names no object, and for credentials in a URL."""
    if url.lower().startswith(S3):
        s3_key(url)
        return
    shown = shown_url(url)
    try:
        parts = urlsplit(url)
        _unused = parts.port
    except ValueError as error:
        raise BadRequest(f"source '{shown}' is no URL: {error}. Write https://host/folder/name.nc.", source=shown) from None
    if parts.scheme.lower() not in _PORTS:
        raise BadRequest(f"source '{shown}': write https://host/folder/name.nc or s3://bucket/name.nc.", source=shown)
    if "@" in parts.netloc:
        text = "user names and passwords do not belong into a URL, which is shown and kept. Write them into ~/.netrc (mode 0600)"
        raise BadRequest(f"source '{shown}': {text}: machine {parts.hostname} login NAME password PASSWORD.", source=shown)
    if not parts.hostname or not parts.path.strip("/"):
        raise BadRequest(f"source '{shown}' names no file: write https://host/folder/name.nc.", source=shown)
    if any(ord(letter) < 33 for letter in url.strip()) and not parts.path.isprintable():
        raise BadRequest(f"source '{shown}' has controls in its name.", source=shown)


def sent_url(url: str) -> str:
    """The URL as it is sent: letters that a request cannot have are escaped, and what is escaped stays so. No fragment."""
    parts = urlsplit(url)
    query = f"?{quote(parts.query, safe=_KEPT + '?;')}" if parts.query else ""
    return f"{parts.scheme.lower()}://{_host(parts.netloc)}{quote(parts.path, safe=_KEPT) or '/'}{query}"


def _host(netloc: str) -> str:
    try:
        return netloc.lower() if netloc.isascii() else netloc.encode("idna").decode().lower()
    except UnicodeError:
        raise BadRequest(f"'{netloc}' is not a name of a host.") from None


def s3_key(url: str) -> tuple[str, str]:
    """The bucket and the key of ``s3://bucket/key``, letter by letter. Raises BadRequest."""
    bucket, _unused, key = url[len(S3) :].partition("/")
    if not _BUCKET.match(bucket) or not key or key.endswith("/"):
        raise BadRequest(f"source '{url}' names no object: write s3://bucket/folder/name.nc.", source=url)
    return bucket, key


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme, 0)


def is_loopback(host: str) -> bool:
    """Whether what is sent to this host stays on this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def has_pattern(key: str) -> bool:
    """Whether a key has signs of a pattern: ``*``, ``?``, ``[…]``."""
    return _GLOB.search(key) is not None


def key_pattern(url: str) -> KeyPattern:
    """The pattern in ``s3://bucket/pattern``. ``**`` is for any number of folders, the other signs are within one."""
    bucket, pattern = s3_key(url)
    sign = _GLOB.search(pattern)
    prefix = pattern[: sign.start()] if sign else pattern
    rest = pattern[len(prefix) :]
    return KeyPattern(bucket, pattern, prefix, flat="/" not in rest and "**" not in rest)


def _expression(pattern: str) -> str:
    """The pattern as a regular expression. Signs for one folder do not match a slash."""
    parts, end = [], 0
    for sign in _GLOB.finditer(pattern):
        parts.append(re.escape(pattern[end : sign.start()]))
        parts.append(_translated(sign.group()))
        end = sign.end()
    return "".join((*parts, re.escape(pattern[end:])))


def _translated(sign: str) -> str:
    if not sign.startswith("["):
        return {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}[sign]
    inner = sign[1:-1].replace("\\", r"\\").replace("[", r"\[")
    inner = f"^/{inner[1:]}" if inner.startswith("!") else rf"\{inner}" if inner.startswith("^") else inner
    try:
        re.compile(f"[{inner}]")
    except re.error:
        raise BadRequest(f"'{shortened(sign)}' is not a set of letters that a pattern can have: write [abc] or [0-9].") from None
    return f"[{inner}]"
