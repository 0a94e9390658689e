# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whose a bucket's name is, asked through the Swift API with the token of the login.

Ceph RGW keeps one name space for the whole cloud, whether the project stands in its URLs or not, and answers requests for a public bucket
of another project as for one's own: only the list of the project's own buckets tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from ..errors import AccessRefused, ZarrstreamError

State = Literal["ours", "free", "taken"]
_RGW_ALONE = "X-Container-Bytes-Used-Actual"
_A_PAGE = 1000


@dataclass(frozen=True)
class Bucket:
    """A name, and what the Swift API tells of the bucket. The ACLs are Swift's, empty where there are none; ``objects`` 0 if not ours.

    ``is_rgw``: Ceph RGW, which knows policies and an S3 ACL besides; stock Swift has neither.
    """

    name: str
    state: State
    objects: int = 0
    read_acl: str = ""
    write_acl: str = ""
    is_rgw: bool = False


def find(store: Any, name: str) -> Bucket:
    """Look at one bucket; ``store`` is the object store of the SDK's connection. Raises AccessRefused or ZarrstreamError."""
    answer = store.head(f"/{quote(name)}")
    if answer.status_code == 404:
        return Bucket(name, "free")
    found = answer.status_code < 300
    if not found and answer.status_code not in (401, 403):
        raise ZarrstreamError(f"the object store answers {answer.status_code} for bucket '{name}'. Try again; if it stays, ask the cloud.")
    # Stock Swift keeps names by project, and its list of them may be late.
    if not found or _RGW_ALONE in answer.headers:
        ours = name in _own(store, name)
        if ours and not found:
            raise AccessRefused(f"this login may not look at bucket '{name}' of its own project. Ask for the role member.", bucket=name)
        if not ours:
            return Bucket(name, "taken")
    return Bucket(
        name,
        "ours",
        int(answer.headers.get("X-Container-Object-Count", 0)),
        answer.headers.get("X-Container-Read", ""),
        answer.headers.get("X-Container-Write", ""),
        _RGW_ALONE in answer.headers,
    )


def _own(store: Any, name: str) -> Iterable[str]:
    """Names of the project's own buckets around this one. With a prefix, Ceph RGW counts what it leaves out towards the limit."""
    before = f"{name[:-1]}{chr(ord(name[-1]) - 1)}~"
    answer = store.get("", params={"format": "json", "marker": before, "limit": "10"})
    if answer.status_code in (401, 403):
        raise AccessRefused(
            f"this login may not list the buckets of its project ({answer.status_code}), so whose '{name}' is cannot be told: the role "
            "'reader' is not enough on many clouds. Ask the owner of the project for the role member.",
            bucket=name,
        )
    if answer.status_code >= 300:
        raise ZarrstreamError(f"the object store answers {answer.status_code} for the list of buckets. Try again.")
    return [entry["name"] for entry in answer.json()] if answer.content else []


def pages(store: Any, name: str) -> Any:
    """A function from a prefix to the first page below it, its keys and the prefixes one level deeper, for ``sampling``."""

    def page(prefix: str) -> tuple[list[str], list[str]]:
        wanted = {"format": "json", "delimiter": "/", "prefix": prefix, "limit": str(_A_PAGE)}
        answer = store.get(f"/{quote(name)}", params=wanted)
        if answer.status_code >= 300:
            raise ZarrstreamError(f"the object store answers {answer.status_code} for the list of bucket '{name}'.", bucket=name)
        entries = answer.json() if answer.content else []
        return [each["name"] for each in entries if "name" in each], [each["subdir"] for each in entries if "subdir" in each]

    return page
