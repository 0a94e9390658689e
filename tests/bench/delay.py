#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A way to a server on loopback that takes longer: delay.py SERVER MILLISECONDS prints the port to use instead.

All bytes come that much later, in both directions, and the first ones later by a round trip more, as if the connection had been made
over the same way. Nothing else is slower. Kernels with netem do it better; not every machine has it.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque

MOST = 32 * 2**20  # bytes on their way in one direction


class End(asyncio.Protocol):
    """One of the two ends of a connection: what comes here leaves at the other end, later."""

    def __init__(self, delay: float, first: float) -> None:
        """``first`` is how much later the connection itself is."""
        self.delay, self.first = delay, first
        self.other: End
        self.transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._way: deque[tuple[float, bytes | None]] = deque()  # when, and what; None is the end
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From now on bytes can leave here."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=4 * 2**20)
        self.first += self._loop.time()

    def data_received(self, data: bytes) -> None:
        """Bytes set out."""
        self._size += len(data)
        if self._size > MOST and self.transport:
            self.transport.pause_reading()
        self._set_out(data)

    def connection_lost(self, _: Exception | None) -> None:
        """So does the end."""
        self._set_out(None)

    def pause_writing(self) -> None:
        """Who reads here is slow."""
        if self.other.transport:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """And is not any more."""
        if self.other.transport:
            self.other.transport.resume_reading()

    def _set_out(self, data: bytes | None) -> None:
        self._way.append((max(self._loop.time(), self.first) + self.delay, data))
        if self._timer is None:
            self._timer = self._loop.call_at(self._way[0][0], self._arrive)

    def _arrive(self) -> None:
        now = self._loop.time()
        while self._way and self._way[0][0] <= now:
            data = self._way.popleft()[1]
            there = self.other.transport
            if data is None:
                if there:
                    there.close()
                continue
            self._size -= len(data)
            if there and not there.is_closing():
                there.write(data)
        if self.transport and self._size <= MOST and not self.transport.is_closing():
            self.transport.resume_reading()
        self._timer = self._loop.call_at(self._way[0][0], self._arrive) if self._way else None


async def serve(server: int, delay: float) -> None:
    """Listen, and say where."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def connect(client: End, beyond: End) -> None:
        await loop.create_connection(lambda: beyond, "127.0.0.1", server)
        if client.transport:
            client.transport.resume_reading()

    class Client(End):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            assert self.transport
            self.transport.pause_reading()  # until there is somewhere to send it
            beyond = End(delay, 0)
            self.other, beyond.other = beyond, self
            task = loop.create_task(connect(self, beyond))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    listening = await loop.create_server(lambda: Client(delay, 2 * delay), "127.0.0.1", 0, backlog=1024)
    print(listening.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - its result
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
