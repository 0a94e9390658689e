# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How other hosts know that a write goes on: an object beside its lock that is written anew every few seconds.

How old it is says the server's clock alone, by the Last-Modified of two objects: the clocks of hosts differ.
"""

from __future__ import annotations

import threading
from contextlib import suppress

from ..errors import AccessRefused, Unreachable, ZarrstreamError
from ..storage.objects import Objects
from .manifest import damaged

INTERVAL = 15.0  # seconds between two beats
EXPIRY = 60.0  # seconds without one, after which a writer counts as gone


class Heartbeat:
    """The signs of life of one write, from the making of this until ``stop``."""

    def __init__(self, objects: Objects, write_id: str) -> None:
        self._objects, self._key = objects, _key(objects, write_id)
        self._stopped = threading.Event()
        objects.put(self._key, b"")
        threading.Thread(target=self._beat, name="zarrstream-heartbeat", daemon=True).start()

    def stop(self, error: BaseException | None = None) -> None:
        """No more beats. After an ``error`` the last one goes too, so that another host need not wait until it has expired.

        A server that did not answer, or said no, is not asked once more. After a success whoever tidies up takes it away.
        """
        self._stopped.set()
        if error is not None and not isinstance(error, Unreachable | AccessRefused):
            with suppress(ZarrstreamError):
                self._objects.delete([self._key])

    def _beat(self) -> None:
        while not self._stopped.wait(INTERVAL):
            with suppress(ZarrstreamError):  # the write itself will say what is wrong with the server
                self._objects.put(self._key, b"")


def expires_in(objects: Objects, write_id: str, now: str) -> float:
    """Seconds until the write ``write_id`` counts as gone, 0 or less if it does. ``now`` is that of a write whose heartbeat just began."""
    last, ours = objects.head(_key(objects, write_id)), objects.head(_key(objects, now))
    if ours is None:
        raise damaged(objects, _key(objects, now))
    return EXPIRY - float((ours["last_modified"] - last["last_modified"]).total_seconds()) if last else 0.0


def seems_to_expire_in(objects: Objects, write_id: str) -> float:
    """The same without a heartbeat of one's own, for a look that changes nothing; 0 where the server does not tell the time."""
    last = objects.head(_key(objects, write_id))
    now = objects.clock() if last else None
    return EXPIRY - float((now - last["last_modified"]).total_seconds()) if last and now else 0.0


def _key(objects: Objects, write_id: str) -> str:
    return f"{objects.place.sidecar}/alive/{write_id}"
