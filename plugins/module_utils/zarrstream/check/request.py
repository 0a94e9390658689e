# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is asked of a check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import BadRequest
from ..scheduler import Scheduler, parse_scheduler
from ..source.joins import Combine, parse_combine
from ..source.prepare import parse_prepare
from ..source.reading import Reading, parse_reading
from ..source.step import Step
from ..storage.access import BY_DEFAULT, Access, access_from
from ..storage.remote import SourceAccess
from ..storage.source_access import SourceReach, check_needed, source_access_from
from .expectations import NOTHING_EXPECTED, Expectations, parse_expectations

SEVERITIES = ("error", "warning", "never")
POLICIES = ("error", "fill", "manifest")


@dataclass(frozen=True)
class CheckRequest(SourceReach):
    """What to check and how. ``sample`` is the number of objects decoded for each array; None means all of them.

    ``checks`` empty means every check that applies; ``anonymous`` reads without credentials, as an anonymous client would.
    ``combine`` and ``prepare`` are None for those of the write, by the manifest.
    """

    store: str
    access: Access = BY_DEFAULT
    source_access: SourceAccess = field(default_factory=SourceAccess)
    anonymous: bool = False
    source: tuple[str, ...] = ()
    follow: tuple[str, ...] = ()
    combine: Combine | None = None
    prepare: tuple[Step, ...] | None = None
    checks: tuple[str, ...] = ()
    sample: int | None = 4
    seed: int = 0
    missing: str = "error"
    fail_on: str = "error"
    expectations: Expectations = NOTHING_EXPECTED
    report: str | None = None
    scheduler: Scheduler | None = None

    def __post_init__(self) -> None:
        check_needed(self.source_access, self.source)
        if self.sample is not None and self.sample < 0:
            raise BadRequest(f"sample is {self.sample}: give the number of objects to decode for each array, 0 or more, or 'all'.")
        for name, value, allowed in (("missing", self.missing, POLICIES), ("fail_on", self.fail_on, SEVERITIES)):
            if value not in allowed:
                raise BadRequest(f"{name} is '{value}'. Use one of: {', '.join(allowed)}.")

    def reading(self, written: Mapping[str, Any]) -> Reading:
        """How the source is read; ``written`` is the request in the manifest. Raises BadRequest for one that cannot be understood."""
        found = parse_reading({name: written.get(name) for name in ("combine", "prepare") if getattr(self, name) is None})
        return Reading(found.combine if self.combine is None else self.combine, found.prepare if self.prepare is None else self.prepare)


def request_from(options: Mapping[str, Any]) -> CheckRequest:
    """The request in options as people write them: ``sample`` may be 'all', ``source`` one text or a list."""
    known = {item.name for item in fields(CheckRequest)} - {
        "access",
        "source_access",
        "scheduler",
        "sample",
        "source",
        "follow",
        "combine",
        "prepare",
        "checks",
        "expectations",
    }
    return CheckRequest(
        access=access_from(options),
        source_access=source_access_from(options),
        scheduler=parse_scheduler(options.get("scheduler"), options.get("scheduler_tls")),
        sample=_sample(options.get("sample", 4)),
        source=_source(options.get("source")),
        follow=tuple(options.get("follow") or ()),
        combine=None if options.get("combine") is None else parse_combine(options["combine"]),
        prepare=None if options.get("prepare") is None else parse_prepare(options["prepare"]),
        checks=tuple(options.get("checks") or ()),
        expectations=parse_expectations(options),
        **{name: value for name, value in options.items() if name in known},
    )


def _sample(value: Any) -> int | None:
    text = str(value).strip()
    if text == "all":
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadRequest(f"sample is '{value}': give the number of objects to decode for each array, 0 or more, or 'all'.")
    return int(text)


def _source(value: Any) -> tuple[str, ...]:
    if not value:
        return ()
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadRequest(f"source is {value!r}: give a path, a glob, a URL, or a list of them.")
    return tuple(names)
