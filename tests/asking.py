# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests by the options of the modules, which go in by the same door as everybody's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zarrstream.check import request as checks
from zarrstream.check.report import Report
from zarrstream.check.request import CheckRequest
from zarrstream.commands import check
from zarrstream.write import remove, request
from zarrstream.write.remove import RemoveRequest
from zarrstream.write.request import WriteRequest


def write_request(source: Sequence[str], store: str, **options: Any) -> WriteRequest:
    return request.request_from({"source": list(source), "store": store, **options})


def check_request(store: str, sample: Any = 4, source: Sequence[str] = (), **options: Any) -> CheckRequest:
    """With ``sample=None`` for all objects."""
    asked = {"store": store, "sample": "all" if sample is None else sample, "source": list(source), **options}
    return checks.request_from(asked)


def check_store(request: CheckRequest) -> Report:
    return check.check_store(request).report


def remove_request(store: str, **options: Any) -> RemoveRequest:
    return remove.request_from({"store": store, **options})
