"""Writing to a real Swift over TLS: what arrives, what a reader sees meanwhile, and what each failure leaves."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import xarray as xr
from asking import check_request, check_store, remove_request, write_request
from integration import forking
from kept import ARCHIVES, FIRST, asked_for, unpack
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import AccessRefused, BadRequest, Conflict, NotFound, ProfileError, Unreachable, ZarrstreamError
from zarrstream.sidecar.manifest import MANIFEST, WRITING, parse_manifest
from zarrstream.storage.access import Access
from zarrstream.storage.location import parse_store
from zarrstream.storage.objects import BucketObjects
from zarrstream.storage.open import open_objects
from zarrstream.write.remove import remove_store
from zarrstream.write.request import WriteRequest
from zarrstream.write.verify import same_bits

# The way to the end is the same, and that a kill at any point is made up for the unit tests have of both.
MOSTLY_3 = pytest.mark.parametrize("zarr_format", [pytest.param(2, marks=pytest.mark.thorough), 3])
MOSTLY_2 = pytest.mark.parametrize("zarr_format", [2, pytest.param(3, marks=pytest.mark.thorough)])
Format = Literal[2, 3]
pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")


@dataclasses.dataclass(frozen=True)
class Bucket:
    """A bucket of the test's own, and the profile that reaches it."""

    name: str
    config_file: Path
    endpoint: str
    s3: Any

    def request(self, source: Path | str, key: str = "air.zarr", **options: Any) -> WriteRequest:
        return write_request(
            **{
                "source": (str(source),),
                "store": f"s3://{self.name}/{key}",
                "profile": "zarr",
                "config_file": str(self.config_file),
                "chunks": {"time": 10},
                **options,
            }
        )

    def objects(self, key: str = "air.zarr") -> BucketObjects:
        return open_objects(parse_store(f"s3://{self.name}/{key}"), Access("zarr", config_file=str(self.config_file)))

    def keys(self) -> dict[str, bytes]:
        listed = self.s3.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {entry["Key"]: self.s3.get_object(Bucket=self.name, Key=entry["Key"])["Body"].read() for entry in listed}

    def open(self, key: str = "air.zarr") -> xr.Dataset:
        """As a plain reader does, with obstore and xarray."""
        with xr.open_zarr(self.objects(key).zarr_store()) as opened:
            return opened.load()


def write_profile(path: Path, cloud: Any, access: str, secret: str, endpoint: str | None = None) -> Path:
    path.write_text(
        f"[profile zarr]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\nregion = {cloud.region}\n"
        f"endpoint_url = {endpoint or cloud.s3_endpoint}\n" + (f"ca_bundle = {cloud.ca_bundle}\n" if cloud.ca_bundle else "")
    )
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def keys(cloud: Any) -> tuple[str, str]:
    return cloud.new_ec2_key()


@pytest.fixture
def bucket(cloud: Any, keys: tuple[str, str], tmp_path: Path) -> Bucket:
    s3, name = cloud.s3(*keys), f"write-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return Bucket(name, write_profile(tmp_path / "config", cloud, *keys), cloud.s3_endpoint, s3)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    random = np.random.default_rng(3)
    dataset = xr.Dataset(
        {
            "air": (("time", "lat", "lon"), random.integers(-3000, 3000, (100, 5, 8)).astype("i2")),
            "wind": (("time", "lat"), np.resize(np.array([0x7FC00001, 0x80000000], np.uint32).view("f4"), (100, 5))),
            "name": ("lat", np.array(["Åre", "", "Oslo", "x", "日本"], object)),
            "a b+%é": ((), np.int32(7)),
        },
        {"time": np.arange(100), "lat": np.linspace(-60, 60, 5, dtype="f4"), "lon": np.arange(8.0)},
    )
    dataset.air.attrs = {"scale_factor": 0.01, "_FillValue": np.int16(-1)}
    dataset.time.attrs = {"units": "hours since 2000-01-01"}
    dataset.to_netcdf(tmp_path / "air.nc", engine="netcdf4", encoding={"wind": {"_FillValue": None}})
    return tmp_path / "air.nc"


def decoded(source: Path) -> xr.Dataset:
    with xr.open_dataset(source, engine="netcdf4") as dataset:
        return dataset.load()


@pytest.mark.parametrize(
    ("zarr_format", "verify"),
    [
        *((3, "none"), (2, "manifest"), (3, "sample"), (2, "full")),
        *(pytest.param(*pair, marks=pytest.mark.thorough) for pair in ((2, "none"), (3, "manifest"), (2, "sample"), (3, "full"))),
    ],
)
def test_a_bucket_holds_what_the_source_holds(bucket: Bucket, source: Path, zarr_format: Format, verify: str) -> None:
    wanted = bucket.request(source, zarr_format=zarr_format, chunks={"time": 25}, verify=verify)
    told = preview(wanted)
    assert bucket.keys() == {}
    done = write_dataset(wanted)
    xr.testing.assert_identical(bucket.open(), decoded(source))
    stored = bucket.keys()
    manifest = parse_manifest(stored.pop(f"air.zarr.zarrstream/{MANIFEST}"), "")
    assert {key.removeprefix("air.zarr/") for key in stored} == manifest.objects.keys()
    etags = {info.key.removeprefix("air.zarr/"): info.etag for info in bucket.objects().list("air.zarr")}
    assert etags == {key: record.md5 for key, record in manifest.objects.items()}
    assert (told.plan, told.objects, told.fingerprint) == (done.plan, len(stored), done.fingerprint)
    assert done.bytes_stored == sum(map(len, stored.values()))
    before = {key: entry["LastModified"] for key, entry in entries(bucket).items()}
    again = write_dataset(wanted)
    assert (again.changed, again.objects, again.bytes_stored) == (False, done.objects, done.bytes_stored)
    assert {key: entry["LastModified"] for key, entry in entries(bucket).items()} == before


def entries(bucket: Bucket) -> dict[str, Any]:
    return {entry["Key"]: entry for entry in bucket.s3.list_objects_v2(Bucket=bucket.name).get("Contents", [])}


def test_values_arrive_to_the_last_bit(bucket: Bucket, source: Path) -> None:
    write_dataset(bucket.request(source))
    options: dict[str, Any] = {"mask_and_scale": False, "decode_times": False}
    with (
        xr.open_dataset(source, engine="netcdf4", **options) as expected,
        xr.open_zarr(bucket.objects().zarr_store(), **options) as found,
    ):
        assert all(same_bits(found[name].values, expected[name].values) for name in expected.variables)


def test_a_store_in_a_bucket_is_a_source(bucket: Bucket, source: Path, tmp_path: Path) -> None:
    write_dataset(bucket.request(source))
    write_dataset(bucket.request(f"s3://{bucket.name}/air.zarr", "again.zarr", zarr_format=2, chunks={"time": 25}, verify="full"))
    xr.testing.assert_identical(bucket.open("again.zarr"), decoded(source))
    local = tmp_path / "local.zarr"
    wanted = bucket.request(f"s3://{bucket.name}/again.zarr", store=str(local))
    write_dataset(wanted)
    with xr.open_zarr(local) as found:
        xr.testing.assert_identical(found.load(), decoded(source))
    assert not write_dataset(wanted).changed
    with pytest.raises(BadRequest, match="lie in one another"):
        write_dataset(bucket.request(f"s3://{bucket.name}/air.zarr", "air.zarr/inner.zarr"))


def test_create_refuses_what_is_there(bucket: Bucket, source: Path) -> None:
    write_dataset(bucket.request(source))
    bucket.s3.put_object(Bucket=bucket.name, Key="notes.zarr/readme.txt", Body=b"mine")
    before = bucket.keys()
    with pytest.raises(Conflict, match="was written with other chunks"):
        write_dataset(bucket.request(source, chunks={"time": 50}))
    with pytest.raises(Conflict, match=r"such as notes\.zarr/readme\.txt"):
        write_dataset(bucket.request(source, "notes.zarr"))
    assert bucket.keys() == before


def test_neighbours_with_a_longer_name_are_no_part_of_a_store(bucket: Bucket, source: Path) -> None:
    bucket.s3.put_object(Bucket=bucket.name, Key="air.zarr2/zarr.json", Body=b"{}")
    assert write_dataset(bucket.request(source)).action == "create"


def refused(wanted: WriteRequest, kind: type[ZarrstreamError], *words: str, secret: str = "\0") -> float:
    """The preview and the write end with this error, in one line and without the secret; returns the longer time in seconds."""
    longest = 0.0
    for run in (preview, write_dataset):
        began = time.monotonic()
        with pytest.raises(kind) as error:
            run(wanted)
        longest = max(longest, time.monotonic() - began)
        text = str(error.value)
        assert "\n" not in text
        assert secret not in text
        assert all(word in text for word in words), text
    return longest


def test_a_wrong_secret(cloud: Any, bucket: Bucket, keys: tuple[str, str], source: Path, tmp_path: Path) -> None:
    write_profile(bucket.config_file, cloud, keys[0], "not-the-secret")
    refused(bucket.request(source), AccessRefused, "SignatureDoesNotMatch", "profile 'zarr'", keys[0][-4:], secret="not-the-secret")


def test_a_missing_bucket(bucket: Bucket, source: Path) -> None:
    refused(
        bucket.request(source, store="s3://no-such-bucket/air.zarr"), NotFound, "bucket 'no-such-bucket'", bucket.endpoint, "role bucket"
    )


def test_the_bucket_of_another_project(cloud: Any, bucket: Bucket, source: Path) -> None:
    theirs = f"theirs-{uuid.uuid4().hex[:12]}"
    cloud.s3(*cloud.new_ec2_key("embedded-other")).create_bucket(Bucket=theirs)
    refused(bucket.request(source, store=f"s3://{theirs}/air.zarr"), ZarrstreamError, theirs)


def test_a_missing_profile(bucket: Bucket, source: Path) -> None:
    refused(bucket.request(source, profile="nobody"), ProfileError, "'nobody'", "it has: zarr")


def test_the_swift_api_as_endpoint(bucket: Bucket, source: Path) -> None:
    refused(bucket.request(source, endpoint_url=f"{bucket.endpoint}/swift/v1"), BadRequest, f"Use '{bucket.endpoint}'")


@pytest.mark.parametrize(
    ("address", "cause"), [("https://127.0.0.1:{port}", "connection refused"), ("https://no-such-host.invalid", "no address is known")]
)
def test_a_dead_endpoint_is_named_within_half_a_minute(
    bucket: Bucket, source: Path, free_ports: Callable[[int], list[int]], address: str, cause: str
) -> None:
    endpoint = address.format(port=free_ports(1)[0])
    assert refused(bucket.request(source, endpoint_url=endpoint), Unreachable, endpoint, cause) < 30


def test_a_certificate_that_nobody_vouches_for(cloud: Any, bucket: Bucket, keys: tuple[str, str], source: Path) -> None:
    write_profile(bucket.config_file, dataclasses.replace(cloud, tls=False), *keys, endpoint=cloud.s3_endpoint)
    refused(bucket.request(source), Unreachable, "certificate", "ca_bundle")


def test_bad_requests_send_nothing(bucket: Bucket, source: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.nc").write_bytes(source.read_bytes()[:3000])
    refused(bucket.request(source, chunks={"tme": 5}), BadRequest, "'tme'")
    with pytest.raises(BadRequest, match="zstandard"):
        bucket.request(source, encoding={"air": {"compressor": "zstandard"}})
    refused(bucket.request(tmp_path / "broken.nc"), ZarrstreamError, "broken.nc")
    assert bucket.keys() == {}


@contextlib.contextmanager
def watched(look: Callable[[], None]) -> Iterator[None]:
    """Let a reader look before a write, and after each request with which that changes something."""
    one_at_a_time = threading.Lock()  # so that what is seen is in the order in which it was

    def look_now() -> None:
        with one_at_a_time:
            look()

    def after(plain: Any) -> Any:
        def changing(*arguments: Any, **options: Any) -> None:
            plain(*arguments, **options)
            look_now()

        return changing

    put_async = BucketObjects.put_async

    async def putting(self: BucketObjects, key: str, data: Any) -> None:
        await put_async(self, key, data)
        # Not with asyncio.to_thread: zarr decodes in the threads of that, which readers that wait for their turn would all take.
        await asyncio.get_running_loop().run_in_executor(readers, look_now)

    with ThreadPoolExecutor(1) as readers, pytest.MonkeyPatch.context() as patch:
        for name in ("put", "copy", "delete"):
            patch.setattr(BucketObjects, name, after(getattr(BucketObjects, name)))
        patch.setattr(BucketObjects, "put_async", putting)
        look_now()
        yield


@MOSTLY_3
def test_a_killed_writer_leaves_no_store_and_the_next_run_makes_it(bucket: Bucket, source: Path, zarr_format: Format) -> None:
    wanted = bucket.request(source, zarr_format=zarr_format, chunks={"time": 5})
    forking.killed_writer(wanted, air=11)
    left = entries(bucket)
    assert f"air.zarr.zarrstream/{WRITING}" in left
    assert not any(key.endswith(("zarr.json", ".zgroup", ".zarray", ".zmetadata")) for key in left)
    with pytest.raises(FileNotFoundError):
        bucket.open()
    assert preview(wanted).action == "continue"
    # The next run is of another shape: what the first left must not show through.
    result = write_dataset(dataclasses.replace(wanted, chunks={"time": 30}))
    assert result.action == "continue"
    xr.testing.assert_identical(bucket.open(), decoded(source))
    stored = bucket.keys()
    assert len([key for key in stored if key.startswith("air.zarr/")]) == result.objects
    assert f"air.zarr.zarrstream/{WRITING}" not in stored


@pytest.mark.parametrize(
    ("zarr_format", "signed"),
    [(2, False), (3, True), *(pytest.param(*pair, marks=pytest.mark.thorough) for pair in ((2, True), (3, False)))],
)
def test_a_reader_sees_nothing_until_everything_is_there(
    cloud: Any, bucket: Bucket, source: Path, zarr_format: Format, signed: bool
) -> None:
    with cloud.connect() as connection:
        connection.object_store.set_container_metadata(bucket.name, read_ACL=".r:*,.rlistings")
    wanted = bucket.request(source, zarr_format=zarr_format, chunks={"time": 25})
    expected, seen = decoded(source), []
    place = parse_store(wanted.store)
    access = Access(profile="zarr", config_file=str(bucket.config_file))
    if not signed:
        access = Access(endpoint_url=cloud.s3_endpoint, ca_bundle=cloud.ca_bundle)
    objects = open_objects(place, access, anonymous=not signed)

    def look() -> None:
        try:
            with xr.open_zarr(objects.zarr_store()) as opened:
                seen.append(opened.load().identical(expected))
        except FileNotFoundError:
            seen.append(None)

    with watched(look):
        write_dataset(wanted)
    assert seen.count(None) > 10
    assert seen.count(True) > 0
    assert seen == [None] * seen.count(None) + [True] * seen.count(True)


@MOSTLY_3
def test_the_next_run_sends_only_what_is_missing(bucket: Bucket, source: Path, zarr_format: Format) -> None:
    wanted = bucket.request(source, zarr_format=zarr_format, chunks={"time": 5}, verify="full")
    forking.killed_writer(wanted, air=5, journal=2)
    left = {key: entry["LastModified"] for key, entry in entries(bucket).items() if key.startswith("air.zarr/")}
    told = preview(wanted)
    result = write_dataset(wanted)
    assert (result.action, result.resumed) == ("continue", True)
    assert 0 < result.objects_kept <= len(left)
    assert (told.objects_kept, told.objects_written) == (result.objects_kept, result.objects_written)
    xr.testing.assert_identical(bucket.open(), decoded(source))
    after = entries(bucket)
    assert sum(after[key]["LastModified"] == modified for key, modified in left.items()) >= result.objects_kept
    assert after.keys() == {*(key for key in after if key.startswith("air.zarr/")), f"air.zarr.zarrstream/{MANIFEST}"}
    assert not write_dataset(wanted).changed


def test_an_object_that_changed_meanwhile_is_sent_again(bucket: Bucket, source: Path) -> None:
    wanted = bucket.request(source, chunks={"time": 5})
    forking.killed_writer(wanted, air=5, journal=2)
    kept = preview(wanted).objects_kept
    noted = [json.loads(data)["objects"] for key, data in bucket.keys().items() if "/journal/" in key]
    victim = next(iter(noted[0]))
    data = bucket.s3.get_object(Bucket=bucket.name, Key=f"air.zarr/{victim}")["Body"].read()
    bucket.s3.put_object(Bucket=bucket.name, Key=f"air.zarr/{victim}", Body=data[:-1] + bytes([data[-1] ^ 1]))
    assert write_dataset(wanted).objects_kept == kept - 1
    xr.testing.assert_identical(bucket.open(), decoded(source))


@pytest.fixture
def other(source: Path, tmp_path: Path) -> Path:
    """The source with other values."""
    with xr.open_dataset(source, engine="netcdf4", mask_and_scale=False, decode_times=False) as dataset:
        changed = dataset.load().assign(air=dataset.air + 1)
    changed.to_netcdf(tmp_path / "other.nc", engine="netcdf4", encoding={"wind": {"_FillValue": None}})
    return tmp_path / "other.nc"


@MOSTLY_2
def test_a_replacement_shows_old_or_nothing_or_new(bucket: Bucket, source: Path, other: Path, zarr_format: Format) -> None:
    write_dataset(bucket.request(source, zarr_format=zarr_format, chunks={"time": 100}))
    old, new, seen = decoded(source), decoded(other), []

    def look() -> None:
        try:
            found = bucket.open()
        except FileNotFoundError:
            seen.append("nothing")
        else:
            seen.append("old" if found.identical(old) else "new" if found.identical(new) else "mixture")

    wanted = bucket.request(other, zarr_format=zarr_format, chunks={"time": 100}, mode="replace", verify="full")
    with watched(look):
        write_dataset(wanted)
    assert [state for state, before in zip(seen, [None, *seen], strict=False) if state != before] in (
        ["old", "nothing", "new"],
        ["old", "new"],
    )
    assert not write_dataset(wanted).changed
    report = check_store(
        check_request(store=wanted.store, profile="zarr", config_file=str(bucket.config_file), source=(str(other),), sample=None)
    )
    assert {check.status for check in report.checks} <= {"passed", "skipped"}, report.summary["line"]


@MOSTLY_3
def test_a_replacement_that_was_killed_is_finished(bucket: Bucket, source: Path, other: Path, zarr_format: Format) -> None:
    write_dataset(bucket.request(source, zarr_format=zarr_format, chunks={"time": 5}))
    wanted = bucket.request(other, zarr_format=zarr_format, chunks={"time": 5}, mode="replace")
    forking.killed_writer(wanted, air=8, journal=2)
    xr.testing.assert_identical(bucket.open(), decoded(source))
    result = write_dataset(wanted)
    assert (result.action, result.resumed, result.objects_kept > 0) == ("replace", True, True)
    xr.testing.assert_identical(bucket.open(), decoded(other))
    stored = entries(bucket)
    assert len(stored) == result.objects + 1
    assert f"air.zarr.zarrstream/{MANIFEST}" in stored


@MOSTLY_3
def test_an_append_that_was_killed_shows_the_old_store_and_is_finished(
    bucket: Bucket, source: Path, tmp_path: Path, zarr_format: Format
) -> None:
    with xr.open_dataset(source, engine="netcdf4", mask_and_scale=False, decode_times=False) as dataset:
        for name, rows in (("one", slice(0, 51)), ("two", slice(51, 100))):
            piece = dataset.isel(time=rows).load()
            piece.to_netcdf(tmp_path / f"{name}.nc", engine="netcdf4", encoding={"wind": {"_FillValue": None}})
    write_dataset(bucket.request(tmp_path / "one.nc", zarr_format=zarr_format, chunks={"time": 15}))
    wanted = bucket.request(
        tmp_path / "two.nc", zarr_format=zarr_format, chunks={"time": 15}, mode="append", append_dim="time", verify="full"
    )
    seen, old, new = [], decoded(tmp_path / "one.nc"), decoded(source)

    def look() -> None:
        found = bucket.open()
        seen.append("old" if found.identical(old) else "new" if found.identical(new) else "mixture")

    forking.killed_writer(wanted, air=2, journal=1)
    with watched(look):
        write_dataset(wanted)
    assert seen == ["old"] * seen.count("old") + ["new"] * seen.count("new")
    assert "old" in seen
    again = write_dataset(wanted)
    assert (again.changed, again.objects_written) == (False, 0)
    report = check_store(
        check_request(store=wanted.store, profile="zarr", config_file=str(bucket.config_file), source=(str(source),), sample=None)
    )
    assert {check.status for check in report.checks} <= {"passed", "skipped"}, report.summary["line"]
    assert {key for key in entries(bucket) if "zarrstream" in key} == {f"air.zarr.zarrstream/{MANIFEST}"}


class Relay:
    """A way to the server that can be cut, as a network can."""

    def __init__(self, port: int) -> None:
        self.server_port, self.open_sockets = port, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server_port))
                self.open_sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Refuse new connections and break those that are there."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for end in self.open_sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def test_a_network_that_goes_away_leaves_no_store(cloud: Any, bucket: Bucket, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relay = Relay(int(cloud.s3_endpoint.rpartition(":")[2]))
    endpoint = f"https://127.0.0.1:{relay.port}"
    put_async, sent = BucketObjects.put_async, []

    async def counted(self: BucketObjects, key: str, data: bytes) -> None:
        sent.append(key)
        if len(sent) == 20:
            relay.cut()
        await put_async(self, key, data)

    wanted = bucket.request(source, chunks={"time": 2})
    monkeypatch.setattr(BucketObjects, "put_async", counted)
    began = time.monotonic()
    with pytest.raises(Unreachable, match="Nothing was published") as error:
        write_dataset(dataclasses.replace(wanted, access=dataclasses.replace(wanted.access, endpoint_url=endpoint, timeout=5)))
    assert time.monotonic() - began < 60
    assert endpoint in str(error.value)
    with pytest.raises(FileNotFoundError):
        bucket.open()
    result = write_dataset(wanted)
    assert (result.action, result.resumed) == ("continue", True)
    xr.testing.assert_identical(bucket.open(), decoded(source))


def test_the_life_of_a_store_in_a_playbook(run_playbook: Any, bucket: Bucket, source: Path, keys: tuple[str, str]) -> None:
    def task(time: int = 25, dimension: str = "time", **how: Any) -> dict[str, Any]:
        request = bucket.request(source)
        where = {"source": str(source), "store": request.store, "profile": "zarr", "config_file": request.access.config_file}
        return {"zarr_write": {**where, "chunks": {dimension: time}}, **how}

    check = {"check_mode": True}
    life = {
        "bad": task(dimension="tme"),
        "told": task(**check),
        "done": task(),
        "again": task(),
        "checked": task(**check),
        "other": task(50),
    }
    play, results = run_playbook.tasks(life, "--diff", "-vvv")
    assert keys[1] not in play.output
    assert "Traceback" not in play.output
    assert "chunks names the dimension 'tme'" in results["bad"]["msg"]
    assert "+air: int16 [100, 5, 8] in chunks [25, 5, 8], 4 objects" in play.output
    good = [results[name] for name in ("told", "done", "again", "checked")]
    assert [result["changed"] for result in good] == [True, True, False, False]
    assert (results["done"]["action"], results["done"]["resumed"]) == ("create", False), "the prediction has left nothing"
    assert {tuple(sorted(result)) for result in good} == {tuple(sorted(results["done"]))}
    assert all(result["plan"] == results["done"]["plan"] for result in good)
    xr.testing.assert_identical(bucket.open(), decoded(source))
    assert "was written with other chunks" in results["other"]["msg"]


@pytest.mark.parametrize(
    ("archive", "name"),
    [
        pytest.param(archive, f"{name}.zarr", id=f"{archive.name[:7]}-{name}", marks=[] if usual else pytest.mark.thorough)
        for archive, names in ((FIRST, ("three", "two", "encoded")), (ARCHIVES[-1], ("three", "two", "encoded", "shards")))
        for name in names
        for usual in [(archive, name) == (FIRST, "three")]
    ],
)
def test_a_kept_store_of_an_earlier_version_lives_on_in_a_bucket(bucket: Bucket, archive: Path, name: str, tmp_path: Path) -> None:
    """What it left in a folder, brought into a bucket; the unit tests have each version and each store in folders."""
    store = unpack(archive, name, tmp_path)
    for path in (*store.rglob("*"), *Path(f"{store}.zarrstream").rglob("*")):
        if path.is_file():
            bucket.s3.put_object(Bucket=bucket.name, Key=str(path.relative_to(tmp_path)), Body=path.read_bytes())
    first, second = tmp_path / "1.nc", tmp_path / "2.nc"
    there = {"profile": "zarr", "config_file": str(bucket.config_file)}

    def write(*sources: Path, **options: Any) -> str:
        asked = write_request([str(path) for path in sources], f"s3://{bucket.name}/{name}", **there, **asked_for(name), **options)
        return str(write_dataset(asked).action)

    def same(*sources: Path) -> None:
        report = check_store(check_request(f"s3://{bucket.name}/{name}", None, tuple(map(str, sources)), **there))
        assert report.ok, report.summary
        wanted = xr.concat([xr.load_dataset(path) for path in sources], "time", data_vars="minimal", coords="minimal", compat="equals")
        xr.testing.assert_equal(bucket.open(name), wanted)

    assert write(first) == "nothing"
    same(first)
    if name != "shards.zarr":  # of which a longer one has others
        assert write(first, second, mode="append", append_dim="time") == "append"
        same(first, second)
    assert write(second, mode="replace") == "replace"
    same(second)
    assert remove_store(remove_request(f"s3://{bucket.name}/{name}", **there)).changed
    assert bucket.keys() == {}
