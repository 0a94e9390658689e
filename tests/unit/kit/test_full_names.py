# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters, tests, lookups and inventory plugins have their full names: an installed collection finds its own by no other.

In the checkout ``ansible.cfg`` hides that. Ansible's own filters and tests are always found by their short names.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from jinja2 import nodes

# Jinja's, about regular expressions in quotes.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("roles", "playbooks", "inventory")
FILES = sorted(path for folder in FOLDERS for pattern in ("*.yml", "*.j2") for path in (ROOT / folder).rglob(pattern))
# Conditions: their text is an expression without braces.
BARE = {"when", "that", "changed_when", "failed_when", "until"}
LOOKUPS = {"lookup", "query", "q"}
# Their first argument names a filter, or a test; of the last two, the second.
NAMED_FILTER, NAMED_TEST, NAMED_TEST_SECOND = {"map"}, {"select", "reject"}, {"selectattr", "rejectattr"}


def builtin(kind: str, method: str, modules: tuple[str, ...]) -> set[str]:
    """The names that Ansible's own modules of plugins bring."""
    plugins = [getattr(import_module(f"ansible.plugins.{kind}.{module}"), f"{kind.title()}Module")() for module in modules]
    return {name for plugin in plugins for name in getattr(plugin, method)()}


ENVIRONMENT = jinja2.Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"])


@cache
def known_names() -> dict[str, set[str]]:
    """What is found by its short name everywhere."""
    return {
        "filter": set(ENVIRONMENT.filters) | builtin("filter", "filters", ("core", "encryption", "mathstuff", "urls", "urlsplit")),
        "test": set(ENVIRONMENT.tests) | builtin("test", "tests", ("core", "files", "mathstuff", "uri")),
        "lookup": set(),
    }


def expressions(value: Any, key: str = "") -> Iterator[str]:
    """Every text of a YAML document that Ansible reads as Jinja."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from expressions(each, str(name))
    elif isinstance(value, list):
        for each in value:
            yield from expressions(each, key)
    elif isinstance(value, str) and key in BARE and "{{" not in value:
        yield "{{ " + value + " }}"
    elif isinstance(value, str):
        yield value


def faults(text: str) -> Iterator[str]:
    """The short names in a template."""
    tree = ENVIRONMENT.parse(text)
    for node in tree.find_all((nodes.Filter, nodes.Test, nodes.Call)):
        for kind, name in named(node):
            if "." not in name and name not in known_names()[kind]:
                yield f"{kind} {name}"


def named(node: nodes.Filter | nodes.Test | nodes.Call) -> Iterator[tuple[str, str]]:
    """The plugins that a node names, with their kinds."""
    texts = [each.value if isinstance(each, nodes.Const) and isinstance(each.value, str) else None for each in node.args]
    if isinstance(node, nodes.Call):
        if isinstance(node.node, nodes.Name) and node.node.name in LOOKUPS and texts and texts[0] is not None:
            yield "lookup", texts[0]
        return
    yield ("filter" if isinstance(node, nodes.Filter) else "test"), node.name
    if isinstance(node, nodes.Filter):
        for kind, names, place in (("filter", NAMED_FILTER, 0), ("test", NAMED_TEST, 0), ("test", NAMED_TEST_SECOND, 1)):
            if node.name in names and len(texts) > place and texts[place] is not None:
                yield kind, str(texts[place])


def short_names(text: str, *, template: bool) -> list[str]:
    """The faults of a file."""
    documents = [text] if template else list(yaml.safe_load_all(text))
    found = [fault for document in documents for each in expressions(document) for fault in faults(each)]
    found += [f"plugin {each['plugin']}" for each in documents if isinstance(each, dict) and "." not in str(each.get("plugin", "."))]
    return found


def test_all_plugins_have_their_full_names() -> None:
    found = {str(path.relative_to(ROOT)): short_names(path.read_text(), template=path.suffix == ".j2") for path in FILES}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: '{{ b | reapable(2) }}'", "filter reapable"),
        ("- when: b | bucket_grants(true)", "filter bucket_grants"),
        ("- when: b is ours", "test ours"),
        ("a: \"{{ b | map('aws_profile_settings') }}\"", "filter aws_profile_settings"),
        ("a: \"{{ b | selectattr('c', 'ours') }}\"", "test ours"),
        ("a: \"{{ lookup('file', 'x') }}\"", "lookup file"),
        ("plugin: openstack", "plugin openstack"),
    ],
)
def test_a_short_name_is_found(text: str, fault: str) -> None:
    assert short_names(text, template=False) == [fault]


@pytest.mark.parametrize(
    "text",
    [
        "a: \"{{ b | default('') | zarrstream.platform.reapable(2) | map('regex_replace', 'a', 'b') }}\"",
        "a: \"{{ query('ansible.builtin.file', b) if b is exists and b is not skipped else [] }}\"",
        "- ansible.builtin.assert: {that: [b is defined, b | length > 0]}",
        "plugin: openstack.cloud.openstack",
    ],
)
def test_full_names_and_ansibles_own_are_not(text: str) -> None:
    assert short_names(text, template=False) == []
