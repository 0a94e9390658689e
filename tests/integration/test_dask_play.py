# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""playbooks/dask.yml without a cluster: how many hosts its play of the workers takes at a time."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
HOSTS = ("a", "b", "c")


@pytest.mark.parametrize(
    ("variables", "ending", "batches"),
    [
        ({}, ["a"], [["a"], ["b"], ["c"]]),
        ({"zarr_dask_workers_at_a_time": "67%"}, ["b"], [["a", "b"], ["c"]]),
        ({}, [], [["a", "b", "c"]]),
    ],
    ids=["one by default", "the inventory's share", "all where none ends"],
)
def test_how_many_workers_change_at_a_time(
    run_playbook: Any, tmp_path: Path, variables: dict[str, Any], ending: list[str], batches: list[list[str]]
) -> None:
    (play,) = (play for play in yaml.safe_load((PLAYBOOKS / "dask.yml").read_text()) if play["name"] == "The workers that change, or go")
    del play["vars"]
    play["tasks"] = [{"ansible.builtin.debug": {"msg": "at once: {{ ansible_play_batch | join(' ') }}"}, "run_once": True}]
    before = {"hosts": "localhost", "gather_facts": False}  # there it is not the first play either
    (tmp_path / "play.yml").write_text(yaml.safe_dump([before, play]))
    (tmp_path / "group_vars").symlink_to(PLAYBOOKS / "group_vars")
    local = {"ansible_connection": "local", "ansible_python_interpreter": run_playbook.python}
    groups = {"dask_workers": HOSTS, "dask_workers_that_end": ending}
    inventory = tmp_path / "hosts.json"
    children: dict[str, Any] = {group: {"hosts": {host: {} for host in hosts}} for group, hosts in groups.items()}
    inventory.write_text(json.dumps({"all": {"vars": local | variables, "children": children}}))
    done = run_playbook(tmp_path / "play.yml", inventory=inventory)
    assert [said.split() for said in re.findall("at once: ([a-c ]+)", done.stdout)] == batches, done.output
