"""ansible-doc shows every module, filter and lookup of the collection."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"module": "plugins/modules", "filter": "plugins/filter", "lookup": "plugins/lookup"}
PLUGINS = [(kind, path.stem) for kind, folder in FOLDERS.items() for path in sorted(ROOT.glob(f"{folder}/*.py"))]


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in PLUGINS}))
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
