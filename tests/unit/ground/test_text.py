"""What others named or said steers no terminal: in messages, findings, reports, diffs, JSON and logs."""

from __future__ import annotations

import json
import logging
import unicodedata
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from asking import check_store, write_request
from hypothesis import given
from hypothesis import strategies as st
from zarrstream.check.request import request_from
from zarrstream.commands.cli import main
from zarrstream.commands.write import preview
from zarrstream.errors import SourceError, ZarrstreamError
from zarrstream.probe.debug_log import Redacted
from zarrstream.text import shown, shown_json, shown_log

EVIL = "\x1b]0;pwn\x07\x1b[2J\x9b31m\nFAKE   passed\r\u202etxt.exe"


def steers(text: str) -> bool:
    return any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") and letter not in "\n\u00ad" for letter in text)


@given(st.text())
def test_nothing_that_steers_is_left_and_letters_stay(text: str) -> None:
    assert "\n" not in shown(text)
    assert not any(letter in shown(text) for letter in "\x1b\x07\r\x9b\u202e\u2028\x00")
    plain = "".join(letter for letter in text if letter.isalpha() or letter.isdigit())
    assert "".join(letter for letter in shown(plain)) == plain
    assert shown(shown(text)) == shown(text)


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_json_says_the_same(value: object) -> None:
    text = shown_json(value, indent=2)
    assert json.loads(text) == value
    assert not any(letter in text for letter in "\x1b\x07\r\x9b\u202e\u2028\x00")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("\x1b[31mRED", r"\x1b[31mRED"), ("a\nb\tc", r"a\nb\tc"), ("\u202egnp", r"\u202egnp"), ("é漢😀", "é漢😀"), ("\udc80", r"\udc80")],
)
def test_escapes_are_those_of_python(text: str, expected: str) -> None:
    assert shown(text) == expected
    assert str(ZarrstreamError(text)) == expected


def test_a_log_keeps_its_lines() -> None:
    assert shown_log("one\ntwo\x1b[2J") == "one\ntwo\\x1b[2J"
    record = logging.LogRecord("botocore", logging.DEBUG, "f", 1, "server said %s", (EVIL,), None)
    assert not steers(Redacted(()).format(record))


def test_names_in_a_source_and_its_plan(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["evil\x1b[2J"] = np.arange(3)
        file["turned\u202e"] = np.arange(3)
    request = write_request(source=(str(tmp_path / "a.h5"),), store=str(tmp_path / "a.zarr"))
    with pytest.raises(SourceError, match=r"the name 'evil\\x1b\[2J' holds control characters"):
        preview(request)
    text = preview(replace(request, variables=("turned\u202e",))).diff()["after"]
    assert r"turned\u202e: " in text
    assert not steers(text)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["evil\x1b[2J"] = h5py.ExternalLink("/etc/\x1b[2J.h5", "/\x07")
    with pytest.raises(SourceError, match=r"evil\\x1b\[2J") as error_of:
        preview(write_request(source=(str(tmp_path / "b.h5"),), store=str(tmp_path / "a.zarr")))
    assert not steers(str(error_of.value))


def test_names_in_a_store_and_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("v", shape=(4,), chunks=(4,), dtype="f4", attributes={"units": EVIL})[:] = 1
    document = json.loads((tmp_path / "a.zarr/v/zarr.json").read_text())
    document["dimension_names"] = [EVIL, EVIL]
    (tmp_path / "a.zarr/v/zarr.json").write_text(json.dumps(document))
    (tmp_path / "a.zarr/\u202estray").write_text("x")
    report = check_store(request_from({"store": str(tmp_path / "a.zarr")}))
    for result in report.checks:
        assert not steers(result.message)
    assert not steers(report.summary["line"])
    for options in ([], ["--json"]):
        assert main(["check", str(tmp_path / "a.zarr"), "--report", str(tmp_path / "report"), *options]) == 1
        out, err = capsys.readouterr()
        assert not steers(out + err)
    for written in (tmp_path / "report").iterdir():
        assert not steers(written.read_text())
