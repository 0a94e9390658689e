# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""For every Python that has this folder in PYTHONPATH: a line for each HTTP request in the file that COUNT_REQUESTS names."""

from __future__ import annotations

import http.client
import os
from typing import Any

FILE = os.environ.get("COUNT_REQUESTS")
_put = http.client.HTTPConnection.putrequest


def _counted(self: http.client.HTTPConnection, method: str, url: str, *args: Any, **kwargs: Any) -> None:
    with open(str(FILE), "a") as file:  # noqa: PTH123 - before anything else is imported; one short write, so that lines stay whole
        file.write(f"{method} {self.port} {url}\n")
    _put(self, method, url, *args, **kwargs)


if FILE:
    http.client.HTTPConnection.putrequest = _counted  # type: ignore[method-assign]
