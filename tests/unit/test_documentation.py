"""ansible-doc shows every module and filter of the collection."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES, FILTERS = (sorted(ROOT.glob(pattern)) for pattern in ("library/*.py", "plugins/filter/*.py"))
PLUGINS = [("module", path.stem) for path in MODULES] + [("filter", path.stem) for path in FILTERS]


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
