#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A compute cloud on this machine, for tests: Keystone, Glance, Placement, Nova, Neutron and Swift, with systemd containers as guests.

`up` makes it, `down` leaves nothing of it but the caches, `status` tells how it is. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import caches
import database
import layout
import machine
import network
import seed
import services
from cgroups import Group
from shell import CloudError, report, run, stage, succeeds, wait

PLAYBOOK = layout.CHECKOUT / "playbooks" / "embedded_cloud.yml"


def up() -> None:
    """Bring the cloud up, from whatever there is."""
    machine.require_root()
    if machine.holder() == layout.CHECKOUT and is_up():
        report("The cloud is up already")
        status()
        return
    if machine.holder() == layout.CHECKOUT or layout.STATE.exists():
        down()
    machine.claim(network.devices())
    with stage("Packages and caches"):
        machine.require_packages()
        layout.CACHE.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor() as pool:
            environment, archive = (made.result() for made in [pool.submit(caches.environment), pool.submit(caches.image)])
    start(environment, archive, services.make_passwords())
    status()


def is_up() -> bool:
    """Tell whether a start came to its end, and everything runs since then."""
    return layout.READY.exists() and set(services.supervisor().states().values()) == {"RUNNING"}


def start(environment: Path, archive: Path, passwords: dict[str, str]) -> None:
    """Start everything, each as soon as what it needs is there: most of the time goes into Python's start of a dozen programs."""
    with stage("Supervisor and network"):
        layout.LOGS.mkdir(parents=True)
        layout.STATE.chmod(0o700)
        services.configure(environment, passwords)
        services.start_supervisor(environment)
        network.make_databases()
        network.start(services.start)
    with stage("Keystone, Swift, database and message queue"), ThreadPoolExecutor() as pool:
        embedded = pool.submit(start_embedded_cloud)
        services.start("rabbitmq")
        start_database(environment, passwords)
        services.start(*services.APIS)
        embedded.result()
    layout.CLOUDS_FILE.symlink_to(layout.EMBEDDED / "clouds.yaml")
    with stage("Accounts and catalog"):
        seed.fill_keystone(passwords)
        services.start(*services.WORKERS)
    with stage("Image, flavors and the provider's network"):
        for name, fill in {"glance": lambda: seed.upload(archive), "neutron": seed.make_network, "nova": seed.make_flavors}.items():
            services.await_answer(name)
            fill()
    with stage("The compute host reports"):
        wait("The compute host reports", seed.compute_is_up, 180, interval=2)
    layout.READY.touch()


def start_embedded_cloud() -> None:
    """Let the role embedded_cloud start Keystone and Swift, on the address that guests reach."""
    variables = {
        "embedded_cloud_path": str(layout.EMBEDDED),
        "embedded_cloud_host": layout.ADDRESS,
        "embedded_cloud_region": layout.REGION,
        "embedded_cloud_venvs": str(layout.CHECKOUT / "build" / "embedded-cloud-venvs"),
        **layout.EMBEDDED_PORTS,
    }
    playbook = Path(sys.executable).with_name("ansible-playbook")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "ANSIBLE_"))} | {"LC_ALL": "C.UTF-8"}
    command = [playbook, "-i", layout.CHECKOUT / "inventory" / "embedded", PLAYBOOK, "-e", json.dumps(variables)]
    run(*command, cwd=layout.CHECKOUT, env=environment, log=layout.LOGS / "embedded-cloud.log")


def start_database(environment: Path, passwords: dict[str, str]) -> None:
    """Start MariaDB with the schemas: kept ones, or new ones, which are kept."""
    kept = database.prepare()
    database.start(services.start, passwords)
    if not kept:
        database.make_schemas(environment)
        database.keep(services.stop, services.start)


def down() -> None:
    """End the cloud and everything in it; only the caches stay."""
    machine.require_root()
    if machine.holder() == layout.CHECKOUT:
        end()
    else:  # whatever runs is somebody else's
        status()
    layout.CLOUDS_FILE.unlink(missing_ok=True)
    shutil.rmtree(layout.STATE, ignore_errors=True)
    machine.release()


def end() -> None:
    """End all that runs, and make sure that nothing is left."""
    with stage("Ending the services"):
        services.end_all()
        services.Supervisor(layout.EMBEDDED).stop()
    with stage("Ending the guests"):
        for name in guests():
            Group(name).kill()
            succeeds("umount", "--lazy", layout.INSTANCES / name / "root")
        network.leave()
        Group.remove_parents()
    if left := remains():
        raise CloudError("Something of the cloud is still there, and `down` can be tried again:\n" + "\n".join(left))


def remains() -> list[str]:
    """Return what is left of a cloud on this machine: processes, mounts, namespaces, devices and rules."""
    processes = [f"process {pid}" for group in ("services", *guests()) for pid in Group(group).pids()]
    mounts = [f"mount {line.split()[1]}" for line in Path("/proc/mounts").read_text().splitlines() if str(layout.STATE) in line]
    namespaces = [f"namespace {name}" for name in guests() if Path(f"/run/netns/nova-{name}").exists()]
    if pid := services.Supervisor(layout.EMBEDDED).pid():
        processes.append(f"process {pid}")
    return [*processes, *mounts, *namespaces, *(f"device {name}" for name in network.devices()), *machine.rules()]


def guests() -> list[str]:
    """Return the guests that there are, by their ids."""
    return [folder.name for folder in layout.INSTANCES.glob("*")]


def status() -> None:
    """Tell which programs run, and how to use the cloud."""
    states = services.supervisor().states() | services.Supervisor(layout.EMBEDDED).states()
    if not states:
        report("No cloud of this checkout runs" + (f"; that of {machine.holder()} has the machine" if machine.holder() else ""))
        return
    for name, state in sorted(states.items()):
        report(f"{name:15} {state}")
    if not is_up():
        report("It is not whole, and `make cloud-up` makes it anew: what is in it is lost")
        return
    report(f"Use it: export OS_CLIENT_CONFIG_FILE={layout.CLOUDS_FILE} OS_CLOUD=embedded")
    report(f"Image {seed.IMAGE}, flavors {', '.join(flavor.name for flavor in seed.FLAVORS)}, external network {seed.PUBLIC}")


def clean() -> None:
    """End the cloud, and remove the caches as well."""
    down()
    shutil.rmtree(layout.BUILD, ignore_errors=True)


ACTIONS = {"up": up, "down": down, "status": status, "clean": clean}


def main() -> int:
    """Do one action."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=ACTIONS)
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # where an ordinary user's PATH does not lead
    try:
        ACTIONS[parser.parse_args().action]()
    except CloudError as error:
        sys.stderr.write(f"{error}\n" + (f"The logs are in {layout.LOGS}.\n" if layout.LOGS.exists() else ""))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
