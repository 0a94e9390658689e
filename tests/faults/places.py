"""A store to be in a bucket: its requests go through the proxy, what its readers see comes straight from Swift."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from asking import check_request, check_store, write_request
from running import THOROUGH
from zarrstream.commands.write import write_dataset
from zarrstream.errors import ZarrstreamError
from zarrstream.sidecar.manifest import MANIFEST
from zarrstream.write.request import WriteRequest
from zarrstream.write.result import WriteResult

CORE = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"


@dataclass(frozen=True)
class Place:
    """Where a test writes. ``config`` has the profile ``zarr``, whose endpoint is the proxy."""

    bucket: str
    key: str
    config: Path
    swift: str
    keys: tuple[str, str]
    s3: Any

    @property
    def store(self) -> str:
        """The store's URL."""
        return f"s3://{self.bucket}/{self.key}"

    def request(self, source: Path, **options: Any) -> WriteRequest:
        """To write this source here, in chunks of two steps."""
        known = {"chunks": {"time": 2}, "timeout": 30, "store": self.store, "profile": "zarr", "config_file": str(self.config)}
        return write_request(**{**known, "source": (str(source),), **options})

    def check(self, **options: Any) -> Any:
        """The report of zarr_check, through the proxy."""
        known = {"store": self.store, "profile": "zarr", "config_file": str(self.config), "timeout": 30}
        return check_store(check_request(**{**known, **options}))

    @property
    def folder(self) -> str:
        """Where the store and what lies beside it are, with a slash at the end."""
        return f"{self.key.partition('/')[0]}/"

    def names(self) -> set[str]:
        """The keys of all that is there, store and what lies beside it, below their folder."""
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=self.folder).get("Contents", [])
        return {entry["Key"].removeprefix(self.folder) for entry in listed}

    def get(self, name: str) -> bytes:
        """Read an object behind the proxy's back, by its key below the folder."""
        return self.s3.get_object(Bucket=self.bucket, Key=f"{self.folder}{name}")["Body"].read()

    def objects(self) -> dict[str, bytes]:
        """All that is there, by key below the folder."""
        return {name: self.get(name) for name in self.names()}

    def put(self, name: str, data: bytes) -> None:
        """Write an object behind the proxy's back, by its key below the folder."""
        self.overwrite(f"{self.folder}{name}", data)

    def filled(self, objects: dict[str, bytes]) -> Place:
        """Another place, with these objects."""
        other = replace(self, key=f"{uuid.uuid4().hex[:12]}/air.zarr")
        for name, data in objects.items():
            other.put(name, data)
        return other

    def overwrite(self, key: str, data: bytes) -> None:
        """Write an object behind the proxy's back, by its key in the bucket."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)

    def seen(self) -> xr.Dataset | None:
        """What plain xarray and zarr read there; None where they find no store."""
        from obstore.store import S3Store
        from zarr.storage import ObjectStore

        store = S3Store(
            self.bucket,
            prefix=self.key,
            endpoint=self.swift,
            region="RegionOne",
            access_key_id=self.keys[0],
            secret_access_key=self.keys[1],
            client_options={"allow_http": True},
        )
        try:
            with xr.open_zarr(ObjectStore(store, read_only=True)) as opened:
                return opened.load()
        except FileNotFoundError:
            return None

    def shows(self, **candidates: Path) -> str:
        """Which of these sources a reader sees to the last value: its name, ``nothing``, or ``a mixture``."""
        found = self.seen()
        if found is None:
            return "nothing"
        return next((name for name, source in candidates.items() if found.identical(decoded(source))), "a mixture")

    def converges(self, wanted: WriteRequest, whole: Path) -> WriteResult:
        """A run without faults succeeds, leaves exactly this source and nothing else, and the one after it changes nothing.

        A plain reader has looked at all values; that the check reads the source once more is for `make test-all`.
        """
        # Where the fault was to be over soon, a busy machine is not to be another one.
        wanted = replace(wanted, access=replace(wanted.access, timeout=60))
        result = write_dataset(wanted)
        assert self.shows(new=whole) == "new"
        assert self.check(**{"source": (str(whole),), "sample": None} if THOROUGH else {}).ok
        names = self.names()
        assert {name for name in names if not name.startswith("air.zarr/")} == {f"air.zarr.zarrstream/{MANIFEST}"}
        assert len(names) == result.objects + 1
        again = write_dataset(wanted)
        assert (again.changed, again.objects_written) == (False, 0)
        return result


@cache
def decoded(source: Path) -> xr.Dataset:
    """The data set in a file."""
    with xr.open_dataset(source, engine="netcdf4") as dataset:
        return dataset.load()


def fails(wanted: WriteRequest, *words: str, kind: type[ZarrstreamError] = ZarrstreamError, within: float = 60) -> str:
    """The write ends in time with one line that has all these words, and no secret; returns it."""
    began = time.monotonic()
    with pytest.raises(kind) as error:
        write_dataset(wanted)
    text = str(error.value)
    assert time.monotonic() - began < within, text
    said_well(text, *words, secret=secret_of(Path(str(wanted.access.config_file))))
    return text


def said_well(text: str, *words: str, secret: str) -> None:
    """One line for people, with these words, without traceback or secret."""
    assert "\n" not in text
    assert "Traceback" not in text
    assert secret not in text
    assert [word for word in words if word not in text] == [], text


def write_profile(path: Path, keys: tuple[str, str], endpoint: str) -> Path:
    """A configuration with the profile ``zarr``."""
    access, secret = keys
    text = f"aws_access_key_id = {access}\naws_secret_access_key = {secret}\nregion = RegionOne\nendpoint_url = {endpoint}\n"
    path.write_text(f"[profile zarr]\n{text}")
    path.chmod(0o600)
    return path


def secret_of(config: Path) -> str:
    """The secret in a configuration."""
    return config.read_text().partition("aws_secret_access_key = ")[2].partition("\n")[0]
