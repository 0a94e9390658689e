# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a stranger may do with a bucket, asked of the server without credentials.

On Ceph RGW three mechanisms open a bucket (Swift ACL, S3 ACL, bucket policy) and none shows in the others: only asking tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from .errors import Unreachable

if TYPE_CHECKING:
    from requests import Response

# Of an object that is not there a stranger hears "404" where reading is allowed, and "401" or "403" where it is not.
_NO_SUCH_KEY = ".zarrstream-asks-whether-strangers-may-read"
_TIMEOUT = (5, 30)  # connect, read: seconds


@dataclass(frozen=True)
class Anonymous:
    """What works without credentials, for the S3 and the Swift API of the same bucket."""

    s3_list: bool
    s3_read: bool
    swift_list: bool
    swift_read: bool

    @property
    def public(self) -> bool:
        """Objects can be read and listed by at least one of the two APIs."""
        return (self.s3_list and self.s3_read) or (self.swift_list and self.swift_read)

    @property
    def private(self) -> bool:
        """Nothing at all works, by any of the two."""
        return not (self.s3_list or self.s3_read or self.swift_list or self.swift_read)


def ask_anonymously(bucket: str, s3_url: str, swift_url: str, verify: bool | str = True) -> Anonymous:
    """Four unsigned GETs, no object is read. ``verify`` is True or the file of a CA; raises Unreachable."""
    s3 = f"{s3_url}/{quote(bucket)}"
    swift = f"{swift_url}/{quote(bucket)}"
    s3_list = _get(f"{s3}?list-type=2&max-keys=1", verify)
    s3_key = _get(f"{s3}/{_NO_SUCH_KEY}", verify)
    swift_list = _get(f"{swift}?format=json&limit=1", verify)
    swift_key = _get(f"{swift}/{_NO_SUCH_KEY}", verify)
    return Anonymous(
        s3_list=s3_list.status_code == 200 and "ListBucketResult" in s3_list.text,
        s3_read=s3_key.status_code == 404 and "NoSuchKey" in s3_key.text,
        swift_list=swift_list.status_code in (200, 204),
        swift_read=swift_key.status_code == 404 and "NoSuchBucket" not in swift_key.text,
    )


def anonymous_endpoint(found: Anonymous, s3_url: str, swift_url: str) -> str | None:
    """The endpoint at which ``anon=True`` reads the bucket's objects, or None.

    RGW serves unsigned S3 requests at the endpoint itself, stock Swift only under the project's own URL.
    """
    if found.s3_read:
        return s3_url
    return swift_url if found.swift_read else None


def _get(url: str, verify: bool | str) -> Response:
    import requests

    try:
        with requests.Session() as session:
            session.trust_env = False  # neither ~/.netrc nor a CA of the environment may answer for a stranger
            return session.get(url, verify=verify, timeout=_TIMEOUT)
    except requests.RequestException as error:
        raise Unreachable(
            f"no answer from {url.partition('?')[0]}: {type(error).__name__}. Is the service up, and its CA known to clouds.yaml (cacert)?",
            url=url,
        ) from error
