# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writing one profile: what AWS tools read back, what stays byte for byte, and what is refused."""

import asyncio
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarrstream.errors import BadRequest, ProfileError
from zarrstream.profiles import profile_file, profile_text
from zarrstream.profiles.profile import aws_session
from zarrstream.profiles.profile_edit import plan, plan_removal
from zarrstream.profiles.profile_text import ProfileSettings, masked, read_values
from zarrstream.profiles.secret import fingerprint

SECRET = "a%b#c;d=e/f+g %%h"
ENDPOINT = "https://object.example.org:8001"


def settings(name="lab", **other):
    return ProfileSettings(**{"name": name, "access_key": "AK", "secret_key": SECRET, "endpoint_url": ENDPOINT, **other})


OTHERS = {
    "nothing": "",
    "another profile": "[default]\nregion = x\n",
    "a comment and no final newline": "# mine\n[default]\nregion=x",
    "line ends of Windows": "[default]\r\nregion = x\r\n\r\n# end\r\n",
    "tabs and odd blanks": "[profile a]\n\tregion\t=\tx\n\n\n\n   \n[profile  b]\nk:v\n",
    "nested blocks": "[profile a]\ns3 =\n  # why\n  max_concurrent_requests = 5\n\n  x = y\n; end\n",
    "letters beyond ASCII": "# café\n[default]\nk = ÿ\n",
    "form feeds and line separators": "[default]\nk = a\x0bb\u2028c\n",
}


@pytest.mark.parametrize(
    ("name", "text"),
    [("lab", text) for text in OTHERS.values()] + [("default", text) for text in OTHERS.values() if "[default]" not in text],
)
def test_profile_is_added_and_all_else_stays(name, text):
    new = plan(settings(name), text)
    assert new.startswith(text)
    assert read_values(name, new)["aws_secret_access_key"] == SECRET
    assert plan(settings(name), new) is new


def test_new_text_has_the_line_ends_of_the_file():
    assert "\n" not in plan(settings(), OTHERS["line ends of Windows"]).replace("\r\n", "")


HEADERS = ["[profile lab]", "[profile  'lab']", '[profile "lab"]', "[profile\tlab] ; trailing"]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_profile_is_changed_and_all_around_stays(header, newline):
    before = newline.join(["# top", "[default]", "region=x", "", ""])
    after = newline.join(["[profile other]", "  aws_access_key_id=x", "", "# end"])
    ours = newline.join([header, "# why", "REGION=old", "output = json", "aws_session_token = stale", "s3 =", "    max_queue = 5", "", ""])
    new = plan(settings(), before + ours + after)
    assert new.startswith(before)
    assert new.endswith(after)
    middle = new[len(before) : -len(after)]
    assert middle.startswith(newline.join([header, "# why", ""]))
    assert middle.endswith(newline * 2)
    assert "\n" not in middle.replace(newline, "")
    values = read_values("lab", new)
    assert values["output"] == "json"
    assert values["region"] == "RegionOne"
    assert profile_text.nested(values["s3"]) == {"max_queue": "5", "addressing_style": "path"}
    assert "aws_session_token" not in values


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ("s3 =\n  addressing_style = virtual\n  x = 1\n", {"x": "1", "addressing_style": "path"}),
        ("s3 = nonsense\n", {"addressing_style": "path"}),
        ("s3 =\n  addressing_style = path\n", {"addressing_style": "path"}),
    ],
)
def test_nested_block(found, kept):
    assert profile_text.nested(read_values("lab", plan(settings(), "[profile lab]\n" + found))["s3"]) == kept


def test_last_of_two_spellings_counts_as_for_botocore():
    text = "[profile lab]\nregion = first\n[profile 'lab']\nregion = second\n"
    assert plan(settings(), text).startswith("[profile lab]\nregion = first\n")


def test_profile_default_may_be_spelled_out():
    assert plan(settings("default"), "[profile default]\nregion = x\n").startswith("[profile default]\nregion = RegionOne\n")


def test_ca_bundle_comes_and_goes():
    with_ca = plan(settings(ca_bundle="/ca.pem"), "")
    assert read_values("lab", with_ca)["ca_bundle"] == "/ca.pem"
    assert plan(settings(), with_ca) == plan(settings(), "")


def test_indented_section_that_cannot_be_edited_safely_is_refused():
    with pytest.raises(ProfileError, match="Mend its section by hand"):
        plan(settings(), "[profile lab]\n  region = x\n  output = json\n")


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_removal_undoes_addition(text):
    new = plan(settings(), text)
    end = "" if text.endswith("\n") or not text else "\n"  # the one byte that a new section needs before it
    assert plan_removal("lab", new) == text + end
    assert plan_removal("lab", text) is text


def test_removal_leaves_what_others_wrote():
    text = "[profile lab]\noutput = json\n# why\n[z]\n"
    assert plan_removal("lab", plan(settings(), text)) == text


@pytest.mark.parametrize("name", ["", "a b", "a]b", "a\nb", "'a'", "a\\b"])
def test_name_that_nobody_would_find_is_refused(name):
    with pytest.raises(BadRequest, match="profile is"):
        plan(settings(name), "")


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret_key": "hunter2\nb"},
        {"secret_key": " hunter2"},
        {"secret_key": ""},
        {"access_key": "a\n[x]"},
        {"region": "x\n"},
        {"ca_bundle": ""},
    ],
)
def test_value_that_cannot_be_stored_is_refused_without_the_secret(wrong):
    with pytest.raises(BadRequest) as caught:
        plan(settings(**wrong), "")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hunter2\n[a]\n", "line 1 stands before the first section"),
        ("[a]\nhunter2\n", "line 2 is neither"),
        ("[a]\nk=hunter2\n[a]\n", r"line 3: the section \[a\] is there twice"),
        ("[a]\nk=hunter2\nk=1\n", r"line 3: 'k' is twice in \[a\]"),
    ],
)
def test_broken_file_is_refused_and_its_lines_are_not_shown(text, says):
    with pytest.raises(ProfileError, match=says) as caught:
        plan(settings(), text)
    assert "hunter2" not in str(caught.value)


def test_masked_shows_fingerprint_and_nothing_of_others():
    text = plan(settings(), "[profile lab]\n# aws_secret_access_key = old\npassword = p\naws_session_token = t\n")
    shown = masked("lab", text)
    assert fingerprint("AK", SECRET) in shown
    assert not {SECRET, "old", "password"} & set(shown.split())
    assert SECRET not in shown


def test_fingerprint_tells_pairs_apart():
    assert fingerprint("a", "b") == fingerprint("a", "b")
    assert len({fingerprint("a", "b"), fingerprint("a", "c"), fingerprint("x", "b")}) == 3
    assert len(fingerprint("a", "b")) == 12


LINES = st.sampled_from(
    [
        "",
        "# c",
        "; d",
        "region = x",
        "output: y",
        "\tk = v",
        "s3 =",
        "  a = b",
        "aws_access_key_id=Q",
        "[default]",
        "[profile a]",
        "[profile lab]",
        "  # e",
    ]
)


@given(st.lists(LINES, max_size=12), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_any_file_is_either_refused_or_changed_in_one_place(lines, newline, final):
    text = newline.join(lines) + (newline if final else "")
    try:
        new = plan(settings(), text)
    except ProfileError:
        return
    assert read_values("lab", new)["aws_secret_access_key"] == SECRET
    assert plan(settings(), new) is new
    for other in ("default", "a"):
        assert read_values(other, new) == read_values(other, text)
    if "[profile lab]" in lines:
        start = text.index("[profile lab]")
        assert new.startswith(text[:start])
        following = [text.find(header, start + 1) for header in ("[default]", "[profile a]")]
        end = min((place for place in following if place > 0), default=len(text))
        assert new.endswith(text[end:])


# --- the file on disk -------------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path, monkeypatch):
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / ".aws" / "config"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def apply(config, wanted=None):
    with profile_file.locked(str(config), make=True):
        change = profile_file.plan_present(wanted or settings(), profile_file.find(str(config)))
        change.apply()
    return change


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_new_file_is_private_whatever_the_umask(config, umask):
    before = os.umask(umask)
    try:
        assert apply(config).changed
    finally:
        os.umask(before)
    assert (mode(config), mode(config.parent)) == (0o600, 0o700)
    assert [path.name for path in config.parent.iterdir()] == ["config"]
    assert not apply(config).changed


def test_wrong_modes_are_a_change_of_their_own(config):
    apply(config)
    config.chmod(0o644)
    config.parent.chmod(0o755)
    change = apply(config)
    assert change.changed
    assert "# mode 0644" in change.diff()["before"]
    assert "# mode of the folder 0755" in change.diff()["before"]
    assert (mode(config), mode(config.parent)) == (0o600, 0o700)
    assert not apply(config).changed


def test_mode_of_other_folders_stays(tmp_path):
    tmp_path.chmod(0o755)
    apply(tmp_path / "aws.config")
    assert mode(tmp_path) == 0o755


def test_plan_alone_changes_nothing(config):
    change = profile_file.plan_present(settings(), profile_file.find(str(config)))
    assert change.changed
    assert not config.parent.exists()


@pytest.mark.parametrize("which", ["file", "folder", "dangling"])
def test_link_is_refused(config, tmp_path, which):
    real = tmp_path / "real"
    real.mkdir()
    if which == "folder":
        config.parent.symlink_to(real)
    else:
        config.parent.mkdir()
        config.symlink_to(real / "config")
        if which == "file":
            (real / "config").write_text("[default]\n")
    with pytest.raises(ProfileError, match="symbolic link"):
        apply(config)
    assert SECRET not in "".join(path.read_text() for path in real.iterdir())


def test_folder_in_the_place_of_the_file_is_refused(config):
    config.mkdir(parents=True)
    with pytest.raises(ProfileError, match="is not a file"):
        apply(config)


def test_file_in_the_place_of_the_folder_is_refused(config):
    config.parent.write_text("")
    with pytest.raises(ProfileError, match="is not a folder"):
        apply(config)


def test_broken_file_is_named_and_left(config):
    config.parent.mkdir()
    config.write_text("[a\n")
    with pytest.raises(ProfileError, match=f"{config}: it is not in INI form"):
        apply(config)
    assert config.read_text() == "[a\n"


def test_failed_write_leaves_the_old_file_and_no_other(config, monkeypatch):
    apply(config, settings("old"))
    before = config.read_bytes()

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ProfileError, match="No space left on device"):
        apply(config)
    assert config.read_bytes() == before
    assert [path.name for path in config.parent.iterdir()] == ["config"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owner_is_kept(config):
    apply(config, settings("old"))
    os.chown(config, 1234, 1235)
    apply(config)
    assert (config.stat().st_uid, config.stat().st_gid) == (1234, 1235)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_new_file_of_root_belongs_to_the_user_whose_folder_it_is(tmp_path):
    home = tmp_path / "alice"
    home.mkdir()
    os.chown(home, 1234, 1235)
    apply(home / ".aws" / "config")
    assert {path.stat().st_uid for path in (home / ".aws", home / ".aws" / "config")} == {1234}


def test_writers_at_the_same_time_lose_nothing(config):
    names = [f"p{number}" for number in range(8)]
    threads = [threading.Thread(target=apply, args=(config, settings(name))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = config.read_text()
    assert all(read_values(name, text) for name in names)


@pytest.mark.parametrize(
    ("credentials", "own", "shadow"),
    [
        ("[lab]\naws_access_key_id = x\naws_secret_access_key = y\n", "", "credentials"),
        ("[profile lab]\nregion = x\n", "", "credentials"),
        ("[lab]\noutput = json\n", "", None),
        ("[other]\naws_access_key_id = x\n", "", None),
        (None, "", None),
        (None, "credential_process = /bin/x\n", "config: credential_process"),
        (None, "services = s\n", "config: services"),
    ],
)
def test_shadow_is_reported(config, credentials, own, shadow):
    apply(config)
    if credentials is not None:
        (config.parent / "credentials").write_text(credentials)
    config.write_text(config.read_text() + own)
    found = profile_file.find(str(config))
    misread = profile_file.misread("lab", found.text, found, str(config))
    assert [Path(place).name for place in misread.places] == ([shadow] if shadow else [])
    assert (misread.warning is None) == (shadow is None)


@pytest.mark.parametrize("name", ["lab", "default"])
def test_botocore_and_aiobotocore_read_it_back(config, name):
    from aiobotocore.session import AioSession
    from botocore.session import Session

    apply(config, settings(name, ca_bundle="/ca.pem", region="lab-1"))

    session = aws_session(Session(profile=name), str(config))
    keys = session.get_credentials()
    assert (keys.access_key, keys.secret_key, keys.method) == ("AK", SECRET, "config-file")
    client = session.create_client("s3")
    assert client.meta.endpoint_url == ENDPOINT
    assert client.meta.region_name == "lab-1"
    assert client.meta.config.s3["addressing_style"] == "path"
    assert client.meta.config.request_checksum_calculation == "when_required"
    assert client.meta.config.response_checksum_validation == "when_required"
    assert session.get_config_variable("ca_bundle") == "/ca.pem"

    async def read():
        found = await aws_session(AioSession(profile=name), str(config)).get_credentials()
        return found.access_key, found.secret_key

    assert asyncio.run(read()) == ("AK", SECRET)
