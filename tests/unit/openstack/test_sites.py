# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which cloud and profile each bucket and data set of an inventory belongs to: tables."""

from __future__ import annotations

from typing import Any

import pytest
from zarrstream.errors import BadRequest
from zarrstream.openstack.sites import declared, places

OWN = ("iu", "lab")


def air(**more: Any) -> dict[str, Any]:
    return {"name": "air", "store": "s3://one/air.zarr", **more}


def where(items: Any) -> list[tuple[str, str]]:
    return [(each["cloud"], each["profile"]) for each in items]


def test_what_names_nothing_belongs_to_the_inventorys_own_site() -> None:
    found = declared([{"name": "one"}], [air(), {"name": "local", "store": "/srv/x.zarr"}], *OWN).as_result()
    assert found["sites"] == [{"cloud": "iu", "profile": "lab", "own": True, "bucket": "one"}]
    assert where(found["buckets"]) == [OWN]
    assert where(found["datasets"]) == [OWN, OWN]


@pytest.mark.parametrize(
    ("bucket", "dataset", "expected"),
    [
        ({"cloud": "tacc"}, {}, ("tacc", "tacc")),
        ({"cloud": "tacc", "profile": "t"}, {}, ("tacc", "t")),
        ({"profile": "second"}, {}, ("iu", "second")),
        ({"cloud": "tacc"}, {"cloud": "tacc", "profile": "t"}, ("tacc", "t")),
        ({}, {"cloud": "tacc"}, ("tacc", "tacc")),
    ],
)
def test_a_data_set_belongs_where_its_bucket_does_unless_it_says_otherwise(bucket: Any, dataset: Any, expected: Any) -> None:
    found = declared([{"name": "one", **bucket}], [air(**dataset)], *OWN)
    assert where(found.datasets) == [expected]
    assert (found.sites[0].cloud, found.sites[0].profile) == OWN, "the inventory's own comes first"
    assert expected in [(each.cloud, each.profile) for each in found.sites]


@pytest.mark.parametrize(
    ("bucket", "dataset", "expected"), [({}, {}, ""), ({"stack_path": "/b"}, {}, "/b"), ({"stack_path": "/b"}, {"stack_path": "/d"}, "/d")]
)
def test_a_data_set_is_written_by_the_environment_that_it_or_its_bucket_names(bucket: Any, dataset: Any, expected: Any) -> None:
    found = declared([{"name": "one", **bucket}], [air(**dataset)], *OWN)
    assert places(found.datasets, [])["air"]["stack_path"] == expected


def test_buckets_of_one_name_in_two_clouds() -> None:
    buckets = [{"name": "one"}, {"name": "one", "cloud": "tacc", "state": "absent"}]
    assert where(declared(buckets, [air(cloud="tacc")], *OWN).datasets) == [("tacc", "tacc")]
    assert declared(buckets, [], *OWN).as_result()["sites"][1]["bucket"] == "", "one that goes proves nothing"
    with pytest.raises(BadRequest, match="data set 'air' goes to bucket 'one', which is declared for 'iu' and 'tacc': set its cloud"):
        declared(buckets, [air()], *OWN)


def test_a_profile_holds_the_keys_of_one_cloud() -> None:
    with pytest.raises(BadRequest, match="profile 'lab' is declared for the clouds 'iu' and 'tacc', and holds the keys of one"):
        declared([{"name": "one", "cloud": "tacc", "profile": "lab"}], [], *OWN)


def test_two_data_sets_of_one_name() -> None:
    with pytest.raises(BadRequest, match="zarr_datasets has 'air' twice"):
        declared([{"name": "one"}, {"name": "two", "cloud": "tacc"}], [air(), air(store="s3://two/air.zarr")], *OWN)


def test_only_one_site() -> None:
    found = declared([{"name": "one"}, {"name": "two", "cloud": "tacc"}], [air(), {"name": "b", "store": "s3://two/b.zarr"}], *OWN)
    other = found.only("tacc").as_result()
    assert [each["name"] for each in (*other["sites"][0:0], *other["buckets"], *other["datasets"])] == ["two", "b"]
    assert [(each["cloud"], each["own"]) for each in other["sites"]] == [("tacc", False)]
    with pytest.raises(BadRequest, match=r"zarr_only_cloud is 'tac', and nothing is declared for it\. The inventory has: iu, tacc"):
        found.only("tac")


def test_places_join_data_sets_with_what_was_found_of_their_buckets() -> None:
    found = declared([{"name": "one"}, {"name": "one", "cloud": "tacc"}], [air(), air(name="b", cloud="tacc")][1:], *OWN)
    looks = [
        {"cloud": "iu", "bucket": "one", "anonymous_endpoint": "https://iu"},
        {"cloud": "tacc", "bucket": "one", "anonymous_endpoint": None},
    ]
    assert places(found.datasets, looks) == {"b": {"profile": "tacc", "stack_path": "", "anonymous_endpoint": ""}}
    assert places(declared([{"name": "one"}], [air()], *OWN).datasets, looks) == {
        "air": {"profile": "lab", "stack_path": "", "anonymous_endpoint": "https://iu"}
    }
