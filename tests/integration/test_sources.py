# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sources in a bucket of another project, and on the web over TLS with logins: written, appended, proved, and no secret shown."""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from integration.test_secrets import found_in
from web_server import Server, Thing, own_certificate, web_server


def year_of(year: int, folder: Path) -> bytes:
    values = np.random.default_rng(year).integers(0, 9, (12, 20, 30)).astype("i2")
    days = np.arange(12, dtype="i4") + 12 * (year - 2023)
    data = xr.Dataset({"air": (("time", "lat", "lon"), values)}, {"time": ("time", days, {"units": "days since 2023-01-01"})})
    data.to_netcdf(folder / "a.nc", engine="netcdf4", format="NETCDF4" if year % 2 else "NETCDF3_64BIT")
    return (folder / "a.nc").read_bytes()


@pytest.fixture(scope="module")
def keys(cloud: Any) -> dict[str, tuple[str, str]]:
    """Pairs of two projects: one has the source, the other takes the store."""
    return {"zarr": cloud.new_ec2_key(), "archive": cloud.new_ec2_key("embedded-other")}


@pytest.fixture
def profiles(cloud: Any, keys: dict[str, tuple[str, str]], tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.touch(0o600)
    settings = f"region = {cloud.region}\nendpoint_url = {cloud.s3_endpoint}\nca_bundle = {cloud.ca_bundle}\n"
    lines = [
        f"[profile {name}]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n{settings}"
        for name, (access, secret) in keys.items()
    ]
    path.write_text("\n".join(lines))
    return path


def test_a_pattern_in_another_projects_bucket_is_written_grows_and_is_proved(
    modules: Any, cloud: Any, keys: dict[str, tuple[str, str]], profiles: Path, tmp_path: Path
) -> None:
    name = f"sources-{uuid.uuid4().hex[:12]}"
    archive, own = cloud.s3(*keys["archive"]), cloud.s3(*keys["zarr"])
    archive.create_bucket(Bucket=f"{name}-archive")
    own.create_bucket(Bucket=name)
    for year in (2023, 2024):
        archive.put_object(Bucket=f"{name}-archive", Key=f"air/{year}/air.nc", Body=year_of(year, tmp_path))
    archive.put_object(Bucket=f"{name}-archive", Key="air/README", Body=b"no such file")
    reading = {"source": f"s3://{name}-archive/air/**/*.nc", "profile": "zarr", "config_file": str(profiles)}
    options = {**reading, "store": f"s3://{name}/air.zarr", "mode": "append", "append_dim": "time"}

    refused = modules("zarr_write", options).result["msg"]
    assert f"s3://{name}-archive/air/**/*.nc" in refused
    assert "source_profile" in refused
    options["source_profile"] = reading["source_profile"] = "archive"
    first = modules("zarr_write", options).result
    assert (first["action"], first["plan"]["arrays"][0]["shape"]) == ("create", [24, 20, 30])
    assert first["fetched"]["bytes"] > 0
    assert first["waited"]["store"] > 0
    again = modules("zarr_write", options).result
    assert (again["changed"], again["bytes_read"], again["fetched"]["requests"]) == (False, 0, 3), "a listing, and a request a file"
    archive.put_object(Bucket=f"{name}-archive", Key="air/2025/air.nc", Body=year_of(2025, tmp_path))
    foreseen, grown = (modules("zarr_write", options, check=check).result for check in (True, False))
    assert (foreseen["action"], grown["action"], grown["plan"]["arrays"][0]["shape"]) == ("append", "append", [36, 20, 30])
    proof = {**reading, "store": f"s3://{name}/air.zarr", "sample": "all"}
    checked = modules("zarr_check", proof).result
    assert checked["ok"], checked["summary"]
    assert checked["fetched"]["requests"] >= 4
    assert next(check for check in checked["checks"] if check["id"] == "values")["status"] == "passed"

    inside = modules("zarr_write", {**options, "store": f"s3://{name}-archive/air", "profile": "archive", "source_profile": "archive"})
    assert "lie in one another" in inside.result["msg"]
    store = {"source": f"s3://{name}/air.zarr", "store": str(tmp_path / "copy.zarr"), "config_file": str(profiles)}
    copied = modules("zarr_write", {**store, "profile": "archive", "source_profile": "zarr"}).result
    assert copied["changed"], "a store is a source with a profile of its own, too"
    secret_parts = {secret for _access, secret in keys.values()}
    assert found_in(json.dumps([refused, first, again, grown, checked, copied]).encode(), secret_parts) == []


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """A server over TLS with one file, and its CA."""
    certificate, context = own_certificate(tmp_path)
    with web_server(context) as server:
        server.things["/air.nc"] = Thing(year_of(2023, tmp_path))
        yield server, certificate


def test_logins_and_signatures_reach_their_server_and_nobody_else(
    site: tuple[Server, Path], run_playbook: Any, home: Path, tmp_path: Path
) -> None:
    server, certificate = site
    token, password, signature, wrong = (secrets.token_hex(16) for _ in range(4))
    for path, text in (
        (home / ".netrc", f"machine localhost login somebody password {password}\n"),
        (tmp_path / "token", f"{token}\n"),
        (tmp_path / "urls.txt", f"{server.url}/air.nc?X-Amz-Signature={signature}\n"),
    ):
        path.touch(0o600)
        path.write_text(text)
    by_name = server.url.replace("127.0.0.1", "localhost")
    stores = [
        {"store": str(tmp_path / "token.zarr"), "source": f"{server.url}/air.nc", "source_token_file": str(tmp_path / "token")},
        {"store": str(tmp_path / "netrc.zarr"), "source": [f"{by_name}/air.nc"]},
        {"store": str(tmp_path / "signed.zarr"), "source": f"{server.url}/air.nc?X-Amz-Signature={signature}"},
        {"store": str(tmp_path / "listed.zarr"), "source": str(tmp_path / "urls.txt")},
    ]
    refused = [
        {"store": str(tmp_path / "none.zarr"), "source": f"{server.url}/none.nc?X-Amz-Signature={signature}"},
        {"store": str(tmp_path / "none.zarr"), "source": f"https://somebody:{wrong}@localhost/air.nc"},
    ]
    how = {"source_ca_bundle": str(certificate)}
    tasks = [
        {"name": "good", "zarr_write": {"stores": stores, **how}, "register": "written"},
        {"name": "prove", "zarr_check": {"stores": stores, **how}, "when": "not ansible_check_mode"},
        {"name": "bad", "zarr_write": {"stores": refused, **how}, "register": "bad", "failed_when": "not bad.failed"},
    ]
    play = yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}])
    shown = [run_playbook(play, "-vvv", "--diff", *more).output.encode() for more in (["--check"], [])]
    sent = {headers.get("authorization", path) for path, headers in server.seen}
    login = base64.b64encode(f"somebody:{password}".encode()).decode()
    assert {f"Bearer {token}", f"Basic {login}", f"/air.nc?X-Amz-Signature={signature}"} <= sent
    assert all((tmp_path / f"{name}.zarr" / "zarr.json").exists() for name in ("token", "netrc", "signed", "listed"))
    assert b"air.nc" in shown[1]
    assert b".netrc" in shown[1], "what to do with a password"
    manifests = b"".join(path.read_bytes() for path in tmp_path.glob("*.zarr.zarrstream/*.json"))
    assert found_in(b"\0".join([*shown, manifests]), {token, password, login, signature, wrong}) == []
