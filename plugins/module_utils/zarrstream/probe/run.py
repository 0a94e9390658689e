# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The test of access: what works at an S3 endpoint with a profile, in named steps, by s3fs and independently by boto3."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from ..errors import BadRequest, ProfileError, ZarrstreamError
from ..profiles import effective, profile_file
from ..profiles.effective import Rule
from ..profiles.profile import Profile, aws_session, config_path, credentials_path
from ..storage.access import BY_DEFAULT, Access, access_from
from ..storage.boto import ATTEMPTS, both_clocks, plain_get, s3_client, server_clock, translate, verification
from ..storage.timeouts import CONNECT_TIMEOUT, PATIENCE
from . import anonymous, sampling, signed_requests
from .debug_log import debug_log

SKEW_LIMIT = 900  # seconds; beyond, servers refuse signatures
PREFIX = ".zarrstream-probe-"


@dataclass(frozen=True)
class Request:
    """What to test. ``anonymous``: True when anonymous clients must be able to read the bucket, False when they must not, None to not ask.

    ``size`` of the object that is written, in bytes: with more of them, the seconds of the steps tell the rate.
    """

    access: Access = BY_DEFAULT
    bucket: str | None = None
    write: bool = True
    anonymous: bool | None = None
    object_store_url: str | None = None
    debug_log: str | None = None
    size: int = 64


@dataclass(frozen=True)
class Step:
    """One named step: whether it worked, what was seen or why not, and how long it took in seconds."""

    name: str
    ok: bool
    message: str
    seconds: float


@dataclass
class ProbeReport:
    """What the steps found. ``clock_skew_seconds`` is positive where this host is ahead; ``failure`` is of the first failed step.

    ``rules``: the variables of the environment that AWS tools believe rather than the profile. The steps go without them.
    """

    checks: list[Step] = field(default_factory=list)
    clock_skew_seconds: int | None = None
    anonymous_endpoint: str | None = None
    server: str = "unknown"
    failure: ZarrstreamError | None = None
    rules: list[Rule] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no step failed."""
        return self.failure is None

    def as_result(self) -> dict[str, Any]:
        """The report as the module returns it; the failure goes beside it."""
        return {
            "changed": False,
            "checks": [asdict(check) for check in self.checks],
            "clock_skew_seconds": self.clock_skew_seconds,
            "anonymous_endpoint": self.anonymous_endpoint,
            "server": self.server,
            "environment": [asdict(rule) for rule in self.rules],
        }


def request_from(options: Mapping[str, Any]) -> Request:
    """The request in the options of the module or the command."""
    known = {item.name: options[item.name] for item in fields(Request) if item.name != "access" and options.get(item.name) is not None}
    return Request(access=access_from(options), **known)


def run(request: Request) -> ProbeReport:
    """Take all steps that make sense. A failed step is in the report; BadRequest is raised for a request without sense."""
    if request.anonymous is not None and not request.bucket:
        raise BadRequest("anonymous is set, but no bucket to read as an anonymous client. Set bucket.")
    return _Probe(request).run()


class _Probe:
    def __init__(self, request: Request) -> None:
        self._request = request
        self._report = ProbeReport()
        self._body = secrets.token_bytes(request.size)
        self._key = PREFIX + secrets.token_hex(16)
        self._written = False
        self._server_time: datetime | None = None
        self._fs: Any = None

    def run(self) -> ProbeReport:
        profile = self._check("endpoint", self._endpoint)
        if profile is None:
            return self._report
        if not self._is_configured(profile):
            return self._report
        with effective.environment_without(effective.ruling_variables()), debug_log(self._request.debug_log, (profile.secret_key,)):
            self._check("clock", self._clock)
            self._check("list_boto3", lambda: self._list_boto3(profile))
            self._check("list_s3fs", lambda: self._list_s3fs(profile))
            if self._request.bucket:
                self._bucket_checks(profile, self._request.bucket)
        return self._report

    def _check(self, name: str, step: Callable[[], Any]) -> Any:
        """Take a step and note it; its result, or None where it failed. A step returns its message, or (message, result)."""
        started = time.monotonic()
        try:
            result = step()
            message, result = result if isinstance(result, tuple) else (result, result)
            ok = True
        except ZarrstreamError as error:
            ok, message, result = False, str(error), None
            self._report.failure = self._report.failure or error
        self._report.checks.append(Step(name, ok, message, round(time.monotonic() - started, 3)))
        return result

    def _endpoint(self) -> tuple[str, Profile]:
        profile = self._request.access.read()
        before = datetime.now(UTC)
        answer = plain_get(f"{profile.endpoint_url}/info", profile)
        here = before + (datetime.now(UTC) - before) / 2
        self._server_time = server_clock(answer.headers)
        if self._server_time:
            self._report.clock_skew_seconds = round((here - self._server_time).total_seconds() - 0.5)
        self._report.server = _server(answer.status, answer.headers, answer.body, profile)
        if answer.status >= 500:
            raise ZarrstreamError(
                f"{profile.endpoint_url} answers {answer.status}: the service is ill. Try again; if it stays, ask the cloud.",
                endpoint_url=profile.endpoint_url,
                status=answer.status,
            )
        return f"{profile.endpoint_url} answers ({self._report.server})", profile

    def _is_configured(self, profile: Profile) -> bool:
        """Ask botocore what it makes of the profile here: a step only where that is not what the profile says.

        False where no client would come to its endpoint: what s3fs would send is signed, and for somebody else.
        """
        asked = self._request.access
        files = config_path(asked.config_file), credentials_path(asked.config_file)
        self._report.rules = effective.rules(asked.profile, *files, asked.endpoint_url)
        with effective.environment_without(effective.ruling_variables()):
            found = effective.look(profile.name, *files, asked.endpoint_url)
        read_as = found.differing({"endpoint_url": profile.endpoint_url, "aws_session_token": ""})
        leading = [rule for rule in self._report.rules if rule.leads_elsewhere]
        if read_as:
            self._check("configuration", lambda: self._misread(profile, read_as))
        elif leading:
            self._check("configuration", lambda: self._led_elsewhere(profile, leading))
        return not read_as

    def _misread(self, profile: Profile, read_as: dict[str, str]) -> None:
        misread = profile_file.misread_on_disk(profile.name, self._request.access.config_file)
        raise ProfileError(
            misread.warning or f"AWS tools do not use profile '{profile.name}': {effective.said(read_as)}.", profile=profile.name
        )

    def _led_elsewhere(self, profile: Profile, leading: list[Rule]) -> None:
        names = [rule.variable for rule in leading]
        read_as = {setting: value for rule in leading for setting, value in rule.read_as.items()}
        raise ProfileError(
            f"profile '{profile.name}' is not what AWS tools use here, since {' and '.join(names)} of the environment "
            f"{'rule' if len(names) > 1 else 'rules'} ({effective.said(read_as)}). Remove that (unset {' '.join(names)}), or name "
            "profile and endpoint_url, which a task and a client ask first. The other steps go without it.",
            profile=profile.name,
        )

    def _clock(self) -> str:
        skew = self._report.clock_skew_seconds
        if skew is None or self._server_time is None:
            return "the server does not tell its time"
        if abs(skew) >= SKEW_LIMIT:
            raise ZarrstreamError(
                f"{both_clocks(self._server_time)}: beyond {SKEW_LIMIT // 60} minutes every signature is refused. "
                "Set this host's clock (chrony).",
                clock_skew_seconds=skew,
            )
        if abs(skew) <= 2:  # the header has no fractions
            return "this host and the server agree"
        return f"{abs(skew)} s {'ahead of' if skew >= 0 else 'behind'} the server"

    def _list_boto3(self, profile: Profile) -> str:
        client = s3_client(profile, read_timeout=PATIENCE)
        names = [bucket["Name"] for bucket in _asked(profile, "list the buckets of", client.list_buckets)["Buckets"]]
        return self._listed(profile, names, client.list_objects_v2)

    def _list_s3fs(self, profile: Profile) -> str:
        fs = self._s3fs(profile)
        names = _asked(profile, "list the buckets of", lambda: fs.ls("", detail=False))
        return self._listed(profile, names, lambda **where: fs.call_s3("list_objects_v2", **where))

    def _listed(self, profile: Profile, names: list[str], list_objects: Callable[..., Any]) -> str:
        bucket = self._request.bucket
        if bucket:
            _asked(profile, "list", lambda: list_objects(Bucket=bucket, MaxKeys=1), bucket)
        return f"{len(names)} bucket(s)" + (f", and {bucket} can be listed" if bucket else "")

    def _s3fs(self, profile: Profile) -> Any:
        """s3fs as its users have it: all it is told is the profile, and time-outs, for which a profile has no place."""
        if self._fs is not None:
            return self._fs
        import s3fs
        from aiobotocore.session import AioSession

        overrules = {"endpoint_url": profile.endpoint_url} if self._request.access.endpoint_url else {}
        session = aws_session(AioSession(profile=profile.name), self._request.access.config_file)
        session.register_component("data_loader", effective.loader())
        fs = self._fs = s3fs.S3FileSystem(
            session=session,
            use_listings_cache=False,
            skip_instance_cache=True,
            client_kwargs={"verify": verification(profile)},
            config_kwargs={
                "connect_timeout": CONNECT_TIMEOUT,
                "read_timeout": PATIENCE,
                "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
            },
            **overrules,
        )
        fs.retries = 1  # one layer of retries is enough
        return fs

    def _bucket_checks(self, profile: Profile, bucket: str) -> None:
        try:
            if self._request.write:
                client = s3_client(profile)
                self._check("put", lambda: self._put(client, profile, bucket))
                if self._written:
                    self._check("get", lambda: self._get(client, profile, bucket))
            if self._request.anonymous is not None:
                self._report.anonymous_endpoint = self._check("anonymous", lambda: self._anonymous(profile, bucket))
        finally:
            if self._request.write and self._written:
                self._check("delete", lambda: self._delete(client, profile, bucket))

    def _put(self, client: Any, profile: Profile, bucket: str) -> str:
        place = {"Bucket": bucket, "Key": self._key}
        try:
            _asked(profile, "write", lambda: client.put_object(**place, Body=self._body), bucket, self._key)
        except ZarrstreamError:
            # The answer may be lost, not the object; where nothing was written, this removes nothing.
            _quietly(lambda: client.delete_object(**place))
            raise
        self._written = True
        return f"{len(self._body)} bytes written to {bucket}/{self._key}"

    def _get(self, client: Any, profile: Profile, bucket: str) -> str:
        # To read the body may fail as well; pylint: disable-next=unnecessary-lambda
        by_boto3 = _asked(profile, "read", lambda: client.get_object(Bucket=bucket, Key=self._key)["Body"].read(), bucket, self._key)
        by_s3fs = _asked(profile, "read", lambda: self._s3fs(profile).cat_file(f"{bucket}/{self._key}"), bucket, self._key)
        for reader, body in (("boto3", by_boto3), ("s3fs", by_s3fs)):
            if body != self._body:
                raise ZarrstreamError(
                    f"{reader} read other bytes of {bucket}/{self._key} than were written: something in between changes data."
                )
        return "the same bytes by boto3 and by s3fs"

    def _delete(self, client: Any, profile: Profile, bucket: str) -> str:
        _asked(profile, "delete", lambda: client.delete_object(Bucket=bucket, Key=self._key), bucket, self._key)
        return "deleted"

    def _anonymous(self, profile: Profile, bucket: str) -> tuple[str, str | None]:
        places = anonymous.endpoints(profile, self._request.object_store_url)
        key = self._key if self._written else self._some_key(profile, bucket)
        if self._request.anonymous:
            sights = []
            for place in places:
                sights.append(anonymous.look(place, bucket, key, profile))
                if sights[-1].outcome in ("read", "missing"):
                    break
            written = hashlib.sha256(self._body).hexdigest() if self._written else None
            found = anonymous.prove_public(sights, written, bucket)
            empty = " (no object is in it yet)" if sights[-1].outcome == "missing" else ""
            return f"a process without credentials reads {bucket} at {found}{empty}", found
        sights = [anonymous.look(place, bucket, key, profile) for place in places]
        listable = [place for place in places if anonymous.may_list(place, bucket, profile)]
        client = s3_client(profile, read_timeout=PATIENCE)
        keys = sampling.some_keys(lambda prefix: self._page(client, profile, bucket, prefix))
        read = [each for each in keys if any(anonymous.may_read(place, bucket, each, profile) for place in places)]
        # Stock Swift has no policy, and shows its own ACL as an S3 one.
        access = signed_requests.look(client, bucket, profile) if self._report.server == "rgw" else signed_requests.BucketAccess()
        return anonymous.prove_private(sights, listable, bucket, anonymous.Known(len(keys), tuple(read), access)), None

    def _page(self, client: Any, profile: Profile, bucket: str, prefix: str) -> tuple[list[str], list[str]]:
        found = _asked(profile, "list", lambda: client.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/"), bucket)
        deeper = [each["Prefix"] for each in found.get("CommonPrefixes", [])]
        return [each["Key"] for each in found.get("Contents", []) if each["Key"] != self._key], deeper

    def _some_key(self, profile: Profile, bucket: str) -> str:
        """An object with content, to be read by an anonymous client; where there is none, the key of none."""
        client = s3_client(profile, read_timeout=PATIENCE)
        found = _asked(profile, "list", lambda: client.list_objects_v2(Bucket=bucket, MaxKeys=100), bucket).get("Contents", [])
        return next((entry["Key"] for entry in found if entry["Size"]), self._key)


def _asked(profile: Profile, verb: str, call: Callable[[], Any], bucket: str = "", key: str = "") -> Any:
    """Call a client; what it raises becomes ours."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except (ClientError, BotoCoreError, OSError, TimeoutError) as error:
        raise translate(error, verb, profile, bucket, key) from None


def _quietly(call: Callable[[], Any]) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        call()
    except (ClientError, BotoCoreError):
        return


def _server(status: int, headers: dict[str, str], body: bytes, profile: Profile) -> str:
    """What kind of object store answers: Swift describes itself at /info, RGW under /swift/info, or in its Server header."""
    if status == 200 and b'"swift"' in body:
        return "swift"
    if "ceph" in headers.get("server", "").lower():
        return "rgw"
    try:
        below = plain_get(f"{profile.endpoint_url}/swift/info", profile)
    except ZarrstreamError:
        return "unknown"
    return "rgw" if below.status == 200 and b'"swift"' in below.body else "unknown"
