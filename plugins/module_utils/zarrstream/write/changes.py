# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What became of the files of a store since it was written: told by their contents, and by their names where contents are others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import Conflict
from ..source.items import Item, Stat

Fate = Literal["kept", "new", "revised", "gone"]


@dataclass(frozen=True)
class Change:
    """What became of one file: ``entry`` is its place in the record, ``item`` that among those that are named now; None for none."""

    name: str
    fate: Fate
    entry: int | None
    item: int | None


@dataclass(frozen=True)
class Changes:
    """All files, first those of the record in its order, then new ones; ``items`` and ``stats`` are those that are named now."""

    files: tuple[Change, ...]
    items: tuple[Item, ...]
    stats: tuple[Stat, ...]

    @property
    def to_read(self) -> list[Change]:
        """Those that are new or revised."""
        return [change for change in self.files if change.fate in ("new", "revised")]

    def named(self, fate: Fate) -> list[str]:
        """The names of those with that fate."""
        return [change.name for change in self.files if change.fate == fate]

    def source(self, recorded: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The record of the files as it will be: those that are gone stay in it, since their steps stay in the store."""
        return [
            dict(recorded[change.entry or 0]) if change.fate in ("kept", "gone") else self._stat(change).to_dict() for change in self.files
        ]

    def _stat(self, change: Change) -> Stat:
        if change.item is None:
            raise AssertionError("it is named now")
        return self.stats[change.item]


def find_changes(
    recorded: Sequence[Mapping[str, Any]], items: Sequence[Item], stats: Sequence[Stat], unfinished: Collection[str] = ()
) -> Changes:
    """Compare the files of a record with those that are named now.

    A file of other contents is the revision of the one that has its name, where one alone has it. ``unfinished`` names files of which a
    revision may be in the store in part: they are revised ones, whatever they are now. Raises Conflict where one of them is gone.
    """
    by_digest = {entry["digest"]: number for number, entry in enumerate(recorded)}
    kept = {by_digest[stat.digest]: number for number, stat in enumerate(stats) if stat.digest in by_digest}
    names = Counter(str(entry["name"]) for entry in recorded)
    others = {str(entry["name"]): number for number, entry in enumerate(recorded) if number not in kept and names[str(entry["name"])] == 1}
    unknown = [number for number, stat in enumerate(stats) if stat.digest not in by_digest]
    now = Counter(stats[number].name for number in unknown)
    revised = {others[stats[number].name]: number for number in unknown if stats[number].name in others and now[stats[number].name] == 1}
    files = []
    for entry, one in enumerate(recorded):
        item = kept.get(entry, revised.get(entry))
        fate: Fate = "kept" if entry in kept else "revised" if entry in revised else "gone"
        if str(one["name"]) in unfinished and fate != "revised":
            if fate == "gone":
                raise _half_revised(str(one["name"]))
            fate = "revised"
        files.append(Change(str(one["name"]), fate, entry, item))
    new = [number for number in unknown if number not in revised.values()]
    files += [Change(stats[number].name, "new", None, number) for number in new]
    return Changes(tuple(files), tuple(items), tuple(stats))


def _half_revised(name: str) -> Conflict:
    text = f"an update with a revision of '{name}' was interrupted, and some of its steps may be in the store; now the file is gone."
    return Conflict(f"{text} Bring it back, in whichever version, and run again.", file=name)
