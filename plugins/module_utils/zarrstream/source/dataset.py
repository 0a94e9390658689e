# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A source, opened in its encoded form: integers stay packed, fill values and times stay numbers, attributes stay attributes.

What is written that way decodes to the same values, whatever library reads it, because nothing was decoded in between.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..compat import text_dtype
from ..errors import BadRequest, SourceError, ZarrstreamError
from ..metadata.attributes import REFERENCES
from ..metadata.hierarchy import DOCUMENTS, folder_of, join
from ..metadata.layout import ArrayLayout
from ..planning.chunking import ArraySource, Region
from ..planning.plan import TEXT_ITEM
from .fetching import Fetching

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

_DOCUMENTS = {*DOCUMENTS[2], *DOCUMENTS[3]}
FILES = "zarrstream_files"  # the key of a data set's encoding with the number of the item of each step, by dimension
STORED = "zarrstream_stored"  # the key of a variable's encoding with the array of a Zarr source that it is


class Source:
    """An open source: its variables in encoded form, its attributes. Reading is safe from several threads.

    Variables of groups are named by their path, ``model/air``; ``groups`` holds the attributes of each by its path.
    """

    def __init__(
        self,
        dataset: xr.Dataset,
        place: str,
        *,
        wide_text: bool = False,
        groups: Mapping[str, xr.Dataset] | None = None,
        notes: Sequence[str] = (),
        fetching: Fetching | None = None,
    ) -> None:
        """With ``wide_text`` text of a fixed width stays so; else it is what xarray makes of NetCDF's text of any length.

        ``fetching`` is ended with it.
        """
        self.dataset = dataset
        self.place = place
        self._fetching = fetching
        self.notes = [*notes, *(fetching.notes if fetching else ())]  # what the result of a write has to say of it
        self.problem = ""  # of the request: what it names and no file has, which a store that grows has had before
        self.attrs = dict(dataset.attrs)
        self.groups = {path: dict(group.attrs) for path, group in sorted((groups or {}).items())}
        self.encodings = {path: dict(group.encoding) for path, group in {"": dataset, **(groups or {})}.items()}
        self.variables: dict[str, xr.Variable] = {
            join(path, str(name)): variable
            for path, group in sorted({"": dataset, **(groups or {})}.items())
            for name, variable in group.variables.items()
        }
        self._text = "OT" if wide_text else "OTU"
        self._files: Mapping[str, np.ndarray] | None = dataset.encoding.get(FILES)

    @property
    def joined(self) -> list[str]:
        """The dimensions along which several items are joined."""
        return list(self._files or ())

    def files_along(self, dim: str) -> np.ndarray | None:
        """The number of the item that each step along a dimension is from; None where that is not one."""
        import numpy as np

        if self._files is None:  # it is one item
            return np.zeros(self.dataset.sizes.get(dim, 0), "i4")
        return self._files.get(dim)

    def select(self, names: Sequence[str] | None) -> None:
        """Keep these variables and what they refer to; raises BadRequest for a name that is not there."""
        if names is None:
            return
        for name in names:
            if name not in self.variables:
                known = ", ".join(sorted(self.variables))
                raise BadRequest(f"variables names '{name}', which {self.place} does not have. It has: {known}.", variable=name)
        kept = _with_references(names, self.variables)
        self.variables = {name: variable for name, variable in self.variables.items() if name in kept}
        self.groups = {path: attrs for path, attrs in self.groups.items() if any(name.startswith(f"{path}/") for name in kept)}

    def data_variables(self) -> frozenset[str]:
        """What is neither the coordinate of a dimension nor named by another variable as something that belongs to it."""
        found = {name for name, variable in self.variables.items() if name.rpartition("/")[2] not in variable.dims}
        for name, variable in self.variables.items():
            found -= {other for word in _words(variable.attrs) if (other := _in_scope(word, folder_of(name), self.variables))}
        for path, attrs in {"": self.attrs, **self.groups}.items():
            found -= {other for word in _words(attrs) if (other := _in_scope(word, path, self.variables))}
        return frozenset(found)

    def stored(self) -> dict[str, ArrayLayout]:
        """How the arrays of a Zarr source are stored, by variable; none of another source."""
        return {name: variable.encoding[STORED] for name, variable in self.variables.items() if STORED in variable.encoding}

    def arrays(self) -> list[ArraySource]:
        """What the planner needs to know; raises SourceError for types that are not written."""
        return [self._array(name, variable) for name, variable in self.variables.items()]

    def is_text(self, name: str) -> bool:
        """Whether a variable holds text of any length."""
        return self.variables[name].dtype.kind in self._text

    def stored_type(self, name: str) -> np.dtype:
        """The dtype as it gets stored: in this machine's byte order, text of any length as objects that xarray knows as text."""
        import numpy as np

        if self.is_text(name):
            return text_dtype()
        return np.dtype(self.variables[name].dtype.str).newbyteorder("=")

    def block(self, name: str, region: Region) -> xr.Variable:
        """A piece of a variable, read now."""
        piece = self.variables[name].to_base_variable()[tuple(slice(start, stop) for start, stop in region)]
        try:
            values = piece.data.compute(scheduler="single-threaded") if piece.chunks is not None else piece.values
        except ZarrstreamError:
            raise
        except Exception as error:  # noqa: BLE001 - codecs raise anything for damaged bytes
            if (ours := _ours(error)) is not None:
                raise ours from None
            where = ", ".join(f"{start}:{stop}" for start, stop in region)
            error = error if str(error) else Exception(type(error).__name__)
            text = f"source {self.place}: '{name}' cannot be read at [{where}]: {error}. The file is damaged, or its codec is missing here."
            raise SourceError(text, variable=name) from None
        piece.data = self._native(name, values)
        return piece

    @property
    def held(self) -> int:
        """Bytes of memory that the source takes beside the blocks that are read of it: of files that are not on this host."""
        return self._fetching.held if self._fetching else 0

    def close(self) -> None:
        """Close the files."""
        self.dataset.close()
        if self._fetching:
            self._fetching.close()

    def _native(self, name: str, values: np.ndarray) -> np.ndarray:
        if not self.is_text(name):
            return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))
        texts = values.astype(object)
        for text in texts.flat:
            if not isinstance(text, str):
                raise SourceError(
                    f"source {self.place}: '{name}' holds objects such as {text!r}, of which only text can be written. "
                    "Leave it out: name the others in 'variables'.",
                    variable=name,
                )
        return texts

    def _array(self, name: str, variable: xr.Variable) -> ArraySource:
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
            raise SourceError(
                f"source {self.place}: the name '{name}' holds control characters, which make no key of an object. Rename it, or leave "
                "it out: name the others in 'variables'.",
                variable=name,
            )
        if not _DOCUMENTS.isdisjoint(name.split("/")):
            raise SourceError(
                f"source {self.place}: the name '{name}' is what Zarr calls a document of its own: no array can have it. "
                "Rename it, or leave it out: name the others in 'variables'.",
                variable=name,
            )
        if variable.dtype.kind not in "biufcSUOT" or "ragged" in variable.encoding:
            what = "rows of unequal length" if "ragged" in variable.encoding else f"dtype {variable.dtype}"
            raise SourceError(
                f"source {self.place}: '{name}' has {what}, which is not written: only numbers and text are. "
                "Leave it out: name the others in 'variables'.",
                variable=name,
                dtype=str(variable.dtype),
            )
        text = self.is_text(name)
        if text:
            self.block(name, tuple((0, min(size, 1)) for size in variable.shape))  # refuses what is no text, before a byte moves
        return ArraySource(
            name=name,
            dims=tuple(str(dim) for dim in variable.dims),
            shape=variable.shape,
            dtype="string" if text else str(self.stored_type(name)),
            itemsize=TEXT_ITEM if text else variable.dtype.itemsize,
            source_chunks=source_chunks(variable),
            scratch=int(variable.encoding.get("scratch", 0)),
        )


def _ours(error: BaseException) -> ZarrstreamError | None:
    """The error of ours in a group: Zarr reads the parts of a shard side by side."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := _ours(inner)) is not None), None)
    return error if isinstance(error, ZarrstreamError) else None


def source_chunks(variable: xr.Variable) -> tuple[int, ...] | None:
    """Chunks (Zarr: shards where there are any) as they lie in the source; None for a contiguous one."""
    encoding = variable.encoding
    chunks = encoding.get("shards") or encoding.get("chunksizes") or encoding.get("chunks")
    if not chunks or encoding.get("contiguous") or len(chunks) != variable.ndim:
        return None
    return tuple(int(chunk) for chunk in chunks)


def _with_references(names: Iterable[str], variables: dict[str, xr.Variable]) -> set[str]:
    kept: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in kept:
            continue
        kept.add(name)
        variable = variables[name]
        words = [*(str(dim) for dim in variable.dims), *_words(variable.attrs)]
        waiting.extend(found for word in words if (found := _in_scope(word, folder_of(name), variables)))
    return kept


def _words(attrs: Mapping[str, Any]) -> list[str]:
    """The names in those attributes that refer to other variables."""
    texts = [attrs.get(key) for key in REFERENCES]
    return [word for text in texts if isinstance(text, str) for word in text.replace(":", " ").split()]


def _in_scope(name: str, group: str, variables: Mapping[str, Any]) -> str | None:
    """The variable that a group means by a name: its own, or that of the nearest group around it."""
    if name.startswith("/"):
        name, group = name[1:], ""
    while group and join(group, name) not in variables:
        group = folder_of(group)
    return join(group, name) if join(group, name) in variables else None
