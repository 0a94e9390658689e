# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writes and checks of files on the web, from the first question to the result."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarrstream
from asking import check_request, check_store, write_request
from web_server import Server, Thing, web_server
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import ZarrstreamError
from zarrstream.storage.traffic import Traffic
from zarrstream.write.progress import Progress
from zarrstream.write.progress_text import words

PAGE = Path(zarrstream.__file__).resolve().parents[3] / "docs/sources.md"


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with web_server() as server:
        yield server


@pytest.fixture
def server(shared: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    """Two years of air, as files of two kinds."""
    monkeypatch.setenv("NETRC", os.devnull)
    shared.clear()
    for year in (2023, 2024):
        shared.things[f"/air-{year}.nc"] = Thing(year_of(year, tmp_path))
    return shared


def year_of(year: int, folder: Path) -> bytes:
    values = np.random.default_rng(year).integers(0, 9, (12, 20, 30)).astype("i2")
    days = np.arange(12, dtype="i4") + 12 * (year - 2023)
    data = xr.Dataset({"air": (("time", "lat", "lon"), values)}, {"time": ("time", days, {"units": "days since 2023-01-01"})})
    data.to_netcdf(folder / "a.nc", engine="netcdf4", format="NETCDF4" if year % 2 else "NETCDF3_64BIT")
    return (folder / "a.nc").read_bytes()


def urls(server: Server) -> list[str]:
    return [f"{server.url}{place}" for place in server.things]


def test_the_example_of_the_page_runs(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example = re.search(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert example
    exec(example[1].replace("https://archive.example.org", server.url), {})
    assert xr.open_zarr(tmp_path / "air.zarr", chunks=None).air.shape == (24, 20, 30)


def test_a_new_file_is_appended_and_the_old_ones_are_only_asked_for(server: Server, tmp_path: Path) -> None:
    how: dict[str, Any] = {"mode": "append", "append_dim": "time"}
    write_dataset(write_request(urls(server), str(tmp_path / "o.zarr"), **how))
    server.things["/air-2025.nc"] = Thing(year_of(2025, tmp_path))
    server.seen.clear()
    told = preview(write_request(urls(server), str(tmp_path / "o.zarr"), **how))
    done = write_dataset(write_request(urls(server), str(tmp_path / "o.zarr"), **how))
    assert (told.action, done.action, done.retries) == ("append", "append", 0)
    assert done.fetched["requests"] + told.fetched["requests"] == len(server.seen)
    assert {headers["range"] for path, headers in server.seen if "2025" not in path} == {"bytes=0-16383"}
    assert xr.open_zarr(tmp_path / "o.zarr", chunks=None).air.shape == (36, 20, 30)
    checked = check_store(check_request(str(tmp_path / "o.zarr"), None, urls(server)))
    assert checked.ok, checked.summary["line"]
    assert checked.as_result()["fetched"]["bytes"] > 0


def test_a_file_that_changes_before_the_end_is_not_published(server: Server, tmp_path: Path) -> None:
    other = Thing(server.things["/air-2024.nc"].data, etag='"other"')

    def change(moment: Progress) -> None:
        if moment.state == "copying":
            server.things["/air-2024.nc"] = other

    with pytest.raises(ZarrstreamError, match=rf"source '{server.url}/air-2024\.nc' changed while it was being copied"):
        write_dataset(write_request(urls(server), str(tmp_path / "o.zarr")), change)
    assert not (tmp_path / "o.zarr" / "zarr.json").exists()
    assert write_dataset(write_request(urls(server), str(tmp_path / "o.zarr"))).changed


def test_a_server_that_tells_no_version_is_named_in_the_notes(server: Server, tmp_path: Path) -> None:
    for thing in server.things.values():
        thing.etag = thing.modified = ""
    done = write_dataset(write_request(urls(server), str(tmp_path / "o.zarr")))
    assert f"source '{server.url}/air-2023.nc' and 1 more: its server tells neither tag nor time" in " ".join(done.notes)
    assert not write_dataset(write_request(urls(server), str(tmp_path / "o.zarr"))).changed
    server.things["/air-2024.nc"].data = year_of(2026, tmp_path)
    with pytest.raises(ZarrstreamError, match="other contents"):
        write_dataset(write_request(urls(server), str(tmp_path / "o.zarr")))


def test_a_server_without_ranges_wants_memory_or_a_spool(server: Server, tmp_path: Path) -> None:
    xr.Dataset({"air": ("x", np.random.default_rng(1).random(2**18))}).to_netcdf(tmp_path / "large.nc", engine="netcdf4")
    server.things = {"/large.nc": Thing((tmp_path / "large.nc").read_bytes(), ranges=False)}
    little = {"memory": "6MiB", "chunks": {"x": 2**16}}
    with pytest.raises(ZarrstreamError, match=r"large\.nc' has to be read as a whole.*'spool: FOLDER'"):
        write_dataset(write_request(urls(server), str(tmp_path / "o.zarr"), **little))
    (tmp_path / "spool").mkdir()
    for name, options in (("o", {**little, "spool": str(tmp_path / "spool")}), ("p", {})):
        done = write_dataset(write_request(urls(server), str(tmp_path / f"{name}.zarr"), **options))
        assert "large.nc was read as a whole, into " in done.notes[0]
    assert not list((tmp_path / "spool").iterdir())


def test_local_sources_have_no_traffic(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_bytes(server.things["/air-2023.nc"].data)
    done = write_dataset(write_request([str(tmp_path / "a.nc")], str(tmp_path / "o.zarr"))).to_dict()
    assert done["fetched"] == {"bytes": 0, "requests": 0}
    assert done["waited"] == {"source": 0.0, "store": 0.0}


def test_what_bounds_a_write_is_told_in_words() -> None:
    before = Traffic(10, 1, 1.0, 1.0)
    assert Traffic(20, 2, 9.0, 2.0).bound(before, 4.0) == "source"
    assert Traffic(20, 2, 2.0, 9.0).bound(before, 4.0) == "store"
    assert Traffic(20, 2, 2.0, 2.5).bound(before, 4.0) == ""
    moment = Progress("copying", 12, 40, 5, 88.1, 3.0, bytes_fetched=9, fetched_mib_per_second=61.0, waits_for="source")
    assert words(moment) == "copying, 12 of 40 objects, 88.1 MiB/s, source 61.0 MiB/s, waiting for the source, 0:03 left"
    assert words(moment, speed=False) == "copying, 12 of 40 objects, 0:03 left"
