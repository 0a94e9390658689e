# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a write found before it began, and what it says at its end: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ..errors import ZarrstreamError
from ..sidecar.manifest import MANIFEST
from ..source.items import Item, Stat
from ..source.reading import Reading, parse_reading
from ..storage.location import StoreUrl
from ..storage.objects import Objects
from ..text import shown
from .changes import Changes
from .destination import State

Action = Literal["create", "continue", "append", "update", "replace", "nothing", "refuse"]


@dataclass(frozen=True)
class WriteResult:
    """What was done, or in a preview would be; the same fields in every case.

    ``objects`` and ``bytes_stored`` describe the store; ``objects_written`` were sent by this run, ``objects_kept`` found as
    they should be. ``bytes_read`` counts the source's bytes that were read, not compressed, ``retries`` the requests that were
    sent again. ``fetched`` has the bytes and the requests for files of the source that are not on this host, ``waited`` the seconds that
    requests to source and store took, added up. ``codecs`` are those of each array of a plan that is made now, filters first.
    """

    changed: bool
    action: Action
    resumed: bool
    store: str
    fingerprint: str
    manifest: str
    plan: dict[str, Any]
    objects: int
    objects_written: int
    objects_kept: int
    bytes_read: int
    bytes_stored: int
    seconds: float
    mib_per_second: float
    retries: int
    fetched: dict[str, int]
    waited: dict[str, float]
    verification: dict[str, Any]
    before: dict[str, Any]
    codecs: dict[str, list[str]] = field(default_factory=dict)
    workers: list[dict[str, Any]] = field(default_factory=list)  # what each worker of a cluster did
    notes: list[str] = field(default_factory=list)  # what was decided, and is worth a look
    files: list[dict[str, Any]] = field(default_factory=list)  # what became of each file of an update

    @property
    def files_changed(self) -> list[str]:
        """The names of the files of an update that are new or revised."""
        return [file["name"] for file in self.files if file["change"] in ("new", "revised")]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {key: value for key, value in asdict(self).items() if key != "before"}

    def diff(self) -> dict[str, str]:
        """The store before and after, a line for each array; and what becomes of files that are not kept."""
        after = self._described(self.plan, self.fingerprint)
        before = self._described(self.before["plan"], self.before["fingerprint"]) if self.before else ""
        noted = "".join(f"note: {shown(note)}\n" for note in self.notes)
        files = "".join(f"file {shown(file['name'])}: {file['change']}\n" for file in self.files if file["change"] != "kept")
        return {"before": before if self.changed else after, "after": f"{after}{files}{noted}"}

    def _described(self, plan: dict[str, Any], fingerprint: str) -> str:
        lines = [
            f"{array['name']}: {array['dtype']} {array['shape']} in "
            + (f"shards {array['shards']} of " if array.get("shards") else "")
            + f"chunks {array['chunks']}, {array['objects']} objects"
            for array in plan["arrays"]
        ]
        return "\n".join(
            [shown(line) for line in (self.store, *lines, f"{plan['objects']} objects, fingerprint {fingerprint[:12]}")] + [""]
        )


def files_of(situation: Situation, steps: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What became of each file of an update, with the number of its steps in the store where that is known."""
    if situation.changes is None:
        return []
    counts = {dim: [sum(stop - start for start, stop in own) for own in ranges] for dim, ranges in steps.items()}
    known = next(iter(counts.values()), [])
    return [
        {"name": change.name, "change": change.fate, "steps": known[number] if number < len(known) else None}
        for number, change in enumerate(situation.changes.files)
    ]


def gone_notes(situation: Situation) -> list[str]:
    """What is worth saying of files that are not named any more."""
    gone = situation.changes.named("gone") if situation.changes else []
    return [f"'{name}' is gone: its steps stay in the store." for name in gone]


@dataclass(frozen=True)
class Situation:
    """What is asked for and what was found: everything that is known without opening the source.

    ``items`` are those to read: all of the source, or what an append finds new in it. ``stats`` are theirs.
    """

    place: StoreUrl
    objects: Objects
    items: tuple[Item, ...]
    stats: tuple[Stat, ...]
    normal: dict[str, Any]
    fingerprint: str
    action: Action
    state: State
    refusal: ZarrstreamError | None
    began: float
    changes: Changes | None = None  # of the files of a store that is updated

    @property
    def reading(self) -> Reading:
        """How the source is read: as the request says, or as the store has it that grows."""
        return parse_reading(self.normal)

    @property
    def manifest_url(self) -> str:
        """Where the manifest is."""
        return f"{self.place.url.rstrip('/')}.zarrstream/{MANIFEST}"

    @property
    def resumed(self) -> bool:
        """Whether a write was interrupted here, of which something may be left."""
        return self.state.interrupted
