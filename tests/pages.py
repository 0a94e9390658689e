# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The commands of a page of the documentation, so that a test runs what is printed there, and a changed page is a changed test."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "docs" / "getting-started.md"


def blocks(page: Path, language: str = "sh") -> list[str]:
    """The fenced blocks of a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def section(page: Path, title: str) -> str:
    """What stands below a heading, up to the next one."""
    (found,) = re.findall(rf"^##+ {re.escape(title)}$\n(.*?)(?=^## |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


def commands(page: Path, containing: str) -> list[str]:
    """The lines of the one shell block that contains this text, as a person copies them."""
    (block,) = (each for each in blocks(page) if containing in each)
    return block.splitlines()
