# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Python that runs the lines with which people open a store: without anything of ours, each time as if it had just been started."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest

lines = import_module("zarrstream.check.lines")
LEFT = "import os; os.environ['LEFT'] = 'behind'; print('what they print shows nowhere')"


@pytest.fixture(scope="module", autouse=True)
def _started() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_PROFILE", "somebody's")
        patch.setattr(lines, "_SECONDS", 2)
        lines._python.cache_clear()
        yield
    lines._python.cache_clear()


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("import xarray", ""),
        (LEFT, ""),
        ("import os; assert 'LEFT' not in os.environ, 'those before are seen'", ""),
        ("import os; assert not [name for name in os.environ if name.startswith('AWS_P')], os.environ", ""),
        ("import os; assert os.listdir(os.environ['HOME']) == os.listdir() == []", ""),
        ("import sys; assert not [name for name in sys.modules if 'zarrstream' in name], sys.modules", ""),
        ("lines", "NameError: name 'lines' is not defined"),
        ("import json\njson.loads('')", "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        ("import os; os.kill(os.getpid(), 9)", "ended with -9"),
        ("import time\ntime.sleep(60)", "no answer within 2 s"),
    ],
)
def test_an_anonymous_reader_has_nothing_and_each_is_the_first(wanted: str, said: str) -> None:
    assert lines._run(wanted.splitlines(), anonymous=True) == said


def test_who_has_a_profile_has_it() -> None:
    assert lines._run(["import os", "assert os.environ['AWS_PROFILE'] == \"somebody's\""], anonymous=False) == ""


def test_a_python_that_has_ended_is_no_proof() -> None:
    lines._python(True)._process.kill()
    assert lines._run(["import xarray"], anonymous=True) == "ended with -9"
    lines._python.cache_clear()
