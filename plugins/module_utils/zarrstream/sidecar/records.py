# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which objects below a store are ours: those that a record beside the store names, and no others.

Records are the manifest, that of the store before (while one is replaced or grows), the journal, and the plans in the lock.
A plan is there before the first object is sent: what a killed writer sent in its last moment is ours by its plan, whatever
the journal had not yet noted. A plan names arrays with shape, chunk grid and spelling of keys, not each key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..errors import ZarrstreamError
from ..metadata.hierarchy import ARRAY
from ..metadata.layout import array_layout

_INDEX = re.compile(r"0|[1-9][0-9]*")
# What lies beside a store for a while, by path below its sidecar; what waits there for its place is in "staged/".
_LEFTOVERS = re.compile(
    r"previous\.json|alive/[0-9a-f]{32}|probe-[0-9a-f]{32}|parts/[0-9a-f]{32}|journal/[0-9a-f]{24}/[0-9a-f]{32}-[0-9]{6,}\.json"
)
STAGED = "staged"


@dataclass(frozen=True)
class ArrayKeys:
    """How the keys of an array's objects are spelled: ``counts`` objects along each dimension, and Zarr's chunk key encoding."""

    counts: tuple[int, ...]
    encoding: str  # "default" or "v2"
    separator: str

    def owns(self, rest: str) -> bool:
        """Whether ``rest``, a key below the array, is that of one of its objects."""
        indexes = rest.split(self.separator)
        if self.encoding == "default" and indexes.pop(0) != "c":
            return False
        if not self.counts:
            return indexes == ([] if self.encoding == "default" else ["0"])
        return len(indexes) == len(self.counts) and all(
            _INDEX.fullmatch(index) and int(index) < count for index, count in zip(indexes, self.counts, strict=True)
        )

    def holds(self, rest: str) -> bool:
        """Whether ``rest`` is a folder below the array in which objects of it lie."""
        indexes = rest.split("/")
        if self.encoding == "default" and indexes.pop(0) != "c":
            return False
        return self.separator == "/" and len(indexes) < len(self.counts) and all(map(_INDEX.fullmatch, indexes))


@dataclass(frozen=True)
class KeyPlan:
    """What a write may send: metadata documents by key, and arrays by path, both below the store."""

    documents: frozenset[str]
    arrays: Mapping[str, ArrayKeys] = field(default_factory=dict)

    def owns(self, key: str) -> bool:
        """Whether the plan names the object."""
        return key in self.documents or any(self.arrays[name].owns(rest) for name, rest in self._splits(key))

    def holds(self, path: str) -> bool:
        """Whether objects of the plan lie in a folder."""
        return path in self._folders or any(self.arrays[name].holds(rest) for name, rest in self._splits(path))

    def to_dict(self) -> dict[str, Any]:
        """As the lock has it."""
        arrays = {name: [list(keys.counts), keys.encoding, keys.separator] for name, keys in self.arrays.items()}
        return {"documents": sorted(self.documents), "arrays": arrays}

    def _splits(self, key: str) -> Iterable[tuple[str, str]]:
        position = key.find("/")
        while position > 0:
            if key[:position] in self.arrays:
                yield key[:position], key[position + 1 :]
            position = key.find("/", position + 1)

    @cached_property
    def _folders(self) -> frozenset[str]:
        return folders_of([*self.documents, *(f"{name}/" for name in self.arrays)])


def plan_keys(documents: Mapping[str, bytes]) -> KeyPlan:
    """The plan of a store with these metadata documents."""
    arrays = {}
    for key, data in documents.items():
        name, _unused, kind = key.rpartition("/")
        document = json.loads(data) if kind in ARRAY.values() else {"node_type": "group"}
        if document.get("node_type", "array") == "array":
            layout = array_layout(name, document, {})
            arrays[name] = ArrayKeys(layout.grid, "default" if layout.prefix else "v2", layout.separator)
    return KeyPlan(frozenset(documents), arrays)


def parse_plans(lock: Mapping[str, Any], place: str) -> list[KeyPlan]:
    """The plans in a lock; raises ZarrstreamError, naming ``place``, for what is none."""
    try:
        return [
            KeyPlan(
                frozenset(map(str, plan["documents"])),
                {
                    str(name): ArrayKeys(tuple(map(int, counts)), str(encoding), str(separator) or "/")
                    for name, (counts, encoding, separator) in plan["arrays"].items()
                },
            )
            for plan in lock.get("plans") or ()
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ZarrstreamError(
            f"{place} is a lock with a plan that nobody can read ({error!r}). Remove the store and what lies beside it by hand."
        ) from None


@dataclass(frozen=True)
class Records:
    """All that is recorded of the objects below a store."""

    keys: frozenset[str] = frozenset()  # of manifests and journals
    plans: tuple[KeyPlan, ...] = ()

    def owns(self, key: str) -> bool:
        """Whether an object is ours, by its key below the store."""
        return key in self.keys or any(plan.owns(key) for plan in self.plans)

    def holds(self, path: str) -> bool:
        """Whether objects of ours lie, or lay, in a folder below the store."""
        return path in self._folders or any(plan.holds(path) for plan in self.plans)

    def leftover(self, path: str) -> bool:
        """Whether an object of the sidecar, by its path there, is only for the time of a write."""
        staged = path.removeprefix(f"{STAGED}/")
        return self.owns(staged) if staged != path else _LEFTOVERS.fullmatch(path) is not None

    @cached_property
    def _folders(self) -> frozenset[str]:
        return folders_of(self.keys)


def folders_of(keys: Iterable[str]) -> frozenset[str]:
    """The folders in which these keys lie, with those around them."""
    folders: set[str] = set()
    for key in keys:
        folder = key.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(folders)


def outside(keys: Collection[str]) -> str | None:
    """The first of the keys that does not lie below its store: absolute, or with an empty part, '.' or '..'."""
    return next((key for key in keys if {"", ".", ".."} & set(key.split("/")) or "\0" in key), None)
