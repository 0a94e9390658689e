# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""playbooks/doctor.yml on the embedded cloud, which has no compute service, with each kind of login."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
LOGINS = ("embedded", "embedded-app", "embedded-app-restricted", "embedded-reader", "nobody")
MACHINES = {"zarr_buckets": [{"name": "doctor-free"}], "vm_servers": {"dask_workers": {"flavor": "m3.quad"}}, "vm_image": "Ubuntu"}


def test_logins_and_buckets(cloud: Any, modules: Any, tmp_path: Path) -> None:
    with cloud.connect() as connection:
        connection.object_store.create_container("doctor-ours")
    clouds = tmp_path / "clouds.yaml"
    text = cloud.clouds_file.read_text()
    # A login whose password is wrong, made from the one that works.
    entry = re.search(r"^  embedded:\n(?:    .*\n)+", text, re.MULTILINE)
    assert entry
    clouds.write_text(text + re.sub(r"password: .*", "password: wrong", entry[0].replace("embedded:", "nobody:")))
    env = {"OS_CLIENT_CONFIG_FILE": str(clouds)}
    arguments = {"buckets": ["doctor-ours", "doctor-free"]}
    answers = {login: modules("cloud_doctor", {"cloud": login, **arguments}, env=env).result["rows"] for login in LOGINS}
    found = {login: {row["check"]: row for row in rows} for login, rows in answers.items()}

    assert [(row["check"], row["status"]) for row in answers["nobody"]] == [("login", "fail")]
    assert "Correct it in clouds.yaml" in answers["nobody"][0]["message"]
    assert found["embedded"]["login"]["message"] == "zarr in project zarr-lab, by password"
    assert "by an application credential" in found["embedded-app"]["login"]["message"]
    statuses = {login: rows["EC2 credentials"]["status"] for login, rows in found.items() if login != "nobody"}
    assert statuses == {"embedded": "pass", "embedded-app": "pass", "embedded-app-restricted": "warn", "embedded-reader": "pass"}
    assert found["embedded-reader"]["role"]["status"] == "fail"
    assert found["embedded"]["role"]["status"] == "pass"
    assert found["embedded"]["bucket doctor-ours"]["message"] == "is there and ours, and private"
    assert found["embedded"]["bucket doctor-free"]["message"] == "is free"
    assert found["embedded"]["servers"]["status"] == "skip"
    assert "speaks S3, as the catalog says" in found["embedded"]["S3 endpoint"]["message"]
    assert found["embedded"]["object-store answers"]["status"] == "pass"


def test_machines_where_there_is_no_compute_service(cloud: Any, run_playbook: Any) -> None:
    variables = {
        "zarr_cloud": "embedded",
        "zarr_openstack_environment": {"OS_CLIENT_CONFIG_FILE": str(cloud.clouds_file)},
        "zarr_buckets": [{"name": "doctor-free"}],
    }
    ready = run_playbook(PLAYBOOKS / "doctor.yml", extra_vars=variables)
    assert "none are planned, and the cloud has no compute service" in ready.stdout
    assert ready.changed == 0

    refused = run_playbook(PLAYBOOKS / "doctor.yml", extra_vars={**variables, **MACHINES}, check=False)
    assert refused.rc
    assert "not ready: flavor m3.quad, image Ubuntu, network public" in refused.stdout
