# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What docs/getting-started.md says, done on Ceph RGW: one site from doctor to teardown, two sites of one inventory, an openrc alone.

The commands are those of the page. What is put in their place is what the page itself tells to replace: names, addresses, folders.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest
import requests
import xarray as xr
from pages import GUIDE, blocks, commands
from rgw.journey import Person, begin, lines_of
from running import stand_in_for_the_stack

DOCTOR, FORESEE, SITE = commands(GUIDE, "doctor.yml")
LIST, TEARDOWN = commands(GUIDE, "teardown.yml")
DATASETS = SITE.replace("site.yml", "datasets.yml")  # "and `playbooks/datasets.yml`, take it back"
ITS_DATA = "-e zarr_teardown_data=true"
(OPENRC,) = commands(GUIDE, "openrc.sh")
PROBE = "\n".join(commands(GUIDE, "s3_probe"))
(READER,) = (each.strip() for each in blocks(GUIDE, "python") if "js2.jetstream-cloud.org" in each)


def write(path: Path, start: str, seed: int) -> Path:
    """A file of a source: eight days."""
    values = np.random.default_rng(seed).random((8, 20))
    air = xr.Dataset({"air": (("time", "y"), values)}, coords={"time": pd.date_range(start, periods=8)})
    air.to_netcdf(path, engine="h5netcdf")
    return path


def buckets(site: Any, entry: str = "embedded") -> set[str]:
    with site.connect(entry) as connection:
        return {each.name for each in connection.object_store.containers()}


def pairs(site: Any) -> set[str]:
    with site.connect() as connection:
        entries = connection.identity.get(f"/users/{connection.current_user_id}/credentials/OS-EC2").json()["credentials"]
    return {entry["access"] for entry in entries}


def opens(lines: str, person: Person, **env: str) -> float:
    """Run lines as they were printed, and add up what they open."""
    program = f"{lines.rpartition(chr(10))[0]}\nprint(float({lines.rpartition(chr(10))[2]}.air.sum()))"
    env = {"HOME": str(person.home), "PATH": "/usr/bin:/bin", **env}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{program}\n{done.stderr}"
    return float(done.stdout)


@pytest.mark.thorough
def test_the_guide_to_the_letter(rgw: Any, own_users: Any, tmp_path: Path) -> None:
    """The host is the controller, its user is among aws_profile_users, and the cloud has a CA of its own: all that has once flipped."""
    site, mark = own_users(rgw.site("iu")), uuid4().hex[:12]
    assert not pairs(site)
    data = tmp_path / "data"
    data.mkdir()
    write(data / "1.nc", "2026-01-01", 1)
    person = begin(tmp_path, {"OS_CLIENT_CONFIG_FILE": str(site.clouds_file)})
    public, private = f"guide-pub-{mark}", f"guide-priv-{mark}"
    air = {"name": "air", "source": str(data / "*.nc"), "store": f"s3://{public}/air.zarr", "chunks": {"time": 4}, "public": True}
    quiet = {"name": "quiet", "source": str(data / "1.nc"), "store": f"s3://{private}/quiet.zarr"}
    declared = {"zarr_cloud": "embedded", "zarr_buckets": [{"name": public, "public": True}, {"name": private}]}
    person.declare(**declared, zarr_datasets=[air, quiet])

    assert "ready for site.yml" in person.run(DOCTOR).stdout
    predicted = person.run(FORESEE)
    assert not buckets(site) & {public, private}
    assert predicted.stdout.count("+ read .r:*") == 1
    first = person.run(SITE)
    assert first.changed
    assert (person.profile.stat().st_mode & 0o777, (person.home / ".aws").stat().st_mode & 0o777) == (0o600, 0o700)
    held = person.profile.read_bytes()
    assert person.run(SITE).changed == 0, "a second run changes nothing"
    assert person.profile.read_bytes() == held

    sums = {name: opens(lines_of(first, name), person) for name in ("air", "quiet")}
    total = pytest.approx(float(xr.open_dataset(data / "1.nc").air.sum()))
    assert sums["air"] == sums["quiet"] == total
    reader = READER.replace("https://js2.jetstream-cloud.org:8001", site.s3_endpoint).replace("my-bucket", public)
    assert opens(reader, person, AWS_CA_BUNDLE=str(site.ca_bundle)) == total
    log = tmp_path / "s3.log"
    probe = PROBE.replace("/opt/zarrstream", str(person.stack)).replace("my-project-zarr", public).replace("/tmp/s3.log", str(log))
    assert "SUCCESS" in person.run(probe).stdout
    assert log.stat().st_size
    assert requests.get(f"{site.s3_endpoint}/{private}/quiet.zarr/zarr.json", verify=site.ca_bundle, timeout=30).status_code == 403

    write(data / "2.nc", "2026-01-09", 2)
    person.declare(zarr_datasets=[{**air, "mode": "append", "append_dim": "time"}, quiet])
    grown = person.run(SITE)
    assert grown.changed == 1
    assert opens(lines_of(grown, "air"), person) == pytest.approx(sum(float(xr.open_dataset(each).air.sum()) for each in data.iterdir()))
    write(data / "1.nc", "2026-01-01", 3)
    person.declare(zarr_datasets=[{**air, "mode": "replace"}, {**quiet, "mode": "replace"}])
    assert person.run(SITE).changed == 1
    assert person.run(SITE).changed == 0

    assert f"bucket {public}: it holds" in person.run(LIST).stdout
    assert person.run(TEARDOWN).changed
    assert (buckets(site) & {public, private}, pairs(site), person.stack.exists()) == ({public, private}, set(), False)
    assert person.run(TEARDOWN).changed == 0

    stand_in_for_the_stack(person.stack)
    assert person.run(SITE).changed
    assert person.run(TEARDOWN, ITS_DATA).changed
    assert (buckets(site) & {public, private}, pairs(site), person.stack.exists()) == (set(), set(), False)
    assert [path.name for path in (person.home / ".aws").iterdir() if path.read_bytes()] == []


def test_an_openrc_is_enough(rgw: Any, site: Any, tmp_path: Path) -> None:
    """As the tutorial's user has it: no clouds.yaml, the variables of a sourced file, and nobody to ask for a password."""
    name = f"openrc-{uuid4().hex[:12]}"
    source = write(tmp_path / "1.nc", "2026-01-01", 1)
    person = begin(tmp_path, {})
    exports = [f"export {name}={shlex.quote(value)}\n" for name, value in rgw.openrc("iu").items()]
    (person.checkout / "my-project-openrc.sh").write_text("".join(exports))
    dataset = {"name": "air", "source": str(source), "store": f"s3://{name}/air.zarr"}
    person.declare(zarr_buckets=[{"name": name}], zarr_datasets=[dataset])
    refused = person.run(f"{OPENRC}\n{DOCTOR}", check=False)
    said = " ".join(refused.output.split())
    assert "Cloud jetstream2 was not found." in said
    assert "to log in with it, set zarr_cloud: envvars" in said
    person.declare(zarr_cloud="envvars")
    done = person.run(f"{OPENRC}\n{SITE}")
    assert "air: written" in done.stdout
    person.run(f"{OPENRC}\n{TEARDOWN}", ITS_DATA)
    assert name not in buckets(site)


@pytest.mark.thorough
def test_a_public_store_whose_proof_fails(rgw: Any, site: Any, tmp_path: Path) -> None:
    """It stays, with who can read it and the way back, which is the one of the guide; the other one in the public bucket is not held up."""
    bucket = f"unproved-{uuid4().hex[:12]}"
    source = write(tmp_path / "1.nc", "2026-01-01", 1)
    person = begin(tmp_path, {"OS_CLIENT_CONFIG_FILE": str(rgw.clouds_file)})
    air, quiet = (
        {"name": name, "source": str(source), "store": f"s3://{bucket}/{name}.zarr", "chunks": {"time": 4}} for name in ("air", "quiet")
    )
    air["public"] = True
    person.declare(zarr_cloud="iu", zarr_buckets=[{"name": bucket, "public": True}], zarr_datasets=[air, quiet])
    person.run(SITE)
    with site.connect() as connection:
        chunks = [each.name for each in connection.object_store.objects(bucket) if "/air/c/" in each.name]
        for key in (chunks[0], next(each for each in chunks if each.startswith("quiet"))):
            connection.object_store.delete_object(key, container=bucket)
    failed = person.run(DATASETS, check=False)
    said = " ".join(failed.stdout.split())
    assert failed.rc
    assert "2 of 2 data sets failed: " in said
    assert "air: unchanged, as it was written before, but FAILED to be proved" in failed.stdout
    assert "stays    anonymous clients can read it" in failed.stdout
    assert f"s3://{bucket}/air.zarr stays: anonymous clients can read it." in said
    assert f"s3://{bucket}/quiet.zarr stays: its bucket is public, so that anonymous clients can read it." in said
    assert f"{bucket}, public" not in failed.stdout

    person.declare(zarr_datasets=[{**air, "state": "absent"}, {**quiet, "state": "absent"}])
    assert person.run(DATASETS).stdout.count(": removed, ") == 2
    with site.connect() as connection:
        assert not list(connection.object_store.objects(bucket))
    person.declare(zarr_datasets=[air, {**quiet, "state": "absent"}])
    again = person.run(DATASETS).stdout
    assert "air: written" in again
    assert "quiet: absent, as declared" in again
    person.run(TEARDOWN, ITS_DATA)
    assert bucket not in buckets(site)


@pytest.mark.thorough
def test_one_inventory_for_two_sites(rgw: Any, site: Any, tmp_path: Path) -> None:
    """Two gateways, two projects; one data set fails and holds nothing up; one site goes, and the other one stays as it is."""
    mark = uuid4().hex[:12]
    here, there, tenant = f"own-{mark}", f"others-{mark}", f"tenant-{mark}"
    source = write(tmp_path / "1.nc", "2026-01-01", 1)
    person = begin(tmp_path, {"OS_CLIENT_CONFIG_FILE": str(rgw.clouds_file)})
    total = float(xr.open_dataset(source).air.sum())
    names = {"here": here, "there": there, "tenant": tenant}
    datasets = [{"name": name, "source": str(source), "store": f"s3://{bucket}/air.zarr"} for name, bucket in names.items()]
    person.declare(
        zarr_cloud="iu",
        zarr_profile="lab",
        zarr_buckets=[
            {"name": here},
            {"name": there, "cloud": "acc-other", "profile": "other", "public": True},
            {"name": tenant, "cloud": "ten", "public": True},
        ],
        zarr_datasets=[
            {**datasets[0], "cloud": "acc-other", "profile": "other"},  # the keys of one site for a bucket of the other
            {"name": "none", "source": str(tmp_path / "none.nc"), "store": f"s3://{here}/none.zarr"},
            {**datasets[1], "public": True},
            {**datasets[2], "public": True},
        ],
    )
    failed = person.run(SITE, check=False)
    said = " ".join(failed.stdout.split())
    assert failed.rc
    assert "2 of 4 data sets failed" in said, failed.output
    assert f"source '{tmp_path}/none.nc' does not exist on this host" in said
    assert f"cannot read {here}/air.zarr" in said or f"cannot list {here}/air.zarr" in said
    assert "the bucket belongs to another project" in said
    assert {name: opens(lines_of(failed, name), person) for name in ("there", "tenant")} == pytest.approx({"there": total, "tenant": total})
    assert '"anon": True' in lines_of(failed, "there")
    assert f'xarray.open_zarr("{rgw.site("ten").s3_endpoint}/swift/v1/AUTH_' in lines_of(failed, "tenant"), (
        "S3's form was tried, and does not work"
    )

    person.declare(zarr_datasets=[datasets[0], {**datasets[1], "public": True}, {**datasets[2], "public": True}])
    assert opens(lines_of(person.run(SITE), "here"), person) == pytest.approx(total)
    assert person.run(SITE).changed == 0

    gone = person.run(TEARDOWN, "-e zarr_only_cloud=acc-other", ITS_DATA)
    shown = gone.stdout.partition("goes:")[2].partition("everything that the kit did not make")[0]
    assert f"bucket {there}" in shown
    assert not any(other in shown for other in (here, tenant, str(person.stack), "profile lab"))
    assert (there in buckets(rgw.site("acc"), "embedded-other"), here in buckets(site), person.stack.exists()) == (False, True, True)
    assert {line for line in person.profile.read_text().splitlines() if line.startswith("[")} == {"[profile lab]", "[profile ten]"}
    person.declare(
        zarr_buckets=[{"name": here}, {"name": tenant, "cloud": "ten", "public": True}], zarr_datasets=[datasets[0], datasets[2]]
    )
    assert "here: unchanged" in person.run(SITE).stdout
    person.run(TEARDOWN, ITS_DATA)
    assert not buckets(site) & {here}
    assert tenant not in buckets(rgw.site("ten"))
