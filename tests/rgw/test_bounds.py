# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A store of many objects on Ceph RGW: its listing has its time, and it goes with few requests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
import xarray as xr
from asking import remove_request, write_request
from integration.test_zarr_write import write_profile
from running import THOROUGH
from zarrstream.commands.write import write_dataset
from zarrstream.errors import ZarrstreamError
from zarrstream.storage.access import Access
from zarrstream.storage.location import parse_store
from zarrstream.storage.open import open_objects
from zarrstream.storage.retry import Transport
from zarrstream.write.remove import remove_store

OBJECTS = 10_000 if THOROUGH else 1_500
SECONDS = 2.0


@pytest.fixture(scope="module")
def many(cloud: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The store, and the access to it."""
    folder, keys, bucket = tmp_path_factory.mktemp("many"), cloud.new_ec2_key(), f"many-{uuid4().hex[:12]}"
    cloud.s3(*keys).create_bucket(Bucket=bucket)
    xr.Dataset({"v": ("x", np.arange(float(OBJECTS)))}).to_netcdf(folder / "many.nc", engine="h5netcdf")
    access = {"profile": "zarr", "config_file": str(write_profile(folder / "config", cloud, *keys))}
    store = f"s3://{bucket}/many.zarr"
    assert write_dataset(write_request((str(folder / "many.nc"),), store, chunks={"x": 1}, **access)).objects > OBJECTS
    return {"store": store, **access}


def listed(many: dict[str, Any]) -> int:
    """The number of keys in a listing whose pages have SECONDS each."""
    transport = Transport(SECONDS)
    try:
        access = {name: value for name, value in many.items() if name != "store"}
        objects = open_objects(parse_store(many["store"]), Access(**access), transport=transport)
        return sum(1 for _ in objects.list(objects.place.key))
    finally:
        transport.close()


def test_a_listing_has_its_time(rgw: Any, many: dict[str, Any]) -> None:
    assert listed(many) > OBJECTS
    start = time.monotonic()
    with rgw.hung("js2"), pytest.raises(ZarrstreamError, match=f"{SECONDS:.0f} s"):
        listed(many)
    assert time.monotonic() - start < 10 * SECONDS


def test_a_store_of_many_objects_goes_with_few_requests(rgw: Any, many: dict[str, Any]) -> None:
    """A thousand objects a request, both to list and to delete them."""
    place = parse_store(many["store"])
    with rgw.requests() as asked:
        result = remove_store(remove_request(**many))
    assert (result.changed, result.foreign_count) == (True, 0)
    assert result.objects_removed > OBJECTS
    of_store = [request for request in asked if request.path.startswith(f"/{place.bucket}")]
    deletions = [request for request in of_store if request.path.endswith("?delete")]
    assert len(deletions) < OBJECTS / 1000 + 8
    assert len(of_store) < 2 * OBJECTS / 1000 + 40
    assert not remove_store(remove_request(**many)).changed
