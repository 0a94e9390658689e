# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A store where none is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..encoding.codecs import EVERY
from ..encoding.encoder import Encoder, check_encodings
from ..encoding.layouts import LayoutRequest, with_lengths
from ..encoding.portable import check_portable
from ..encoding.resolve import check_names, resolve
from ..metadata.layout import ArrayLayout
from ..sidecar.manifest import Manifest
from ..source.dataset import Source
from .executor import Executor
from .extent import Whole
from .fingerprint import EXPLICIT
from .plans import StorePlan
from .request import WriteRequest
from .result import Situation
from .steps import steps_of
from .template import make_template


def plan_create(request: WriteRequest, situation: Situation, source: Source, executor: Executor) -> StorePlan:
    """The plan of a new store; raises for a request that does not fit the source."""
    source.select(request.variables)
    check_names(request.encodings, source)
    stored = source.stored() if EXPLICIT in situation.normal else {}
    resolved = resolve(source, request.encodings, request.zarr_format, stored)
    encoder = Encoder(source, resolved.encodings)
    check_encodings(encoder, [name for name in request.encodings if name != EVERY], request.zarr_format)
    if request.portable:
        check_portable(encoder, request.zarr_format)
    asked = LayoutRequest(request.chunks, request.shards, request.explicit, request.encodings, request.zarr_format)
    arrays = executor.lay_out(with_lengths(encoder.arrays(), asked, stored), request.chunks, request.shards)
    template = make_template(encoder, arrays, zarr_format=request.zarr_format, consolidated=request.consolidated, portable=request.portable)
    template = replace(template, notes=(*template.notes, *resolved.notes, *_without_shards(asked, stored)))
    manifest = Manifest(
        fingerprint=situation.fingerprint,
        zarr_format=request.zarr_format,
        created="",
        request=situation.normal,
        source=[stat.to_dict() for stat in situation.stats],
        objects={},
        plan=arrays.to_dict(len(template.documents)),
        steps=steps_of(source, len(situation.stats)),
    )
    return StorePlan("create", Whole(arrays), encoder, template, manifest)


def _without_shards(asked: LayoutRequest, stored: Mapping[str, ArrayLayout]) -> list[str]:
    names = sorted(name for name, layout in stored.items() if layout.inner_chunks is not None)
    if not names or asked.zarr_format != 2:
        return []
    return [f"The shards of {', '.join(names)} in the source are not kept, for format 2 has none: each chunk becomes an object."]
