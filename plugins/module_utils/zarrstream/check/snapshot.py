# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is at a store's place, fetched once for all checks: one listing, the manifest, the metadata documents."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field, replace
from functools import cached_property

from ..errors import AccessRefused, NotFound, Unreachable, ZarrstreamError
from ..metadata.decoded import LARGEST_DOCUMENT
from ..metadata.hierarchy import Hierarchy, is_document, read_hierarchy
from ..profiles.endpoint import origin
from ..sidecar.manifest import MANIFEST, WRITING, Manifest, parse_manifest
from ..storage.location import ObjectInfo, StoreUrl, parse_store
from ..storage.objects import Objects
from ..storage.open import open_objects
from .census import Census, take_census
from .pace import Pace
from .request import CheckRequest


@dataclass
class Snapshot:
    """A store at one moment. Keys are relative to the store; a ``*_problem`` says why its neighbour is None."""

    request: CheckRequest
    objects: Objects = field(repr=False)
    listing: dict[str, ObjectInfo] | None = field(default=None, repr=False)
    listing_problem: str = ""
    manifest: Manifest | None = field(default=None, repr=False)
    manifest_problem: str = ""
    manifest_broken: bool = False
    tree: Hierarchy | None = field(default=None, repr=False)
    root_problem: str = ""
    writing: str | None = None  # the lock of a write, as stored
    pace: Pace = field(default_factory=Pace, repr=False)

    @property
    def place(self) -> StoreUrl:
        """Where the store lies."""
        return self.objects.place

    @property
    def digest(self) -> str | None:
        """What tells this listing from any other: a digest of keys, sizes and ETags. None without a listing."""
        if self.listing is None:
            return None
        lines = (f"{key}\0{info.size}\0{info.etag}\n" for key, info in sorted(self.listing.items()))
        return hashlib.sha256("".join(lines).encode(errors="backslashreplace")).hexdigest()

    @cached_property
    def census(self) -> Census:
        """The listing, sorted into what belongs to the store and what does not; needs ``listing`` and ``tree``."""
        if self.listing is None or self.tree is None:
            raise ValueError("a census needs a listing and a root document")
        return take_census(self.tree, self.listing)

    def fetch(self, key: str) -> bytes | None:
        """The bytes of an object of the store, None where there is none."""
        size = self.listing[key].size if self.listing and key in self.listing else 0
        if size > LARGEST_DOCUMENT and is_document(key):
            text = f"{self.place.url}: '{key}' has {size} bytes: a metadata document has no more than {LARGEST_DOCUMENT}. It is not read."
            raise ZarrstreamError(text, key=key)
        started = time.monotonic()
        data = self.objects.get(f"{self.place.key}/{key}")
        if data is not None:
            self.pace.note(started, len(data))
        return data

    def fetch_part(self, key: str, start: int, stop: int) -> bytes | None:
        """Some bytes of an object of the store, None where there is none."""
        started = time.monotonic()
        data = self.objects.get_part(f"{self.place.key}/{key}", start, stop)
        if data is not None:
            self.pace.note(started, len(data))
        return data

    def may_be_missing(self, key: str) -> bool:
        """Whether ``request.missing`` allows that this chunk or shard is not stored."""
        if self.request.missing == "manifest":
            return self.manifest is not None and key not in self.manifest.objects
        return self.request.missing == "fill"


def take_snapshot(request: CheckRequest) -> Snapshot:
    """Read listing, manifest and metadata. Raises ZarrstreamError for what no store can be blamed for."""
    shot = Snapshot(request, open_for_reading(request))
    _list(shot)
    try:
        shot.tree = read_hierarchy(shot.fetch, shot.listing)
    except AccessRefused as error:
        if not request.anonymous:
            raise
        shot.root_problem = str(error)
    _read_manifest(shot)
    return shot


def open_for_reading(request: CheckRequest) -> Objects:
    """The objects of the request; an anonymous one takes endpoint and CA from the profile where one is named, but no keys."""
    place = _where_it_leads(parse_store(request.store))
    access = request.access.without_keys() if request.anonymous and place.bucket else request.access
    return open_objects(place, access, anonymous=request.anonymous, transport=request.transport)


def _where_it_leads(place: StoreUrl) -> StoreUrl:
    """A link that was named as the store was meant, such as ``latest.zarr``; below a store none is followed."""
    if place.parent is None:
        return place
    real = (place.parent / place.key).resolve()
    return replace(place, parent=real.parent, key=real.name)


def _list(shot: Snapshot) -> None:
    if shot.place.bucket and origin(shot.objects.endpoint) != shot.objects.endpoint:
        shot.listing_problem = "the Swift URL of a project serves objects to anonymous clients but no S3 listing"
        return
    skip = len(shot.place.key) + 1
    try:
        shot.listing = {info.key[skip:]: info for info in shot.objects.list(shot.place.key)}
    except Unreachable:
        raise
    except ZarrstreamError as error:
        # Anonymous clients may often read but not list.
        if not shot.request.anonymous or _no_bucket(error):
            raise
        shot.listing_problem = f"the store cannot be listed without credentials ({error})"


def _no_bucket(error: ZarrstreamError) -> bool:
    return isinstance(error, NotFound) and error.details.get("code") == "NoSuchBucket"


def _read_manifest(shot: Snapshot) -> None:
    shot.manifest_problem = "there is no manifest beside the store: it was not written by Zarrstream"
    key = f"{shot.place.sidecar}/{MANIFEST}"
    data = _beside(shot, MANIFEST)
    if data is not None:
        try:
            shot.manifest = parse_manifest(data, f"{shot.place.bucket or shot.place.parent}/{key}")
        except (ZarrstreamError, RecursionError) as error:
            shot.manifest_problem, shot.manifest_broken = str(error), True
    lock = _beside(shot, WRITING)
    shot.writing = None if lock is None else lock.decode(errors="replace")


def _beside(shot: Snapshot, name: str) -> bytes | None:
    try:
        return shot.objects.get(f"{shot.place.sidecar}/{name}")
    except AccessRefused as error:
        if not shot.request.anonymous:
            raise
        shot.manifest_problem = str(error)
        return None
