# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The decision about a pair of keys as tables, and the order of steps when something fails in between."""

import json
from dataclasses import dataclass, field

import pytest
from zarrstream import profile_file, safe_file
from zarrstream.ec2 import Change, endpoint_from, find
from zarrstream.ec2_plan import Action, Ec2Plan, Found, Pair, Wanted, plan
from zarrstream.errors import AccessRefused, BadRequest, Conflict, NotFound, ProfileError, Unreachable, ZarrstreamError
from zarrstream.keystone import Login, Services, project_of_owner, refusal
from zarrstream.profile_text import ProfileSettings, read_values

HELD, LISTED, NEW, BROUGHT = (Pair(name, f"secret of {name}") for name in ("HELD", "LISTED", "NEW", "BROUGHT"))
P = "project"
WHO = Login("js2", "user", P, delegated=False, project_name="lab")


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        ({}, Found(HELD, True), Ec2Plan(Action.REUSED, HELD)),
        ({}, Found(HELD, True, held_project=P), Ec2Plan(Action.REUSED, HELD)),
        ({}, Found(HELD, False, listed=(LISTED,), proven=LISTED), Ec2Plan(Action.LISTED, LISTED)),
        ({}, Found(None, listed=(HELD, LISTED), proven=LISTED), Ec2Plan(Action.LISTED, LISTED)),
        ({}, Found(HELD, False, listed=()), Ec2Plan(Action.CREATED, create=True)),
        ({}, Found(HELD, False, listed=None), Ec2Plan(Action.CREATED, create=True)),
        ({}, Found(None, listed=None), Ec2Plan(Action.CREATED, create=True)),
        ({"rotate": True}, Found(HELD), Ec2Plan(Action.ROTATED, create=True, revoke="HELD")),
        ({"rotate": True}, Found(None), Ec2Plan(Action.CREATED, create=True)),
        ({"supplied": BROUGHT}, Found(None), Ec2Plan(Action.SUPPLIED, BROUGHT)),
        ({"supplied": BROUGHT}, Found(HELD), Ec2Plan(Action.SUPPLIED, BROUGHT)),
        ({"supplied": HELD}, Found(HELD), Ec2Plan(Action.REUSED, HELD)),
        ({"present": False}, Found(HELD), Ec2Plan(Action.REVOKED, revoke="HELD")),
        ({"present": False}, Found(None), Ec2Plan(Action.NONE)),
    ],
)
def test_plan(wanted, found, expected):
    assert plan(Wanted(P, **wanted), found) == expected


@pytest.mark.parametrize("wanted", [{}, {"rotate": True}, {"present": False}])
def test_pair_of_another_project_is_never_touched(wanted):
    with pytest.raises(Conflict, match="holds access key HELD of project other, but this login is for project project"):
        plan(Wanted(P, **wanted), Found(HELD, True, held_project="other"))


def test_no_pair_is_made_where_the_endpoint_refuses_all_that_exist():
    with pytest.raises(ZarrstreamError, match=r"a further one would be refused too.*rotate: true"):
        plan(Wanted(P), Found(HELD, False, listed=(HELD, LISTED)))


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"supplied": BROUGHT, "rotate": True}, "rotate and access_key exclude each other"),
        ({"supplied": BROUGHT, "present": False}, "access_key has no meaning with state absent"),
        ({"rotate": True, "present": False}, "rotate has no meaning with state absent"),
    ],
)
def test_contradiction_is_refused_before_anything_is_asked(wanted, says):
    with pytest.raises(BadRequest, match=says):
        find(Wanted(P, **wanted), HELD, keys=None, proof=None, who=WHO)


@dataclass
class Cloud:
    """Keystone and object store in memory, with the failures that cannot be provoked in real ones. ``log`` has every step."""

    valid: dict = field(default_factory=dict)  # access key -> secret
    lists: bool = True
    fail: dict = field(default_factory=dict)  # step -> error
    log: list = field(default_factory=list)
    project: str | None = P
    region: str = "RegionOne"
    owner: str | None = None

    def _step(self, name):
        self.log.append(name)
        if name.split()[0] in self.fail:
            raise self.fail[name.split()[0]]

    def list(self):
        self._step("list")
        return tuple(Pair(*item) for item in self.valid.items()) if self.lists else None

    def project_of(self, access_key):
        return self.project if access_key in self.valid else None

    def create(self):
        self._step("create")
        self.valid[NEW.access_key] = NEW.secret_key
        return NEW

    def delete(self, access_key):
        self._step(f"delete {access_key}")
        return self.valid.pop(access_key, None) is not None

    def works(self, pair):
        self._step(f"prove {pair.access_key if len(pair.access_key) < 10 else 'nobody'}")
        return self.valid.get(pair.access_key) == pair.secret_key


def have(cloud, *pairs):
    cloud.valid.update({pair.access_key: pair.secret_key for pair in pairs})
    return cloud


@pytest.mark.parametrize(
    ("cloud", "held", "wanted", "steps", "action"),
    [
        (have(Cloud(), HELD, LISTED), HELD, {}, ["prove HELD"], Action.REUSED),
        (have(Cloud(), LISTED), HELD, {}, ["prove HELD", "prove nobody", "list", "prove LISTED"], Action.LISTED),
        (have(Cloud(), HELD), Pair("HELD", "damaged"), {}, ["prove HELD", "prove nobody", "list", "prove HELD"], Action.LISTED),
        (Cloud(), None, {}, ["prove nobody", "list"], Action.CREATED),
        (Cloud(lists=False), HELD, {}, ["prove HELD", "prove nobody", "list"], Action.CREATED),
        (have(Cloud(), HELD, LISTED), HELD, {"rotate": True}, ["prove nobody"], Action.ROTATED),
        (have(Cloud(), BROUGHT), HELD, {"supplied": BROUGHT}, ["prove BROUGHT"], Action.SUPPLIED),
        (have(Cloud(), HELD), HELD, {"present": False}, [], Action.REVOKED),
    ],
)
def test_only_what_the_decision_needs_is_asked(cloud, held, wanted, steps, action):
    cloud.log.clear()
    wish = Wanted(P, **wanted)
    assert plan(wish, find(wish, held, cloud, cloud, WHO)).action is action
    assert cloud.log == steps


@pytest.mark.parametrize("held", [None, HELD])
@pytest.mark.parametrize("error", [Unreachable("dead"), AccessRefused("clock", code="RequestTimeTooSkewed"), ZarrstreamError("503")])
def test_endpoint_that_cannot_be_asked_stops_everything(held, error):
    cloud = Cloud(fail={"prove": error})
    with pytest.raises(type(error)):
        find(Wanted(P), held, cloud, cloud, WHO)
    assert "create" not in cloud.log
    assert "list" not in cloud.log


def test_server_that_says_access_denied_to_unknown_keys_is_alive():
    cloud = Cloud(fail={"prove": AccessRefused("denied", code="AccessDenied")})
    assert find(Wanted(P), None, cloud, cloud, WHO).listed == ()


def test_wrong_supplied_pair_is_refused():
    cloud = Cloud()
    with pytest.raises(AccessRefused, match="supplied access_key BROUGHT") as caught:
        find(Wanted(P, supplied=BROUGHT), HELD, cloud, cloud, WHO)
    assert BROUGHT.secret_key not in str(caught.value)


# --- apply ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    return tmp_path / ".aws" / "config"


def settings(pair):
    return ProfileSettings("lab", pair.access_key, pair.secret_key, "https://h:1")


def change(decision, file):
    return Change(decision, settings, profile_file.find(str(file)), "lab")


def hold(file, pair):
    profile_file.plan_present(settings(pair), profile_file.find(str(file))).apply()


def held_by(file):
    return read_values("lab", file.read_text()).get("aws_access_key_id") if file.exists() else None


def test_new_pair_is_proved_before_it_is_written(file):
    cloud = Cloud()
    outcome = change(Ec2Plan(Action.CREATED, create=True), file).apply(cloud, cloud)
    assert cloud.log == ["create", "prove NEW"]
    assert (outcome.pair, outcome.revoked, held_by(file)) == (NEW, (), "NEW")


def test_rotation_revokes_last(file):
    cloud = have(Cloud(), HELD)
    hold(file, HELD)
    outcome = change(Ec2Plan(Action.ROTATED, create=True, revoke="HELD"), file).apply(cloud, cloud)
    assert cloud.log == ["create", "prove NEW", "delete HELD"]
    assert (outcome.revoked, held_by(file), list(cloud.valid)) == (("HELD",), "NEW", ["NEW"])


def test_rotation_with_creation_refused_keeps_the_old_pair(file):
    cloud = have(Cloud(fail={"create": AccessRefused("no")}), HELD)
    hold(file, HELD)
    with pytest.raises(AccessRefused):
        change(Ec2Plan(Action.ROTATED, create=True, revoke="HELD"), file).apply(cloud, cloud)
    assert (held_by(file), list(cloud.valid)) == ("HELD", ["HELD"])


@pytest.mark.parametrize("step", ["prove", "write"])
def test_pair_that_cannot_be_proved_or_written_is_deleted_again(file, step, monkeypatch):
    cloud = have(Cloud(fail={"prove": Unreachable("dead")} if step == "prove" else {}), HELD)
    hold(file, HELD)
    if step == "write":
        monkeypatch.setattr(safe_file, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises((Unreachable, ProfileError)):
        change(Ec2Plan(Action.ROTATED, create=True, revoke="HELD"), file).apply(cloud, cloud)
    assert (held_by(file), list(cloud.valid)) == ("HELD", ["HELD"])


def test_pair_that_the_store_never_learns_is_deleted_again(file):
    class Deaf(Cloud):
        def works(self, pair):  # noqa: ARG002
            return False

    cloud = Deaf()
    with pytest.raises(AccessRefused, match="Keystone made access key NEW, but the object store refused it"):
        change(Ec2Plan(Action.CREATED, create=True), file).apply(cloud, cloud, propagation=0)
    assert (held_by(file), cloud.valid) == (None, {})


def test_pair_that_is_left_over_is_named(file):
    cloud = Cloud(fail={"prove": Unreachable("dead"), "delete": AccessRefused("forbidden")})
    with pytest.raises(
        Unreachable, match=r"access key NEW, just made, could not be deleted: forbidden.*ec2 credentials delete NEW"
    ) as caught:
        change(Ec2Plan(Action.CREATED, create=True), file).apply(cloud, cloud)
    assert caught.value.details["not_revoked"] == "NEW"


def test_old_pair_that_stays_is_named(file):
    cloud = have(Cloud(fail={"delete": AccessRefused("forbidden")}), HELD)
    hold(file, HELD)
    with pytest.raises(AccessRefused, match="holds the new access key NEW, which works, but the old one, HELD, still exists: forbidden"):
        change(Ec2Plan(Action.ROTATED, create=True, revoke="HELD"), file).apply(cloud, cloud)
    assert (held_by(file), set(cloud.valid)) == ("NEW", {"HELD", "NEW"})


def test_file_that_cannot_be_edited_is_found_before_a_pair_is_made(file):
    hold(file, HELD)
    file.write_text("[profile lab]\n  region = x\n  output = json\n")
    cloud = Cloud()
    with pytest.raises(ProfileError):
        change(Ec2Plan(Action.CREATED, create=True), file).apply(cloud, cloud)
    assert cloud.log == []


@pytest.mark.parametrize(("known", "revoked"), [(True, ("HELD",)), (False, ())])
def test_absent_revokes_then_removes(file, known, revoked):
    cloud = have(Cloud(), HELD) if known else Cloud()
    hold(file, HELD)
    outcome = change(Ec2Plan(Action.REVOKED, revoke="HELD"), file).apply(cloud, cloud)
    assert (outcome.revoked, outcome.pair, held_by(file), cloud.valid) == (revoked, None, None, {})


def test_absent_that_is_refused_leaves_the_profile(file):
    cloud = have(Cloud(fail={"delete": AccessRefused("forbidden")}), HELD)
    hold(file, HELD)
    with pytest.raises(AccessRefused):
        change(Ec2Plan(Action.REVOKED, revoke="HELD"), file).apply(cloud, cloud)
    assert held_by(file) == "HELD"


def test_preview_shows_a_pair_to_be_made_without_a_secret(file):
    diff = change(Ec2Plan(Action.CREATED, create=True), file).preview().diff()
    assert "aws_access_key_id = (new)\naws_secret_access_key = (hidden)\n" in diff["after"]
    assert not file.exists()


def test_secrets_are_in_no_repr(file):
    hold(file, HELD)
    shown = repr([Found(HELD, listed=(LISTED,)), Wanted(P, supplied=BROUGHT), Ec2Plan(Action.REUSED, HELD), settings(HELD)])
    assert "secret of" not in shown


# --- Keystone ---------------------------------------------------------------------------------------------------------

DELEGATED = "Delegated tokens cannot access credentials directly"
RESTRICTED = "Using method 'application_credential' is not allowed for managing additional application credentials."
POLICY = "You are not authorized to perform the requested action: identity:ec2_create_credential."


@pytest.mark.parametrize(
    ("status", "message", "delegated", "why", "ways", "not_ways"),
    [
        (403, DELEGATED, True, "no application credential", ["password", "ready-made", "operator"], ["--unrestricted"]),
        (403, RESTRICTED, True, "restricted one", ["--unrestricted", "password", "ready-made"], []),
        (403, POLICY, False, "no role", ["role member", "ready-made"], ["--unrestricted"]),
        (401, "Unauthorized", True, "access rules", ["without access rules", "password", "ready-made"], []),
        (401, "Unauthorized", False, "no longer accepted", ["password"], []),
        (500, "Internal", False, "Try again", ["operator"], ["ready-made"]),
    ],
)
def test_refusal_names_cause_and_ways_out(status, message, delegated, why, ways, not_ways):
    error = refusal("create", status, message, Login("js2", "u", "p", delegated))
    text = str(error)
    assert text.startswith(f"Keystone of cloud 'js2' does not let this login create an EC2 credential ({status}: {message}")
    assert why in text
    assert all(way in text for way in ways)
    assert not any(way in text for way in not_ways)
    assert json.loads(json.dumps(error.details))["status"] == status


ID, OTHER = "0" * 32, "1" * 32


@pytest.mark.parametrize(
    ("owner", "project"),
    [
        (ID, ID),
        (f"{OTHER}${OTHER}", OTHER),
        ("lab:alice", ID),
        ("other-lab:alice", "'other-lab'"),
        ("", None),
        (None, None),
        ("someone", None),
    ],
)
def test_owner_of_the_buckets_tells_the_project(owner, project):
    assert project_of_owner(owner, Login("js2", "u", ID, delegated=False, project_name="lab")) == project


def test_working_pair_of_another_project_is_seen_without_keystone():
    cloud = have(Cloud(owner="other-lab:alice", project=None), HELD)
    with pytest.raises(Conflict, match="of project 'other-lab'"):
        plan(Wanted(P), find(Wanted(P), HELD, cloud, cloud, WHO))


JS2 = "https://js2.jetstream-cloud.org:8001"


@pytest.mark.parametrize(
    ("given", "s3", "swift", "expected"),
    [
        ("https://mine:1/", None, None, "https://mine:1"),
        (None, JS2, "https://other/v1/AUTH_1", JS2),
        (None, None, f"{JS2}/swift/v1", JS2),
        (None, None, "https://swift:8080/v1/AUTH_1", "https://swift:8080"),
    ],
)
def test_endpoint_comes_from_option_then_catalog(given, s3, swift, expected):
    assert endpoint_from(given, Services(s3, swift)) == expected


def test_catalog_without_object_store():
    with pytest.raises(NotFound, match="names neither a service 's3' nor 'object-store'"):
        endpoint_from(None, Services(None, None))
    assert endpoint_from(None, Services(None, None), required=False) is None


def test_wrong_url_in_the_catalog_is_named_as_such():
    with pytest.raises(BadRequest, match="the URL of the service s3 in the catalog is"):
        endpoint_from(None, Services(f"{JS2}/swift/v1", None))
