# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of a host of a Dask cluster: what is planned for them and for the service, and what is written."""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import ports
import pytest
from zarrstream.dask import node
from zarrstream.dask.node import Found, Python, Service, Wanted
from zarrstream.errors import BadRequest, Conflict, WriteError

PYTHON = Python("0123", "/opt/zarrstream/envs/0123/bin/python", "3.13")
UNIT = Wanted(node.UNITS / "dask-worker.service", 0o644, "root", "Environment=D=@definition@\n", at_start=True, fill=True)
SETTINGS = Wanted(Path("/etc/dask/services/dask-worker.yaml"), 0o640, "dask", "a: 1\n", at_start=True)
KEY = Wanted(Path("/etc/dask/tls/node.key"), 0o640, "dask", "very private", secret=True)
FOLDER = Wanted(Path("/etc/dask"), 0o755, "root")
ALL = [FOLDER, KEY, SETTINGS, UNIT]
DEFINITION = node.define(ALL, PYTHON)
THERE = {
    FOLDER.path: Found("folder", b"", 0o755, "root", is_roots=True),
    KEY.path: Found("file", b"very private", 0o640, "dask", is_roots=True),
    SETTINGS.path: Found("file", b"a: 1\n", 0o640, "dask", is_roots=True),
    UNIT.path: Found("file", f"Environment=D={DEFINITION}\n".encode(), 0o644, "root", is_roots=True),
}
RUNS = Service("dask-worker", is_active=True, is_enabled=True, has_unit=True, status=f"definition={DEFINITION} dashboard=")


def test_what_is_as_declared_changes_nothing() -> None:
    assert node.plan(ALL, THERE, PYTHON, RUNS, "/root") == node.Plan((), DEFINITION)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (FOLDER.path, replace(THERE[FOLDER.path], mode=0o777)),
        (FOLDER.path, Found()),
        (KEY.path, replace(THERE[KEY.path], is_roots=False)),
        (KEY.path, replace(THERE[KEY.path], content=b"")),
        (SETTINGS.path, replace(THERE[SETTINGS.path], group="root")),
        (SETTINGS.path, Found("link")),
    ],
)
def test_what_the_service_does_not_read_anew_is_put_right_without_a_restart(path: Path, found: Found) -> None:
    plan = node.plan(ALL, THERE | {path: found}, PYTHON, RUNS, "/root")
    assert [change.wanted.path for change in plan.changes] == [path]
    assert (plan.action, plan.ends, plan.reload) == ("", False, False)


@pytest.mark.parametrize(
    ("wanted", "python", "service", "action", "ends"),
    [
        ([*ALL[:2], replace(SETTINGS, content="a: 2\n"), UNIT], PYTHON, RUNS, "restart", True),
        (ALL, replace(PYTHON, environment="4567"), RUNS, "restart", True),
        (ALL, PYTHON, replace(RUNS, status="definition=of before"), "restart", True),
        (ALL, PYTHON, replace(RUNS, is_active=False, status=""), "restart", False),
        (ALL, PYTHON, replace(RUNS, is_active=False), "start", False),
        (ALL, PYTHON, replace(RUNS, is_enabled=False), "start", False),
        ([FOLDER], PYTHON, RUNS, "", False),
    ],
    ids=["settings", "environment", "interrupted before its restart", "never started", "stopped", "disabled", "no service declared"],
)
def test_what_the_service_wants(wanted: list[Wanted], python: Python, service: Service, action: str, ends: bool) -> None:
    plan = node.plan(wanted, THERE, python, service, "/root")
    assert (plan.action, plan.ends) == (action, ends)


def test_a_package_that_was_replaced_restarts_what_has_imported_it_and_nothing_else(tmp_path: Path) -> None:
    """The environment is the same: the package follows the modules, from run to run."""
    python = replace(PYTHON, libraries=str(tmp_path))
    (tmp_path / "zarrstream/probe").mkdir(parents=True)
    (tmp_path / "zarrstream/probe/run.py").write_text("old = 1")
    before = node.digests(["zarrstream"], python)
    definition = node.define(ALL, python, before)
    found = THERE | {UNIT.path: replace(THERE[UNIT.path], content=f"Environment=D={definition}\n".encode())}
    started = replace(RUNS, status=f"definition={definition} dashboard=")
    assert node.plan(ALL, found, python, started, "/root", before) == node.Plan((), definition)
    (tmp_path / "zarrstream/probe/run.cpython-313.pyc").write_text("compiled")
    assert node.digests(["zarrstream"], python) == before, "what Python compiles is nothing new"
    (tmp_path / "zarrstream/probe/run.py").rename(tmp_path / "zarrstream/run.py")
    after = node.digests(["zarrstream"], python)
    plan = node.plan(ALL, found, python, started, "/root", after)
    assert ([change.wanted.path for change in plan.changes], plan.action, plan.ends) == ([UNIT.path], "restart", True)
    assert node.plan(ALL, THERE, python, RUNS, "/root").action == "", "a service that imports none of them"
    assert node.digests(["zarrstream"], None) == {}, "an environment that is not there yet"


def test_a_secret_shows_in_no_diff() -> None:
    (change,) = node.plan([KEY], {KEY.path: Found()}, None, None, "/root").changes
    assert "private" not in str(change.diff()) + repr(change) + repr(KEY)


def files(folder: Path) -> list[Wanted]:
    """As a user has them."""
    return [
        Wanted(folder / ".config", 0o755),
        Wanted(folder / ".config/tls", 0o700),
        Wanted(folder / ".config/tls/key", 0o600, content="key", secret=True),
        Wanted(folder / ".config/dask.yaml", 0o644, content="ca: @home@/ca.pem\n", fill=True),
    ]


def test_files_are_made_once_with_their_modes_and_the_home(tmp_path: Path) -> None:
    wanted = files(tmp_path)
    before = os.umask(0o077)
    try:
        node.apply(node.plan(wanted, node.look(wanted), None, None, "/home/ada").changes)
    finally:
        os.umask(before)
    assert (tmp_path / ".config/dask.yaml").read_text() == "ca: /home/ada/ca.pem\n"
    assert [f"{each.path.stat().st_mode & 0o777:o}" for each in wanted] == ["755", "700", "600", "644"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".config", "dask.yaml", "key", "tls"], "nothing else is left"
    assert not node.plan(wanted, node.look(wanted), None, None, "/home/ada").changes


def test_a_link_in_the_place_of_a_file_goes_and_leads_nowhere(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("root's own")
    place = Wanted(tmp_path / "dask.yaml", 0o644, content="ours")
    place.path.symlink_to(precious)
    node.apply(node.plan([place], node.look([place]), None, None, "").changes)
    assert (precious.read_text(), place.path.read_text(), place.path.is_symlink()) == ("root's own", "ours", False)


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dask.yaml").mkdir()
    place = Wanted(tmp_path / "dask.yaml", 0o644, content="ours")
    with pytest.raises(Conflict, match=r"dask.yaml is not a file. Move it away"):
        node.apply(node.plan([place], node.look([place]), None, None, "").changes)


def test_a_folder_that_takes_no_file_is_named(tmp_path: Path) -> None:
    place = Wanted(tmp_path / "missing" / "dask.yaml", 0o644, content="ours")
    with pytest.raises(
        WriteError, match=r"cannot write .*missing/dask.yaml: No such file or directory. Check the owner and mode of its folder"
    ):
        node.apply(node.plan([place], node.look([place]), None, None, "").changes)


def test_a_home_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    with pytest.raises(BadRequest, match=r"the home .*nowhere is not there"):
        node.home_for(files(tmp_path / "nowhere"))
    assert node.home_for([FOLDER]) == str(tmp_path / "nowhere"), "whoever does not need it"


@pytest.mark.parametrize("mode", ["644 ", "u=rw", "0999", "4755"])
def test_a_mode_that_is_none_is_refused(mode: str) -> None:
    values: dict[str, Any] = {"path": "/a", "mode": mode, "group": None, "content": None, "secret": None, "at_start": False, "fill": False}
    with pytest.raises(BadRequest, match=r"an octal mode is wanted, such as '0640'"):
        node.wanted_from(values)


def test_an_environment_is_named_by_its_folder_and_one_that_does_not_run_says_why(tmp_path: Path) -> None:
    prefix = Path(sys.prefix).resolve()
    (tmp_path / "current").symlink_to(prefix)
    python, why_not = node.ask_python(str(tmp_path / "current/bin/python"))
    assert why_not == ""
    assert python is not None
    assert python == Python(prefix.name, str(prefix / "bin/python"), ".".join(map(str, sys.version_info[:2])), python.libraries)
    assert Path(python.libraries).resolve() == Path(sysconfig.get_path("purelib")).resolve(), "where its packages are"
    assert node.ask_python(str(tmp_path / "none"))[0] is None
    assert "none" in node.ask_python(str(tmp_path / "none"))[1]


def test_a_port_is_reached_where_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert node.reaches("127.0.0.1", server.getsockname()[1], patience=0)
    assert not node.reaches("127.0.0.1", ports.free_ports(1)[0], patience=0)
