# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the facts about a cloud and what is planned in it to rows, each with its remedy: pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..probe.privacy import Look
from ..text import aligned
from .facts import Facts
from .plan import missing_message
from .wanted import Wanted, WantedServer

Status = Literal["pass", "warn", "fail", "skip"]
_HELD = {
    "reused": "the pair of the profile works",
    "listed": "a pair that Keystone lists works",
    "recovered": "a pair that was made before works",
    "supplied": "the pair that you bring works",
}
_SUPPLY = "make a pair in Horizon (Project > API Access > View Credentials) and hand it over: ec2_credentials_access_key and _secret_key"


@dataclass(frozen=True)
class Row:
    """One line of the table; ``remedy`` says what to do about a warning or a failure."""

    check: str
    status: Status
    message: str
    remedy: str = ""


@dataclass(frozen=True)
class Planned:
    """What is planned: a cluster, or none, and buckets. ``own_keys``: a pair of S3 keys is brought, so that none has to be made.

    ``public`` are the buckets that are to be; ``keys`` is what ``ec2_credential`` answers in check mode, if it was asked.
    """

    wanted: Wanted | None = None
    buckets: tuple[str, ...] = ()
    own_keys: bool = False
    public: tuple[str, ...] = ()
    keys: Mapping[str, Any] | None = None
    expires_in: int = 14

    @property
    def servers(self) -> tuple[WantedServer, ...]:
        """All declared servers."""
        return self.wanted.servers if self.wanted else ()

    @property
    def networks(self) -> list[str]:
        """Networks that have to be there."""
        if self.wanted is None:
            return []
        outside = not self.wanted.network or any(each.reachable for each in self.servers)
        return [name for name in (self.wanted.network, self.wanted.external_network if outside else "") if name]


def rows(facts: Facts, planned: Planned, now: datetime.datetime) -> list[Row]:
    """All rows. Where the login fails, nothing else can be told."""
    if facts.who is None:
        return [Row("login", "fail", facts.unanswered.get("login", "no answer"))]
    return [
        _login(facts),
        *_credential(facts, planned, now),
        _roles(facts),
        _ec2(facts, planned),
        *_reachable(facts),
        *_offered(facts, planned),
        *_quotas(facts, planned),
        *_object_store(facts),
        *_buckets(facts, planned),
    ]


def _login(facts: Facts) -> Row:
    if not facts.who:
        raise AssertionError("rows() has seen to it")
    kind = "an application credential" if facts.who.delegated else facts.auth_type.removeprefix("v3")
    return Row(
        "login",
        "pass",
        f"{facts.who.user_name or facts.who.user_id} in project {facts.who.project_name or facts.who.project_id}, by {kind}",
    )


def _credential(facts: Facts, planned: Planned, now: datetime.datetime) -> Iterator[Row]:
    if facts.who is None or not facts.who.delegated:
        return
    found = facts.credential
    remedy = "make another one in Horizon (Identity > Application Credentials) and put it into clouds.yaml"
    if found is None or found.expires is None:
        yield Row(
            "application credential", "warn", "the cloud does not tell when it ends", "look in Horizon (Identity > Application Credentials)"
        )
    elif not found.expires:
        yield Row("application credential", "pass", "has no end")
    else:
        days = (datetime.datetime.fromisoformat(found.expires).replace(tzinfo=datetime.UTC) - now).days
        near = days < planned.expires_in
        yield Row("application credential", "warn" if near else "pass", f"ends in {days} days, {found.expires}", remedy if near else "")


def _roles(facts: Facts) -> Row:
    if {"member", "_member_", "admin", "manager"} & set(facts.roles):
        return Row("role", "pass", ", ".join(facts.roles))
    roles = ", ".join(facts.roles) or "none"
    return Row("role", "fail", f"{roles}: not enough to make anything", "ask the owner of the project for the role member")


def _ec2(facts: Facts, planned: Planned) -> Row:
    name = "EC2 credentials"
    keys = planned.keys or {}
    if keys.get("msg") and not keys.get("action"):
        return Row(name, "fail", str(keys["msg"]))
    if keys.get("action") in _HELD:
        return Row(name, "pass", f"{_HELD[keys['action']]}, access key {keys['access_key']}")
    if planned.own_keys:
        return Row(name, "pass", "you bring a pair")
    if facts.who is None or not facts.who.delegated:
        return Row(name, "pass", "can be made with this login")
    if facts.lists_ec2 is False:
        return Row(
            name, "warn", "this cloud lets no application credential near them", f"log in with a password or by the web, or {_SUPPLY}"
        )
    if facts.credential and facts.credential.unrestricted:
        return Row(name, "pass", "can be made: the application credential is an unrestricted one")
    why = "the application credential is a restricted one, which current Keystones refuse to make them with"
    return Row(name, "warn", why, f"make one with 'openstack application credential create --unrestricted', or {_SUPPLY}")


def _reachable(facts: Facts) -> Iterator[Row]:
    for service, problem in facts.reachable.items():
        url = facts.endpoints[service]
        remedy = "is a firewall in between, and the cloud's CA known to clouds.yaml (cacert)?" if problem else ""
        yield Row(f"{service} answers", "fail" if problem else "pass", f"{url}{f': {problem}' if problem else ''}", remedy)


def _offered(facts: Facts, planned: Planned) -> Iterator[Row]:
    flavors = None if facts.flavors is None else [each["name"] for each in facts.flavors]
    wanted: tuple[tuple[str, str, list[str], list[str] | None], ...] = (
        ("flavor", "vm_servers", [each.flavor for each in planned.servers], flavors),
        ("image", "vm_image or vm_servers", [each.image for each in planned.servers], facts.images),
        ("network", "vm_network or vm_external_network", planned.networks, facts.networks),
    )
    for what, where, names, offered in wanted:
        for name in dict.fromkeys(names):
            if offered is None:
                reason = facts.unanswered.get(f"{what}s", "the cloud has no such service")
                yield Row(
                    f"{what} {name}", "fail", f"cannot be looked for: {reason}", "name a cloud with a compute service, or no vm_servers"
                )
            elif name in offered:
                yield Row(f"{what} {name}", "pass", "is there")
            else:
                yield Row(f"{what} {name}", "fail", missing_message(what, name, offered, where), "name one that is there")
    if not planned.servers:
        yield Row(
            "servers",
            "skip",
            "none are planned" if "compute" in facts.endpoints else "none are planned, and the cloud has no compute service",
        )


def _needs(facts: Facts, planned: Planned) -> dict[str, int]:
    """What is missing, by the names of quotas."""
    if planned.wanted is None:
        return {}
    there = {(each.kind, each.name) for each in facts.resources}
    new = [each for each in planned.servers if ("server", each.name) not in there]
    volumes = [each.volume for each in planned.servers if each.volume and ("volume", each.name) not in there]
    sizes = {each["name"]: each for each in facts.flavors or []}
    known = [sizes[each.flavor] for each in new if each.flavor in sizes]
    addresses = sum(each.kind == "floating_ip" for each in facts.resources)
    own = [] if planned.wanted.network else ["network", "router"]
    return {
        "instances": len(new),
        "cores": sum(each["vcpus"] for each in known),
        "ram": sum(each["ram"] for each in known),
        "floating_ips": max(0, sum(each.reachable for each in planned.servers) - addresses),
        **{f"{kind}s": int((kind, planned.wanted.name) not in there) for kind in (*own, "security_group")},
        "volumes": len(volumes),
        "gigabytes": sum(volumes),
    }


_UNITS = {"ram": " MiB", "gigabytes": " GiB"}


def _quotas(facts: Facts, planned: Planned) -> Iterator[Row]:
    for name, need in _needs(facts, planned).items():
        if not need:
            continue
        check, unit = f"quota of {name.replace('_', ' ')}", _UNITS.get(name, "")
        if name not in facts.quotas:
            yield Row(check, "skip", f"{need}{unit} needed; the cloud does not tell what is left")
            continue
        limit, used = facts.quotas[name]
        left = f"{limit - used} of {limit}{unit} left" if limit >= 0 else "no limit"
        enough = limit < 0 or need <= limit - used
        remedy = "" if enough else "declare less, remove what is not needed (reap.yml), or ask the operator for more"
        yield Row(check, "pass" if enough else "fail", f"{need}{unit} more needed, {left}", remedy)


def _object_store(facts: Facts) -> Iterator[Row]:
    swift, s3 = facts.endpoints.get("object-store"), facts.endpoints.get("s3")
    if not swift and not s3:
        yield Row("object store", "skip", "the catalog names none")
        return
    if facts.s3_endpoint:
        by = "as the catalog says" if s3 else "beside the object-store, since the catalog names no s3"
        yield Row("S3 endpoint", "pass", f"{facts.s3_endpoint} speaks S3, {by}; profiles get request_checksum_calculation = when_required")
    else:
        remedy = "where the Swift service does not serve S3 beside it, set ec2_credentials_endpoint_url"
        yield Row("S3 endpoint", "fail", facts.unanswered.get("S3 endpoint", "not asked"), remedy)
    if not swift:
        yield Row("object store", "fail", facts.unanswered.get("Swift API", "the catalog names none"))
        return
    limit, used = facts.quotas.get("object_bytes", (-1, 0))
    if "object store" in facts.unanswered:
        yield Row("quota of object bytes", "skip", f"not told: {facts.unanswered['object store']}")
    elif limit >= 0 and used >= limit:
        yield Row("quota of object bytes", "fail", f"{used} of {limit} bytes are used", "remove data, or ask the operator for more")
    else:
        yield Row("quota of object bytes", "pass", f"{used} bytes used, {'no limit told' if limit < 0 else f'{limit - used} left'}")


def _buckets(facts: Facts, planned: Planned) -> Iterator[Row]:
    for name in planned.buckets:
        found = facts.buckets.get(name)
        if found is None:
            why = facts.unanswered.get(f"bucket {name}")
            yield Row(f"bucket {name}", "fail" if why else "skip", why or "there is no object store to ask")
        else:
            yield _bucket(name, found, name in planned.public)


def _bucket(name: str, found: Look, public: bool) -> Row:
    check = f"bucket {name}"
    if found.bucket.state == "taken":
        remedy = "bucket names are shared by the whole of this cloud: choose another one in zarr_buckets"
        return Row(check, "fail", "belongs to another project", remedy)
    if found.bucket.state == "free":
        return Row(check, "pass", "is free")
    unclear = [str(each) for each in found.openings if (each.writes if public else each.conditional)]
    if unclear:
        what = "lets anybody write" if public else "lets anybody in under a condition, which site.yml does not judge"
        return Row(check, "fail", f"is there and ours; {'; '.join(unclear)} {what}", "take it out of the bucket policy")
    unknown = f"; not known: {'; '.join(found.access.unknown)}" if found.access.unknown else ""
    if public or found.private:
        return Row(check, "pass", f"is there and ours{'' if public else ', and private'}{unknown}")
    remedy = "site.yml closes Swift ACL, S3 ACL and policy; 'public: true' in zarr_buckets leaves it open"
    return Row(check, "warn", f"is there and ours, declared private, and {found.why_open}{unknown}", remedy)


def table(found: Iterable[Row]) -> list[str]:
    """For people: one line a row, the remedy below it."""
    rows = ([(each.status, each.check, each.message), ("", "", f"→ {each.remedy}" if each.remedy else "")] for each in found)
    return [line for line in aligned(row for both in rows for row in both) if line]
