# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys of a bucket that a pattern names, by boto3: it lists signed and anonymous alike. A page is a request of the lane."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from .boto import expected_region
from .obstore_errors import Failed, answered, interrupted
from .remote_errors import About, explain
from .remote_http import Refused, lost
from .remote_urls import KeyPattern
from .retry import LATER, GaveUp, Lane

KEYS = 100_000  # that are looked at
EMPTY = 100  # pages without a key, one after the other, that are none of a listing which goes on


def matching_keys(client: Any, lane: Lane, pattern: KeyPattern, about: About, count: Callable[[], object]) -> list[str]:
    """The keys, in their order. ``count`` is called for each request. Raises SourceError: for none, for too many, for what fails."""
    found: list[str] = []
    seen = 0
    for page in _pages(client, lane, pattern, about, count):
        seen += len(page)
        if seen > KEYS:
            text = f"more than {KEYS} keys begin with '{pattern.prefix}', which is what would have to be looked at. Write out more of it"
            raise about.error(f"{text} before the first of '*', '?' and '[', or list the files in a text file of URLs.")
        found += [key for key in page if pattern.matches(key)]
    if not found:
        seen_text = f"{seen} keys begin with '{pattern.prefix}', none of them matches" if seen else f"no key begins with '{pattern.prefix}'"
        raise about.error(f"the bucket has no such object: {seen_text}. '*' is for letters within a folder, '**/' for any folders.")
    return found


def _pages(client: Any, lane: Lane, pattern: KeyPattern, about: About, count: Callable[[], object]) -> Iterator[list[str]]:
    token, last, empty = "", "", 0
    flat = {"Delimiter": "/"} if pattern.flat else {}
    while True:
        more = {"ContinuationToken": token} if token else {}
        send = partial(_ask, client, count, Bucket=pattern.bucket, Prefix=pattern.prefix, **flat, **more)
        try:
            answer = lane.call(send, lane.timeout + LATER)
        except (Failed, GaveUp) as error:
            raise explain(error, about, lane.timeout) from None
        keys = [entry["Key"] for entry in answer.get("Contents", ())]
        for key in keys:
            if not key.startswith(pattern.prefix) or key.encode() <= last.encode():
                raise about.error(
                    f"its server lists '{key}' after '{last}': again, out of order, or what was not asked for. Ask the cloud."
                )
            last = key
        yield keys
        empty = 0 if keys else empty + 1
        before, token = token, answer.get("NextContinuationToken", "")
        if not answer.get("IsTruncated"):
            return
        if not token or token == before or empty == EMPTY:
            raise about.error("its server says that its list of keys goes on, and not where. Ask the cloud.")


def _ask(client: Any, count: Callable[[], object], **what: str) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    count()
    try:
        answer: dict[str, Any] = client.list_objects_v2(**what)
    except ClientError as error:
        raise _refused(error) from None
    except (BotoCoreError, HTTPClientError) as error:
        raise Failed(lost(error)) from None
    return answer


def _refused(error: Any) -> Refused:
    meta = error.response.get("ResponseMetadata", {})
    code, status = str(error.response.get("Error", {}).get("Code", "")), int(meta.get("HTTPStatusCode", 0))
    headers = {name.lower(): value for name, value in meta.get("HTTPHeaders", {}).items()}
    if not status:
        return Refused(interrupted(), headers, b"")
    region = expected_region(error)
    answer = answered(status, "" if code.isdigit() else code, str(error.response.get("Error", {}).get("Message", "")))
    return Refused(answer, headers, f"<Region>{region}</Region>".encode() if region else b"")
