"""The table of faults in docs/faults.md: every row is there, and every test that it names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
TABLE = (TESTS.parent / "docs" / "faults.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", TABLE)))


def test_every_row_is_there_with_a_proof() -> None:
    rows = re.findall(r"^\| (\d+) \|.*\|(.*)\|$", TABLE, re.MULTILINE)
    assert sorted(int(number) for number, _ in rows) == list(range(1, 48))
    assert all(".py::" in proof for _, proof in rows)


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_the_tests_that_are_named_exist(file: str) -> None:
    defined = {node.name for node in ast.parse((TESTS / file).read_text()).body if isinstance(node, ast.FunctionDef)}
    assert {name for other, name in NAMED if other == file} - defined == set()
