# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checks of a store, which are entered where they are defined. They may need

- ``store``, the snapshot, and ``documents``, the reader of its chunks, or None where there is no root document;
- ``root``, the reader where that document can be read; ``listing``, the snapshot where it has a listing besides;
- ``source``, what the store was made from, and ``objects``, the tally of those that were read;
- ``axes``, the coordinates of time and place.
"""

from __future__ import annotations

from ..findings import Registry

CHECKS = Registry()
