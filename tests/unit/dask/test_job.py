# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a worker answers: plain values, errors by names that the host knows, and what came over the net."""

from __future__ import annotations

from typing import Any

from zarrstream.dask.job import Job
from zarrstream.storage.access import BY_DEFAULT
from zarrstream.storage.remote import SourceAccess
from zarrstream.storage.remote_errors import SourceChanged
from zarrstream.storage.source_access import plain_source_access


class Reading(Job):
    endpoint = ""

    def prepare(self) -> None:
        self.remote.fetched.add(7, 0.5)

    def read(self, fails: bool) -> str:
        if fails:
            raise SourceChanged("source 'https://host/a.nc' changed.", source="https://host/a.nc", where=object())
        return "read"


def job() -> Job:
    spec: dict[str, Any] = {"access": BY_DEFAULT.to_dict(), "source_access": plain_source_access(SourceAccess()), "versions": {}}
    return Reading(spec, "tls://worker")


def test_an_answer_has_what_was_fetched_and_waited_for():
    answer = job().call("read", (False,))
    assert (answer["value"], answer["fetched"]) == ("read", {"bytes": 7, "requests": 1})
    assert answer["waited"] == {"source": 0.5, "store": 0.0}


def test_an_error_goes_by_the_class_that_the_host_knows():
    assert job().call("read", (True,))["error"] == (
        "SourceError",
        "source 'https://host/a.nc' changed.",
        {"source": "https://host/a.nc"},
    )
