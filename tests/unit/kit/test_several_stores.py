# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Several stores in one run of a module: an error of ours with one of them is its result, and no end of the others."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "ansible_collections" / "zarrstream").mkdir(parents=True)
    (tmp_path / "ansible_collections" / "zarrstream" / "platform").symlink_to(CHECKOUT)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return importlib.import_module("ansible_collections.zarrstream.platform.plugins.module_utils.several_stores")


def test_an_error_that_nobody_foresaw_is_the_result_of_its_store(several: Any) -> None:
    def run(_module: Any, options: dict[str, Any]) -> dict[str, Any]:
        return {"changed": True, "length": 12 // options["number"]}

    validator = ArgumentSpecValidator({"number": {"type": "int"}})
    results = [several._result(None, validator, run, {"number": number}) for number in ("0", "3")]
    assert results[0]["msg"] == "ZeroDivisionError: integer division or modulo by zero"
    assert "in run" in results[0]["exception"]
    together = several._together(results)
    assert (together["failed"], together["changed"], together["stores"][1]["length"]) == (True, True, 4)
    assert together["msg"] == "1 of 2 stores failed: ZeroDivisionError: integer division or modulo by zero"


def test_what_of_a_url_is_secret_is_in_no_result_and_no_argument_is_in_the_systems_log(
    several: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended(Exception):
        pass

    class Module:
        def __init__(self, **options: Any) -> None:
            assert options["no_log"]
            self.params = {
                "store": None,
                "source": "https://host/a.nc?X-Amz-Signature=hush",
                "stores": [{"source": ["https://me:shy@host/b"]}],
            }
            self.no_log_values: set[str] = set()

        def fail_json(self, **_result: Any) -> None:
            assert self.no_log_values == {"?X-Amz-Signature=hush", "me:shy@"}
            raise Ended

    monkeypatch.setattr(several, "AnsibleModule", Module)
    with pytest.raises(Ended):
        several.run_module({"source": {"type": "raw"}}, lambda _module, _options: {})
