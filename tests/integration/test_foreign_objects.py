"""What no record of ours names stays, on a real Swift: foreign objects and stores around ours and in them, and writers that die."""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
import xarray as xr
from asking import remove_request, write_request
from integration.test_zarr_write import write_profile
from running import THOROUGH
from writing import around_requests
from zarrstream.commands.write import write_dataset
from zarrstream.errors import Conflict, ZarrstreamError
from zarrstream.sidecar import lock
from zarrstream.sidecar.manifest import MANIFEST
from zarrstream.storage.objects import BucketObjects
from zarrstream.write.remove import preview_removal, remove_store

CASES = 100 if THOROUGH else 4
NAMES = ["notes.txt", "v/notes.txt", "v/c/99", "v/c/00", "v/c/0/deep", "b/zarr.json", "b/c/0", "zarr.json.bak", "x.zarrstream/writing.json"]
BUCKET = f"foreign-objects-{uuid4().hex[:8]}"  # on Ceph RGW one name space is everybody's


@pytest.fixture(scope="module")
def place(cloud: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any], Path]:
    """A bucket, the access to it, and a folder with sources of 6 and 12 steps."""
    folder, keys = tmp_path_factory.mktemp("foreign"), cloud.new_ec2_key()
    s3 = cloud.s3(*keys)
    s3.create_bucket(Bucket=BUCKET)
    for steps in (6, 12):
        xr.Dataset({"v": ("x", np.arange(float(steps)))}, {"x": np.arange(steps)}).to_netcdf(folder / f"{steps}.nc")
    return s3, {"profile": "zarr", "config_file": str(write_profile(folder / "config", cloud, *keys))}, folder


def there(s3: Any, prefix: str) -> dict[str, bytes]:
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return {entry["Key"]: s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read() for entry in listed}


def run_until(point: int, run: Any) -> None:
    """Run; request number ``point`` and all after it fail, as when the process had died."""
    numbers = count(1)

    def before(_number: int) -> None:
        if next(numbers) >= point:
            raise ZarrstreamError("died")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock, "SETTLE", 0.01)
        around_requests(patch.setattr, before, lambda _: None, BucketObjects)
        try:
            run()
        except ZarrstreamError:
            return


@pytest.mark.parametrize("case", range(CASES))
def test_every_foreign_object_is_still_there(place: tuple[Any, dict[str, Any], Path], case: int) -> None:
    s3, access, folder = place
    rng, store = random.Random(case), f"s3://{BUCKET}/{case}/s.zarr"
    action = ("create", "replace", "append", "absent")[case % 4]
    options: dict[str, Any] = {"append_dim": "x"} if action == "append" else {"chunks": {"x": rng.choice([1, 2, 3])}}

    def run() -> Any:
        if action == "absent":
            return remove_store(remove_request(store, **access))
        return write_dataset(write_request((str(folder / "12.nc"),), store, mode=action, **options, **access))

    if action != "create":
        write_dataset(write_request((str(folder / "6.nc"),), store, chunks={"x": 2}, **access))
    run_until(rng.randint(2, 14), run)
    foreign = {}
    for name in rng.sample(NAMES, rng.randint(1, 3)):
        where = rng.choice(["s.zarr/", "s.zarr/", "s.zarr.zarrstream/", ""])
        foreign[f"{case}/{where}{name}"] = f"{name} of others".encode()
    for key, data in foreign.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=data)
    run_until(10**6, run)
    assert foreign.items() <= there(s3, f"{case}/").items()
    for key in foreign:
        s3.delete_object(Bucket=BUCKET, Key=key)
    run()
    left = there(s3, f"{case}/")
    if action == "absent":
        assert not left
    else:
        assert not [key for key in left if key.startswith(f"{case}/s.zarr.zarrstream/") and not key.endswith(MANIFEST)]
        assert not write_dataset(write_request((str(folder / "12.nc"),), store, mode=action, **options, **access)).changed


def test_a_store_goes_with_few_requests_and_readers_find_none_at_once(place: tuple[Any, dict[str, Any], Path]) -> None:
    s3, access, folder = place
    store = f"s3://{BUCKET}/removed/s.zarr"
    done = write_dataset(write_request((str(folder / "12.nc"),), store, chunks={"x": 1}, **access))
    s3.put_object(Bucket=BUCKET, Key="removed/s.zarr/notes.txt", Body=b"mine")
    told = preview_removal(remove_request(store, **access))
    assert (told.objects_removed, told.foreign) == (done.objects, ["removed/s.zarr/notes.txt"])
    assert told.removed_keys[0] == "removed/s.zarr/zarr.json"
    with pytest.raises(Conflict, match=rf"would lie in 's3://{BUCKET}/removed/s\.zarr', which holds a Zarr group"):
        write_dataset(write_request((str(folder / "6.nc"),), f"{store}/inner.zarr", **access))
    requests: list[list[str]] = []
    delete = BucketObjects.delete

    def noted(self: BucketObjects, keys: Any, *arguments: Any) -> None:
        requests.append(list(keys))
        delete(self, requests[-1], *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BucketObjects, "delete", noted)
        result = remove_store(remove_request(store, **access))
    assert (result.changed, result.objects_removed) == (True, done.objects)
    assert requests[0] == ["removed/s.zarr/zarr.json"]
    assert len(requests) < 8
    assert there(s3, "removed/") == {"removed/s.zarr/notes.txt": b"mine"}
    again = remove_store(remove_request(store, **access))
    assert (again.changed, again.foreign_count) == (False, 1)
