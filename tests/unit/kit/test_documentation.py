"""ansible-doc shows every module, filter and lookup of the collection; what README and guide say to run is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = {"module": "plugins/modules", "filter": "plugins/filter", "lookup": "plugins/lookup"}
PLUGINS = [(kind, path.stem) for kind, folder in FOLDERS.items() for path in sorted(ROOT.glob(f"{folder}/*.py"))]


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[] if kind == "module" else pytest.mark.thorough) for kind in FOLDERS])
def test_ansible_doc_shows_all_plugins(kind: str) -> None:
    names = {f"zarrstream.platform.{name}" for each, name in PLUGINS if each == kind}
    command = [Path(sys.executable).parent / "ansible-doc", "--json", "--type", kind, *sorted(names)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown.keys() == names, done.stderr
    for name, parts in shown.items():
        assert parts["doc"]["short_description"], name
        assert parts["examples"], name
        assert parts["return"], name


def test_every_module_is_in_an_action_group() -> None:
    groups = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["action_groups"]
    names = {name for members in groups.values() for name in members if isinstance(name, str)}
    assert names == {name for kind, name in PLUGINS if kind == "module"}


def test_the_checkouts_library_has_a_link_to_every_module() -> None:
    """ansible-test leaves out modules that are links, so that the files are in plugins/modules."""
    links = {link.name: str(link.readlink()) for link in (ROOT / "library").iterdir() if not link.name.startswith("__")}
    assert links == {f"{name}.py": f"../plugins/modules/{name}.py" for kind, name in PLUGINS if kind == "module"}


def commands(page: str) -> list[str]:
    """The lines of the page's shell examples, comments left out and continued lines as they are."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    return [line.partition("  #")[0].rstrip() for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("page", ["README.md", "docs/getting-started.md"])
def test_a_page_makes_and_activates_the_environment_before_it_uses_it(page: str) -> None:
    """A bare ansible-playbook is the distribution's, which is too old, or none."""
    lines = commands(page)
    first = next(number for number, line in enumerate(lines) if re.match(r"(ansible|openstack)", line))
    assert "source build/venv/bin/activate" in lines[:first]
    assert {"./make environment", "./make demo"} & set(lines[:first])
    assert not [line for line in lines if line.startswith("build/venv/bin/")], "one way of calling"


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))])
def test_what_a_page_runs_is_there(page: str) -> None:
    for line in commands(page):
        for name in re.findall(r"playbooks/[\w.]+\.yml", line):
            assert (ROOT / name).is_file(), line
        for inventory in re.findall(r" -i (\S+) playbooks/", line):
            assert inventory in ("inventory/mine", "inventory/embedded"), line
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {target for line in commands(page) for target in re.findall(r"^\./make ([\w-]+)", line)} <= set(targets)


PAGES = [
    path
    for pattern in ("*.md", "docs/**/*.md", "roles/*/README.md", "tests/**/README.md")
    for path in sorted(ROOT.glob(pattern))
    if path.name != "CHANGELOG.md"
]
FOLDERS_OF_OURS = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"build"}


def prose(page: Path) -> str:
    """The text of a page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_that_a_page_names_are_there(page: Path) -> None:
    """From the checkout's root, or beside the page; a page is told from where by what it names."""
    names = [name for name in re.findall(r"`([\w.*/-]+/[\w.*/-]*)`", prose(page)) if name.split("/")[0] in FOLDERS_OF_OURS]
    for name in set(names) - {"inventory/mine"}:
        assert next(ROOT.glob(name), None) or next(page.parent.glob(name), None), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" not in link:
            path, _hash, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """What links to headings of a page are called, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_guide_names_the_ansible_that_is_wanted() -> None:
    wanted = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["requires_ansible"].removeprefix(">=").removesuffix(".0")
    assert f"ansible-core {wanted} or later" in (ROOT / "docs/getting-started.md").read_text()


def test_the_machines_of_the_guide_are_those_of_the_inventory() -> None:
    declared = yaml.safe_load((ROOT / "inventory/jetstream2/group_vars/all/vms.yml").read_text())
    names = {
        f"{declared['vm_cluster']}-{group.replace('_', '-')}-{number + 1}"
        for group, servers in declared["vm_servers"].items()
        for number in range(servers["count"])
    }
    guide = (ROOT / "docs/getting-started.md").read_text()
    loop = re.search(r"^for host in (.*); do$", guide, re.MULTILINE)
    assert loop
    assert set(loop[1].split()) == names
    source = yaml.safe_load((ROOT / "inventory/jetstream2/group_vars/all/platform.yml").read_text())["zarr_datasets"][0]["source"]
    assert f"$host:{Path(source).parent}/" in guide
