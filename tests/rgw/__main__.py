#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A second cloud for tests, as Jetstream2 is: Ceph's RGW behind Keystone, over TLS, on a loopback address of the checkout's own.

`up` makes it, `down` leaves nothing of it but the caches, `status` tells how it is. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from cloud.shell import CloudError, report
from rgw import caches, layout, services
from rgw.lifecycle import BORROWED, down, is_up, require_root, up
from running import THOROUGH
from stages import LEFT_OUT


def start(keystone: str) -> None:
    """Bring the cloud up, with this Keystone; one that tests have started is no longer theirs to end."""
    BORROWED.unlink(missing_ok=True)
    up(keystone)
    status()


def status() -> None:
    """Tell which programs run, and how to use the cloud."""
    states = services.supervisor().states()
    if not states:
        report("No RGW cloud of this checkout runs")
        return
    for name, state in sorted(states.items()):
        report(f"{name:10} {state}")
    keystone = is_up()
    if not keystone:
        report("It is not whole, and `make rgw-up` makes it anew: what is in it is lost")
        return
    report(f"Keystone {layout.KEYSTONES[keystone]} at {layout.KEYSTONE}")
    for gateway in layout.GATEWAYS.values():
        report(f"{gateway.name} at {gateway.url}, trusted by {gateway.authority}")
    report(f"Use it: export OS_CLIENT_CONFIG_FILE={layout.CLOUDS_FILE} OS_CLOUD=iu")


def check() -> int:
    """Tell whether the tests can run on this machine, and whether `make test` is to run them: see tests/stages.py."""
    try:
        require_root()
    except CloudError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    if caches.has_chroot() or THOROUGH:
        return 0
    sys.stdout.write("Ceph is not installed here. `make rgw-up` does it, once, in three minutes; `make test-all` too\n")
    return LEFT_OUT


def clean() -> None:
    """End the cloud, and remove the caches as well."""
    down()
    shutil.rmtree(layout.BUILD, ignore_errors=True)


def main() -> int:
    """Do one action."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("up", "down", "status", "check", "clean"))
    parser.add_argument("--keystone", choices=layout.KEYSTONES, default=layout.DEFAULT_KEYSTONE, help="the release that up starts")
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # where an ordinary user's PATH does not lead
    actions = {"up": lambda: start(arguments.keystone), "down": down, "status": status, "check": check, "clean": clean}
    try:
        return actions[arguments.action]() or 0
    except CloudError as error:
        sys.stderr.write(f"{error}\n" + (f"The logs are in {layout.LOGS} and {layout.CEPH / 'log'}.\n" if layout.LOGS.exists() else ""))
        return 1


if __name__ == "__main__":
    sys.exit(main())
