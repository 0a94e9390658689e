# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""EC2 credentials in Keystone, by the SDK's connection, and what Keystone's refusals mean.

Through ``/users/{id}/credentials/OS-EC2``, since the general ``/credentials`` has had several security holes, and clouds close it in
different ways. One request goes there: only there can whoever makes a pair choose its access key, so that it can be noted before it
exists (docs/decisions/0012). It is sent only by logins that OS-EC2 would let make one too, and OS-EC2 is asked where it is refused.
No request of this file is logged: the answers hold secrets.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import AccessRefused, BadRequest, Unreachable, ZarrstreamError
from ..storage.s3_errors import speaks_plain_http
from .catalog import Services
from .ec2_plan import Pair, Seen

_SUPPLY = "supply ready-made keys with access_key and secret_key (on many dashboards: Project > API Access > View Credentials)"
_LOGIN = "log in with a password or the token of a web login (OIDC)"
_REVOKE = "ask the operator of the cloud to revoke it"
_OPERATOR = "ask the operator of the cloud for a pair"

_ENVIRONMENT = "envvars"  # the SDK's name for the cloud that the variables OS_… describe
_OF_A_PASSWORD = re.compile(r"^OS_(USER|PASSWORD|PROJECT|TENANT|DOMAIN|DEFAULT_DOMAIN)")
_ID = re.compile(r"^[0-9a-f]{32}$")


@dataclass(frozen=True)
class Login:
    """Who the token is for. ``delegated``: an application credential, which may do less than its user.

    ``chooses``: a login of the user's own with the role ``member``, who may choose the access key of a pair. What a delegated one
    makes so would be bound to the delegation, and die with it; and a ``reader`` could make what OS-EC2 does not let it make.
    """

    cloud: str
    user_id: str
    project_id: str
    delegated: bool
    project_name: str = ""
    user_name: str = ""
    auth_url: str = ""
    chooses: bool = False


def login(conn: Any) -> Login:
    """The login of the SDK's connection, asking for a token. Raises AccessRefused, Unreachable or BadRequest."""
    cloud = str(conn.config.name or "this cloud")
    access = _translated(cloud, lambda: conn.session.auth.get_access(conn.session))
    if not access.project_id:
        raise BadRequest(
            f"the login of cloud '{cloud}' is for no project, and EC2 credentials belong to one. "
            "Set project_name or project_id in clouds.yaml, or use an application credential.",
            cloud=cloud,
        )
    delegated = bool(getattr(access, "application_credential_id", None))
    bound = delegated or access.trust_scoped or bool(access.oauth_access_token_id)
    return Login(
        cloud,
        access.user_id,
        access.project_id,
        delegated,
        access.project_name,
        str(access.username or ""),
        auth_url=str(getattr(conn.session.auth, "auth_url", None) or ""),
        chooses=not bound and "member" in (role.lower() for role in access.role_names),
    )


def project_of_owner(owner: str | None, who: Login) -> str | None:
    """The project behind the owner that S3 names for a pair; None where that cannot be told.

    Ceph RGW names the project's id (``id`` or ``id$id``), Swift the names of project and user (``project:user``).
    """
    project, separator, _unused = (owner or "").partition(":")
    if separator:
        return who.project_id if project == who.project_name else f"'{project}'"
    project = project.partition("$")[0]
    return project if _ID.match(project) else None


def services(conn: Any) -> Services:
    """The endpoints of ``s3`` and ``object-store`` in the interface and region of the connection."""

    def url(service_type: str) -> str | None:
        found = conn.endpoint_for(service_type)
        return found.rstrip("/") if found else None

    cloud = str(conn.config.name or "this cloud")
    return _translated(cloud, lambda: Services(s3_url=url("s3"), object_store_url=url("object-store")))


def verification(conn: Any) -> str | bool:
    """How the login verifies servers: the path of a CA, True for those that the system knows, or False."""
    verify, _client_certificate = conn.config.get_requests_verify_args()
    return verify if isinstance(verify, str) else bool(verify)


def ca_for(conn: Any, endpoint: str | None) -> str | None:
    """The CA of the cloud, for an endpoint with TLS."""
    verify = verification(conn)
    # The SDK has put the home in.
    return str(Path(verify).absolute()) if isinstance(verify, str) and endpoint and endpoint.startswith("https://") else None


def identity_of(conn: Any) -> Any:
    """Keystone's API: where the catalog says, or where the login went, since some catalogs have no identity service in each region."""
    from keystoneauth1.adapter import Adapter

    if conn.endpoint_for("identity"):
        return conn.identity
    url = str(getattr(conn.session.auth, "auth_url", "")).rstrip("/")
    return Adapter(conn.session, endpoint_override=url if url.endswith("/v3") else f"{url}/v3", raise_exc=False)


class Ec2Keys:
    """The EC2 credentials of one user."""

    def __init__(self, conn: Any, who: Login) -> None:
        self._identity = _translated(who.cloud, lambda: identity_of(conn))
        self._who = who
        self._path = f"/users/{who.user_id}/credentials/OS-EC2"

    def list(self) -> tuple[Pair, ...] | None:
        """The pairs for the login's project, those of trusts left out; None where the cloud refuses to list them."""
        answer = self._send("get", self._path)
        if answer.status_code in (401, 403):
            return None
        entries = self._accepted(answer, "list").json()["credentials"]
        ours = [entry for entry in entries if entry.get("tenant_id") == self._who.project_id and not entry.get("trust_id")]
        return tuple(Pair(entry["access"], entry["secret"]) for entry in ours)

    def look(self, access_key: str) -> Seen:
        """What Keystone says of one pair."""
        answer = self._send("get", f"{self._path}/{quote(access_key, safe='')}")
        if answer.status_code in (401, 403):
            return Seen()
        if answer.status_code == 404:
            return Seen(exists=False)
        entry = self._accepted(answer, "show").json()["credential"]
        return Seen(exists=True, project=entry.get("tenant_id"), pair=Pair(entry["access"], entry["secret"]))

    @property
    def chooses(self) -> bool:
        """Whether ``create_as`` is worth a try."""
        return self._who.chooses

    def create_as(self, pair: Pair) -> bool:
        """Make this very pair; False where Keystone refuses that, and has made none."""
        blob = json.dumps({"access": pair.access_key, "secret": pair.secret_key})
        body = {"type": "ec2", "blob": blob, "user_id": self._who.user_id, "project_id": self._who.project_id}
        answer = self._send("post", "/credentials", json={"credential": body})
        if 400 <= answer.status_code < 500:
            return False
        self._accepted(answer, "create")
        return True

    def create(self) -> Pair:
        """A new pair for the login's project."""
        answer = self._send("post", self._path, json={"tenant_id": self._who.project_id})
        entry = self._accepted(answer, "create").json()["credential"]
        return Pair(entry["access"], entry["secret"])

    def delete(self, access_key: str) -> bool:
        """Revoke a pair; False where Keystone no longer knew it."""
        answer = self._send("delete", f"{self._path}/{quote(access_key, safe='')}")
        if answer.status_code == 404:
            return False
        self._accepted(answer, "delete")
        return True

    def _send(self, method: str, path: str, **body: Any) -> Any:
        return _translated(self._who.cloud, lambda: getattr(self._identity, method)(path, log=False, **body))

    def _accepted(self, answer: Any, verb: str) -> Any:
        if answer.status_code < 300:
            return answer
        raise refusal(verb, answer.status_code, _message(answer), self._who)


def refusal(verb: str, status: int, message: str, who: Login) -> ZarrstreamError:
    """Why Keystone says no to ``verb`` an EC2 credential, and the ways out that exist in this very case."""
    what = f"Keystone of cloud '{who.cloud}' does not let this login {verb} an EC2 credential ({status}: {message})"
    details = {"cloud": who.cloud, "status": status, "project_id": who.project_id}
    if status not in (401, 403):
        return ZarrstreamError(f"{what}. Try again; if it stays, ask the operator of the cloud.", **details)
    if verb == "delete":  # ready-made keys would not help here
        if "Delegated tokens" in message:
            why = "this cloud takes no application credential for it, restricted or not"
        elif "application_credential" in message or who.delegated:
            why = "an application credential may not, unless it is unrestricted and without access rules"
        else:
            why = "whoever made it may, with the role member in its project"
        ways = [f"{_LOGIN} and run this again", "delete it in the dashboard (Project > API Access > EC2 Credentials)", _REVOKE]
        return AccessRefused(f"{what}: {why}. Ways out: {'; '.join(ways)}.", **details)
    if "Delegated tokens" in message:
        why = "this cloud takes no application credential for it, restricted or not"
        ways = [_LOGIN, _SUPPLY, _OPERATOR]
    elif "application_credential" in message:
        why = "the application credential is a restricted one"
        ways = ["make one with 'openstack application credential create --unrestricted'", _LOGIN, _SUPPLY]
    elif who.delegated and status == 401:
        why = "the application credential has access rules, and this request is not among them"
        ways = ["make one without access rules, and unrestricted", _LOGIN, _SUPPLY]
    elif status == 403:
        why = f"the user has no role in project {who.project_id} that allows it; 'reader' does not, 'member' does"
        ways = ["ask the owner of the project for the role member", _SUPPLY]
    else:
        why = "the token is no longer accepted"
        ways = [_LOGIN, _SUPPLY]
    return AccessRefused(f"{what}: {why}. Ways out: {'; '.join(ways)}.", **details)


def _message(answer: Any) -> str:
    try:
        return str(answer.json()["error"]["message"]).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return str(answer.reason)


def _translated(cloud: str, call: Callable[[], Any]) -> Any:
    """Call the SDK; its errors become ours."""
    from keystoneauth1 import exceptions as keystone
    from openstack import exceptions as sdk

    try:
        return call()
    except (keystone.ClientException, sdk.SDKException) as error:
        raise _explained(cloud, error) from None
    except Exception as error:
        if type(error) is not Exception:  # its subclasses are others' errors; pylint: disable=unidiomatic-typecheck
            raise
        raise unusable_login(cloud, error) from None  # a bare one is keystoneauth's word for a login without a part of it


def unusable_login(cloud: str, error: Exception) -> BadRequest:
    """What is wrong with the settings of a login that come to none: those of two kinds beside each other, or half of one."""
    said = str(error).partition("\n")[0].rstrip(". ")
    what = f"the settings of the login of cloud '{cloud}' do not fit together: {said}. An application credential goes"
    if cloud != _ENVIRONMENT:
        return BadRequest(
            f"{what} with auth_type: v3applicationcredential, and with no username, password, project or domain in its auth in "
            "clouds.yaml; a password goes with all four.",
            cloud=cloud,
        )
    beside = sorted(name for name in os.environ if _OF_A_PASSWORD.match(name))
    return BadRequest(
        f"{what} with OS_AUTH_TYPE=v3applicationcredential, and with nothing of a user or project beside it (unset "
        f"{' '.join(beside) or 'OS_USERNAME OS_PASSWORD OS_PROJECT_NAME'}); a password goes with OS_USERNAME, OS_PROJECT_NAME and "
        "their domains.",
        cloud=cloud,
        variables=beside,
    )


def _explained(cloud: str, error: Exception) -> ZarrstreamError:
    from keystoneauth1 import exceptions as keystone

    said = str(error).partition("\n")[0].rstrip(". ")
    if isinstance(error, keystone.AuthPluginException) or "cannot request a scope" in said:
        return unusable_login(cloud, error)
    if isinstance(error, keystone.Unauthorized):
        return AccessRefused(
            f"Keystone refuses the login of cloud '{cloud}': {said}. "
            "The password or the application credential is wrong, expired or deleted. Correct it in clouds.yaml.",
            cloud=cloud,
        )
    if isinstance(error, keystone.SSLError) and speaks_plain_http(said):
        hint = "The port speaks plain HTTP: write http:// in auth_url (OS_AUTH_URL), or the port that speaks TLS."
        return Unreachable(f"Keystone of cloud '{cloud}' does not answer over TLS: {said}. {hint}", cloud=cloud)
    if isinstance(error, keystone.SSLError):
        return Unreachable(f"the certificate of cloud '{cloud}' is not trusted here: {said}. Set cacert in clouds.yaml.", cloud=cloud)
    if isinstance(error, (keystone.ConnectionError, keystone.DiscoveryFailure, keystone.NotFound)):
        hint = "Is auth_url in clouds.yaml right, and the service up?"
        return Unreachable(f"Keystone of cloud '{cloud}' does not answer as one: {said}. {hint}", cloud=cloud)
    return ZarrstreamError(f"a request to cloud '{cloud}' failed: {said}. Check its entry in clouds.yaml.", cloud=cloud)
