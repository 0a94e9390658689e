"""The fragments are such that a changelog can be made of them, and the summary of the first version names all that is in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
SECTIONS = {name for name, _title in yaml.safe_load((ROOT / "changelogs/config.yaml").read_text())["sections"]}
FRAGMENTS = sorted((ROOT / "changelogs/fragments").iterdir())


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda fragment: fragment.name)
def test_a_fragment_has_lists_of_sentences_in_known_sections(fragment: Path) -> None:
    document = yaml.safe_load(fragment.read_text())
    summary = document.pop("release_summary", "")
    assert isinstance(summary, str)
    assert document.keys() <= SECTIONS | {"trivial"}
    assert summary or document
    for entries in document.values():
        assert all(isinstance(entry, str) and entry.strip() for entry in entries)


def test_the_first_version_names_its_modules_and_roles() -> None:
    summaries = [yaml.safe_load(fragment.read_text()).get("release_summary", "") for fragment in FRAGMENTS]
    summary = next((text for text in summaries if "Modules:" in text), "")
    if summary:  # a release takes the fragments away
        _before, modules, roles = summary.replace("Roles:", "Modules:").split("Modules:")
        assert {f"``{path.stem}``" for path in ROOT.glob("plugins/modules/*.py")} == names(modules)
        assert {f"``{path.name}``" for path in ROOT.glob("roles/*")} == names(roles)


def names(text: str) -> set[str]:
    return {word.strip(",.\n") for word in text.split() if word.startswith("``")}
