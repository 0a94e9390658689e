# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The package on its way to the workers: each gets exactly the files that the host runs, under a name of their own.

So no worker can have an older version, or a newer one, installed or in its memory, and several may be busy side by side.
A plugin carries them, because Dask gives it to workers as well that come, or come back, while a write goes on. It is sent
by value: under Ansible this package has a name that no worker knows.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import Any

from ..package import package_files


def package_archive() -> tuple[str, bytes]:
    """The package as a ZIP archive, under a name that tells its contents."""
    contents = package_files()
    digest = hashlib.sha256()
    for name, data in sorted(contents.items()):
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    package = f"zarrstream_{digest.hexdigest()[:16]}"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in sorted(contents.items()):
            file.writestr(zipfile.ZipInfo(f"{package}/{name}"), data, zipfile.ZIP_DEFLATED)
    return package, archive.getvalue()


def make_plugin(package: str, archive: bytes, job: str, spec: bytes) -> Any:
    """A plugin that puts package and job into a worker, and takes the job out again."""
    from distributed import WorkerPlugin

    class ZarrstreamJob(WorkerPlugin):
        name = f"zarrstream-{job}"

        def setup(self, worker: Any) -> None:
            import importlib
            import sys
            from pathlib import Path

            if package not in sys.modules:
                place = Path(worker.local_directory) / f"{package}.zip"
                place.write_bytes(archive)
                sys.path.append(str(place))
                importlib.invalidate_caches()
            importlib.import_module(f"{package}.dask.job").begin(job, spec, worker.address)

        async def teardown(self, worker: Any) -> None:
            import asyncio
            import importlib

            await asyncio.to_thread(importlib.import_module(f"{package}.dask.job").end, job, worker.address)

    return ZarrstreamJob()


def make_call(package: str, job: str) -> Any:
    """The function that the tasks call: a verb of the job, with plain values."""

    def call(verb: str, *arguments: Any) -> Any:
        import importlib

        return importlib.import_module(f"{package}.dask.job").call(job, verb, arguments)

    return call
