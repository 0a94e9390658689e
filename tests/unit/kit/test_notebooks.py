# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The notebooks of the role notebook as files: their form, without running them; Molecule runs them on a cluster."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

ROLES = Path(__file__).resolve().parents[3] / "roles"
NOTEBOOKS = sorted((ROLES / "notebook" / "files" / "notebooks").glob("*.ipynb"))
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ \\]+)", re.MULTILINE)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_a_run_leaves(path: Path) -> None:
    notebook = json.loads(path.read_text())
    cells = notebook["cells"]
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in cells}) == len(cells)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all((cell["outputs"], cell["execution_count"]) == ([], None) for cell in code)
    settings, *rest = [ast.parse("".join(cell["source"])) for cell in code]
    asked = {node.args[0].value for node in ast.walk(settings) if isinstance(node, ast.Call) and isinstance(node.args[0], ast.Constant)}
    assert asked
    assert all(name.startswith("ZARRSTREAM_") for name in asked)
    assert not any("environ" in ast.dump(tree) for tree in rest)


def test_notebooks_and_workers_have_the_same_versions() -> None:
    """What stands in both locks: a notebook sends the workers what they have to be able to read."""
    ours, theirs = (set(PINNED.findall((ROLES / role / "files" / "requirements.lock").read_text())) for role in ("notebook", "zarr_stack"))
    assert len(theirs) > 50
    assert theirs - ours == set()
