# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decoding single objects of a store with zarr-python, out of memory: what is absent cannot turn into fill values."""

from __future__ import annotations

import json
import warnings
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..compat import as_buffer, held_by
from ..text import one_line
from .decoded import check_chunk
from .hierarchy import ARRAY, Hierarchy, is_document, join
from .layout import ArrayLayout, item_bytes, short

if TYPE_CHECKING:
    import numpy as np


_PLAIN: dict[str, Any] = {"fill_value": 0, "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]}
# Fields that can be at fault alone, in the order in which they are tried, with others that would do instead.
_HARMLESS: dict[int, dict[str, dict[str, Any]]] = {
    2: {
        "fill_value": {"fill_value": None},
        "compressor": {"compressor": None},
        "filters": {"filters": None},
        "dtype": {"dtype": "|u1", "fill_value": 0, "filters": None},
    },
    3: {"fill_value": {"fill_value": 0}, "codecs": {"codecs": _PLAIN["codecs"]}, "data_type": {"data_type": "uint8", **_PLAIN}},
}


class ChunkReader:
    """The arrays of a hierarchy, opened from their documents alone; objects are handed in one at a time."""

    def __init__(self, tree: Hierarchy) -> None:
        self.tree = tree
        self._arrays: dict[str, Any] = {}
        self._problems: dict[str, str] = {}

    @cached_property
    def _buffers(self) -> dict[str, Any]:
        adopted = {key: json.dumps(document).encode() for key, document in self.tree.documents.items() if key not in self.tree.raw}
        return {key: as_buffer(data) for key, data in {**adopted, **self.tree.raw}.items()}

    @cached_property
    def metadata_store(self) -> Any:
        """A Zarr store in memory that holds the documents and no data: good for shapes and attributes only."""
        from zarr.storage import MemoryStore

        return MemoryStore(store_dict=self._buffers)

    def root_problem(self) -> str:
        """Why zarr-python does not open the root, or ''."""
        import zarr

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                zarr.open(self.metadata_store, mode="r", zarr_format=self.tree.zarr_format)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 - damaged documents make zarr-python raise anything
            return f"zarr-python refuses it: {one_line(error)}"
        return ""

    def array_problem(self, layout: ArrayLayout) -> str:
        """Why zarr-python does not open an array, or ''."""
        if layout.path not in self._arrays and layout.path not in self._problems:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    self._arrays[layout.path] = self._open(layout)
            except Exception as error:  # noqa: BLE001 - damaged documents make zarr-python raise anything
                said, at_fault = one_line(error), self._field_at_fault(layout)
                self._problems[layout.path] = said if not at_fault or at_fault.partition(" ")[0] in said else f"{at_fault}: {said}"
        return self._problems.get(layout.path, "")

    def _field_at_fault(self, layout: ArrayLayout) -> str:
        """The field without which zarr-python would open an array, and its value; '' where it is not one alone."""
        key = join(layout.path, ARRAY[layout.zarr_format])
        for name, others in _HARMLESS[layout.zarr_format].items():
            changed = {**layout.document, **others}
            with suppress(Exception), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._open(layout, {**self._buffers, key: as_buffer(json.dumps(changed).encode())})
                return f"{name} is {short(layout.document.get(name))}"
        return ""

    def _open(self, layout: ArrayLayout, documents: dict[str, Any] | None = None) -> Any:
        import zarr

        return zarr.open_array(_strict_store(documents or self._buffers), path=layout.path, mode="r", zarr_format=layout.zarr_format)  # type: ignore[arg-type]

    def missing_codecs(self, layout: ArrayLayout) -> list[str]:
        """One text for each codec of an array that cannot be used here, those within shards included."""
        look_up = _problem_v2 if layout.zarr_format == 2 else _problem_v3
        return [problem for codec in layout.codecs if (problem := look_up(codec))]

    def decode(self, layout: ArrayLayout, coordinates: tuple[int, ...], data: bytes) -> np.ndarray:
        """The values that one object holds, in their encoded form; raises whatever its codecs raise, and TooLarge before they do."""
        import numpy as np

        check_chunk(layout, data, item_bytes(layout))
        array = self._arrays[layout.path]
        key = layout.key(coordinates)
        objects = held_by(array.store)
        objects[key] = as_buffer(data)
        try:
            return np.asarray(array[layout.region(coordinates)])
        finally:
            del objects[key]


def _strict_store(documents: dict[str, Any]) -> Any:
    """A store in memory that refuses to say "not there" of anything but a document."""
    from zarr.storage import MemoryStore

    class StrictStore(MemoryStore):
        async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
            value = await super().get(key, *args, **kwargs)
            if value is None and not is_document(key):
                raise LookupError(f"{key} was asked for, and is not what is being decoded")
            return value

    return StrictStore(store_dict=dict(documents))


def _problem_v2(codec: dict[str, Any]) -> str:
    import numcodecs

    try:
        numcodecs.get_codec({"id": codec["name"], **codec["configuration"]})
    except Exception as error:  # noqa: BLE001 - codecs raise anything for a configuration they do not know
        return f"'{codec['name']}': {one_line(error)}"
    return ""


def _problem_v3(codec: dict[str, Any]) -> str:
    from zarr.registry import get_codec_class

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            get_codec_class(codec["name"]).from_dict(codec)
    except KeyError as error:
        return f"'{codec['name']}' is not installed, or lacks {one_line(error)}"
    except Exception as error:  # noqa: BLE001 - codecs raise anything for a configuration they do not know
        return f"'{codec['name']}': {one_line(error)}"
    return ""
