"""A source on a web server behind the proxy, and a store to be in a folder, which readers see past all of that."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from asking import write_request
from faults.places import decoded, said_well
from faults.proxy import Action, FaultProxy, Rule
from zarrstream.commands.write import write_dataset
from zarrstream.errors import ZarrstreamError
from zarrstream.sidecar.manifest import MANIFEST
from zarrstream.write.request import WriteRequest
from zarrstream.write.result import WriteResult

NAME = "air.nc"
TOKEN = "a-token-of-the-test"  # never in a message, nor in the store


@dataclass(frozen=True)
class WebPlace:
    """Where a test reads from and writes to. ``served`` is a folder of its own at the web server: what others leave is not seen there."""

    proxy: FaultProxy
    served: Path
    store: Path

    @property
    def path(self) -> str:
        """The source's, on the web server."""
        return f"/{self.served.name}/{NAME}"

    @property
    def url(self) -> str:
        """The source's, by way of the proxy."""
        return f"{self.proxy.endpoint}{self.path}"

    def rule(self, action: Action, first: int = 1, count: int = 1) -> Rule:
        """What the requests for it suffer."""
        return Rule("GET", f"^{self.path}$", action, first, count)

    @property
    def requests(self) -> int:
        """How many there were for it since the rules began."""
        return self.proxy.count("GET", f"^{self.path}$")

    def request(self, **options: Any) -> WriteRequest:
        """To write it, a step of time in each chunk."""
        known = {"source": (self.url,), "store": str(self.store), "chunks": {"time": 1}, "timeout": 20}
        return write_request(**{**known, **options})

    def serve(self, file: Path) -> None:
        """Put another file in the place of the source, as web servers' owners do it: at once, and with a date of its own."""
        shutil.copy(file, self.served / "new")
        moment = time.time() + 5 * len(list(self.served.iterdir()))
        os.utime(self.served / "new", (moment, moment))
        (self.served / "new").replace(self.served / NAME)

    def shows(self, **candidates: Path) -> str:
        """Which of these sources a reader of the store sees to the last value: its name, ``nothing``, or ``a mixture``."""
        try:
            with xr.open_zarr(self.store) as opened:
                found = opened.load()
        except FileNotFoundError:
            return "nothing"
        return next((name for name, file in candidates.items() if found.identical(decoded(file))), "a mixture")

    def fails(self, *words: str, kind: type[ZarrstreamError] = ZarrstreamError, within: float = 40, **options: Any) -> str:
        """The write ends in time with one line that has all these words and the source's URL, and no secret."""
        wanted, began = self.request(**options), time.monotonic()
        with pytest.raises(kind) as error:
            write_dataset(wanted)
        text = str(error.value)
        assert time.monotonic() - began < within, text
        said_well(text, *words, self.url, secret=TOKEN)
        return text

    def converges(self, whole: Path, undisturbed: dict[str, bytes], **options: Any) -> WriteResult:
        """A run without faults succeeds, leaves the bytes of a write that nothing has disturbed, and the one after it changes nothing."""
        self.proxy.misbehave()
        wanted = self.request(**{"timeout": 60, **options})
        result = write_dataset(wanted)
        assert self.shows(new=whole) == "new"
        different = differing(objects(self.store), undisturbed)
        assert different == [], different
        assert {path.name for path in Path(f"{self.store}.zarrstream").iterdir()} == {MANIFEST}
        again = write_dataset(self.request(**{key: value for key, value in options.items() if key != "mode"}))
        assert (again.changed, again.objects_written) == (False, 0)
        return result


def objects(store: Path) -> dict[str, bytes]:
    """What a store consists of, by key."""
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """The keys of what is in one of the stores alone, or not alike."""
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
