# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What in an HDF5 file leads out of it: the HDF5 library opens such files by itself, and hands over whatever they hold.

Looked for before the NetCDF library opens a file. Where the library would look for a file, all places count: the first
that exists is read, and which one that is can change.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SourceError
from ..text import one_line
from .declared import Declared, NotRegular, Outside, descriptor_path, real_path
from .input_file import InputFile

_BUILT_IN = range(7)  # numbers of the filters that are part of the library, or taken for such by all builds
_MOST_FILES = 10_000  # that lead to one another
_MOST_PATHS = 1_000_000  # to all objects of a file, by all its links
_WRITABLE_BY_OTHERS = 0o002
_PLUGINS = "HDF5_PLUGIN_PATH"
_UNSEARCHED = (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError, RecursionError)
# The variables with folders in which the library looks for each kind of file.
_EXTERNAL, _LINK, _VIRTUAL = "HDF5_EXTFILE_PREFIX", "HDF5_EXT_PREFIX", "HDF5_VDS_PREFIX"


@dataclass(frozen=True)
class Lead:
    """One way out: ``node`` is the path of the object in the file, ``what`` it is in words, ``target`` the file that it names."""

    node: str
    what: str
    target: str
    prefix: str  # the variable with other folders to look in
    hdf5: bool = True  # whether the target is read as HDF5, or as bytes


def check_leads(path: str, declared: Declared) -> tuple[str, ...]:
    """The real paths of all files that this one leads to, by itself and through others.

    Raises SourceError where one is not declared, is missing or is no regular file, and for a file that cannot be searched.
    """
    found: dict[str, None] = {}
    _check(path, declared, path, found)
    return tuple(found)


def _check(path: str, declared: Declared, source: str, found: dict[str, None]) -> None:
    for lead in _leads(path, declared, source):
        for real in _targets(path, lead, declared, source):
            if real in found or real == os.path.realpath(path):
                continue
            if len(found) >= _MOST_FILES:
                raise SourceError(f"source '{source}' leads to more than {_MOST_FILES} files. Copy their data to one.", source=source)
            found[real] = None
            if lead.hdf5:
                _check(real, declared, source, found)


def refuse_leads(file: InputFile) -> None:
    """Raises SourceError where a file that is not on this host leads to any other, and for a file that cannot be searched."""
    path = file.path
    try:
        with file.hdf5() as opened:
            leads = _search_all(opened, path)
    except _UNSEARCHED as error:
        raise _unsearched(path, path, error) from None
    for lead in leads:
        raise SourceError(
            f"source '{path}': '{lead.node}' is {lead.what} {_quoted(lead)}, and beside a file that is not on this host no others are "
            f"read. {_COPY}.",
            source=path,
            object=lead.node,
            target=lead.target,
        )


def _leads(path: str, declared: Declared, source: str) -> list[Lead]:
    import h5py

    file = None
    try:
        file = declared.open(path)
        with h5py.File(descriptor_path(file, path), "r") as opened:
            return _search_all(opened, path)
    except _UNSEARCHED as error:
        raise _unsearched(path, source, error) from None
    except (Outside, NotRegular) as error:
        raise SourceError(f"source '{source}': {path} was replaced in this moment, and is {error}.", source=source) from None
    finally:
        if file is not None:
            os.close(file)


def _search_all(opened: Any, path: str) -> list[Lead]:
    leads: list[Lead] = []
    if unknown := _search(opened, leads):
        _check_plugins(path, unknown)
    return leads


def _unsearched(path: str, source: str, error: BaseException) -> SourceError:
    """What cannot be searched may lead anywhere."""
    return SourceError(
        f"source '{source}' cannot be opened: {_which(path, source)}{_why(error)}. Copy it again, or leave it out.", source=source
    )


def _search(opened: Any, leads: list[Lead]) -> str:
    """Add all ways out of a file; returns a data set with a filter that is not part of the library, or ''.

    Raises ValueError for links that lead nowhere or around in circles, on which the NetCDF library fails without saying so, or never ends.
    """
    import h5py

    hard: dict[bytes, int] = {}
    soft: list[bytes] = []

    def look(name: bytes, info: Any) -> None:
        if info.type == h5py.h5l.TYPE_HARD:
            hard[name] = info.u
        elif info.type == h5py.h5l.TYPE_SOFT:
            soft.append(name)
        elif info.type == h5py.h5l.TYPE_EXTERNAL:
            target, inner = opened.id.links.get_val(name)
            leads.append(Lead(f"/{_text(name)}", f"an external link to '{_text(inner)}' in", _text(target), _LINK))
        else:
            leads.append(Lead(f"/{_text(name)}", f"a link of a kind of its own (number {info.type}) to", "an unknown place", ""))

    opened.id.links.visit(look, info=True)
    unknown = ""
    for name in hard:
        unknown = _search_node(opened, name, leads) or unknown
    if not leads:  # to ask where a soft link leads would open what an external link on its way names
        _count_paths(h5py.h5o.get_info(opened.id).addr, {**hard, **{name: _address(opened, name) for name in soft}})
    return unknown


def _address(opened: Any, name: bytes) -> int:
    import h5py

    try:
        return int(h5py.h5o.get_info(h5py.h5o.open(opened.id, name)).addr)
    except KeyError:
        target = _text(opened.id.links.get_val(name))
        raise ValueError(f"'/{_text(name)}' is a soft link to '{target}', which is not there") from None


def _count_paths(root: int, links: dict[bytes, int]) -> None:
    """Raises ValueError where the links of groups make too many paths. Each link is named once; groups may have several names."""
    groups = {b"": root, **links}
    below: dict[int, list[tuple[bytes, int]]] = {}
    for name, address in links.items():
        below.setdefault(groups[name.rpartition(b"/")[0]], []).append((name, address))
    paths: dict[int, int] = {}
    above: set[int] = set()
    waiting = [(root, b"", False)]
    while waiting:
        group, name, done = waiting.pop()
        inner = below.get(group, [])
        if done:
            above.discard(group)
            paths[group] = 1 + sum(paths[address] for _unused, address in inner)
            if paths[group] > _MOST_PATHS:
                raise ValueError(f"its links make more than {_MOST_PATHS} paths")
        elif group in above:
            raise ValueError(f"the link '/{_text(name)}' leads around in a circle")
        elif group not in paths:
            above.add(group)
            waiting.append((group, name, True))
            waiting.extend((address, link, False) for link, address in inner)


def _search_node(opened: Any, name: bytes, leads: list[Lead]) -> str:
    import h5py

    node = h5py.h5o.open(opened.id, name)
    if not isinstance(node, h5py.h5d.DatasetID):
        return ""
    path, how = f"/{_text(name)}", node.get_create_plist()
    for number in range(how.get_external_count()):
        target = how.get_external(number)[0]
        leads.append(Lead(path, "external storage in", _text(target), _EXTERNAL, hdf5=False))
    if how.get_layout() == h5py.h5d.VIRTUAL:
        for number in range(how.get_virtual_count()):
            target, inner = how.get_virtual_filename(number), how.get_virtual_dsetname(number)
            if target != ".":
                leads.append(Lead(path, f"a virtual data set with values of '{inner}' in", target, _VIRTUAL))
    filters = (how.get_filter(position)[0] for position in range(how.get_nfilters()))
    return path if any(number not in _BUILT_IN for number in filters) else ""


def _targets(path: str, lead: Lead, declared: Declared, source: str) -> Iterator[str]:
    """The real paths of what a way out leads to; raises SourceError where one of them may not be read, or where there is none."""
    here = os.path.dirname(os.path.realpath(path))  # noqa: PTH120 - paths of libraries, as text
    where, count = f"source '{source}': {_which(path, source)}'{lead.node}' is {lead.what} {_quoted(lead)}", 0
    if lead.prefix == "":
        raise SourceError(f"{where}. {_COPY}.", source=source, object=lead.node, target=lead.target)
    for candidate in _candidates(path, here, lead):
        for name in _numbered(candidate, lead, declared, where, source):
            try:
                file = declared.open(name)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except Outside as error:
                raise _refusal(where, lead, str(error), source) from None
            except NotRegular as error:
                raise SourceError(f"{where}, and {name} is {error}: only regular files are read.", source=source) from None
            except (OSError, ValueError) as error:
                raise SourceError(f"{where}, which cannot be read: {error}.", source=source, object=lead.node, target=lead.target) from None
            try:
                count += 1
                yield real_path(file, name)
            finally:
                os.close(file)
    if not count:
        # The library would read fill values in its place, without a word.
        text = f"{where}, which is not there: its values would read as missing. Put it there, or leave the source out."
        raise SourceError(text, source=source, object=lead.node, target=lead.target)


_COPY = "Copy the data to one file, such as with h5repack or nccopy where they may be read"


def _refusal(where: str, lead: Lead, real: str, source: str) -> SourceError:
    there = f" ({real})" if real != lead.target else ""
    folder = os.path.dirname(real)  # noqa: PTH120 - as text
    return SourceError(
        f"{where}{there}, which is not declared as source: whoever wrote the file chose what would be read and published. "
        f"If that is wanted, declare its folder: 'follow: [{folder}]'. Else leave the file out.",
        source=source,
        object=lead.node,
        target=real,
    )


def _candidates(path: str, here: str, lead: Lead) -> list[str]:
    """Where the library may look for a file, in its own order as far as there is one."""
    name = lead.target
    bare = name.rpartition("/")[2] if name.startswith("/") else name
    named = [os.path.dirname(os.path.abspath(path)), here]  # noqa: PTH100, PTH120 - as text
    prefixes = [part.replace("${ORIGIN}", origin) for part in os.environ.get(lead.prefix, "").split(":") if part for origin in named]
    folders = [*prefixes, *named, os.getcwd()]  # noqa: PTH109 - as text
    if _counts(lead):
        folders = [folder.replace("%", "%%") for folder in folders]
    return list(dict.fromkeys([*([name] if name.startswith("/") else []), *(os.path.join(folder, bare) for folder in folders)]))  # noqa: PTH118


def _counts(lead: Lead) -> bool:
    """Whether percent signs have a meaning in the name."""
    return lead.prefix == _VIRTUAL and "%" in lead.target


def _numbered(candidate: str, lead: Lead, declared: Declared, where: str, source: str) -> list[str]:
    """The files that a name stands for: virtual data sets may count theirs, ``name-%b.h5``."""
    if not _counts(lead):
        return [candidate]
    if "%b" not in candidate.replace("%%", ""):
        return [candidate.replace("%%", "%")]
    fixed = candidate.replace("%%", "\0").partition("%b")[0].rpartition("/")[0].replace("\0", "%")
    if not Path(fixed).is_dir():
        return []
    if not declared.holds(os.path.realpath(fixed)):
        if not list(_matching(candidate, fixed)):
            return []
        raise _refusal(where, lead, f"{os.path.realpath(fixed)}/", source)
    return sorted(_matching(candidate, fixed))


def _matching(candidate: str, fixed: str) -> Iterator[str]:
    rest = candidate.replace("%%", "\0")[len(fixed) + 1 :]
    pattern = re.compile(re.escape(rest).replace("%b", "[0-9]+").replace(re.escape("\0"), "%"))
    depth = rest.count("/")
    for folder, folders, names in os.walk(fixed):
        below = folder[len(fixed) :].count("/")
        if below >= depth:
            folders.clear()
        for name in names:
            place = f"{folder}/{name}"
            if below == depth and pattern.fullmatch(place[len(fixed) + 1 :]):
                yield place


def _check_plugins(path: str, node: str) -> None:
    """The library runs code for filters that it lacks, from the folders that a variable names: those have to be trusted ones."""
    for folder in os.environ.get(_PLUGINS, "").split(":"):
        if not folder:
            continue
        try:
            found = os.stat(folder)  # noqa: PTH116 - as text
        except OSError:
            continue
        relative = not folder.startswith("/")
        if not relative and os.path.realpath(folder).startswith(f"{os.path.realpath(sys.prefix)}/"):
            continue  # code of this environment runs already
        if relative or found.st_uid not in (0, os.geteuid()) or found.st_mode & _WRITABLE_BY_OTHERS:
            why = "is a relative path" if relative else "may be written by other users"
            raise SourceError(
                f"source '{path}': '{node}' has a filter that is not part of the HDF5 library, which would run code from "
                f"'{folder}' of {_PLUGINS}, and that {why}. Name a folder there that only you or root can write.",
                source=path,
                object=node,
                target=folder,
            )


def _quoted(lead: Lead) -> str:
    return f"'{lead.target}'" if lead.prefix else lead.target


def _which(path: str, source: str) -> str:
    return "" if path == source else f"{path}, to which it leads: "


def _text(name: bytes | str) -> str:
    return name if isinstance(name, str) else name.decode(errors="surrogateescape")


def _why(error: BaseException) -> str:
    # Its subclasses are of other libraries; pylint: disable-next=unidiomatic-typecheck
    return str(error) if type(error) is ValueError else f"it is truncated or damaged ({one_line(error)})"
