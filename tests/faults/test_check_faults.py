"""Rows 26 to 34 of the table in docs/faults.md: what zarr_check says of a store, and of a server, that is not as it should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faults.actions import flip, flipped_down, interrupted, missing, refused, reset, shortened
from faults.places import Place, said_well, secret_of
from faults.proxy import EVER, FaultProxy, Rule

CHUNK = "air.zarr/air/c/3/0"


def problems(place: Place, **options: Any) -> dict[str, str]:
    """The checks that do not pass, and what they say, in one line each."""
    report = place.check(**options)
    found = {check.id: check.message for check in report.checks if check.status not in ("passed", "skipped")}
    assert report.ok is not any(check.status == "failed" for check in report.checks)
    for text in found.values():
        said_well(text, secret=secret_of(place.config))
    return found


def test_row_26_a_chunk_is_gone(written: Place, proxy: FaultProxy, source: Path) -> None:
    """From the bucket; or only from what a GET finds, as for a moment after an overwrite."""
    proxy.misbehave(Rule("GET", f"{CHUNK}$", missing, count=EVER))
    found = problems(written, source=(str(source),), sample=None)
    assert "1 of 11" in found["decode"]
    assert "air/c/3/0: missing" in found["decode"]
    proxy.misbehave()
    written.s3.delete_object(Bucket=written.bucket, Key=written.key.replace("air.zarr", CHUNK))
    found = problems(written)
    assert "1 of 16 objects are missing" in found["complete"]
    assert "air/c/3/0" in found["complete"]


def test_row_27_a_bit_is_flipped(written: Place, proxy: FaultProxy, source: Path) -> None:
    """On the way to the reader, where the codec's checksum tells; and at rest, where the manifest tells without any reading."""
    proxy.misbehave(Rule("GET", f"{CHUNK}$", flipped_down, count=EVER))
    assert "air/c/3/0" in problems(written, sample=None)["decode"]
    proxy.misbehave()
    written.put(CHUNK, flip(written.get(CHUNK)))
    proxy.misbehave()
    assert "air/c/3/0" in problems(written, checks=("manifest",))["manifest"]
    assert proxy.count("GET", "/c/") == 0


def test_row_28_an_object_is_shortened(written: Place, proxy: FaultProxy) -> None:
    proxy.misbehave(Rule("GET", f"{CHUNK}$", shortened, count=EVER))
    assert "air/c/3/0" in problems(written, sample=None)["decode"]
    proxy.misbehave()
    data = written.get(CHUNK)
    written.put(CHUNK, data[: len(data) // 2])
    assert "air/c/3/0" in problems(written)["manifest"]


def test_row_29_answers_break_off(written: Place, proxy: FaultProxy, source: Path) -> None:
    proxy.misbehave(
        Rule("GET", f"{CHUNK}$", interrupted),
        Rule("GET", "air/c/4/0$", reset),
        Rule("GET", "list-type=2", reset),
        Rule("GET", "crs/c$", reset),
    )
    assert problems(written, source=(str(source),), sample=None) == {}
    assert all(rule.suffered == 1 for rule in proxy.rules)


def test_row_30_a_chunk_may_not_be_read(written: Place, proxy: FaultProxy) -> None:
    proxy.misbehave(Rule("GET", f"{CHUNK}$", refused(403, "AccessDenied"), count=EVER))
    text = problems(written, sample=None)["decode"]
    assert "air/c/3/0: not allowed" in text
    assert "missing" not in text


def test_row_31_another_client_changes_the_bucket_between_two_checks(written: Place) -> None:
    assert problems(written) == {}
    written.s3.delete_object(Bucket=written.bucket, Key=written.key.replace("air.zarr", CHUNK))
    assert "air/c/3/0" in problems(written)["complete"]


def test_row_32_objects_beyond_the_shape(written: Place) -> None:
    written.put("air.zarr/air/c/8/0", b"orphan")
    assert "air/c/8/0" in problems(written)["strays"]
