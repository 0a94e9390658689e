# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lines of Python with which people open a store: written here, and run before anybody is shown them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..storage.location import StoreUrl, parse_store
from .request import CheckRequest

_SECONDS = 120.0
_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Lines:
    """Lines that were run and opened the store; where none did, ``why_not`` is what the last of them said."""

    lines: tuple[str, ...] = ()
    why_not: str = ""


def lines_that_open(request: CheckRequest) -> Lines:
    """Run each way to open the store of a bucket in a process of its own, until one works. A folder needs none of this."""
    place = parse_store(request.store)
    if place.bucket is None:
        return Lines()
    why = ""
    for lines in _ways(request, place):
        why = _run(lines, anonymous=request.anonymous)
        if not why:
            return Lines(tuple(lines))
    return Lines(why_not=why)


def _ways(request: CheckRequest, place: StoreUrl) -> Iterator[list[str]]:
    if not request.anonymous:
        yield _signed(request, place)
        return
    access = request.access.without_keys()
    endpoint, ca_bundle = (access.endpoint_url or "").rstrip("/"), access.ca_bundle
    with_ca = ca_bundle if ca_bundle and endpoint.startswith("https:") else None
    verify = f', "client_kwargs": {{"verify": {_text(with_ca)}}}' if with_ca else ""
    yield [
        "import xarray",
        f'options = {{"anon": True, "endpoint_url": {_text(endpoint)}{verify}}}',
        f"xarray.open_zarr({_text(place.url)}, storage_options=options)",
    ]
    url = f"{endpoint}/{place.bucket}/{place.key}"
    if with_ca:
        trusted = f'options = {{"ssl": ssl.create_default_context(cafile={_text(with_ca)})}}'
        yield ["import ssl, xarray", trusted, f"xarray.open_zarr({_text(url)}, storage_options=options)"]
    else:
        yield ["import xarray", f"xarray.open_zarr({_text(url)})"]


def _signed(request: CheckRequest, place: StoreUrl) -> list[str]:
    """With a profile; in another file than AWS tools look at, with that file."""
    name = request.access.profile or os.environ.get("AWS_PROFILE") or "default"
    opening = [f'options = {{"profile": {_text(name)}}}', f"xarray.open_zarr({_text(place.url)}, storage_options=options)"]
    file = Path(request.access.config_file).expanduser() if request.access.config_file else None
    if file is None or file == Path("~/.aws/config").expanduser():
        return ["import xarray", *opening]
    return ["import os, xarray", f'os.environ["AWS_CONFIG_FILE"] = {_text(str(file))}', *opening]


def _text(value: str) -> str:
    """As Python writes it, in double quotes."""
    return json.dumps(value, ensure_ascii=False)


def _run(lines: list[str], *, anonymous: bool) -> str:
    """Empty where the lines ran to their end; else what was said. An anonymous reader has an empty home and no variable of AWS."""
    with tempfile.TemporaryDirectory(prefix="zarrstream-") as home:
        nobody = {name: os.environ[name] for name in _KEPT if name in os.environ} | {"HOME": home, "AWS_EC2_METADATA_DISABLED": "true"}
        try:
            done = subprocess.run(  # this knows no Ansible; pylint: disable=ansible-bad-function
                [sys.executable, "-W", "ignore", "-c", "\n".join(lines)],
                env=nobody if anonymous else os.environ,
                cwd=home,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"no answer within {_SECONDS:.0f} s"
    said = [line for line in done.stderr.splitlines() if line and not line.startswith((" ", "Traceback", "Exception ignored"))]
    return "" if done.returncode == 0 else (said[-1] if said else f"ended with {done.returncode}")[:300]
