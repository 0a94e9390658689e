# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
name: missing_requirements
short_description: What the controller lacks, or has too old, for the playbooks of this collection
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Compares the release of ansible-core, the collections and the Python libraries of the controller with what this collection says that
    it needs, in its C(meta/runtime.yml), C(galaxy.yml) and C(requirements.txt).
  - Nothing is imported or changed. It works in releases of ansible-core that are too old for anything else in the collection.
options:
  python:
    description:
      - The Python that runs modules on the controller, C(ansible_python_interpreter) of C(localhost).
      - Empty, or C(auto) and the like, for the one that Ansible would discover.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Refuse a controller that lacks something
  ansible.builtin.assert:
    that: missing | length == 0
    fail_msg: "{{ missing | join(' ') }}"
  vars:
    missing: "{{ query('zarrstream.platform.missing_requirements', python=ansible_playbook_python) }}"
"""

RETURN = r"""
_raw:
  description: A sentence for each thing that is missing or too old, with the command that brings it.
  type: list
  elements: str
"""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from ansible import constants
from ansible.plugins.lookup import LookupBase
from ansible.release import __version__ as ansible_core

if TYPE_CHECKING:
    from packaging.requirements import Requirement

COLLECTION = Path(__file__).resolve().parents[2]
REQUIREMENTS = COLLECTION / "requirements.txt"
# Versions that do not work together, though each alone would: a collection, its versions, a library, its first such version.
CONFLICTS = (("openstack.cloud", "<2.6", "openstacksdk", "4.15"),)
OWN_PYTHON = 'set ansible_python_interpreter of localhost to "{{ ansible_playbook_python }}" in your inventory'
IN_A_CHECKOUT = f"In this checkout '{COLLECTION}/make environment' brings all of it, for {COLLECTION}/build/venv/bin/ansible-playbook."
# Asks another Python for the versions of what it has.
QUESTION = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found[name] = None
print(json.dumps(found))
"""
SECONDS = 60


class LookupModule(LookupBase):
    """The sentences; ``terms`` are none."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:  # noqa: ARG002 - Ansible's
        self.set_options(var_options=variables, direct=kwargs)
        found = list(faults(interpreter(self.get_option("python"))))
        return [*found, IN_A_CHECKOUT] if found and (COLLECTION / "make").exists() else found


def faults(python: str) -> Iterator[str]:
    """Name what is missing or too old where this Ansible runs, and ``python`` runs its modules."""
    yield from core_faults(ansible_core)
    collections = {name: version_of(name) for name in wanted_collections()}
    yield from collection_faults(collections)
    try:
        libraries = versions_in(python)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        yield f"{python}, the Python of localhost, cannot be asked for its libraries ({error}): {OWN_PYTHON}."
    else:
        yield from library_faults(python, libraries)
        yield from conflicts(python, collections, libraries)


def read(name: str) -> Any:
    """A YAML document of this collection."""
    return yaml.safe_load((COLLECTION / name).read_text())


def wanted_collections() -> dict[str, str]:
    """What this collection depends on; the file is another one where it is installed."""
    manifest = COLLECTION / "MANIFEST.json"
    said = json.loads(manifest.read_text())["collection_info"] if manifest.exists() else read("galaxy.yml")
    return said["dependencies"]


def wanted_libraries() -> list[Requirement]:
    """What the controller's Python needs."""
    from packaging.requirements import Requirement

    lines = [line.partition("#")[0].strip() for line in REQUIREMENTS.read_text().splitlines()]
    return [Requirement(line) for line in lines if line]


def fits(version: str, wanted: str) -> bool:
    """Whether a version is among those wanted; one that cannot be known is."""
    from packaging.specifiers import SpecifierSet

    return wanted == "*" or not re.match(r"\d", version) or SpecifierSet(wanted).contains(version, prereleases=True)


def version_of(collection: str) -> str | None:
    """The version of a collection that Ansible finds; None where it finds none, and an empty text where the collection does not say."""
    try:
        spec = find_spec(f"ansible_collections.{collection}")
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations)))
    if (folder / "MANIFEST.json").exists():
        return str(json.loads((folder / "MANIFEST.json").read_text())["collection_info"]["version"])
    return str(yaml.safe_load((folder / "galaxy.yml").read_text())["version"]) if (folder / "galaxy.yml").exists() else ""


def interpreter(said: str) -> str:
    """The Python that Ansible runs modules with on the controller."""
    if said and not said.startswith("auto"):
        return said
    names = constants.config.get_config_value("INTERPRETER_PYTHON_FALLBACK")
    return next((found for name in names if (found := shutil.which(name))), "python3")


def versions_in(python: str) -> dict[str, str | None]:
    """The versions of the libraries that a Python has; None for those that it has not."""
    names = [wanted.name for wanted in wanted_libraries()]
    if python == sys.executable:
        return {name: own_version(name) for name in names}
    asked = subprocess.run([python, "-c", QUESTION, *names], capture_output=True, text=True, check=False, timeout=SECONDS)
    if asked.returncode:
        raise ValueError(asked.stderr.strip().rpartition("\n")[2] or f"it ended with {asked.returncode}")
    return json.loads(asked.stdout)


def own_version(name: str) -> str | None:
    """The version of a library of this Python."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def core_faults(version: str) -> Iterator[str]:
    """Refuse releases of Ansible that the collection does not support."""
    wanted = str(read("meta/runtime.yml")["requires_ansible"])
    if not fits(version, wanted):
        yield (
            f"This is ansible-core {version}, on {sys.executable}, and {wanted} is needed. Distributions have older ones: with Python 3.11 "
            f"or later run 'python3 -m venv ansible', 'ansible/bin/pip install \"ansible-core{wanted}\" -r {REQUIREMENTS}', and then "
            "'ansible/bin/ansible-playbook'."
        )


def collection_faults(found: dict[str, str | None]) -> Iterator[str]:
    """Name the collections that are missing or too old."""
    for name, wanted in wanted_collections().items():
        version = found[name]
        if version is None or not fits(version, wanted):
            what = "is not there" if version is None else f"has version {version}"
            install = f"ansible-galaxy collection install --upgrade '{name}:{wanted}'"
            yield f'The collection {name} {what}, and {wanted} is needed: run "{install}".'


def library_faults(python: str, found: dict[str, str | None]) -> Iterator[str]:
    """Name the libraries that are missing or too old."""
    versions = {str(each): found[each.name] for each in wanted_libraries() if not fits(found[each.name] or "0", str(each.specifier))}
    if not versions:
        return
    lacks = ", ".join(f"{wanted} ({f'there is {version}' if version else 'not there'})" for wanted, version in versions.items())
    own = "" if python == sys.executable else f" Or, where Ansible's own Python, {sys.executable}, has them: {OWN_PYTHON}."
    yield f"{python}, the Python of localhost, lacks {lacks}: run '{python} -m pip install -r {REQUIREMENTS}'.{own}"


def conflicts(python: str, collections: dict[str, str | None], libraries: dict[str, str | None]) -> Iterator[str]:
    """Name versions that do not work together."""
    for collection, these, library, since in CONFLICTS:
        version, other = collections.get(collection), libraries.get(library)
        if version and other and fits(version, these) and fits(other, f">={since}"):
            galaxy, pip = f"ansible-galaxy collection install --upgrade {collection}", f'{python} -m pip install "{library}<{since}"'
            yield f"{collection} {version} does not work with {library} {other}: run '{galaxy}', or '{pip}'."
