"""``pip install`` of the checkout, as the documentation says: command and Python do the modules' work against real Swift."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def own_bucket(cloud: Any, name: str, config: Path) -> Iterator[Any]:
    """A bucket, which goes in the end with all that is in it, and a profile "zarr" that may use it; gives a client."""
    access, secret = cloud.new_ec2_key()
    client = cloud.s3(access, secret)
    client.create_bucket(Bucket=name)
    config.touch(0o600)
    config.write_text(
        f"[profile zarr]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\nregion = {cloud.region}\n"
        f"endpoint_url = {cloud.s3_endpoint}\nca_bundle = {cloud.ca_bundle}\n"
    )
    try:
        yield client
    finally:
        for entry in client.list_objects_v2(Bucket=name).get("Contents", []):
            client.delete_object(Bucket=name, Key=entry["Key"])
        client.delete_bucket(Bucket=name)


def test_write_check_and_probe_on_swift(command: Any, cloud: Any, tmp_path: Path) -> None:
    config = tmp_path / "config"
    values = np.arange(240, dtype="f4").reshape(24, 10)
    xr.Dataset({"air": (("time", "x"), values)}).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    where = ("--profile", "zarr", "--config-file", config, "--json")
    with own_bucket(cloud, "command", config) as client:
        secret = config.read_text().partition("secret_access_key = ")[2].partition("\n")[0]
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


def test_the_examples_of_the_page_run(command: Any, cloud: Any, tmp_path: Path) -> None:
    page = (CHECKOUT / "docs/python-api.md").read_text()
    examples = tmp_path / "examples.py"
    examples.write_text("\n".join(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)))
    python = Path(command("--version").args[0]).with_name("python")
    with own_bucket(cloud, "my-bucket", tmp_path / "config"):
        environment = {**os.environ, "AWS_CONFIG_FILE": str(tmp_path / "config")}
        done = subprocess.run([python, examples], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "air float32 [48, 20, 40] in chunks of [12, 20, 40]" in done.stdout
    assert re.search(r"^passed values .* equal the source bit for bit$", done.stdout, re.MULTILINE)
    assert "none.nc' does not exist on this host." in done.stdout
    assert re.search(r"^done (\d+) of \1$", done.stdout, re.MULTILINE), "progress"


def test_the_package_brings_no_ansible(command: Any) -> None:
    version = command("--version")
    assert version.stdout.startswith("zarrstream ")
    python = Path(version.args[0]).with_name("python")
    found = subprocess.run(
        [python, "-c", "import zarrstream.commands.cli, sys; print('ansible' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert found.stdout == "False\n"
