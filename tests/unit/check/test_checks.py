# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The registries of checks: what documentation says of them, and how a result gets its identifier, severity and reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from zarrstream.check.run import CHECKS
from zarrstream.dask.state.network import CHECKS as CLUSTER
from zarrstream.findings import CheckResult, Findings, Registry, found, passed, skipped

CHECKOUT = Path(__file__).resolve().parents[3]


def test_the_documentation_of_zarr_check_names_each_check_in_the_order_of_the_results() -> None:
    source = (CHECKOUT / "plugins/modules/zarr_check.py").read_text()
    option = yaml.safe_load(re.findall(r'^DOCUMENTATION = r"""\n(.*?)^"""', source, re.DOTALL | re.MULTILINE)[0])["options"]["checks"]
    assert tuple(option["choices"]) == CHECKS
    assert tuple(name for line in option["description"] for name in re.findall(r"^V\((\w+)\),", line)) == CHECKS


def test_the_documentation_of_dask_info_names_each_check_in_the_order_of_the_results() -> None:
    source = (CHECKOUT / "plugins/modules/dask_info.py").read_text()
    result = yaml.safe_load(re.findall(r'^RETURN = r"""\n(.*?)^"""', source, re.DOTALL | re.MULTILINE)[0])["checks"]
    named = [name for line in result["description"] for name in re.findall(r"^V\((\w+)\),", line)]
    assert named == [check.id for check in CLUSTER]


def one(text: str) -> Findings:
    findings = Findings()
    findings.add(text)
    return findings


@pytest.mark.parametrize(
    ("said", "severity", "status"),
    [
        (passed("fine", number=1), "info", "passed"),
        (skipped("no"), "info", "skipped"),
        (found(one("it"), "bad"), "info", "warning"),
        (found(one("it"), "bad", "error"), "error", "failed"),
        (found(one("it"), "bad", "warning"), "warning", "warning"),
    ],
)
def test_a_result_has_what_its_check_was_entered_with(said: CheckResult, severity: str, status: str) -> None:
    checks = Registry()
    check = checks.check("name", "thing", severity="info")(lambda _thing: said)
    assert check("a thing") == check.of({"thing": ("a thing", "")}) == CheckResult("name", status, severity, said.message, said.evidence)


def test_a_check_is_skipped_for_the_first_thing_that_is_not_there() -> None:
    checks = Registry()
    later = checks.check("later", "one", "two", place=2)(lambda one, two: passed(f"{one} {two}"))
    checks.check("sooner", place=1)(lambda: passed("fine"))
    assert [check.id for check in checks] == ["sooner", "later"]
    assert later.of({"one": (None, ""), "two": (2, "unused")}).message == "None 2"
    assert later.of({"one": (None, "no one"), "two": (None, "no two")}) == CheckResult("later", "skipped", "error", "no one")
