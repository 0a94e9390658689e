# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbooks, each of which can be run alone: the first thing is to look at the controller and the inventory."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

PLAYBOOKS = Path(__file__).resolve().parents[3] / "playbooks"
DECLARATIONS = set(yaml.safe_load((PLAYBOOKS / "group_vars" / "all" / "preflight.yml").read_text())["zarr_declarations"])
PARTS = ("preflight.yml", "groups.yml")


@pytest.mark.parametrize("path", [each for each in sorted(PLAYBOOKS.glob("*.yml")) if each.name not in PARTS], ids=lambda path: path.stem)
def test_each_begins_with_the_preflight(path: Path) -> None:
    first = yaml.safe_load(path.read_text())[0]
    assert first.get("ansible.builtin.import_playbook") == "preflight.yml"
    assert set(first.get("vars", {}).get("zarr_required", ())) <= DECLARATIONS
