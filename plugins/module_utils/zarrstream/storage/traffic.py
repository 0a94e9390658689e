# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What came over the net for a write or a check, and how long it took: what a user needs to see what bounds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Traffic:
    """Files of the source that are not on this host: bytes that were fetched, requests for them; all 0 where there are none.

    ``source`` and ``store`` are the seconds that requests to each took, added up, so that several at a time count several times.
    """

    fetched: int = 0
    requests: int = 0
    source: float = 0.0
    store: float = 0.0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.fetched + other.fetched, self.requests + other.requests, self.source + other.source, self.store + other.store)

    def figures(self) -> dict[str, dict[str, Any]]:
        """As results have it."""
        return {"fetched": self.fetched_figures(), "waited": self.waited_figures()}

    def fetched_figures(self) -> dict[str, int]:
        """Of these the bytes and requests."""
        return {"bytes": self.fetched, "requests": self.requests}

    def waited_figures(self) -> dict[str, float]:
        """Of these the seconds."""
        return {"source": round(self.source, 2), "store": round(self.store, 2)}

    def bound(self, before: Traffic, seconds: float) -> str:
        """What was waited for most since ``before``, so many seconds ago: ``source`` or ``store``; '' for neither, or this host."""
        source, store = self.source - before.source, self.store - before.store
        if max(source, store) < seconds / 2:
            return ""
        return "source" if source >= store else "store"


def traffic_from(figures: Mapping[str, Mapping[str, Any]]) -> Traffic:
    """The traffic in ``figures``."""
    fetched, waited = figures["fetched"], figures["waited"]
    return Traffic(fetched["bytes"], fetched["requests"], waited["source"], waited["store"])
