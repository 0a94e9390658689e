# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The decision about a pair of keys as tables, and the order of steps when something fails in between."""

import json
import multiprocessing
import signal
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from zarrstream import signals
from zarrstream.errors import AccessRefused, BadRequest, Conflict, NotFound, ProfileError, Unreachable, ZarrstreamError
from zarrstream.openstack import ec2_note
from zarrstream.openstack.catalog import Services, endpoint_from
from zarrstream.openstack.ec2_change import Change
from zarrstream.openstack.ec2_find import Place, find
from zarrstream.openstack.ec2_note import Note, NoteFile, Owner, Stage, note_path
from zarrstream.openstack.ec2_plan import Action, Ec2Plan, Found, Left, Pair, Phase, Seen, Wanted, plan
from zarrstream.openstack.ec2_request import Ec2Request, choose_ca
from zarrstream.openstack.keystone import Login, project_of_owner, refusal
from zarrstream.profiles import profile_file, safe_file
from zarrstream.profiles.profile_ca import ca_copy
from zarrstream.profiles.profile_text import ProfileSettings, read_values

HELD, LISTED, NEW, BROUGHT, OLD, LOST = (Pair(name, f"secret of {name}") for name in ("HELD", "LISTED", "NEW", "BROUGHT", "OLD", "LOST"))
P = "project"
WHO = Login("js2", "user", P, delegated=False, project_name="lab")
OWNER = Owner("lab", "js2", "https://js2/v3", "user", P)
OTHERS = {
    "profile": replace(OWNER, profile="other"),
    "user": replace(OWNER, user_id="other"),
    "project": replace(OWNER, project_id="other"),
}
ROTATE = {"rotate": True}
BEGIN, FINISH = ({"rotate": True, "phase": phase} for phase in (Phase.BEGIN, Phase.FINISH))


def noted(**stages):
    """A note that has these pairs for the profile."""
    return Note(tuple(ec2_note.new_pair(OWNER, key, Stage(stage)) for key, stage in stages.items()))


def adopted(access_key):
    return Note((ec2_note.new_pair(OWNER, access_key, Stage.REPLACED, ours=False),))


def keys(plan_):
    return [each.access_key for each in plan_.left]


ADOPTED = "this controller has no note of having made it; revoke_adopted: true revokes it all the same"
OURS, BEGUN = noted(HELD="written"), noted(OLD="replaced", HELD="written")


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        ({}, Found(HELD, True), Ec2Plan(Action.REUSED, HELD, ours=False)),
        ({}, Found(HELD, True, held_project=P, note=OURS), Ec2Plan(Action.REUSED, HELD, ours=True)),
        ({}, Found(HELD, True, note=BEGUN), Ec2Plan(Action.REUSED, HELD, replaced=("OLD",), ours=True)),
        ({}, Found(HELD, True, note=noted(LOST="creating"), unused=("LOST",)), Ec2Plan(Action.REUSED, HELD, revoke=("LOST",), ours=False)),
        ({}, Found(HELD, False, listed=(LISTED,), proven=LISTED), Ec2Plan(Action.LISTED, LISTED, ours=False)),
        ({}, Found(None, listed=(HELD, LISTED), proven=LISTED), Ec2Plan(Action.LISTED, LISTED, ours=False)),
        ({}, Found(None, note=noted(LOST="creating"), unused=("LOST",), recovered=LOST), Ec2Plan(Action.RECOVERED, LOST, ours=True)),
        ({}, Found(None, note=noted(LOST="written"), recovered=LOST), Ec2Plan(Action.RECOVERED, LOST, ours=True)),
        ({}, Found(HELD, False, listed=()), Ec2Plan(Action.CREATED, create=True, ours=True)),
        ({}, Found(HELD, False, listed=None), Ec2Plan(Action.CREATED, create=True, ours=True)),
        ({}, Found(HELD, False, note=OURS, gone=("HELD",)), Ec2Plan(Action.CREATED, create=True, forget=("HELD",), ours=True)),
        ({}, Found(HELD, False, note=OURS), Ec2Plan(Action.CREATED, create=True, replaced=("HELD",), ours=True)),
        ({}, Found(None, listed=None), Ec2Plan(Action.CREATED, create=True, ours=True)),
        (ROTATE, Found(HELD, note=OURS), Ec2Plan(Action.ROTATED, create=True, revoke=("HELD",), ours=True)),
        (BEGIN, Found(HELD, note=OURS), Ec2Plan(Action.ROTATED, create=True, replaced=("HELD",), ours=True)),
        (BEGIN, Found(HELD), Ec2Plan(Action.ROTATED, create=True, replaced=("HELD",), left=(Left("HELD", ADOPTED),), ours=True)),
        (BEGIN, Found(HELD, True, note=BEGUN), Ec2Plan(Action.ROTATED, HELD, replaced=("OLD",), ours=True)),
        (ROTATE, Found(HELD, True, note=BEGUN), Ec2Plan(Action.ROTATED, HELD, revoke=("OLD",), ours=True)),
        (
            BEGIN,
            Found(HELD, note=Note((*OURS.pairs, *noted(LOST="creating").pairs)), unused=("LOST",), recovered=LOST),
            Ec2Plan(Action.ROTATED, LOST, replaced=("HELD",), ours=True),
        ),
        (FINISH, Found(HELD, True, note=BEGUN), Ec2Plan(Action.REVOKED, HELD, revoke=("OLD",), ours=True)),
        (FINISH, Found(HELD, True, note=OURS), Ec2Plan(Action.NONE, HELD, ours=True)),
        (FINISH, Found(None), Ec2Plan(Action.NONE)),
        (ROTATE, Found(None), Ec2Plan(Action.CREATED, create=True, ours=True)),
        ({"supplied": BROUGHT}, Found(None), Ec2Plan(Action.SUPPLIED, BROUGHT, ours=False)),
        ({"supplied": BROUGHT}, Found(HELD), Ec2Plan(Action.SUPPLIED, BROUGHT, ours=False)),
        ({"supplied": BROUGHT}, Found(HELD, note=OURS), Ec2Plan(Action.SUPPLIED, BROUGHT, replaced=("HELD",), ours=False)),
        ({"supplied": HELD}, Found(HELD), Ec2Plan(Action.REUSED, HELD, ours=False)),
        ({"present": False}, Found(HELD, note=BEGUN), Ec2Plan(Action.REVOKED, revoke=("HELD", "OLD"))),
        ({"present": False}, Found(None, note=OURS), Ec2Plan(Action.REVOKED, revoke=("HELD",))),
        ({"present": False}, Found(None), Ec2Plan(Action.NONE)),
        ({"present": False}, Found(HELD, gone=("HELD",)), Ec2Plan(Action.REMOVED, forget=("HELD",))),
    ],
)
def test_plan(wanted, found, expected):
    assert plan(Wanted(OWNER, **wanted), found) == expected


@pytest.mark.parametrize("note", [Note(), *(Note((ec2_note.new_pair(other, "HELD", Stage.WRITTEN),)) for other in OTHERS.values())])
@pytest.mark.parametrize("wanted", [{"present": False}, ROTATE])
def test_pair_that_this_profile_and_login_did_not_make_is_left(wanted, note):
    decided = plan(Wanted(OWNER, **wanted), Found(HELD, note=note))
    assert (decided.revoke, keys(decided)) == ((), ["HELD"])
    assert ("no note" in decided.left[0].why) == (not note.pairs)
    told_so = plan(Wanted(OWNER, **wanted, revoke_adopted=True), Found(HELD, note=note))
    assert (told_so.revoke, keys(told_so)) == (("HELD",), [])


@pytest.mark.parametrize("wanted", [{"present": False}, {"present": False, "revoke_adopted": True}, ROTATE])
def test_pair_that_another_profile_here_holds_is_left(wanted):
    decided = plan(Wanted(OWNER, **wanted), Found(HELD, note=OURS, elsewhere={"HELD": "[default] of config"}))
    assert (decided.revoke, decided.left) == ((), (Left("HELD", "[default] of config holds it too"),))


def test_rotation_whose_old_pair_was_adopted_ends_with_both():
    finished = plan(Wanted(OWNER, **FINISH), Found(HELD, True, note=Note((*OURS.pairs, *adopted("OLD").pairs))))
    assert (finished.action, finished.revoke, finished.replaced, keys(finished)) == (Action.NONE, (), (), ["OLD"])


def test_rotation_is_not_finished_with_a_pair_that_does_not_work():
    with pytest.raises(ZarrstreamError, match="holds no pair that works, so that the one before it, OLD, was not revoked"):
        plan(Wanted(OWNER, **FINISH), Found(HELD, False, note=BEGUN))


@pytest.mark.parametrize("wanted", [{}, {"present": False}, ROTATE])
def test_pair_that_may_be_somebody_elses_is_left_and_said(wanted):
    decided = plan(Wanted(OWNER, **wanted), Found(HELD, True, note=OURS, uncertain=("ONE", "TWO")))
    assert keys(decided) == ["ONE", "TWO"]
    assert all("cannot be told" in each.why for each in decided.left)


@pytest.mark.parametrize("wanted", [{}, {"rotate": True}, {"present": False}])
def test_pair_of_another_project_is_never_touched(wanted):
    with pytest.raises(Conflict, match="holds access key HELD of project other, but this login is for project project"):
        plan(Wanted(OWNER, **wanted), Found(HELD, True, held_project="other"))


def test_no_pair_is_made_where_the_endpoint_refuses_all_that_exist():
    with pytest.raises(ZarrstreamError, match=r"a further one would be refused too.*rotate: true"):
        plan(Wanted(OWNER), Found(HELD, False, listed=(HELD, LISTED)))


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"supplied": BROUGHT, "rotate": True}, "rotate and access_key exclude each other"),
        ({"supplied": BROUGHT, "present": False}, "access_key has no meaning with state absent"),
        ({"rotate": True, "present": False}, "rotate has no meaning with state absent"),
        ({"phase": Phase.BEGIN}, "phase is 'begin', and has a meaning with rotate: true alone"),
    ],
)
def test_contradiction_is_refused_before_anything_is_asked(wanted, says):
    with pytest.raises(BadRequest, match=says):
        find(Wanted(OWNER, **wanted), Place(HELD), keys=None, proof=None, who=WHO)


@dataclass
class Cloud:
    """Keystone and object store in memory, with the failures that cannot be provoked in real ones. ``log`` has every step."""

    valid: dict = field(default_factory=dict)  # access key -> secret
    lists: bool = True
    fail: dict = field(default_factory=dict)  # step -> error
    log: list = field(default_factory=list)
    chooses: bool = True
    refuses: bool = False  # to let access keys be chosen
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

    def look(self, access_key):
        if access_key not in self.valid:
            return Seen(exists=False)
        return Seen(True, self.project, Pair(access_key, self.valid[access_key]))

    def create_as(self, pair):
        self._step("choose")
        if self.refuses:
            return False
        self.made = pair
        self.valid[pair.access_key] = pair.secret_key
        return True

    def create(self):
        self._step("create")
        self.valid[NEW.access_key] = NEW.secret_key
        return NEW

    def delete(self, access_key):
        self._step(f"delete {access_key}")
        return self.valid.pop(access_key, None) is not None

    def works(self, pair):
        made = getattr(self, "made", None)
        self._step(f"prove {pair.access_key if len(pair.access_key) < 10 else 'made' if pair == made else 'nobody'}")
        return self.valid.get(pair.access_key) == pair.secret_key


def have(cloud, *pairs):
    cloud.valid.update({pair.access_key: pair.secret_key for pair in pairs})
    return cloud


@pytest.mark.parametrize(
    ("cloud", "place", "wanted", "steps", "action"),
    [
        (have(Cloud(), HELD, LISTED), Place(HELD), {}, ["prove HELD"], Action.REUSED),
        (have(Cloud(), LISTED), Place(HELD), {}, ["prove HELD", "prove nobody", "list", "prove LISTED"], Action.LISTED),
        (have(Cloud(), LISTED), Place(HELD), {"adopt": False}, ["prove HELD", "prove nobody", "list"], Action.CREATED),
        (have(Cloud(), LISTED), Place(None, noted(LISTED="replaced")), {}, ["prove nobody", "list"], Action.CREATED),
        (
            have(Cloud(), LISTED),
            Place(None, Note((ec2_note.new_pair(OTHERS["profile"], "LISTED", Stage.WRITTEN),))),
            {},
            ["prove nobody", "list"],
            Action.CREATED,
        ),
        (have(Cloud(), LOST), Place(None, noted(LOST="creating")), {}, ["prove nobody", "prove LOST"], Action.RECOVERED),
        (have(Cloud(), LOST), Place(None, noted(LOST="written")), {}, ["prove nobody", "prove LOST"], Action.RECOVERED),
        (have(Cloud(), HELD, LOST), Place(HELD, noted(LOST="creating")), ROTATE, ["prove nobody", "prove LOST"], Action.ROTATED),
        (have(Cloud(), HELD), Place(Pair("HELD", "damaged")), {}, ["prove HELD", "prove nobody", "list", "prove HELD"], Action.LISTED),
        (
            have(Cloud(), HELD),
            Place(Pair("HELD", "damaged"), OURS),
            {},
            ["prove HELD", "prove nobody", "list", "prove HELD"],
            Action.LISTED,
        ),
        (Cloud(), Place(None), {}, ["prove nobody", "list"], Action.CREATED),
        (Cloud(lists=False), Place(HELD), {}, ["prove HELD", "prove nobody", "list"], Action.CREATED),
        (have(Cloud(), HELD, LISTED), Place(HELD), ROTATE, ["prove nobody"], Action.ROTATED),
        (have(Cloud(), HELD, OLD), Place(HELD, BEGUN), BEGIN, ["prove HELD"], Action.ROTATED),
        (have(Cloud(), HELD, OLD), Place(HELD, BEGUN), FINISH, ["prove HELD"], Action.REVOKED),
        (have(Cloud(), BROUGHT), Place(HELD), {"supplied": BROUGHT}, ["prove BROUGHT"], Action.SUPPLIED),
        (have(Cloud(), HELD), Place(HELD, OURS), {"present": False}, [], Action.REVOKED),
        (have(Cloud(), HELD), Place(HELD), {"present": False}, [], Action.REMOVED),
    ],
)
def test_only_what_the_decision_needs_is_asked(cloud, place, wanted, steps, action):
    cloud.log.clear()
    wish = Wanted(OWNER, **wanted)
    assert plan(wish, find(wish, place, cloud, cloud, WHO)).action is action
    assert cloud.log == steps


@pytest.mark.parametrize(("note", "action"), [(OURS, Action.CREATED), (Note(), Action.REUSED)])
def test_revoked_pair_that_the_object_store_still_accepts_is_replaced(note, action):
    """Ceph RGW remembers secrets for five minutes. What the note does not name may be another user's, of which Keystone says nothing."""
    keystone, rgw = Cloud(), have(Cloud(), HELD)
    assert plan(Wanted(OWNER), find(Wanted(OWNER), Place(HELD, note), keystone, rgw, WHO)).action is action


def at(minutes, entry):
    """The entry as it was made some minutes ago."""
    return Note((replace(entry, made=(datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()),))


@pytest.mark.parametrize(("minutes", "gone"), [(0, ()), (9, ()), (11, ("LOST",))])
def test_pair_that_may_be_on_its_way_is_not_forgotten(minutes, gone):
    note = at(minutes, ec2_note.new_pair(OWNER, "LOST", Stage.CREATING))
    found = find(Wanted(OWNER), Place(HELD, note), have(Cloud(), HELD), have(Cloud(), HELD), WHO)
    assert (found.gone, found.unused) == (gone, ())


@pytest.mark.parametrize(
    ("known", "minutes", "uncertain", "over"),
    [(("HELD",), 0, ("LISTED",), False), (("HELD", "LISTED"), 0, (), False), (("HELD", "LISTED"), 11, (), True), (None, 11, (), True)],
)
def test_request_that_named_no_access_key_is_never_decided_by_guessing(known, minutes, uncertain, over):
    note = at(minutes, ec2_note.new_pair(OWNER, None, Stage.CREATING, known=known))
    cloud = have(Cloud(), HELD, LISTED)
    found = find(Wanted(OWNER), Place(HELD, note), cloud, cloud, WHO)
    assert (found.uncertain, found.unused, found.recovered, found.nameless_gone) == (uncertain, (), None, over)
    cloud.lists = False
    found = find(Wanted(OWNER), Place(HELD, note), cloud, cloud, WHO)
    assert (found.uncertain, found.nameless_gone) == ((), False)


@pytest.mark.parametrize("held", [None, HELD])
@pytest.mark.parametrize("error", [Unreachable("dead"), AccessRefused("clock", code="RequestTimeTooSkewed"), ZarrstreamError("503")])
def test_endpoint_that_cannot_be_asked_stops_everything(held, error):
    cloud = Cloud(fail={"prove": error})
    with pytest.raises(type(error)):
        find(Wanted(OWNER), Place(held), cloud, cloud, WHO)
    assert "create" not in cloud.log
    assert "list" not in cloud.log


def test_server_that_says_access_denied_to_unknown_keys_is_alive():
    cloud = Cloud(fail={"prove": AccessRefused("denied", code="AccessDenied")})
    assert find(Wanted(OWNER), Place(), cloud, cloud, WHO).listed == ()


def test_wrong_supplied_pair_is_refused():
    cloud = Cloud()
    with pytest.raises(AccessRefused, match="supplied access_key BROUGHT") as caught:
        find(Wanted(OWNER, supplied=BROUGHT), Place(HELD), cloud, cloud, WHO)
    assert BROUGHT.secret_key not in str(caught.value)


# --- apply ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    return tmp_path / ".aws" / "config"


def settings(pair):
    return ProfileSettings("lab", pair.access_key, pair.secret_key, "https://h:1")


def change(wanted, found, file):
    decision = plan(Wanted(OWNER, **wanted), found)
    file.parent.mkdir(exist_ok=True)
    notes = NoteFile(note_path(file), Note())
    notes.save(found.note)
    return Change(decision, settings, profile_file.find(str(file)), OWNER, found.note, notes, present=wanted.get("present", True))


def hold(file, pair):
    profile_file.plan_present(settings(pair), profile_file.find(str(file))).apply()


def held_by(file):
    return read_values("lab", file.read_text()).get("aws_access_key_id") if file.exists() else None


def note_of(file):
    """What the note says by now: access keys with their stages."""
    return {each.access_key: str(each.stage) for each in ec2_note.read(file).note.pairs}


@pytest.fixture
def rotating(file):
    """A profile with a pair that the note names, and a cloud that has it."""
    hold(file, HELD)
    return have(Cloud(), HELD)


def test_new_pair_is_noted_then_made_then_proved_then_written(file):
    class Watched(Cloud):
        def _step(self, name):
            super()._step(f"{name}, {sorted(note_of(file).values())}, {held_by(file) and 'held'}")

    cloud = Watched()
    outcome = change({}, Found(), file).apply(cloud, cloud)
    assert cloud.log == ["choose, ['creating'], None", "prove made, ['creating'], None"]
    assert (outcome.pair, outcome.revoked, held_by(file)) == (cloud.made, (), cloud.made.access_key)
    assert note_of(file) == {cloud.made.access_key: "written"}
    assert cloud.made.secret_key not in note_path(file).read_text()
    assert note_path(file).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("refused", [{"chooses": False}, {"refuses": True}])
def test_cloud_that_lets_nobody_choose_is_asked_for_a_pair_of_its_own_choice(file, refused):
    cloud = Cloud(**refused)
    outcome = change({}, Found(), file).apply(cloud, cloud)
    assert (outcome.pair, held_by(file), note_of(file)) == (NEW, "NEW", {"NEW": "written"})


def test_rotation_revokes_last(file, rotating):
    outcome = change(ROTATE, Found(HELD, note=OURS), file).apply(rotating, rotating)
    made = rotating.made.access_key
    assert rotating.log == ["choose", "prove made", "delete HELD"]
    assert (outcome.revoked, held_by(file), list(rotating.valid), note_of(file)) == (("HELD",), made, [made], {made: "written"})


def test_rotation_waits_for_requests_that_are_on_their_way(file, rotating, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: rotating.log.append(f"wait {seconds}"))
    change(ROTATE, Found(HELD, note=OURS), file).apply(rotating, rotating, grace=7)
    assert rotating.log == ["choose", "prove made", "wait 7", "delete HELD"]


@pytest.mark.parametrize(("note", "revoked"), [(OURS, ("HELD",)), (Note(), ())])
def test_rotation_in_phases_makes_no_third_pair(file, rotating, note, revoked):
    """With a pair of ours and with an adopted one, which stays."""
    change(BEGIN, Found(HELD, note=note), file).apply(rotating, rotating)
    made = rotating.made
    assert note_of(file) == {"HELD": "replaced", made.access_key: "written"}
    rotating.log.clear()
    for _ in range(2):
        begun = ec2_note.read(file).note
        assert change(BEGIN, Found(made, True, note=begun), file).apply(rotating, rotating).pair == made
    assert rotating.log == []
    finished = change(FINISH, Found(made, True, note=begun), file).apply(rotating, rotating)
    assert finished.revoked == revoked
    assert note_of(file) == {made.access_key: "written"}
    assert held_by(file) == made.access_key


def test_run_that_ended_between_profile_and_note_is_made_up_for():
    for before, old in ((OURS, {"HELD": "replaced"}), (Note(), {"HELD": "replaced"})):
        between = before.add(ec2_note.new_pair(OWNER, "NEW", Stage.CREATING, replaces="HELD"))
        after = ec2_note.settled(between, OWNER, "NEW")
        assert {each.access_key: str(each.stage) for each in after.pairs} == old | {"NEW": "written"}
        assert after.find("HELD").ours == bool(before.pairs)
        assert ec2_note.settled(between, OWNER, "HELD") == between


def test_rotation_with_creation_refused_keeps_the_old_pair(file):
    cloud = have(Cloud(chooses=False, fail={"create": AccessRefused("no")}), HELD)
    hold(file, HELD)
    with pytest.raises(AccessRefused):
        change(ROTATE, Found(HELD, note=OURS), file).apply(cloud, cloud)
    assert (held_by(file), list(cloud.valid), note_of(file)) == ("HELD", ["HELD"], {"HELD": "written"})


@pytest.mark.parametrize("step", ["prove", "write"])
def test_pair_that_cannot_be_proved_or_written_is_deleted_again(file, step, monkeypatch):
    cloud = have(Cloud(fail={"prove": Unreachable("dead")} if step == "prove" else {}), HELD)
    hold(file, HELD)
    todo = change(ROTATE, Found(HELD, note=OURS), file)
    if step == "write":
        write = safe_file.write

        def full(path, *rest):
            if path == file:
                raise OSError(28, "No space left on device")
            write(path, *rest)

        monkeypatch.setattr(safe_file, "write", full)
    with pytest.raises((Unreachable, ProfileError)):
        todo.apply(cloud, cloud)
    assert (held_by(file), list(cloud.valid), note_of(file)) == ("HELD", ["HELD"], {"HELD": "written"})


@pytest.mark.parametrize("wanted", [ROTATE, BEGIN])
def test_run_that_is_interrupted_when_the_profile_has_been_written_keeps_the_new_pair(file, rotating, wanted, monkeypatch):
    """Whoever reads the profile has it by then; the next run knows which pair it has replaced."""
    write = safe_file.write

    def interrupted(path, *rest):
        write(path, *rest)
        if path == file:
            raise KeyboardInterrupt

    todo = change(wanted, Found(HELD, note=OURS), file)
    monkeypatch.setattr(safe_file, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        todo.apply(rotating, rotating)
    made = rotating.made.access_key
    assert (held_by(file), set(rotating.valid)) == (made, {"HELD", made})
    settled = ec2_note.settled(ec2_note.read(file).note, OWNER, made)
    assert {each.access_key: str(each.stage) for each in settled.pairs} == {"HELD": "replaced", made: "written"}


def test_note_that_cannot_be_written_stops_everything(file, monkeypatch):
    cloud, todo = Cloud(), change({}, Found(), file)
    monkeypatch.setattr(safe_file, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(ProfileError, match="the note of the EC2 credentials"):
        todo.apply(cloud, cloud)
    assert cloud.log == []


def test_pair_that_the_store_never_learns_is_deleted_again(file):
    class Deaf(Cloud):
        def works(self, pair):  # noqa: ARG002
            return False

    cloud = Deaf(chooses=False)
    with pytest.raises(AccessRefused, match="Keystone made access key NEW, but the object store refused it"):
        change({}, Found(), file).apply(cloud, cloud, propagation=0)
    assert (held_by(file), cloud.valid, note_of(file)) == (None, {}, {})


def test_pair_that_is_left_over_is_named_and_stays_noted(file):
    cloud = Cloud(chooses=False, fail={"prove": Unreachable("dead"), "delete": AccessRefused("forbidden")})
    with pytest.raises(
        Unreachable, match=r"access key NEW, just made, could not be deleted: forbidden The next run.*ec2 credentials delete NEW"
    ) as caught:
        change({}, Found(), file).apply(cloud, cloud)
    assert caught.value.details["not_revoked"] == "NEW"
    assert note_of(file) == {"NEW": "creating"}


def test_answer_that_gets_lost_leaves_no_pair(file):
    """Whether Keystone made one is not known: it is deleted where it is there, and the next run looks for it where it is not there yet."""

    class Lossy(Cloud):
        def create_as(self, pair):
            super().create_as(pair)
            raise Unreachable("connection reset")

    cloud = Lossy()
    with pytest.raises(Unreachable):
        change({}, Found(), file).apply(cloud, cloud)
    assert (cloud.valid, note_of(file)) == ({}, {})
    late = Cloud(fail={"choose": Unreachable("connection reset")})
    with pytest.raises(Unreachable):
        change({}, Found(), file).apply(late, late)
    assert list(note_of(file).values()) == ["creating"]


def in_a_process_of_its_own(test):
    """Run it where a signal meets no other thread, and a timer no other test; SIGINT acts there, whoever started the tests."""

    def run():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        test()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    assert process.exitcode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_waits_until_the_answer_is_noted(file, number):
    """Where Keystone chooses the access key, only its answer tells it."""

    class Interrupted(Cloud):
        def create(self):
            signal.raise_signal(number)
            return super().create()

    def test():
        came = []
        signal.signal(number, lambda *_: came.append(dict(note_of(file))))
        cloud = Interrupted(chooses=False)
        change({}, Found(), file).apply(cloud, cloud)
        assert came == [{"NEW": "creating"}]

    in_a_process_of_its_own(test)


def test_signal_does_not_wait_for_a_server_that_hangs(file, monkeypatch):
    class Hanging(Cloud):
        def create(self):
            signal.raise_signal(signal.SIGINT)
            threading.Event().wait(30)

    def test():
        cloud = Hanging(chooses=False)
        with pytest.raises(KeyboardInterrupt):
            change({}, Found(), file).apply(cloud, cloud)
        assert note_of(file) == {None: "creating"}

    monkeypatch.setattr(signals, "_PATIENCE", 0.05)
    in_a_process_of_its_own(test)


def test_old_pair_that_stays_is_named(file):
    cloud = have(Cloud(fail={"delete": AccessRefused("forbidden")}), HELD)
    hold(file, HELD)
    with pytest.raises(AccessRefused, match="holds the new access key, which works, but the old one, HELD, still exists: forbidden"):
        change(ROTATE, Found(HELD, note=OURS), file).apply(cloud, cloud)
    made = cloud.made.access_key
    assert (held_by(file), set(cloud.valid), note_of(file)) == (made, {"HELD", made}, {"HELD": "replaced", made: "written"})


def test_leftover_that_cannot_be_revoked_does_not_stop_a_profile_that_works(file):
    cloud = have(Cloud(fail={"delete": AccessRefused("forbidden")}), HELD, LOST)
    hold(file, HELD)
    outcome = change({}, Found(HELD, True, note=noted(LOST="creating"), unused=("LOST",)), file).apply(cloud, cloud)
    assert (outcome.revoked, outcome.left, note_of(file)) == ((), (Left("LOST", "forbidden"),), {"LOST": "creating"})


def test_file_that_cannot_be_edited_is_found_before_a_pair_is_made(file):
    hold(file, HELD)
    file.write_text("[profile lab]\n  region = x\n  output = json\n")
    cloud = Cloud()
    with pytest.raises(ProfileError):
        change({}, Found(), file).apply(cloud, cloud)
    assert cloud.log == []


@pytest.mark.parametrize(("known", "revoked"), [(True, ("HELD",)), (False, ())])
def test_absent_revokes_then_removes(file, known, revoked):
    cloud = have(Cloud(), HELD) if known else Cloud()
    hold(file, HELD)
    outcome = change({"present": False}, Found(HELD, note=OURS), file).apply(cloud, cloud)
    assert (outcome.revoked, outcome.pair, held_by(file), cloud.valid) == (revoked, None, None, {})
    assert not note_path(file).exists()


def test_absent_leaves_an_adopted_pair(file):
    cloud = have(Cloud(), HELD)
    hold(file, HELD)
    outcome = change({"present": False}, Found(HELD), file).apply(cloud, cloud)
    assert (outcome.revoked, held_by(file), list(cloud.valid)) == ((), None, ["HELD"])
    assert [each.access_key for each in outcome.left] == ["HELD"]


def test_absent_that_is_refused_leaves_the_profile(file):
    cloud = have(Cloud(fail={"delete": AccessRefused("forbidden")}), HELD)
    hold(file, HELD)
    with pytest.raises(AccessRefused):
        change({"present": False}, Found(HELD, note=OURS), file).apply(cloud, cloud)
    assert (held_by(file), note_of(file)) == ("HELD", {"HELD": "written"})


def test_preview_shows_a_pair_to_be_made_without_a_secret(file):
    diff = change({}, Found(), file).preview().diff()
    assert "aws_access_key_id = (new)\naws_secret_access_key = (hidden)\n" in diff["after"]
    assert not file.exists()


def test_secrets_are_in_no_repr(file):
    hold(file, HELD)
    shown = repr([Found(HELD, listed=(LISTED,)), Wanted(OWNER, supplied=BROUGHT), Ec2Plan(Action.REUSED, HELD), settings(HELD)])
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


@pytest.mark.parametrize(
    ("status", "message", "delegated", "why"),
    [
        (403, DELEGATED, True, "no application credential"),
        (403, RESTRICTED, True, "unless it is unrestricted"),
        (401, "Unauthorized", True, "without access rules"),
        (403, POLICY, False, "role member in its project"),
    ],
)
def test_a_refused_revocation_says_what_helps(status, message, delegated, why):
    text = str(refusal("delete", status, message, Login("js2", "u", "p", delegated)))
    assert why in text
    assert all(way in text for way in ("password", "dashboard", "operator of the cloud to revoke it"))
    assert "ready-made" not in text


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
        plan(Wanted(OWNER), find(Wanted(OWNER), Place(HELD), cloud, cloud, WHO))


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


@pytest.mark.parametrize(
    ("present", "named", "of_cloud", "held", "expected"),
    [
        (True, None, "cloud", None, ("cloud", False)),
        (True, None, "cloud", "copy", ("copy", False)),
        (True, None, "cloud", "other", ("cloud", False)),
        (True, "named", "cloud", "copy", ("copy", False)),
        (True, "named", "cloud", "same", ("named", False)),
        (True, None, None, "copy", (None, False)),
        (False, None, "cloud", "copy", ("copy", True)),
        (False, None, "cloud", "cloud", ("cloud", False)),
        (False, None, "cloud", "other", ("cloud", False)),
        (False, None, None, "copy", (None, False)),
    ],
)
def test_which_ca_the_profile_names_and_which_copy_goes_with_it(tmp_path, present, named, of_cloud, held, expected):
    config = tmp_path / "config"
    paths = {name: str(tmp_path / name) for name in ("cloud", "named", "same", "other")} | {"copy": str(ca_copy("lab", config)), None: None}
    for name, path in paths.items():
        if path:
            Path(path).write_text("another CA" if name == "other" else "a CA")
    request = Ec2Request("lab", present=present, ca_bundle=paths[named])
    chosen, goes = choose_ca(request, paths[of_cloud], paths[held], profile_file.find(str(config)))
    assert (chosen, goes) == (paths[expected[0]], expected[1])
