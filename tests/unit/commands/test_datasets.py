# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role zarr_dataset asks of the modules, and which result is whose."""

from __future__ import annotations

from typing import Any

import pytest
from zarrstream.commands.datasets import requests, results, settled
from zarrstream.options import SOURCE_OPTIONS

DEFAULTS = {"profile": "zarr", "site_profile": "zarr", "python": "/z/python", "anonymous_endpoint": "", "ca_bundle": ""}
AIR = {"name": "air", "source": "/air.nc", "store": "s3://b/air.zarr", "chunks": {"time": 4}, "public": True}
SEA = {"name": "sea", "source": "/sea.nc", "store": "/sea.zarr"}
OLD = {"name": "old", "store": "s3://b/old.zarr", "state": "absent"}
PLACES = {"air": {"profile": "zarr", "stack_path": "", "anonymous_endpoint": "https://a"}}


@pytest.mark.parametrize(
    ("own", "place", "profile", "python", "endpoint"),
    [
        ({}, {}, "zarr", "/z/python", ""),
        ({}, {"profile": "zarr", "stack_path": "", "anonymous_endpoint": ""}, "zarr", "/z/python", ""),
        ({}, {"profile": "other", "stack_path": "/s", "anonymous_endpoint": "https://s"}, "other", "/s/current/bin/python", "https://s"),
        ({"profile": "own", "stack_path": "/o"}, {"profile": "other", "stack_path": "/s"}, "own", "/o/current/bin/python", ""),
    ],
    ids=["as for all", "of this site", "of another site", "as it says"],
)
def test_what_a_data_set_says_wins_over_its_site(own: Any, place: Any, profile: str, python: str, endpoint: str) -> None:
    (found,) = settled([SEA | own], {"sea": place}, DEFAULTS)
    assert (found["profile"], found["python"], found["anonymous_endpoint"]) == (profile, python, endpoint)


def test_a_profile_for_the_role_alone_holds_for_the_data_sets_of_the_site() -> None:
    (found,) = settled([SEA], {"sea": {"profile": "zarr"}}, DEFAULTS | {"profile": "of-the-role", "anonymous_endpoint": "https://role"})
    assert (found["profile"], found["anonymous_endpoint"]) == ("of-the-role", "https://role")


def test_each_python_is_asked_once_and_only_what_the_modules_know() -> None:
    (group,) = requests(settled([AIR, OLD], PLACES, DEFAULTS), ["write"])
    assert group["python"] == "/z/python"
    assert group["stores"] == [
        {"profile": "zarr", "source": "/air.nc", "store": "s3://b/air.zarr", "chunks": {"time": 4}},
        {"profile": "zarr", "store": "s3://b/old.zarr", "state": "absent"},
    ]
    assert group["steps"] == ["write", "remove"]
    two = requests(settled([AIR, SEA | {"stack_path": "/o"}], PLACES, DEFAULTS), ["write"])
    assert [(group["python"], len(group["stores"])) for group in two] == [("/z/python", 1), ("/o/current/bin/python", 1)]
    assert requests([], ["write"]) == []


def test_public_stores_are_proved_with_keys_and_read_without() -> None:
    (group,) = requests(settled([AIR, SEA], PLACES, DEFAULTS | {"ca_bundle": "/ca.pem"}), ["prove", "read"], "/reports")
    assert [(step, dataset["name"]) for step, dataset in zip(group["steps"], group["datasets"], strict=True)] == [
        ("prove", "air"),
        ("prove", "sea"),
        ("read", "air"),
    ]
    proof, private, read = group["stores"]
    assert proof == {"profile": "zarr", "source": "/air.nc", "store": "s3://b/air.zarr", "report": "/reports/air", "lines": False}
    assert private["lines"]
    assert read == {
        "store": "s3://b/air.zarr",
        "anonymous": True,
        "profile": "zarr",
        "endpoint_url": "https://a",
        "ca_bundle": "/ca.pem",
        "checks": ["open", "anonymous", "decode"],
        "lines": True,
    }


def test_each_data_set_gets_its_result_or_that_of_the_module() -> None:
    (group,) = requests(settled([AIR, SEA], PLACES, DEFAULTS), ["prove", "read"])
    found = results([{"item": group, "changed": False, "stores": [{"ok": True}, {"ok": False, "msg": "cut"}, {"ok": True}]}])
    assert [(each["item"]["name"], each["step"], each["ok"]) for each in found] == [
        ("air", "prove", True),
        ("sea", "prove", False),
        ("air", "read", True),
    ]
    crashed = results([{"item": group, "failed": True, "msg": "no such Python"}, {"item": group, "skipped": True}])
    assert [(each["item"]["name"], each["msg"]) for each in crashed] == [(name, "no such Python") for name in ("air", "sea", "air")]


def test_a_source_elsewhere_is_reached_alike_for_the_write_and_its_proof() -> None:
    reach = {name: option.get("default", "x") for name, option in SOURCE_OPTIONS.items()}
    for step in ("write", "prove"):
        (group,) = requests(settled([SEA | reach], {}, DEFAULTS), [step])
        assert reach.items() <= group["stores"][0].items()
