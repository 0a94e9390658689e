# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the doctor asks a cloud before anything is made. Nothing is changed; a question that is not answered is a fact as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..errors import ZarrstreamError
from ..openstack.catalog import endpoint_from, swift_url_of
from ..openstack.keystone import Login, ca_for, identity_of, login, services, verification
from ..openstack.signed_request import SignedRequest, reach
from ..probe.privacy import Look, look
from ..probe.signer import signer
from ..profiles.endpoint import origin
from .find import Finder
from .resources import Resource

_SECONDS = 10
_SERVICES = ("compute", "network", "image", "block-storage", "object-store", "s3")


@dataclass(frozen=True)
class Credential:
    """An application credential: when it ends (ISO 8601, UTC; empty for never) and whether it is unrestricted; None where not told."""

    expires: str | None
    unrestricted: bool | None


@dataclass
class Facts:
    """Answers of a cloud. ``unanswered`` has the reason by question: what is named there is None or empty here."""

    who: Login | None = None
    auth_type: str = ""
    roles: list[str] = field(default_factory=list)
    credential: Credential | None = None
    lists_ec2: bool | None = None
    reachable: dict[str, str] = field(default_factory=dict)
    endpoints: dict[str, str] = field(default_factory=dict)
    quotas: dict[str, tuple[int, int]] = field(default_factory=dict)
    flavors: list[dict[str, Any]] | None = None
    images: list[str] | None = None
    networks: list[str] | None = None
    resources: list[Resource] = field(default_factory=list)
    s3_endpoint: str = ""
    buckets: dict[str, Look] = field(default_factory=dict)
    unanswered: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class KeysOf:
    """The AWS profile of the run, its file, and the S3 endpoint where the catalog does not say it."""

    profile: str | None = None
    config_file: str | None = None
    endpoint_url: str | None = None


class Questions:
    """Asks through the SDK's connection; ``keys`` says what signs, where there are keys already."""

    def __init__(self, conn: Any, keys: KeysOf | None = None) -> None:
        self._conn = conn
        self._keys = keys or KeysOf()
        self.facts = Facts(auth_type=str(conn.config.config.get("auth_type") or "password"))

    def ask(self, buckets: Iterable[str], cluster: str) -> Facts:
        """All questions; those that need a service that is not there are left out."""
        facts = self.facts
        self._try("login", self._login)
        if facts.who is None:
            return facts
        self._try("ec2", self._ec2)
        self._endpoints()
        if "compute" in facts.endpoints:
            self._try("compute quota", self._compute_quota)
            self._try("flavors", self._flavors)
            self._try("cluster", partial(self._cluster, cluster))
        if "network" in facts.endpoints:
            self._try("network quota", self._network_quota)
            self._try("networks", self._networks)
        if "image" in facts.endpoints:
            self._try("images", self._images)
        if "block-storage" in facts.endpoints:
            self._try("volume quota", self._volume_quota)
        self._try("S3 endpoint", self._s3)
        self._try("Swift API", self._swift)
        if "object-store" in facts.endpoints:
            self._try("object store", self._object_store)
        if facts.s3_endpoint and "Swift API" not in facts.unanswered:
            for bucket in buckets:
                self._try(f"bucket {bucket}", partial(self._bucket, bucket))
        return facts

    def _try(self, question: str, ask: Callable[[], None]) -> None:
        from keystoneauth1.exceptions import ClientException
        from openstack.exceptions import SDKException
        from requests import RequestException

        try:
            ask()
        except (ZarrstreamError, SDKException, ClientException, RequestException) as error:
            self.facts.unanswered[question] = str(error).partition("\n")[0]

    def _login(self) -> None:
        who = login(self._conn)
        access = self._conn.session.auth.get_access(self._conn.session)
        self.facts.roles = sorted(access.role_names or [])
        self.facts.who = who
        if who.delegated:
            self._try("application credential", lambda: self._credential(who, access.application_credential_id))

    def _credential(self, who: Login, credential: str) -> None:
        answer = identity_of(self._conn).get(f"/users/{who.user_id}/application_credentials/{credential}")
        if answer.status_code >= 300:
            self.facts.credential = Credential(None, None)
            return
        entry = answer.json()["application_credential"]
        self.facts.credential = Credential(entry.get("expires_at") or "", entry.get("unrestricted"))

    def _ec2(self) -> None:
        if not self.facts.who:
            raise AssertionError("asked after the login alone")
        path = f"/users/{self.facts.who.user_id}/credentials/OS-EC2"
        self.facts.lists_ec2 = identity_of(self._conn).get(path, log=False).status_code < 300

    def _endpoints(self) -> None:
        for service in _SERVICES:
            url = self._conn.endpoint_for(service)
            if url:
                self.facts.endpoints[service] = url.rstrip("/")
                self.facts.reachable[service] = self._answers(url)

    def _answers(self, url: str) -> str:
        """Empty where something answers at the endpoint, whatever it says; else what went wrong."""
        import requests

        try:
            with requests.Session() as session:
                session.trust_env = False
                session.get(origin(url) + "/", verify=verification(self._conn), timeout=_SECONDS)
        except requests.RequestException as error:
            return type(error).__name__
        return ""

    def _compute_quota(self) -> None:
        limits = self._conn.compute.get_limits().absolute
        self.facts.quotas |= {
            "instances": (limits.instances, limits.instances_used),
            "cores": (limits.total_cores, limits.total_cores_used),
            "ram": (limits.total_ram, limits.total_ram_used),
        }

    def _network_quota(self) -> None:
        if not self.facts.who:
            raise AssertionError("the login was asked for first")
        answer = self._conn.network.get(f"/quotas/{self.facts.who.project_id}/details.json")
        if answer.status_code >= 300:
            raise ZarrstreamError(f"the cloud does not tell it ({answer.status_code})")
        quota = answer.json()["quota"]
        for name, key in (
            ("floating_ips", "floatingip"),
            ("routers", "router"),
            ("networks", "network"),
            ("security_groups", "security_group"),
        ):
            self.facts.quotas[name] = (quota[key]["limit"], quota[key]["used"] + quota[key].get("reserved", 0))

    def _volume_quota(self) -> None:
        limits = self._conn.block_storage.get_limits().absolute
        self.facts.quotas["volumes"] = (limits.max_total_volumes, limits.total_volumes_used)
        self.facts.quotas["gigabytes"] = (limits.max_total_volume_gigabytes, limits.total_gigabytes_used)

    def _object_store(self) -> None:
        account = self._conn.object_store.get_account_metadata()
        quota = getattr(account, "meta_quota_bytes", None) or account.metadata.get("quota-bytes")
        self.facts.quotas["object_bytes"] = (int(quota) if quota else -1, int(account.account_bytes_used or 0))

    def _cluster(self, name: str) -> None:
        self.facts.resources = Finder(self._conn).resources(name)

    def _flavors(self) -> None:
        self.facts.flavors = [{"name": each.name, "vcpus": each.vcpus, "ram": each.ram} for each in self._conn.compute.flavors()]

    def _images(self) -> None:
        self.facts.images = sorted({each.name for each in self._conn.image.images(status="active")})

    def _networks(self) -> None:
        self.facts.networks = sorted({each.name for each in self._conn.network.networks()})

    def _s3(self) -> None:
        """Where the keys will be proved: a pair that nobody has is refused there by whatever speaks S3."""
        endpoint = endpoint_from(self._keys.endpoint_url, services(self._conn)) or ""
        reach(SignedRequest("none", endpoint, None, ca_for(self._conn, endpoint)))
        self.facts.s3_endpoint = endpoint

    def _swift(self) -> None:
        swift_url_of(services(self._conn), str(self._conn.config.name))

    def _bucket(self, name: str) -> None:
        """What the role bucket will find."""
        endpoint, keys = self.facts.s3_endpoint, self._keys
        who = partial(signer, self._conn, endpoint, ca_for(self._conn, endpoint), keys.profile, keys.config_file)
        swift = self.facts.endpoints["object-store"]
        self.facts.buckets[name] = look(name, self._conn.object_store, who, endpoint, swift, verification(self._conn))
