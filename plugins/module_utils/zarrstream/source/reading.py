# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How sources are read: the options ``combine`` and ``prepare`` as one value, for a write, a check, and workers of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .joins import NOTHING_ASKED, Combine, parse_combine
from .prepare import parse_prepare
from .step import Step


@dataclass(frozen=True)
class Reading:
    """What is done to each file, and how several become one data set."""

    combine: Combine = NOTHING_ASKED
    prepare: tuple[Step, ...] = ()

    def normal(self) -> dict[str, Any]:
        """Plain values in one spelling, for a fingerprint, a manifest and workers; ``parse_reading`` reads them."""
        return {"combine": self.combine.normal(), "prepare": [step.normal() for step in self.prepare]}


AS_FOUND = Reading()


def parse_reading(options: Mapping[str, Any]) -> Reading:
    """The reading in options, or in the request of a manifest; raises BadRequest for what makes no sense in itself."""
    return Reading(parse_combine(options.get("combine")), parse_prepare(options.get("prepare"), options.get("exclude")))
