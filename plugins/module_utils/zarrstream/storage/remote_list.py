# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys of a bucket that a pattern names: by boto3, signed or anonymous, or by Swift's own API. A page is a request of the lane."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

from .boto import expected_region
from .listing import PAGE
from .obstore_errors import Failed, answered, interrupted
from .remote_errors import About, explain
from .remote_http import Refused, Reply, lost
from .remote_requests import Requests, Target
from .remote_urls import KeyPattern
from .retry import LATER, GaveUp, Lane

KEYS = 100_000  # that are looked at
EMPTY = 100  # pages without a key, one after the other, that are none of a listing which goes on


class Page(NamedTuple):
    """Keys, and where the listing goes on: '' at its end."""

    keys: list[str]
    more: str
    endless: bool = False  # it goes on, and does not say where


Ask = Callable[[str], Page]  # for what is where a listing goes on; '' for its beginning


def matching_keys(ask: Ask, pattern: KeyPattern, about: About) -> list[str]:
    """The keys, in their order. Raises SourceError: for none, for too many, for what ``ask`` raises."""
    found: list[str] = []
    seen = 0
    for page in _pages(ask, pattern, about):
        seen += len(page)
        if seen > KEYS:
            text = f"more than {KEYS} keys begin with '{pattern.prefix}', which is what would have to be looked at. Write out more of it"
            raise about.error(f"{text} before the first of '*', '?' and '[', or list the files in a text file of URLs.")
        found += [key for key in page if pattern.matches(key)]
    if not found:
        seen_text = f"{seen} keys begin with '{pattern.prefix}', none of them matches" if seen else f"no key begins with '{pattern.prefix}'"
        raise about.error(f"the bucket has no such object: {seen_text}. '*' is for letters within a folder, '**/' for any folders.")
    return found


def s3_pages(client: Any, lane: Lane, pattern: KeyPattern, about: About, count: Callable[[], object]) -> Ask:
    """By S3. ``count`` is called for each request."""
    flat = {"Delimiter": "/"} if pattern.flat else {}

    def ask(token: str) -> Page:
        more = {"ContinuationToken": token} if token else {}
        send = partial(_ask, client, count, Bucket=pattern.bucket, Prefix=pattern.prefix, **flat, **more)
        try:
            answer = lane.call(send, lane.timeout + LATER)
        except (Failed, GaveUp) as error:
            raise explain(error, about, lane.timeout) from None
        cut, after = bool(answer.get("IsTruncated")), str(answer.get("NextContinuationToken", ""))
        return Page([entry["Key"] for entry in answer.get("Contents", ())], after if cut else "", cut and after in ("", token))

    return ask


def swift_pages(requests: Requests, target: Target, pattern: KeyPattern) -> Ask:
    """By the Swift API, which is what the URL of a project speaks."""
    place = f"{target.about.endpoint}/{pattern.bucket}?format=json&limit={PAGE}&prefix={quote(pattern.prefix, safe='')}"
    place += "&delimiter=/" if pattern.flat else ""

    def take(reply: Reply) -> list[dict[str, Any]]:
        text = b"".join(iter(lambda: reply.read(2**20), b""))
        requests.fetched.add(len(text), 0.0, requests=0)
        try:
            return [dict(entry) for entry in json.loads(text or b"[]")]
        except ValueError:
            raise target.about.error(
                "its server was asked for a list of keys, and sent none. Is that the URL of a Swift project?"
            ) from None

    def ask(last: str) -> Page:
        url = f"{place}&marker={quote(last, safe='')}" if last else place
        entries, _there = requests.get(replace(target, url=url), {}, take, 2**20, frozenset({200, 204}))
        keys = [entry["name"] for entry in entries if "name" in entry]
        end = next((entry.get("name") or entry.get("subdir", "") for entry in reversed(entries)), "")
        return Page(keys, end, endless=bool(end) and end == last)

    return ask


def _pages(ask: Ask, pattern: KeyPattern, about: About) -> Iterator[list[str]]:
    page, last, empty = ask(""), "", 0
    while True:
        for key in page.keys:
            if not key.startswith(pattern.prefix) or key.encode() <= last.encode():
                text = f"its server lists '{key}' after '{last}': again, out of order, or what was not asked for"
                raise about.error(f"{text}. Ask the cloud.")
            last = key
        yield page.keys
        empty = 0 if page.keys else empty + 1
        if page.endless or empty == EMPTY:
            raise about.error("its server says that its list of keys goes on, and not where. Ask the cloud.")
        if not page.more:
            return
        page = ask(page.more)


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
