# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module aws_profile as root, for several users: real files with real owners; only passwd is made up."""

import importlib
import json
import os
import pwd
import stat
import sys
import tempfile
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from zarrstream.errors import BadRequest
from zarrstream.profiles.accounts import Account, acting_as, find_accounts

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can write for other users")

KEYS = {"access_key": "AK12", "secret_key": "s%#;=/+ %%t", "endpoint_url": "https://object.example.org:8001"}
CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
UIDS = {"alice": 51234, "bob": 51235}


@pytest.fixture
def homes(monkeypatch):
    """The homes of alice and bob, outside /home, where every user may go; not below the test's own folder, which is root's."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        top = Path(folder)
        top.chmod(0o755)
        entries = {}
        for name, uid in UIDS.items():
            (top / name).mkdir()
            os.chown(top / name, uid, uid + 100)
            entries[name] = pwd.struct_passwd((name, "x", uid, uid + 100, "", str(top / name), "/bin/sh"))
        real = pwd.getpwnam
        monkeypatch.setattr(pwd, "getpwnam", lambda name: entries.get(name) or real(name))
        yield top


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    place = tmp_path_factory.mktemp("collections") / "ansible_collections" / "zarrstream" / "platform"
    place.parent.mkdir(parents=True)
    place.symlink_to(Path(__file__).parents[3])
    sys.path.insert(0, str(place.parents[2]))
    yield importlib.import_module("ansible_collections.zarrstream.platform.plugins.modules.aws_profile")
    sys.path.remove(str(place.parents[2]))


@pytest.fixture
def ask(module, capsys):
    def run(check=False, **arguments):
        args = {"_ansible_check_mode": check, "_ansible_diff": True, "users": list(UIDS), **KEYS, **arguments}
        with patch_module_args(args), pytest.raises(SystemExit):
            module.main()
        out = capsys.readouterr().out
        assert KEYS["secret_key"] not in out
        assert (os.geteuid(), os.getegid()) == (0, 0)
        return json.loads(out)

    return run


def owned(path):
    state = path.lstat()
    return state.st_uid, state.st_gid, stat.S_IMODE(state.st_mode)


def test_each_user_gets_it_at_home(ask, homes):
    foreseen = ask(check=True, ca_certificates=CA)
    assert not list(homes.rglob(".aws"))
    first = ask(ca_certificates=CA)
    assert first["changed"]
    assert first["diff"] == foreseen["diff"]
    assert [(file["user"], file["path"], file["changed"]) for file in first["files"]] == [
        (name, str(homes / name / ".aws" / "config"), True) for name in UIDS
    ]
    for name, uid in UIDS.items():
        folder = homes / name / ".aws"
        assert owned(folder) == (uid, uid + 100, 0o700)
        assert owned(folder / "config") == (uid, uid + 100, 0o600)
        assert owned(folder / "default-ca.pem") == (uid, uid + 100, 0o644)
        assert (folder / "default-ca.pem").read_text() == CA
        assert f"ca_bundle = {folder / 'default-ca.pem'}" in (folder / "config").read_text()
    assert not ask(ca_certificates=CA)["changed"]
    assert not ask(check=True, ca_certificates=CA)["changed"]


def test_one_user_more_changes_that_one_only(ask, homes):
    ask(users=["alice"])
    assert [file["changed"] for file in ask()["files"]] == [False, True]


def test_removal_takes_the_copy_of_the_ca_along(ask, homes):
    ask(ca_certificates=CA)
    assert ask(check=True, state="absent")["changed"]
    assert ask(state="absent")["changed"]
    assert sorted(path.name for path in homes.rglob("*") if path.is_file()) == ["config", "config"]
    assert not ask(state="absent")["changed"]


def test_copy_of_a_ca_that_is_no_longer_needed_goes(ask, homes):
    ask(ca_certificates=CA)
    assert ask()["changed"]
    assert not list(homes.rglob("*.pem"))


def test_unknown_users_are_one_error_and_nothing_is_touched(ask, homes):
    result = ask(users=["alice", "nobody-here", "nor-here"])
    assert "users names 'nobody-here', 'nor-here': this host has no such user" in result["msg"]
    assert not list(homes.rglob(".aws"))


def test_user_without_a_home_is_named(ask, homes):
    (homes / "bob").rmdir()
    assert f"{homes}/bob of bob is no folder" in ask()["msg"]
    assert not list(homes.rglob(".aws"))


@pytest.mark.parametrize("place", [".aws", ".aws/config", ".aws/default-ca.pem"])
def test_planted_link_is_refused_and_leads_nowhere(ask, homes, place):
    """Bob's link points to what root may write; alice, who comes first, is not served either."""
    target = homes / "target"
    (target / "inner").mkdir(parents=True)
    (target / "config").write_text("[default]\n")
    link = homes / "bob" / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(target if place == ".aws" else target / "config")
    os.chown(link.parent, UIDS["bob"], -1)
    before = owned(target), owned(target / "config")
    result = ask(ca_certificates=CA)
    assert f"{link} is a symbolic link" in result["msg"]
    assert (owned(target), owned(target / "config")) == before
    assert {path.name for path in target.iterdir()} == {"inner", "config"}
    assert (target / "config").read_text() == "[default]\n"
    assert not (homes / "alice" / ".aws").exists()


def test_file_of_another_is_not_given_away(ask, homes):
    """A hard link to a file of root's in bob's folder: bob may not read it, so nor does root in his name."""
    secret = homes / "secret"
    secret.write_text("[root]\nkey = hunter2\n")
    secret.chmod(0o600)
    folder = homes / "bob" / ".aws"
    folder.mkdir()
    os.chown(folder, UIDS["bob"], UIDS["bob"])
    (folder / "config").hardlink_to(secret)
    result = ask()
    assert f"cannot read {folder / 'config'}: Permission denied" in result["msg"]
    assert "hunter2" not in json.dumps(result)
    assert owned(secret)[0] == 0


def test_pipe_in_the_place_of_the_file_does_not_hang(ask, homes):
    folder = homes / "bob" / ".aws"
    folder.mkdir()
    os.mkfifo(folder / "config")
    for path in (folder, folder / "config"):
        os.chown(path, UIDS["bob"], -1)
    assert "is not a file" in ask()["msg"]


def test_home_behind_a_link_of_the_administrators(ask, homes):
    (homes / "bob").rename(homes / "elsewhere")
    (homes / "bob").symlink_to(homes / "elsewhere")
    assert ask()["changed"]
    assert owned(homes / "elsewhere" / ".aws" / "config")[0] == UIDS["bob"]


def test_users_and_a_file_exclude_each_other(ask, homes):
    assert "mutually exclusive: users|config_file" in ask(config_file="/tmp/x")["msg"]


def test_only_root_serves_others(homes):
    alice = find_accounts(["alice", "alice"])
    assert [account.name for account in alice] == ["alice"]
    with acting_as(alice[0]):
        assert find_accounts(["alice"]) == alice
        with pytest.raises(BadRequest, match="'bob', but only root may write for others"):
            find_accounts(["alice", "bob"])


def test_rights_come_back_after_an_error(tmp_path):
    before = os.geteuid(), os.getegid(), os.getgroups()

    def fail():
        with acting_as(Account("alice", 51234, 51334, tmp_path)):
            assert (os.geteuid(), os.getegid(), os.getgroups()) == (51234, 51334, [51334])
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before
