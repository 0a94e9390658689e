"""``pip install`` of the checkout, as README says: the command is there, and does the modules' work against real Swift."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from running import THOROUGH

CHECKOUT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``zarrstream`` out of an environment that pip filled, in an empty folder: the checkout is not on any path.

    The libraries, which are to be compiled first, it has of its own in `make test-all` alone, else those of the tests.
    """
    folder = tmp_path_factory.mktemp("pip")
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True, timeout=120)
    libraries = [] if THOROUGH else ["--no-deps"]
    subprocess.run([UV, "pip", "install", "--quiet", "--python", folder / "venv/bin/python", *libraries, CHECKOUT], check=True, timeout=600)
    if not THOROUGH:
        (next(folder.glob("venv/lib/python3.*/site-packages")) / "libraries.pth").write_text(sysconfig.get_paths()["purelib"])

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        argv = [str(folder / "venv/bin/zarrstream"), *map(str, arguments)]
        return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=300)

    return run


def test_write_check_and_probe_on_swift(command: Any, cloud: Any, tmp_path: Path) -> None:
    access, secret = cloud.new_ec2_key()
    client = cloud.s3(access, secret)
    client.create_bucket(Bucket="command")
    config = tmp_path / "config"
    config.touch(0o600)
    config.write_text(
        f"[profile zarr]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\nregion = {cloud.region}\n"
        f"endpoint_url = {cloud.s3_endpoint}\nca_bundle = {cloud.ca_bundle}\n"
    )
    values = np.arange(240, dtype="f4").reshape(24, 10)
    xr.Dataset({"air": (("time", "x"), values)}).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    where = ("--profile", "zarr", "--config-file", config, "--json")
    try:
        probed = command("probe", "command", *where)
        assert probed.returncode == 0, probed.stderr
        assert {check["name"] for check in json.loads(probed.stdout)["checks"]} >= {"list_boto3", "list_s3fs", "put", "get", "delete"}

        write = ("write", tmp_path / "a.nc", "s3://command/a.zarr", "--chunks", "time=6", *where)
        written, again = command(*write), command(*write)
        assert (written.returncode, json.loads(written.stdout)["changed"]) == (0, True), written.stderr
        assert (again.returncode, json.loads(again.stdout)["changed"]) == (0, False)

        check = ("check", "s3://command/a.zarr", "--source", tmp_path / "a.nc", *where)
        assert command(*check).returncode == 0
        client.delete_object(Bucket="command", Key="a.zarr/air/c/2/0")
        damaged = command(*check)
        assert damaged.returncode == 1
        assert "air/c/2/0: missing" in json.loads(damaged.stdout)["msg"]
        assert json.loads(damaged.stdout)["msg"] in damaged.stderr

        refused = command("check", "s3://command/a.zarr", "--profile", "nobody", "--config-file", config)
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
        assert "nobody" in refused.stderr
        assert secret not in probed.stdout + written.stdout + damaged.stdout + refused.stderr
    finally:
        for entry in client.list_objects_v2(Bucket="command").get("Contents", []):
            client.delete_object(Bucket="command", Key=entry["Key"])
        client.delete_bucket(Bucket="command")


def test_the_package_brings_no_ansible(command: Any) -> None:
    version = command("--version")
    assert version.stdout.startswith("zarrstream ")
    python = Path(version.args[0]).with_name("python")
    found = subprocess.run(
        [python, "-c", "import zarrstream.cli, sys; print('ansible' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert found.stdout == "False\n"
