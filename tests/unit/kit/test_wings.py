# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may import whom in the core. Imports for types alone count: Ansible follows them, and sends what they name to every host."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import zarrstream

CORE = Path(__file__).resolve().parents[3] / "plugins/module_utils/zarrstream"
# A wing, and the wings that it may import besides its own files and the ground, which is the files at the core's root.
LOW = {"profiles", "planning", "metadata"}
STORE = {*LOW, "storage"}
READ = {*STORE, "sidecar", "source"}
WINGS: dict[str, set[str]] = {
    "profiles": set(),
    "planning": set(),
    "metadata": set(),
    "storage": LOW,
    "sidecar": STORE,
    "openstack": STORE,
    "probe": {*STORE, "openstack"},
    "machines": {*STORE, "openstack", "probe"},
    "source": {*STORE, "sidecar"},
    "encoding": READ,
    "check": {*READ, "encoding"},
    "write": {*READ, "encoding", "check"},
    "dask": {*READ, "encoding", "check", "write", "probe"},
    "commands": {*READ, "encoding", "check", "write", "dask", "openstack", "probe"},
}
LONGEST = 350  # lines of a file
DOOR = "__main__"  # what is started goes in at the top


def imports(path: Path) -> Iterator[str]:
    """The files of the core that a file imports, as paths below it without their suffix."""
    package = path.relative_to(CORE).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = CORE.joinpath(*package[: len(package) + 1 - node.level], *(node.module or "").split("."))
            for name in node.names:
                inner = base / name.name
                found = inner if inner.with_suffix(".py").exists() else base
                yield found.relative_to(CORE).as_posix()


@cache
def arrows() -> set[tuple[str, str]]:
    """Files and what they import."""
    return {
        (path.relative_to(CORE).with_suffix("").as_posix(), target)
        for path in CORE.rglob("*.py")
        for target in imports(path)
        if path.stem not in ("__init__", DOOR)
    }


def wing(file: str) -> str:
    """The wing of a file; '' for the ground."""
    return file.partition("/")[0] if "/" in file else ""


def test_each_wing_imports_only_what_lies_below_it():
    assert {wing(file) for arrow in arrows() for file in arrow} == {"", *WINGS}
    allowed = {name: {"", name, *below} for name, below in WINGS.items()} | {"": {""}}
    assert not {(file, target) for file, target in arrows() if wing(target) not in allowed[wing(file)]}


def test_no_file_imports_itself_around_others():
    around: dict[str, set[str]] = {}
    for file, target in arrows():
        around.setdefault(file, set()).add(target)
    TopologicalSorter(around).prepare()  # raises CycleError, which names the files


def test_the_page_shows_this_table():
    page = (CORE.parents[2] / "docs/architecture.md").read_text()
    shown = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ?([^|]*?) ?\|$", page, re.MULTILINE))
    assert {name: set(re.findall(r"\w+", below)) for name, below in shown.items()} == WINGS


def test_no_file_is_longer_than_a_reader_bears():
    """Of a module what is code: its documentation is a page of its own."""
    pages = re.compile(r'^(DOCUMENTATION|EXAMPLES|RETURN) = r?""".*?^"""$', re.MULTILINE | re.DOTALL)
    lines = {path: pages.sub("", path.read_text()).count("\n") for path in CORE.parents[1].rglob("*.py")}
    assert not {path: count for path, count in lines.items() if count > LONGEST}


def shipped(module: str) -> set[str]:
    """What Ansible sends with a module: all that is imported anywhere, by whatever is imported."""
    waiting = list(imports_of_module(module))
    found: set[str] = set()
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting.extend(target for source, target in arrows() if source == file)
    return found


def imports_of_module(name: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((CORE.parents[1] / "modules" / f"{name}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("module_utils.zarrstream."):
            yield node.module.removeprefix("module_utils.zarrstream.").replace(".", "/")


def test_modules_ship_only_what_they_run():
    """Each file costs every host of every run."""
    assert not {file for file in shipped("dask_info") if file.startswith(("check/pictures/", "write/"))}
    assert not {file for file in shipped("zarr_check") if file.startswith("write/")}
    assert {"check/pictures/portrait", "dask/check_job"} <= shipped("zarr_check")
    assert {"write/session", "write/append", "dask/write_job"} <= shipped("zarr_write")


def test_a_host_gets_all_that_the_package_offers():
    """The command is installed from what Ansible sends; the functions for Python are imported by name, when somebody asks for them."""
    assert {each.replace(".", "/") for each in zarrstream._OFFERED.values()} <= shipped("zarrstream_command")
