# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A worker's part in a write: blocks of the source, encoded and sent. The host holds the lock, the journal and the manifest."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import WriteError
from ..planning.chunking import Region
from ..planning.plan import Block
from ..sidecar.lock import Lock, LockWatch, check_held, read_lock
from ..sidecar.manifest import Stored
from ..write.publish import locate
from .job import Job, place_of

if TYPE_CHECKING:
    from ..write.staging import Data

Record = tuple[int, str]  # size in bytes and MD5: a Stored


class WriteJob(Job):
    """Its tasks write to the store only as long as the lock there is that of the host's write."""

    def prepare(self) -> None:
        """Find source and store; reads the lock's place, to see now whether this worker's profile is let in."""
        from ..encoding.codecs import encodings_of
        from ..encoding.encoder import Encoder
        from ..source.fetching import means_of
        from ..source.open import open_items
        from ..source.reading import parse_reading
        from ..write.growth import count_from, stored_arrays

        self.place = place_of(self.spec["store"])
        objects = self.open_place(self.place)
        self._endpoint = objects.endpoint
        read_lock(objects)
        self.items = self.find_items()
        self.source = open_items(self.items, parse_reading(self.spec["reading"]), means_of(self.source_access, self.spec["memory"]))
        try:
            if self.spec["roots"]:
                count_from(self.source, stored_arrays(self.spec["roots"]), self.place.url)
            self.encoder = Encoder(self.source, encodings_of(self.spec["encodings"]))
        except BaseException:
            self.source.close()
            raise
        self._joining, self._joined = threading.Lock(), False

    @property
    def endpoint(self) -> str:
        """Where the store is; '' until it was opened."""
        return self.__dict__.get("_endpoint", "")

    @property
    def memory(self) -> int:
        """Bytes that tasks may take together, beside what the source takes."""
        return max(self.spec["memory"] // 2, self.spec["memory"] - self.source.held)

    def release(self) -> None:
        """Close the source."""
        self.source.close()

    def join(self) -> None:
        """See before the first block that the store is the host's, and takes objects of this worker."""
        self._join()
        key = f"{self.place.sidecar}/probe-{uuid.uuid4().hex}"
        self.objects.put(key, b"zarrstream")
        self.objects.delete([key])

    def write(self, name: str, region: Region, source: Region, memory: int, kept: Mapping[str, Record]) -> dict[str, Any]:
        """Write the objects of a block, but for those that were kept; returns the bytes read, and the records of all its objects."""
        from ..encoding.lossy import check_block
        from ..write.staging import block_keys

        self._join()
        with self.room(memory):
            values = self.encoder.values(name, source)
            block = Block(name, region, memory)
            check_block(self.encoder, self.spec["documents"], block, values, self.spec["zarr_format"])
            self.kept.update({key: Stored(*record) for key, record in kept.items()})
            array = self.arrays[name]
            array.encode(region, values)
            size = values.nbytes
            del values  # sending needs them no longer
            array.send(region)
            keys = list(block_keys(array, name, region))
        for key in kept:
            self.kept.pop(key, None)
        stored = {key: self.stored.pop(key) for key in keys}
        return {"read": size, "stored": {key: (one.size, one.md5) for key, one in stored.items()}}

    def compare(self, name: str, region: Region, source: Region, memory: int, records: Mapping[str, Record]) -> int:
        """Read a block back and compare it with the source; returns the bytes compared."""
        from ..source.proof import another_reader
        from ..write.staging import open_staged
        from ..write.verify import compare_block, read_back

        self._join()
        documents, zarr_format = self.spec["documents"], self.spec["zarr_format"]
        sent = {key: Stored(*record) for key, record in records.items()}
        with self.room(memory):
            staged = read_back(documents, self.objects, sent, self.spec["staged"])
            with another_reader():
                expected = self.encoder.values(name, source)
            block = Block(name, region, memory)
            array = open_staged(staged, name, zarr_format)
            compare_block(array, self.encoder, documents, block, expected, zarr_format, self.place.url)
        return expected.nbytes

    def unchanged(self) -> None:
        """Raises SourceError where the source is not any more what it was; what all of them see alike, the host asks for."""
        self.check_source(self.items, again=True)

    async def _put(self, key: str, data: Data) -> None:
        await self.objects.put_async(locate(self.objects, key, self.spec["staged"]), data)

    def _join(self) -> None:
        """Open the store; once."""
        from ..write.staging import Outgoing, open_staged

        with self._joining:
            if self._joined:
                return
            self.objects = self.open_place(self.place)
            lock = Lock(self.spec["write_id"], "", "")
            if read_lock(self.objects) is None:
                text = (
                    f"store '{self.place.url}' is not the same place here as on the host that plans: its lock is not there. "
                    "A folder has to be on a file system that all of them share; else use a bucket."
                )
                raise WriteError(text, store=self.place.url)
            check_held(self.objects, lock)
            watch = LockWatch(self.objects, lock, settled=True)  # the host has waited
            self.kept: dict[str, Stored] = {}
            self.stored: dict[str, Stored] = {}
            staged = Outgoing(self.spec["documents"], self._put, self.stored.__setitem__, kept=self.kept, ready=watch.check)
            self.arrays = {name: open_staged(staged, name, self.spec["zarr_format"]) for name in self.spec["arrays"]}
            self._joined = True
