# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A store where none is."""

from __future__ import annotations

from ..encoding.encoder import Encoder, check_encodings
from ..encoding.portable import check_portable
from ..sidecar.manifest import Manifest
from ..source.dataset import Source
from .executor import Executor
from .extent import Whole
from .plans import StorePlan
from .request import WriteRequest
from .result import Situation
from .template import make_template


def plan_create(request: WriteRequest, situation: Situation, source: Source, executor: Executor) -> StorePlan:
    """The plan of a new store; raises for a request that does not fit the source."""
    source.select(request.variables)
    encoder = Encoder(source, request.encodings)
    check_encodings(encoder, request.encodings, request.zarr_format)
    if request.portable:
        check_portable(encoder, request.zarr_format)
    arrays = executor.lay_out(encoder.arrays(), request.chunks, request.shards)
    template = make_template(encoder, arrays, zarr_format=request.zarr_format, consolidated=request.consolidated, portable=request.portable)
    manifest = Manifest(
        fingerprint=situation.fingerprint,
        zarr_format=request.zarr_format,
        created="",
        request=situation.normal,
        source=[stat.to_dict() for stat in situation.stats],
        objects={},
        plan=arrays.to_dict(len(template.documents)),
    )
    return StorePlan("create", Whole(arrays), encoder, template, manifest)
