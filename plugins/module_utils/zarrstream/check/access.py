# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Check of what an anonymous client gets: reads without credentials, and an honest 404 for what is not there."""

from __future__ import annotations

import uuid
from dataclasses import replace

from ..errors import ZarrstreamError
from ..findings import CheckResult, Findings, found, passed, skipped
from ..metadata.chunks import ChunkReader
from ..metadata.hierarchy import GROUP
from ..storage.objects import Objects
from ..storage.open import open_objects
from .registry import CHECKS
from .snapshot import Snapshot

_STOCK_SWIFT = (
    "Is the bucket public? Swift without anonymous S3 answers unsigned requests only below the project's own URL: "
    "try anonymous: true with endpoint_url: <service>/v1/AUTH_<project id>"
)


@CHECKS.check("anonymous", "store", "documents", place=130)
def check_anonymous(shot: Snapshot, reader: ChunkReader | None) -> CheckResult:
    """Root document and a chunk are served to a client without keys; what does not exist is 'not found', not 'forbidden'."""
    if not shot.request.anonymous and "anonymous" not in shot.request.checks:
        return skipped("not asked for: set anonymous, or name it in checks, for a store that is published")
    if not shot.place.bucket:
        return skipped("a folder has no anonymous readers")
    client, wrong = _anonymous(shot), Findings()
    for key in _examples(shot, reader):
        try:
            if client.get(f"{shot.place.key}/{key}") is None:
                wrong.add({"key": key, "problem": "not found without credentials, though a signed request finds it"})
        except ZarrstreamError as error:
            wrong.add({"key": key, "problem": str(error)})
            break
    if wrong:
        return found(wrong, f"not readable without credentials. {_STOCK_SWIFT}", endpoint=client.endpoint)
    absent = f"zarrstream-probe-{uuid.uuid4().hex}"
    try:
        client.get(f"{shot.place.key}/{absent}")
    except ZarrstreamError as error:
        wrong.add({"key": absent, "problem": str(error)})
        text = (
            "a missing object is answered with 'forbidden', so that readers fail on every optional document and chunk that is not "
            "stored. The bucket grants reading but not listing: add .rlistings to its read ACL (role bucket, public: true)"
        )
        return found(wrong, text, "warning", endpoint=client.endpoint)
    text = f"readable without credentials at {client.endpoint}; missing objects are answered 404"
    return passed(text, endpoint=client.endpoint)


def _anonymous(shot: Snapshot) -> Objects:
    """A client that has no keys, at the endpoint of the signed one."""
    if shot.request.anonymous:
        return shot.objects
    access = shot.request.access
    ca_bundle = access.ca_bundle or access.read().ca_bundle
    return open_objects(
        shot.place,
        replace(access, endpoint_url=shot.objects.endpoint, ca_bundle=ca_bundle),
        anonymous=True,
        transport=shot.request.transport,
    )


def _examples(shot: Snapshot, reader: ChunkReader | None) -> list[str]:
    """The root document, and the first chunk that is known to exist."""
    if reader is None:
        return [GROUP[3]]
    for layout in reader.tree.arrays.values():
        if layout.count:
            key = next(layout.object_keys())
            if shot.listing is None or key in shot.listing:
                return [reader.tree.root_key, key]
    return [reader.tree.root_key]
