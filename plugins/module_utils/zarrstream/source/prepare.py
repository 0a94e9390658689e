# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The option ``prepare``: what is done to each file before files are joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import BadRequest

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Step:
    """One step, in its one spelling."""

    options: Mapping[str, Any] = field(default_factory=dict)

    def normal(self) -> dict[str, Any]:
        """Plain values, which ``parse_prepare`` reads."""
        return dict(self.options)


def parse_prepare(value: Any) -> tuple[Step, ...]:
    """The option as values; raises BadRequest for what makes no sense in itself."""
    if value:
        raise BadRequest(f"prepare is {value!r}: it is a list of steps, of which there are none yet.")
    return ()


def prepared(dataset: xr.Dataset, _path: str, steps: Sequence[Step]) -> xr.Dataset:
    """The data set of one file after these steps."""
    if steps:
        raise AssertionError("there are none yet")
    return dataset
