# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fill a new Keystone with what a user of a real cloud finds there, and write the users' clouds.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cloud.shell import wait
from keystoneauth1 import exceptions, identity
from keystoneauth1.session import Session
from rgw import layout, services

DOMAIN = "default"
LAB = "zarr-lab"
OTHER = "other-lab"


@dataclass(frozen=True)
class User:
    """A user, the end of the names of its entries in clouds.yaml, and its roles on one project."""

    name: str
    entry: str
    project: str
    roles: tuple[str, ...]


ADMIN = User("admin", "-admin", "admin", ())
USERS = (
    User("rgw", "", "service", ("service", "admin")),
    User("zarr", "", LAB, ("member",)),
    User("zarr-colleague", "-colleague", LAB, ("member",)),
    User("zarr-reader", "-reader", LAB, ("reader",)),
    User("other", "-other", OTHER, ("member",)),
)
# RGW gives a project a name space of its own only if no gateway knows it without one.
TENANTS = "-ten"
# Those of the user zarr; the end of the names of their entries.
APPLICATIONS = {"-app": True, "-app-restricted": False}


def login(user: User, password: str, more: str = "") -> Session:
    """A session of a user on the user's project; ``more`` is the end of the project's name."""
    names = {"username": user.name, "project_name": user.project + more}
    auth = identity.V3Password(layout.KEYSTONE, **names, password=password, user_domain_id=DOMAIN, project_domain_id=DOMAIN)
    return Session(auth=auth)


def fill(passwords: Mapping[str, str]) -> None:
    """Make the accounts, the catalog and the application credentials, and write clouds.yaml: one for all regions, and one for each."""
    admin = login(ADMIN, passwords["admin"])
    wait("Keystone accepts the administrator", lambda: accepts(admin), 60)
    make_catalog(admin)
    make_accounts(admin, passwords)
    of_all: dict[str, Any] = {}
    found = {more: entries(passwords, more) for more in ("", TENANTS)}
    for name, region in layout.REGIONS.items():
        here = {end: at(name, entry) for end, entry in found[TENANTS if region.gateway.implicit_tenants else ""].items()}
        write_clouds(clouds_file(name), {f"embedded{end}": entry for end, entry in here.items()})
        of_all |= {f"{name}{end}": entry for end, entry in here.items()}
    write_clouds(layout.CLOUDS_FILE, of_all)


def accepts(session: Session) -> bool:
    """Tell whether Keystone accepts a login."""
    try:
        session.get_token()
    except exceptions.ClientException:
        return False
    return True


def make_catalog(admin: Session) -> None:
    """Make the regions, with the services that each names; Keystone itself is in all."""
    found = admin.get(f"{layout.KEYSTONE}/services").json()["services"]
    kinds = {service["type"]: service["id"] for service in found}
    for kind, name in (("object-store", "swift"), ("s3", "s3")):
        kinds[kind] = made(admin, "services", "service", type=kind, name=name)["id"]
    for name, region in layout.REGIONS.items():
        urls = {"object-store": region.gateway.swift_url, "s3": region.gateway.url, "identity": layout.KEYSTONE}
        if name != "iu":  # Keystone has made that one by itself
            made(admin, "regions", "region", id=name.upper())
        for kind in region.services if name == "iu" else ("identity", *region.services):
            for interface in ("public", "internal"):
                place = {"interface": interface, "region_id": name.upper(), "url": urls[kind]}
                made(admin, "endpoints", "endpoint", service_id=kinds[kind], **place)


def make_accounts(admin: Session, passwords: Mapping[str, str]) -> None:
    """Make projects, users and roles."""
    roles = {role["name"]: role["id"] for role in admin.get(f"{layout.KEYSTONE}/roles").json()["roles"]}
    names = {"service", *(name + more for name in (LAB, OTHER) for more in ("", TENANTS))}
    projects = {name: made(admin, "projects", "project", name=name, domain_id=DOMAIN)["id"] for name in names}
    for user in USERS:
        identifier = made(admin, "users", "user", name=user.name, domain_id=DOMAIN, password=passwords[user.name])["id"]
        for project in {user.project, user.project + TENANTS} & projects.keys():
            for role in user.roles:
                admin.put(f"{layout.KEYSTONE}/projects/{projects[project]}/users/{identifier}/roles/{roles[role]}")


def make_applications(user: Session, more: str) -> dict[str, dict[str, str]]:
    """Make the user's application credentials for the project of the session; return the login by each."""
    folder = f"users/{user.get_user_id()}/application_credentials"
    logins = {}
    for end, unrestricted in APPLICATIONS.items():
        one = made(user, folder, "application_credential", name=f"zarr{more}{end}", unrestricted=unrestricted)
        logins[end] = {"application_credential_id": one["id"], "application_credential_secret": one["secret"]}
    return logins


def made(session: Session, collection: str, kind: str, **wish: Any) -> dict[str, Any]:
    """Make one thing and return what Keystone says about it."""
    answer: dict[str, Any] = session.post(f"{layout.KEYSTONE}/{collection}", json={kind: wish}).json()[kind]
    return answer


def entries(passwords: Mapping[str, str], more: str) -> dict[str, dict[str, Any]]:
    """The logins, by the end of the names of their entries; ``more`` is the end of the names of their projects."""
    found: dict[str, dict[str, Any]] = {}
    for user in (*USERS[1:], ADMIN):
        project = user.project + more * (user is not ADMIN)
        names = {"username": user.name, "project_name": project, "user_domain_id": DOMAIN, "project_domain_id": DOMAIN}
        found[user.entry] = {"auth": {"auth_url": layout.KEYSTONE, **names, "password": passwords[user.name]}}
    for end, auth in make_applications(login(USERS[1], passwords["zarr"], more), more).items():
        found[end] = {"auth_type": "v3applicationcredential", "auth": {"auth_url": layout.KEYSTONE, **auth}}
    return found


def at(region: str, entry: dict[str, Any]) -> dict[str, Any]:
    """An entry for a region: its gateway has an authority of its own."""
    authority = str(layout.REGIONS[region].gateway.authority)
    return {**entry, "region_name": region.upper(), "identity_api_version": 3, "interface": "public", "cacert": authority}


def clouds_file(region: str) -> Path:
    """The clouds.yaml of one region, with the names of entries that the embedded cloud has."""
    return layout.STATE / f"clouds-{region}.yaml"


def write_clouds(file: Path, clouds: dict[str, Any]) -> None:
    """Write a clouds.yaml."""
    services.write(file, yaml.safe_dump({"clouds": clouds}, sort_keys=False))
