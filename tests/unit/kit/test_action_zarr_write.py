"""The action plugin of zarr_write: what it shows, where, and that nothing it does while watching reaches the task."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
COPYING = {
    "store": "s3://bucket/air.zarr/",
    "state": "copying",
    "objects_done": 12,
    "objects_total": 40,
    "bytes_stored": 9,
    "mib_per_second": 35.25,
    "seconds_left": 3.4,
}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("collections")
    place = folder / "ansible_collections" / "zarrstream"
    place.mkdir(parents=True)
    (place / "platform").symlink_to(CHECKOUT)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("ansible_collections.zarrstream.platform.plugins.action.zarr_write")
    sys.path.remove(str(folder))


class FakeAction:
    """As much of an action as a watch uses; ``answers`` are what the host says, one after the other, then the last for ever."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers, self.commands = answers, list[str]()
        self._connection = SimpleNamespace(become=None)

    def _low_level_execute_command(self, command: str) -> dict[str, str]:
        self.commands.append(command)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return {"stdout": answer}


@pytest.fixture
def shown(plugin: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    lines: list[tuple[str, dict[str, Any]]] = []
    fake = SimpleNamespace(display=lambda text, **how: lines.append((text, how)), vvv=lambda text: lines.append((text, {})), columns=79)
    monkeypatch.setattr(plugin, "display", fake)
    for name in ("REDRAW", "FIRST_LINE", "NEXT_LINES"):
        monkeypatch.setattr(plugin, name, 0.01)
    return lines


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def test_without_a_terminal_there_are_lines_on_standard_error(plugin: Any, shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "ON_TERMINAL", False)
    action = FakeAction(["", "{", '{"state": "other"}', json.dumps(COPYING)])
    with plugin.Watch(action, "/tmp/a b.json", {"inventory_hostname": "h1"}):
        until(lambda: len(shown) > 1)
    assert shown[0] == ("h1 air.zarr: copying, 12 of 40 objects, 35.2 MiB/s, 0:03 left", {"stderr": True})
    assert action.commands[0] == "cat '/tmp/a b.json'"
    assert "\r" not in "".join(text for text, _how in shown)


def test_on_a_terminal_one_line_is_drawn_over_and_wiped(plugin: Any, shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "ON_TERMINAL", True)
    with plugin.Watch(FakeAction([json.dumps(COPYING)]), "/tmp/a.json", {"inventory_hostname": "h1"}):
        until(lambda: len(shown) > 1)
    assert all(text.startswith("\r") and how == {"stderr": True, "screen_only": True, "newline": False} for text, how in shown)
    assert shown[0][0].startswith("\rh1 air.zarr [###.......]  30%  copying, 12 of 40 objects, 35.2 MiB/s, 0:03 left")
    assert len(shown[0][0]) <= 79 + len("\r\x1b[K")
    assert shown[-1][0] == "\r\x1b[K"


@pytest.mark.parametrize("terminal", [True, False])
def test_what_was_never_shown_is_not_wiped(plugin: Any, shown: Any, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "ON_TERMINAL", terminal)
    action = FakeAction([""])
    with plugin.Watch(action, "/tmp/a.json", {}):
        until(lambda: len(action.commands) > 2)
    assert shown == []


def test_a_connection_that_fails_ends_the_watching_only(plugin: Any, shown: Any) -> None:
    with plugin.Watch(FakeAction([RuntimeError("lost")]), "/tmp/a.json", {}):
        until(lambda: bool(shown))
    assert shown == [("zarr_write is not watched any more: lost", {})]


def test_the_watch_has_a_connection_of_its_own(plugin: Any, shown: Any) -> None:
    action = FakeAction([""])
    watch = plugin.Watch(action, "/tmp/a.json", {})
    assert watch._action is not action
    assert watch._action._connection is not action._connection
