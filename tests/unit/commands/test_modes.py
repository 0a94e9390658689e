"""Owner and modes of an environment, made under any umask, spoilt by hand, and with what others have put there."""

from __future__ import annotations

import os
import stat
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from zarrstream.commands import install as shipped
from zarrstream.commands import modes
from zarrstream.commands.install import settle_stack
from zarrstream.commands.modes import settle, settle_shared
from zarrstream.errors import ZarrstreamError

UMASKS = [0o000, 0o022, 0o027, 0o077]
NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def stack(path: Path) -> Path:
    """As the role makes it: uv, and an environment with a library and a program."""
    environment = path / "envs" / "0123"
    venv.create(environment, symlinks=True)
    (path / "bin").mkdir()
    for name, mode in (("bin/uv", 0o777), ("envs/0123.lock", 0o666), ("envs/0123/bin/tool", 0o777), ("envs/0123/lib/library.so", 0o777)):
        descriptor = os.open(path / name, os.O_WRONLY | os.O_CREAT, mode)
        os.write(descriptor, b"#!/bin/sh\n")
        os.close(descriptor)
    return environment


def entries(path: Path) -> dict[Path, os.stat_result]:
    return {each: each.lstat() for each in (path, *path.rglob("*")) if not each.is_symlink()}


def assert_settled(path: Path) -> None:
    """All users can read all of it and run its programs; its owner alone can write."""
    for entry, state in entries(path).items():
        assert state.st_uid == os.geteuid(), entry
        runs = entry.is_dir() or (entry.parent.name == "bin" and entry.read_bytes().startswith(b"#!"))
        assert stat.S_IMODE(state.st_mode) & 0o7666 == 0o644, (entry, oct(state.st_mode))
        assert not runs or state.st_mode & 0o111 == 0o111, entry


@pytest.mark.parametrize("mask", UMASKS)
def test_an_environment_is_for_all_users_and_its_owners_alone_to_write(tmp_path: Path, umask: None, mask: int) -> None:
    os.umask(mask)
    path = tmp_path / "stack"
    stack(path)
    before = {entry: (state.st_mode, state.st_ctime_ns) for entry, state in entries(path).items()}
    foreseen = settle_stack(str(path), dry_run=True)
    assert {entry: (state.st_mode, state.st_ctime_ns) for entry, state in entries(path).items()} == before, "a look changes nothing"
    assert settle_stack(str(path)) == foreseen
    assert_settled(path)
    assert settle_stack(str(path)) == []


def test_the_package_is_for_all_users_from_its_first_moment(tmp_path: Path, umask: None) -> None:
    os.umask(0o072)
    environment = stack(tmp_path / "stack")
    shipped.install(str(environment))
    assert_settled(next(environment.glob("lib/python3.*/site-packages")) / "zarrstream")


def test_a_spoilt_environment_is_put_right_and_told(tmp_path: Path, umask: None) -> None:
    path = tmp_path / "stack"
    environment = stack(path)
    settle_stack(str(path))
    for entry, mode in ((path, 0o777), (environment, 0o700), (environment / "bin", 0o2777), (environment / "bin/tool", 0o644)):
        entry.chmod(mode)
    (path / "envs/0123.lock").chmod(0o4666)
    changes = {change.path: change for change in settle_stack(str(path))}
    assert {Path(each).relative_to(path).as_posix() for each in changes} == {
        ".",
        "envs/0123",
        "envs/0123/bin",
        "envs/0123/bin/tool",
        "envs/0123.lock",
    }
    assert {Path(each.path).name for each in changes.values() if each.exposed} == {"stack", "bin", "0123.lock"}
    assert changes[str(environment)].line() == f"{environment}: 0700 of {os.geteuid()} -> 0755 of {os.geteuid()}"
    assert_settled(path)
    assert settle_stack(str(path)) == []


def test_what_others_have_in_the_folder_stays_as_it_is(tmp_path: Path, umask: None) -> None:
    path = tmp_path / "stack"
    stack(path)
    outside, mine = tmp_path / "outside", path / "bin" / "mine"
    for file in (outside, mine):
        file.touch()
        file.chmod(0o666)
    (path / "envs" / "0123" / "link").symlink_to(outside)
    (path / "envs" / "0123" / "folder").symlink_to(tmp_path)
    os.mkfifo(path / "envs" / "0123" / "bin" / "fifo")
    settle_stack(str(path))
    assert {stat.S_IMODE(file.stat().st_mode) for file in (outside, mine)} == {0o666}


def test_a_folder_that_many_use_keeps_what_makes_it_theirs(tmp_path: Path) -> None:
    shared, none = tmp_path / "shared", tmp_path / "none" / "where"
    shared.mkdir()
    for mode, wanted in ((0o1777, 0o1777), (0o2770, 0o2755), (0o700, 0o755), (0o755, 0o755)):
        shared.chmod(mode)
        assert bool(settle_shared(shared)) == (mode != wanted)
        assert stat.S_IMODE(shared.stat().st_mode) == wanted
    assert settle_shared(none) == settle(none, 0) == []


@AS_ROOT
def test_an_owner_is_set_as_root_and_named_to_others(tmp_path: Path, umask: None, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "stack"
    environment = stack(path)
    library = environment / "lib" / "library.so"
    os.chown(library, 4711, -1)
    (change,) = [each for each in settle_stack(str(path), dry_run=True) if each.owner]
    assert change.exposed
    os.seteuid(NOBODY)
    try:
        with pytest.raises(ZarrstreamError, match=r"belongs to the user 0, and 65534 may not change that\. Become root"):
            settle(Path("stack/envs"), NOBODY)
    finally:
        os.seteuid(0)
    assert change in settle_stack(str(path))
    assert_settled(path)


def test_what_goes_or_becomes_a_link_meanwhile_is_left_alone(tmp_path: Path, umask: None, monkeypatch: pytest.MonkeyPatch) -> None:
    path, outside = tmp_path / "stack", tmp_path / "outside"
    stack(path)
    settle_stack(str(path))
    outside.touch()
    outside.chmod(0o666)
    gone, link = (path / "envs/0123/lib" / name for name in ("gone", "link"))
    for file in (gone, link):
        file.touch()
        file.chmod(0o666)
    before = modes._set

    def late(folder: int, name: str, change: modes.Change, seen: os.stat_result) -> None:
        file = Path(change.path)
        file.unlink()
        if file == link:
            file.symlink_to(outside)
        before(folder, name, change, seen)

    monkeypatch.setattr(modes, "_set", late)
    assert len(settle_stack(str(path))) == 2
    assert stat.S_IMODE(outside.stat().st_mode) == 0o666
