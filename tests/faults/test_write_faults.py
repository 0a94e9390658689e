"""Rows 1 to 25 of the table in docs/faults.md: what goes wrong while a store is written, and what readers see of it."""

from __future__ import annotations

import shutil
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from faults import writers
from faults.actions import (
    acknowledged_only,
    call,
    empty_listing,
    flip,
    flipped_up,
    hang,
    lost_answer,
    not_deleted,
    refused,
    reset,
)
from faults.places import Place, fails, said_well, secret_of, write_profile
from faults.proxy import EVER, Answer, Exchange, FaultProxy, Rule
from running import THOROUGH
from zarrstream.commands.write import write_dataset
from zarrstream.errors import AccessRefused, Conflict, MissingLibrary, Unreachable, WriteError
from zarrstream.sidecar import lock
from zarrstream.storage import retry as transport

CHUNK = r"/air\.zarr/air/(c/)?\d"  # those of the variable with eight chunks
LISTING = r"list-type=2"
DELETING = r"\?delete"
CHANGING = "PUT|POST|DELETE"
thorough = pytest.mark.thorough


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else writes here: waiting for others to show would only take time."""
    monkeypatch.setattr(lock, "SETTLE", 0.02)


def test_row_01_a_chunk_is_refused(place: Place, proxy: FaultProxy, source: Path) -> None:
    wanted = place.request(source)
    proxy.misbehave(Rule("PUT", CHUNK, refused(403, "AccessDenied"), first=4, count=EVER))
    fails(wanted, "cannot write", f"{place.bucket}/{place.key}/air/c/", "AccessDenied", "Nothing was published", kind=AccessRefused)
    assert place.shows(new=source) == "nothing"
    assert proxy.count("PUT", r"zarr\.json") == 0
    proxy.misbehave()
    assert place.converges(wanted, source).resumed


def test_row_03_a_replacement_fails(written: Place, proxy: FaultProxy, sources: dict[str, Path]) -> None:
    before = written.objects()
    fails(written.request(sources["other"]), "source with other contents", "mode create overwrites nothing", kind=Conflict)
    assert written.objects() == before
    wanted = written.request(sources["other"], mode="replace")
    proxy.misbehave(Rule("PUT", CHUNK, refused(403, "AccessDenied"), first=4, count=EVER))
    fails(wanted, "AccessDenied", "readers find the store as it was before", kind=AccessRefused)
    assert written.shows(old=sources["air"]) == "old"
    proxy.misbehave()
    written.converges(wanted, sources["other"])


def test_row_04_objects_that_have_to_go_stay(place: Place, proxy: FaultProxy, source: Path) -> None:
    """A write of more chunks breaks off; the next one, of fewer, may not publish over what it left."""
    proxy.misbehave(Rule("PUT", CHUNK, refused(403, "AccessDenied"), first=7, count=EVER))
    fails(place.request(source), "AccessDenied")
    wanted = place.request(source, chunks={"time": 5})
    proxy.misbehave(Rule("POST", DELETING, not_deleted(), count=EVER))
    fails(wanted, "cannot delete", f"{place.bucket}/{place.folder}", "AccessDenied", "Nothing was published")
    assert place.shows(new=source) == "nothing"
    proxy.misbehave()
    place.converges(wanted, source)


def test_row_05_a_listing_does_not_show_what_a_broken_off_write_left(place: Place, proxy: FaultProxy, source: Path) -> None:
    proxy.misbehave(Rule("PUT", CHUNK, refused(403, "AccessDenied"), first=7, count=EVER))
    fails(place.request(source), "AccessDenied")
    proxy.misbehave(Rule("GET", LISTING, empty_listing, count=EVER))
    write_dataset(place.request(source, chunks={"time": 5}))
    assert proxy.rules[0].suffered > 2
    assert place.shows(new=source) == "new"


def test_row_05_a_listing_does_not_show_what_is_replaced(written: Place, proxy: FaultProxy, sources: dict[str, Path]) -> None:
    wanted = written.request(sources["other"], mode="replace")
    proxy.misbehave(Rule("GET", LISTING, empty_listing, count=EVER))
    done = write_dataset(wanted)
    assert proxy.rules[0].suffered > 2
    proxy.misbehave()
    assert written.shows(new=sources["other"]) == "new"
    assert sum(name.startswith("air.zarr/") for name in written.names()) == done.objects  # the manifest knew the old ones


@pytest.mark.parametrize(
    "key",
    [
        "air/c/3/0",
        "air.zarr/zarr.json",
        *(pytest.param(key, marks=thorough) for key in ("air/zarr.json", "zarrstream/manifest.json", "writing.json")),
    ],
)
def test_row_06_an_object_is_acknowledged_and_not_stored(place: Place, proxy: FaultProxy, source: Path, key: str) -> None:
    wanted = place.request(source)
    proxy.misbehave(Rule("PUT", f"{key}$", acknowledged_only))
    fails(wanted, key.rpartition("/")[2], "although", "acknowledged it", kind=WriteError)
    assert place.shows(new=source) == "nothing"
    place.converges(wanted, source)


@pytest.mark.parametrize("noticed", [True, False])
def test_row_07_a_bit_is_flipped_in_an_upload(place: Place, proxy: FaultProxy, source: Path, noticed: bool) -> None:
    """Swift compares what comes with the signed SHA-256; a server that does not stores the wrong bytes."""

    async def stored_flipped(exchange: Exchange) -> Answer:
        answer = await exchange.forward()
        place.put("air.zarr/air/c/3/0", flip(exchange.body))
        return answer

    wanted = place.request(source)
    proxy.misbehave(Rule("PUT", r"air/c/3/0$", flipped_up if noticed else stored_flipped))
    if noticed:
        assert write_dataset(wanted).retries == 1
    else:
        fails(wanted, "air/c/3/0 has the MD5", "acknowledged it", "Nothing was published", kind=WriteError)
        assert place.shows(new=source) == "nothing"
        write_dataset(wanted)
    assert place.shows(new=source) == "new"


def test_row_08_answers_get_lost(place: Place, proxy: FaultProxy, sources: dict[str, Path]) -> None:
    """Of chunks, of the lock and the root (which are created where there is none), of copies and of deletions."""
    lost = [Rule("PUT", pattern, lost_answer) for pattern in (CHUNK, r"writing\.json", r"air\.zarr/zarr\.json", r"manifest\.json")]
    proxy.misbehave(*lost, Rule("POST", DELETING, lost_answer))
    assert write_dataset(place.request(sources["air"])).retries == 5
    assert all(rule.suffered == 1 for rule in proxy.rules)
    assert place.shows(new=sources["air"]) == "new"


def test_row_09_the_server_has_too_much_to_do(place: Place, proxy: FaultProxy, source: Path) -> None:
    faults = [(500, "InternalError", 1), (503, "SlowDown", 4), (429, "TooManyRequests", 1), (400, "RequestTimeout", 1)]
    rules = [Rule("PUT", rf"air/c/{number}/0$", refused(status, code), count=count) for number, (status, code, count) in enumerate(faults)]
    proxy.misbehave(*rules)
    wanted = place.request(source, timeout=60)
    assert write_dataset(wanted).retries == 7
    assert place.shows(new=source) == "new"


def test_row_10_forty_refusals_in_a_row(place: Place, proxy: FaultProxy, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "LONGEST_WAIT", 0.02)  # between two of them
    proxy.misbehave(Rule(".*", "", refused(503, "ServiceUnavailable"), first=10, count=40))
    assert write_dataset(place.request(source, timeout=60)).retries == 40
    assert place.shows(new=source) == "new"


def test_row_11_the_server_goes_away_for_ever(place: Place, proxy: FaultProxy, source: Path) -> None:
    def stop(*_: Any) -> None:
        proxy.rules.append(Rule(".*", "", reset, count=EVER))

    wanted = place.request(source, timeout=2)
    proxy.misbehave(Rule("PUT", CHUNK, call(stop), first=3))
    words = ("cannot", proxy.endpoint, "the connection was interrupted", "attempts in", "Nothing was published", "run again")
    fails(wanted, *words, kind=Unreachable, within=30)
    assert len(proxy.log) < 150
    assert place.shows(new=source) == "nothing"
    proxy.misbehave()
    assert place.converges(wanted, source).resumed


@pytest.mark.parametrize(("method", "pattern"), [("PUT", CHUNK), pytest.param("GET", LISTING, marks=thorough)])
def test_row_12_a_request_hangs(place: Place, proxy: FaultProxy, source: Path, method: str, pattern: str) -> None:
    wanted = place.request(source, timeout=4)
    proxy.misbehave(Rule(method, pattern, hang(), first=2, count=EVER))
    fails(wanted, "no answer in time", proxy.endpoint, "Nothing was published", within=40)
    assert proxy.rules[0].suffered <= 24
    assert place.shows(new=source) == "nothing"
    proxy.misbehave()
    place.converges(wanted, source)


@pytest.mark.parametrize(("status", "code"), [(403, "QuotaExceeded"), pytest.param(413, "EntityTooLarge", marks=thorough)])
def test_row_14_the_quota_is_used_up(place: Place, proxy: FaultProxy, source: Path, status: int, code: str) -> None:
    wanted = place.request(source)
    proxy.misbehave(Rule("PUT", r"lat/c/0$", refused(status, code), count=EVER))
    text = fails(wanted, code, "quota", "Nothing was published", "objects had been sent", kind=AccessRefused)
    assert "attempts" not in text
    assert proxy.rules[0].suffered == 1
    assert place.shows(new=source) == "nothing"
    proxy.misbehave()
    place.converges(wanted, source)


def test_row_14_a_bucket_of_swift_is_full(cloud: Any, place: Place, s3: Any, source: Path) -> None:
    """Not the proxy but Swift says no."""
    full = f"{place.bucket}-full"
    s3.create_bucket(Bucket=full)
    with cloud.connect() as connection:
        connection.object_store.set_container_metadata(full, **{"quota-count": "0"})
    time.sleep(1.2)  # Swift looks at quotas once a second
    fails(
        place.request(source, store=f"s3://{full}/air.zarr"), "EntityTooLarge", "quota", full, "Nothing was published", kind=AccessRefused
    )


def test_row_15_the_key_is_revoked_in_mid_write(
    cloud: Any, place: Place, proxy: FaultProxy, source: Path, keys: tuple[str, str], tmp_path: Path
) -> None:
    access, secret = cloud.new_ec2_key()

    def revoke() -> None:
        with cloud.connect() as connection:
            connection.identity.delete(f"/users/{connection.current_user_id}/credentials/OS-EC2/{access}")
        time.sleep(1.2)  # Swift believes in a secret for a second

    config = write_profile(tmp_path / "revoked", (access, secret), proxy.endpoint)
    proxy.misbehave(Rule("PUT", CHUNK, call(revoke, after=True), first=3))
    text = fails(place.request(source, config_file=str(config)), "profile 'zarr'", access[-4:], "ec2_credentials", kind=AccessRefused)
    assert access not in text
    assert place.shows(new=source) == "nothing"
    place.converges(place.request(source), source)


def test_row_16_the_clocks_differ(place: Place, proxy: FaultProxy, source: Path) -> None:
    """The proxy answers for a server whose clock is two hours ahead."""
    later = datetime.now(UTC) + timedelta(hours=2)
    skewed = refused(403, "RequestTimeTooSkewed", Date=format_datetime(later, usegmt=True))
    proxy.misbehave(Rule("PUT|GET", r"^/$", skewed, count=EVER), Rule("PUT", CHUNK, skewed, count=EVER))
    fails(place.request(source), "RequestTimeTooSkewed", "this host says", f"the server {later:%Y-%m-%d %H:%M:%S}", "chrony")
    assert place.shows(new=source) == "nothing"
    proxy.misbehave()
    place.converges(place.request(source), source)


def test_row_17_the_bucket_goes_away(place: Place, proxy: FaultProxy, source: Path) -> None:
    wanted = place.request(source)
    proxy.misbehave(Rule("PUT", CHUNK, refused(404, "NoSuchBucket"), first=2, count=EVER))
    fails(wanted, f"bucket '{place.bucket}' is not at {proxy.endpoint}")
    proxy.misbehave()
    place.converges(wanted, source)
    proxy.misbehave(Rule("GET", CHUNK, refused(404, "NoSuchBucket"), count=EVER))
    report = place.check(source=(str(source),), sample=None)
    assert f"bucket '{place.bucket}' is not at" in next(check.message for check in report.checks if check.status == "failed")
    assert not report.ok


def test_row_20_somebody_else_adds_an_array(place: Place, proxy: FaultProxy, source: Path) -> None:
    foreign = b'{"zarr_format": 3, "node_type": "group", "attributes": {}}'
    proxy.misbehave(Rule("PUT", CHUNK, call(lambda: place.put("air.zarr/theirs/zarr.json", foreign)), first=3))
    wanted = place.request(source)
    fails(wanted, "theirs/zarr.json appeared", "somebody else writes there", kind=Conflict)
    assert place.shows(new=source) == "nothing"
    assert place.get("air.zarr/theirs/zarr.json") == foreign


def test_row_21_an_append_fails_half_way(written: Place, proxy: FaultProxy, sources: dict[str, Path]) -> None:
    wanted = written.request(sources["more"], mode="append", append_dim="time", chunks=None)
    documents = (r"air/zarr\.json$", r"manifest\.json$") if THOROUGH else ()
    for pattern in (r"air/c/9/0$", r"air/c/7/0$", *documents, r"air\.zarr/zarr\.json$"):
        proxy.misbehave(Rule("PUT", pattern, refused(403, "AccessDenied"), count=EVER))
        fails(wanted, "AccessDenied", "readers find the store as it was before", kind=AccessRefused)
        assert written.shows(old=sources["air"]) == "old", pattern
    proxy.misbehave()
    assert written.converges(wanted, sources["all"]).resumed


def test_row_22_the_second_run_sends_nothing(written: Place, proxy: FaultProxy, source: Path) -> None:
    assert not write_dataset(written.request(source)).changed
    assert proxy.count(CHANGING) == 0
    assert proxy.count("GET|HEAD") <= 6


def test_row_23_the_source_changes_meanwhile(place: Place, proxy: FaultProxy, sources: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "air.nc"
    shutil.copy(sources["air"], copy)
    wanted = place.request(copy)
    proxy.misbehave(Rule("PUT", CHUNK, call(lambda: copy.write_bytes(sources["other"].read_bytes())), first=8))
    fails(wanted, f"source '{copy}' changed while it was being copied", "Nothing was published", kind=WriteError)
    assert place.shows(new=sources["air"]) == "nothing"
    proxy.misbehave()
    place.converges(wanted, sources["other"])


def test_row_24_a_library_is_missing(place: Place, proxy: FaultProxy, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "netCDF4", None)
    fails(place.request(source), "Python library (netCDF4)", sys.executable, "role zarr_stack", kind=MissingLibrary)
    assert proxy.count(CHANGING) == 0


def test_row_25_the_disk_is_full(place: Place, source: Path, tmp_path: Path) -> None:
    """A disk of 64 KiB, on which the store does not fit."""
    folder = tmp_path / "small"
    folder.mkdir()
    outcome, left = writers.on_a_small_disk(place.request(source, store=str(folder / "air.zarr")), folder, "64k")
    said_well(
        outcome, "error: cannot write", str(folder), "No space left on device", "Nothing was published", secret=secret_of(place.config)
    )
    assert str(folder / "air.zarr/zarr.json") not in left
    assert not [name for name in left if "#" in name]
