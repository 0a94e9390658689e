# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fill Keystone with what a user of a real cloud finds there, write clouds.yaml, and try it.

Everything goes through Keystone's HTTP API: look first, then change what differs. Prints {"changed": bool}.
A problem is one line on stderr and exit status 3.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from keystoneauth1 import exceptions, identity
from keystoneauth1.session import Session

DOMAIN = "default"
LAB = "zarr-lab"
EXTRA_ROLES = ("ResellerAdmin", "swiftoperator")
WAIT_SECONDS = 60.0
LOG_LINES = 15


class Refused(Exception):
    """Something went wrong that no second try fixes."""


class WouldChange(Exception):
    """In check mode: the first change that would be made."""


@dataclass(frozen=True)
class User:
    """A user and the roles on one project."""

    name: str
    project: str
    roles: tuple[str, ...]


ADMIN = User("admin", "admin", ("admin", "ResellerAdmin"))
USERS = (
    ADMIN,
    User("swift", "service", ("service", "admin")),  # admin: only then may s3token keep secrets for a second
    User("zarr", LAB, ("member",)),
    User("zarr-reader", LAB, ("reader",)),
    User("other", "other-lab", ("member",)),
)


@dataclass(frozen=True)
class Settings:
    """Where the cloud is."""

    path: Path
    keystone_url: str
    swift_url: str
    region: str
    ca: Path | None
    check: bool

    def secret(self, name: str) -> str:
        """Return the password that the file of this name holds."""
        return (self.path / "secrets" / name).read_text().strip()

    def session(self, auth: Any) -> Session:
        """Return a session that trusts the cloud's own authority."""
        return Session(auth=auth, verify=str(self.ca) if self.ca else True)

    def login(self, user: User) -> Session:
        """Return a session of a user on the user's project."""
        return self.session(
            identity.V3Password(
                self.keystone_url,
                username=user.name,
                password=self.secret(user.name),
                user_domain_id=DOMAIN,
                project_name=user.project,
                project_domain_id=DOMAIN,
            )
        )


class Keystone:
    """Keystone's API as the administrator, with the changes counted."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self._session = session
        self._settings = settings
        self.changes = 0

    def list(self, collection: str, path: str | None = None) -> list[dict[str, Any]]:
        """Return all items of a collection."""
        items: list[dict[str, Any]] = self._session.get(self._url(path or f"/{collection}")).json()[collection]
        return items

    def change(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request that changes something; return the answer's body."""
        if self._settings.check:
            raise WouldChange(f"{method} {path}")
        self.changes += 1
        answer = self._session.request(self._url(path), method, json=body)
        return answer.json() if answer.content else None

    def named(self, collection: str, kind: str, names: set[str], more: dict[str, Any]) -> dict[str, str]:
        """Make sure that items of these names exist; return the id of each name."""
        ids = {item["name"]: item["id"] for item in self.list(collection)}
        for name in sorted(names - ids.keys()):
            ids[name] = self.change("POST", f"/{collection}", {kind: {"name": name, **more}})[kind]["id"]
        return ids

    def _url(self, path: str) -> str:
        return self._settings.keystone_url + path


def ensure_catalog(keystone: Keystone, settings: Settings) -> None:
    """Make the catalog say where Keystone, Swift and S3 are, and nothing else."""
    account_url = f"{settings.swift_url}/v1/AUTH_%(project_id)s"
    wanted = {
        ("object-store", "public"): account_url,
        ("object-store", "internal"): account_url,
        ("object-store", "admin"): settings.swift_url,
        ("s3", "public"): settings.swift_url,
        ("s3", "internal"): settings.swift_url,
        **{("identity", interface): settings.keystone_url for interface in ("public", "internal", "admin")},
    }
    services = {item["type"]: item["id"] for item in keystone.list("services")}
    for kind, name in (("object-store", "swift"), ("s3", "s3")):
        if kind not in services:
            body = {"service": {"type": kind, "name": name}}
            services[kind] = keystone.change("POST", "/services", body)["service"]["id"]
    kinds = {identifier: kind for kind, identifier in services.items()}
    for item in keystone.list("endpoints"):
        key = (kinds.get(item["service_id"], ""), item["interface"])
        if item["region_id"] == settings.region and wanted.get(key) == item["url"]:
            del wanted[key]
        else:
            keystone.change("DELETE", f"/endpoints/{item['id']}")
    for (kind, interface), url in wanted.items():
        endpoint = {"service_id": services[kind], "interface": interface, "url": url, "region_id": settings.region}
        keystone.change("POST", "/endpoints", {"endpoint": endpoint})


def ensure_users(keystone: Keystone, settings: Settings) -> None:
    """Make roles, projects and users with the passwords on disk, and the role assignments."""
    roles = keystone.named("roles", "role", set(EXTRA_ROLES), {})
    projects = keystone.named("projects", "project", {user.project for user in USERS}, {"domain_id": DOMAIN})
    users = {item["name"]: item["id"] for item in keystone.list("users")}
    granted = {
        (item["user"]["id"], item["scope"]["project"]["id"], item["role"]["id"])
        for item in keystone.list("role_assignments")
        if "user" in item and "project" in item["scope"]
    }
    for user in USERS:
        password = settings.secret(user.name)
        if user.name not in users:
            body = {"user": {"name": user.name, "domain_id": DOMAIN, "password": password}}
            users[user.name] = keystone.change("POST", "/users", body)["user"]["id"]
        for role in user.roles:
            grant = (users[user.name], projects[user.project], roles[role])
            if grant not in granted:
                keystone.change("PUT", f"/projects/{grant[1]}/users/{grant[0]}/roles/{grant[2]}")
        if not can_log_in(settings.login(user)):
            keystone.change("PATCH", f"/users/{users[user.name]}", {"user": {"password": password}})
            time.sleep(1)  # a new password revokes every token of the same second


def can_log_in(session: Session) -> bool:
    """Tell whether Keystone issues a token."""
    try:
        session.get_token()
    except exceptions.Unauthorized:
        return False
    return True


def ensure_application_credentials(settings: Settings) -> tuple[dict[str, str], int]:
    """Make zarr's two application credentials; return their ids by name and the number of changes.

    Keystone never shows a secret again, so one whose secret does not work any more is made anew.
    """
    zarr = next(user for user in USERS if user.name == "zarr")
    session = settings.login(zarr)
    keystone = Keystone(session, settings)
    base = f"/users/{session.get_user_id()}/application_credentials"
    found = {item["name"]: item["id"] for item in keystone.list("application_credentials", base)}
    for name, unrestricted in (("unrestricted", True), ("restricted", False)):
        secret = settings.secret(f"app-{name}")
        if name in found:
            auth = identity.V3ApplicationCredential(
                settings.keystone_url, application_credential_id=found[name], application_credential_secret=secret
            )
            if can_log_in(settings.session(auth)):
                continue
            keystone.change("DELETE", f"{base}/{found[name]}")
        wish = {"name": name, "secret": secret, "unrestricted": unrestricted}
        answer = keystone.change("POST", base, {"application_credential": wish})
        found[name] = answer["application_credential"]["id"]
    return found, keystone.changes


def clouds_yaml(settings: Settings, credentials: dict[str, str]) -> str:
    """Return the text of clouds.yaml."""

    def entry(auth: dict[str, str], **more: str) -> dict[str, Any]:
        common = {"region_name": settings.region, "identity_api_version": 3, "interface": "public"}
        trust = {"cacert": str(settings.ca)} if settings.ca else {}
        return {"auth": {"auth_url": settings.keystone_url, **auth}, **common, **trust, **more}

    def password(name: str) -> dict[str, Any]:
        user = next(user for user in USERS if user.name == name)
        names = {"username": name, "project_name": user.project}
        return entry({**names, "password": settings.secret(name), "user_domain_id": DOMAIN, "project_domain_id": DOMAIN})

    def application(name: str) -> dict[str, Any]:
        auth = {"application_credential_id": credentials[name], "application_credential_secret": settings.secret(f"app-{name}")}
        return entry(auth, auth_type="v3applicationcredential")

    clouds = {
        "embedded": password("zarr"),
        "embedded-app": application("unrestricted"),
        "embedded-app-restricted": application("restricted"),
        "embedded-reader": password("zarr-reader"),
        "embedded-other": password("other"),
        "embedded-admin": password("admin"),
    }
    head = "# Written by the role embedded_cloud; changes are overwritten.\n"
    return head + str(yaml.safe_dump({"clouds": clouds}, sort_keys=False))


def ensure_file(path: Path, text: str, check: bool) -> bool:
    """Write text to a file of mode 0600, at once or not at all; tell whether it or its mode differed."""
    if path.exists() and path.read_text() == text and path.stat().st_mode & 0o777 == 0o600:
        return False
    if not check:
        draft = path.with_name(f".{path.name}.new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    return True


def retry(what: str, log: Path, attempt: Callable[[], Any]) -> Any:
    """Repeat an attempt until it succeeds or a minute has passed; then say why, with the end of the log."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return attempt()
        except exceptions.ClientException as error:
            if time.monotonic() > end:
                lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []
                raise Refused("\n".join([f"{what}: {error}", f"The last lines of {log}:", *lines])) from None
        time.sleep(0.2)


def seed(settings: Settings) -> bool:
    """Bring everything to the wanted state; tell whether anything was changed."""
    logs = settings.path / "log"
    admin = settings.login(ADMIN)
    keystone = Keystone(admin, settings)
    retry("Keystone does not accept the administrator", logs / "keystone.log", lambda: keystone.list("roles"))
    ensure_catalog(keystone, settings)
    ensure_users(keystone, settings)
    credentials, more = ensure_application_credentials(settings)
    written = ensure_file(settings.path / "clouds.yaml", clouds_yaml(settings, credentials), settings.check)

    zarr = settings.login(next(user for user in USERS if user.name == "zarr"))
    account = f"{settings.swift_url}/v1/AUTH_{zarr.get_project_id()}?limit=1"
    retry("Swift does not accept a token of Keystone's", logs / "swift.log", lambda: zarr.get(account))
    return bool(keystone.changes or more or written)


def main() -> int:
    """Seed once; print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="the cloud's folder")
    parser.add_argument("--keystone-url", required=True, help="with /v3")
    parser.add_argument("--swift-url", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--ca", type=Path, help="certificate authority of an https Swift")
    parser.add_argument("--check", action="store_true", help="only tell whether anything would change")
    try:
        changed = seed(Settings(**vars(parser.parse_args())))
    except WouldChange:
        changed = True
    except (Refused, exceptions.ClientException) as error:
        sys.stderr.write(f"{error}\n")
        return 3
    sys.stdout.write(json.dumps({"changed": changed}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
