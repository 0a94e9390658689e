# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""URLs that a request names as source: what may stand in one, what of it may be seen, and text files with a list of them."""

from __future__ import annotations

from ..errors import BadRequest, SourceError
from ..storage.location import parse_store
from ..storage.remote_urls import check_url, has_pattern, shown_url

WEB = ("http", "https")
LIST_LIMIT = 2**24  # bytes of a text file with URLs


def check_source_url(text: str) -> str:
    """The scheme of a URL, ``file`` for one of this host; raises BadRequest for one that no source can have."""
    scheme = text.partition("://")[0].lower()
    if scheme == "file" or (scheme == "s3" and not has_pattern(text)):
        parse_store(text, "source")
    elif scheme in ("s3", *WEB):
        check_url(text.rstrip("/"))
    else:
        shown = shown_url(text)
        raise BadRequest(f"source is '{shown}': the scheme '{scheme}' is unknown. Use https://, s3:// or a path.", source=shown)
    if scheme in WEB:
        _check_web(text)
    return scheme


def _check_web(text: str) -> None:
    shown = shown_url(text)
    if "#" in text:
        raise BadRequest(f"source is '{shown}' with '#' in the URL, after which nothing is sent. Leave it out, or write %23.", source=shown)
    if "*" in shown or "[" in shown.partition("://")[2].partition("/")[2]:
        raise BadRequest(
            f"source is '{shown}': a web server lists nothing, so that there are no patterns. Write the URLs into a text file, one a line, "
            "and name that, such as /data/urls.txt; or name an s3:// URL. A star in a name is written %2A.",
            source=shown,
        )


def secrets_of(text: str) -> list[str]:
    """What of a URL nobody may see: user and password, which are refused, and the query, which may be a signature."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in WEB:
        return []
    place, _question, query = rest.partition("?")
    login, at, _host = place.partition("/")[0].rpartition("@")
    return [*([f"{login}@"] if at and login else []), *([f"?{query}"] if query else [])]


def is_list(path: str, magic: bytes) -> bool:
    """Whether a file of this host is a list of URLs: by its name, and by that it does not begin as a binary file does."""
    return path.lower().endswith(".txt") and not (magic[:1] in (b"\x89", b"\0") or magic[:3] == b"CDF")


def read_list(path: str, data: bytes) -> list[str]:
    """The URLs in a text file; raises SourceError for lines that are none, and for a file without any."""
    if len(data) > LIST_LIMIT:
        raise SourceError(f"source '{path}' is no list of URLs: it has more than {LIST_LIMIT >> 20} MiB.", source=path)
    try:
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise SourceError(f"source '{path}' is neither NetCDF nor HDF5, nor a list of URLs in UTF-8.", source=path) from None
    urls = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        if "://" not in line or line.startswith("file:"):
            text = "holds URLs only, one a line: https:// or s3://. Name files of this host in 'source' itself, beside it"
            raise SourceError(f"source '{path}', line {number}: '{line[:80]}' is no URL. Such a file {text}.", source=path)
        try:
            check_source_url(line)
        except BadRequest as error:
            raise SourceError(f"source '{path}', line {number}: {error}", **{**error.details, "list": path}) from None
        urls.append(line)
    if not urls:
        raise SourceError(f"source '{path}' lists no URL. Write one a line, https:// or s3://.", source=path)
    return urls
