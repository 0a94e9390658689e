# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The RGW cloud for tests, beside the helpers of the integration tests, which all work here too.

Fixtures
--------
rgw              the running cloud, an `Rgw` (session): that of `make rgw-up` where it runs; otherwise one is started, which the processes
                 that run tests side by side share, and the last of them ends it
site             the region that is as Jetstream2 is: ``rgw.site("iu")`` (session)
cloud            the same, under the name by which tests of tests/integration ask for a cloud: so they run here as they are
own_users, modules, run_playbook, free_ports, home    see tests/integration/conftest.py

Rgw
---
site(region)     a `Site`: an integration test's `Cloud` with its fields and methods, and the same names of entries in its clouds_file:
                 embedded (user zarr, member of zarr-lab), embedded-app (application credential, unrestricted),
                 embedded-app-restricted, embedded-colleague (another member of zarr-lab), embedded-reader (role reader on zarr-lab,
                 whom RGW refuses), embedded-other (member of other-lab), embedded-admin
clouds_file      one clouds.yaml with the entries of all regions: iu, iu-app, iu-app-restricted, iu-colleague, iu-reader, iu-other,
                 iu-admin, and the same for the other regions
openrc(entry)    the variables OS_… of an entry of clouds_file
admin(...)       radosgw-admin with these arguments, and what its JSON says
quota, rate_limit, suspended, stopped, hung    context managers: what they do ends with the block
requests         a context manager: a list of what a gateway was asked meanwhile, complete when the block has ended
keystone_version 29.1.0, unless `make rgw-up keystone=30` has started another

Regions; in the catalog their names are in capitals, and none has any other service than these and Keystone
-----------------------------------------------------------------------------------------------------------
iu       gateway js2: one name space of buckets for all projects, no account in the Swift URL; only object-store, as Jetstream2
iu-s3    the same gateway; object-store and s3
s3       the same gateway; only s3
acc      gateway acc: one name space with js2, but the account in the Swift URL; only object-store
ten      gateway ten: implicit tenants, so that each project has its own name space; only object-store. Its entries log in to projects
         of its own, zarr-lab-ten and other-lab-ten

All gateways speak TLS, each by an authority of its own (``site.ca_bundle``); Keystone speaks plain http. Buckets of all tests are in one
name space: a name needs something random. RGW accepts a revoked EC2 key for five minutes more.
"""

from __future__ import annotations

import os
import random
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import yaml
from cloud.shell import wait
from integration.conftest import (
    Cloud,
    _is_the_last,
    _module_server,  # noqa: F401 - fixtures
    _session_environment,  # noqa: F401
    free_ports,  # noqa: F401
    home,  # noqa: F401
    locked,
    modules,  # noqa: F401
    own_users,  # noqa: F401
    run_playbook,  # noqa: F401
)
from rgw import ceph, layout, lifecycle, seed, services

REQUEST = re.compile(r'beast: .*?"(\w+) (\S+) HTTP/[\d.]+" (\d+) \S+ \S+ "([^"]*)"')


@dataclass(frozen=True)
class Site(Cloud):
    """A region of the RGW cloud."""

    gateway: layout.Gateway = field(default=layout.GATEWAYS["js2"])

    @property
    def keystone_url(self) -> str:
        return layout.KEYSTONE

    @property
    def s3_endpoint(self) -> str:
        return self.gateway.url

    @property
    def swift_url(self) -> str:
        """The address below which ``swift/v1`` is."""
        return self.gateway.url

    @property
    def ca_bundle(self) -> str | None:
        return str(self.gateway.authority) if self.tls else None


class Request(NamedTuple):
    """A request, as the gateway's log has it: path and query as they were sent."""

    method: str
    path: str
    status: int
    agent: str


@dataclass(frozen=True)
class Rgw:
    """The RGW cloud; its fields and methods are described at the top of this file."""

    keystone_version: str

    @property
    def clouds_file(self) -> Path:
        return layout.CLOUDS_FILE

    def site(self, region: str) -> Site:
        """Return a region as a cloud of its own."""
        gateway = layout.REGIONS[region].gateway
        return Site(layout.STATE, self.keystone_version, tls=True, region=region.upper(), logins=seed.clouds_file(region), gateway=gateway)

    def openrc(self, entry: str) -> dict[str, str]:
        """Return what the openrc of an entry exports, and the authority to trust."""
        found = yaml.safe_load(self.clouds_file.read_text())["clouds"][entry]
        variables = {f"OS_{name.upper()}": str(value) for name, value in found["auth"].items()}
        more = {
            "OS_REGION_NAME": found["region_name"],
            "OS_IDENTITY_API_VERSION": "3",
            "OS_INTERFACE": "public",
            "OS_CACERT": found["cacert"],
        }
        kind = {"OS_AUTH_TYPE": found["auth_type"]} if "auth_type" in found else {}
        return variables | more | kind

    def admin(self, *arguments: str) -> Any:
        """Run radosgw-admin; return what its JSON says, None where it says nothing."""
        return ceph.admin(*arguments)

    @contextmanager
    def quota(self, project: str, **limits: str | int) -> Iterator[None]:
        """Limit what a project stores, by its id: max_size (such as "10M"), max_objects. The project has sent a request before."""
        with self._limited("quota", "quota-scope", project, limits, {"max_size": -1, "max_objects": -1}):
            yield

    @contextmanager
    def rate_limit(self, project: str, **limits: int) -> Iterator[None]:
        """Limit a project's requests in a minute: max_write_ops, max_read_ops, max_write_bytes, max_read_bytes; 0 is no limit."""
        none = dict.fromkeys(("max_write_ops", "max_read_ops", "max_write_bytes", "max_read_bytes"), 0)
        with self._limited("ratelimit", "ratelimit-scope", project, limits, none):
            yield

    @contextmanager
    def suspended(self, project: str) -> Iterator[None]:
        """Suspend a project."""
        self.admin("user", "suspend", f"--uid={project}")
        try:
            yield
        finally:
            self.admin("user", "enable", f"--uid={project}")

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Stop keystone, js2, acc, ten or osd meanwhile."""
        services.stop(name)
        try:
            yield
        finally:
            services.start(name)
            for gateway in layout.GATEWAYS if name == "osd" else [name]:
                services.await_answer(gateway)

    @contextmanager
    def hung(self, name: str) -> Iterator[None]:
        """Let one of them accept connections meanwhile, and answer nothing."""
        process = services.supervisor().call("getProcessInfo", name)["pid"]
        os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process, signal.SIGCONT)
            services.await_answer(name)

    @contextmanager
    def requests(self, gateway: str = "js2") -> Iterator[list[Request]]:
        """Collect what a gateway is asked, by all clients."""
        log, found = layout.CEPH / "log" / f"{gateway}.log", list[Request]()
        self._mark(gateway, log)
        with log.open() as file:
            file.seek(0, os.SEEK_END)
            yield found
            end = self._mark(gateway, log)
            lines = [REQUEST.search(line) for line in file]
        asked = [Request(line[1], line[2], int(line[3]), line[4]) for line in lines if line]
        found += [request for request in asked if request.agent != end]

    def _mark(self, gateway: str, log: Path) -> str:
        """Ask for something that can be told from all else, and wait until it is in the log; by then all before it is."""
        asked, mark = layout.GATEWAYS[gateway], f"end-{random.getrandbits(64):x}"
        with log.open() as file:
            begin = file.seek(0, os.SEEK_END)
            requests.get(f"{asked.url}/swift/healthcheck", headers={"User-Agent": mark}, verify=asked.authority, timeout=60)
            wait("The log is complete", lambda: file.seek(begin) >= 0 and mark in file.read(), 30)
        return mark

    @contextmanager
    def _limited(self, kind: str, scope: str, project: str, limits: dict[str, Any], none: dict[str, int]) -> Iterator[None]:
        place = (f"--{scope}=user", f"--uid={project}")

        def be(values: dict[str, Any], switch: str) -> None:
            self.admin(kind, "set", *place, *(f"--{name.replace('_', '-')}={value}" for name, value in values.items()))
            self.admin(kind, switch, *place)

        be({**none, **limits}, "enable")
        try:
            yield
        finally:
            be(none, "disable")


@pytest.fixture(scope="session")
def rgw() -> Iterator[Rgw]:
    """Offer the RGW cloud that runs, or start one."""
    with lifecycle.shared(locked, _is_the_last) as keystone:
        yield Rgw(layout.KEYSTONES[keystone])


@pytest.fixture(scope="session")
def site(rgw: Rgw) -> Site:
    """Offer the region that is as Jetstream2 is."""
    return rgw.site("iu")


@pytest.fixture(scope="session")
def cloud(rgw: Rgw) -> Site:
    """Offer it under the name by which the integration tests ask."""
    return rgw.site("iu")
