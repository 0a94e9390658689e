# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an anonymous client may do with a bucket, asked of the server without credentials.

On Ceph RGW three mechanisms open a bucket (Swift ACL, S3 ACL, bucket policy) and none shows in the others: only asking tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..errors import Unreachable
from ..storage.timeouts import CONNECT_TIMEOUT, READ_TIMEOUT

if TYPE_CHECKING:
    from requests import Response, Session

# Of an object that is not there a client without credentials hears "404" where it may list, and mostly where it may read.
_NO_SUCH_KEY = ".zarrstream-asks-whether-anonymous-clients-may-read"


@dataclass(frozen=True)
class Anonymous:
    """What works without credentials, for the S3 and the Swift API of the same bucket.

    ``s3_read`` and ``swift_read``: every object that was asked for can be read; of an empty bucket, that its objects would be.
    ``open_keys`` are those that can be read by either, of ``asked`` objects.
    """

    s3_list: bool
    s3_read: bool
    swift_list: bool
    swift_read: bool
    asked: int = 0
    open_keys: tuple[str, ...] = ()

    @property
    def public(self) -> bool:
        """Objects can be read and listed by at least one of the two APIs."""
        return (self.s3_list and self.s3_read) or (self.swift_list and self.swift_read)

    @property
    def private(self) -> bool:
        """Nothing at all worked, by any of the two."""
        return not (self.s3_list or self.s3_read or self.swift_list or self.swift_read or self.open_keys)

    @property
    def works(self) -> dict[str, bool]:
        """The four answers by their names."""
        return {name: getattr(self, name) for name in ("s3_list", "s3_read", "swift_list", "swift_read")}


def ask_anonymously(
    bucket: str, s3_url: str, swift_url: str, verify: bool | str = True, keys: Sequence[str] = (), opens_reading: bool = True
) -> Anonymous:
    """Unsigned requests for the lists and for each of ``keys``, objects that are there; no object is read. Raises Unreachable.

    ``verify`` is True or the file of a CA. An empty bucket is asked for an object that is not there: "404" may also mean that somebody can
    list and not read it, so that ``opens_reading`` says whether anything that is known of the bucket lets objects be read.
    """
    import requests

    s3, swift = f"{s3_url}/{quote(bucket)}", f"{swift_url}/{quote(bucket)}"
    with requests.Session() as session:
        session.trust_env = False  # neither ~/.netrc nor a CA of the environment may answer for an anonymous client
        session.verify = verify
        s3_list = _ask(session, "GET", f"{s3}?list-type=2&max-keys=1")
        swift_list = _ask(session, "GET", f"{swift}?format=json&limit=1")
        s3_open = [key for key in keys if _ask(session, "HEAD", f"{s3}/{quote(key)}").status_code == 200]
        swift_open = [key for key in keys if _ask(session, "HEAD", f"{swift}/{quote(key)}").status_code == 200]
        if keys:
            s3_read, swift_read = len(s3_open) == len(keys), len(swift_open) == len(keys)
        else:
            s3_key, swift_key = _ask(session, "GET", f"{s3}/{_NO_SUCH_KEY}"), _ask(session, "GET", f"{swift}/{_NO_SUCH_KEY}")
            s3_read = opens_reading and s3_key.status_code == 404 and "NoSuchKey" in s3_key.text
            swift_read = opens_reading and swift_key.status_code == 404 and "NoSuchBucket" not in swift_key.text
    return Anonymous(
        s3_list=s3_list.status_code == 200 and "ListBucketResult" in s3_list.text,
        s3_read=s3_read,
        swift_list=swift_list.status_code in (200, 204),
        swift_read=swift_read,
        asked=len(keys),
        open_keys=tuple(key for key in keys if key in s3_open or key in swift_open),
    )


def anonymous_endpoint(found: Anonymous, s3_url: str, swift_url: str) -> str | None:
    """The endpoint at which ``anon=True`` reads the bucket's objects, or None.

    RGW serves unsigned S3 requests at the endpoint itself, stock Swift only under the project's own URL.
    """
    if found.s3_read:
        return s3_url
    return swift_url if found.swift_read else None


def _ask(session: Session, method: str, url: str) -> Response:
    import requests

    try:
        return session.request(method, url, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT))
    except requests.RequestException as error:
        raise Unreachable(
            f"no answer from {url.partition('?')[0]}: {type(error).__name__}. Is the service up, and its CA known to clouds.yaml (cacert)?",
            url=url,
        ) from error
