# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The documents of a store that changes: other lengths of its arrays, and when that was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..metadata.attributes import UPDATED
from ..metadata.hierarchy import ATTRIBUTES, CONSOLIDATED
from ..metadata.layout import ArrayLayout
from ..planning.chunking import chunk_count
from ..planning.plan import WritePlan
from .growth import array_documents
from .patch import Patch
from .replace import change_arrays, to_json
from .template import Template


def updated_at(template: Template, moment: str) -> Template:
    """The template of an update, in whose root readers find when it ended."""

    def told(attributes: Mapping[str, Any]) -> dict[str, Any]:
        return {**attributes, UPDATED: moment}

    arrays, root = dict(template.arrays), dict(template.root)
    if ATTRIBUTES[2] in arrays:
        arrays[ATTRIBUTES[2]] = to_json(told(json.loads(arrays[ATTRIBUTES[2]])))
        switch = json.loads(root[CONSOLIDATED[2]])
        root[CONSOLIDATED[2]] = to_json(
            {**switch, "metadata": {**switch["metadata"], ATTRIBUTES[2]: told(switch["metadata"][ATTRIBUTES[2]])}}
        )
    else:
        document = json.loads(root[CONSOLIDATED[3]])
        root[CONSOLIDATED[3]] = to_json({**document, "attributes": told(document.get("attributes") or {})})
    return replace(template, arrays=arrays, root=root)


def with_attributes(template: Template) -> Template:
    """The template with the attributes of the root, which in format 2 are a document of their own."""
    if CONSOLIDATED[2] not in template.root:
        return template
    switch = json.loads(template.root[CONSOLIDATED[2]])
    arrays = {**template.arrays, ATTRIBUTES[2]: to_json(switch["metadata"].setdefault(ATTRIBUTES[2], {}))}
    return replace(template, arrays=arrays, root={**template.root, CONSOLIDATED[2]: to_json(switch)})


def grown_template(extent: Patch, stored: Mapping[str, ArrayLayout], zarr_format: int, roots: Mapping[str, bytes]) -> Template:
    """The documents of the arrays that change, with their new lengths, and the one that readers look at first."""
    grown = {name: array for name, array in stored.items() if extent.rows.dim in array.dims}
    shapes = {array.name: list(array.shape) for array in extent.arrays.arrays}
    switch = CONSOLIDATED[zarr_format]
    template = Template(arrays=array_documents(grown, zarr_format), root={switch: roots[switch]})
    return change_arrays(template, lambda name, array: {**array, "shape": shapes.get(name, array["shape"])})


def described(old: Mapping[str, Any], arrays: WritePlan) -> dict[str, Any]:
    """The plan of the whole store, as plain values."""
    names = {array["name"]: array for array in arrays.to_dict(0)["arrays"]}
    there = {array["name"]: array for array in old["arrays"]}
    described = [names.get(name, array) for name, array in there.items()]
    documents = old["objects"] - sum(array["objects"] for array in there.values())
    return {
        "arrays": described,
        "chunks": sum(chunk_count(array["shape"], array["chunks"]) for array in described),
        "shards": sum(array["objects"] for array in described if array.get("shards")),
        "objects": sum(array["objects"] for array in described) + documents,
        "bytes": sum(array["bytes"] for array in described),
    }
