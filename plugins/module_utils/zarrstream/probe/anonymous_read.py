# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads one object as an anonymous client would: a program of its own, run by ``probe`` in a process that holds no credentials.

The request comes as JSON on standard input (endpoint_url, path, verify), the answer goes as JSON to standard output:
``outcome`` is read, missing, refused or failed; ``sha256`` is of what was read, ``reason`` says why nothing was.
"""

from __future__ import annotations

import hashlib
import json
import sys

BYTES = 4096


def read(endpoint_url: str, path: str, verify: str | bool) -> dict[str, str]:
    """What s3fs with ``anon=True`` gets; two attempts, as nobody else waits for more."""
    import s3fs

    fs = s3fs.S3FileSystem(
        anon=True,
        endpoint_url=endpoint_url,
        use_listings_cache=False,
        client_kwargs={"verify": verify, "region_name": "RegionOne"},
        config_kwargs={
            "connect_timeout": 5,
            "read_timeout": 10,
            "retries": {"mode": "standard", "total_max_attempts": 2},
            "s3": {"addressing_style": "path"},
        },
    )
    fs.retries = 1
    try:
        data = fs.cat_file(path, start=0, end=BYTES)  # of a large object, the beginning is enough
    except Exception as error:  # noqa: BLE001 - the parent reports it
        status = status_of(error)
        # Stock Swift answers an unsigned S3 request with 400 or 412: it serves no anonymous clients at that place.
        outcome = "missing" if status == 404 else "refused" if 400 <= status < 500 else "failed"
        return {"outcome": outcome, "reason": str(status) if status else f"{type(error).__name__}: {error}"}
    return {"outcome": "read", "sha256": hashlib.sha256(data).hexdigest()}


def status_of(error: Exception) -> int:
    """The HTTP status behind an error of s3fs, 0 for none. Swift's own refusals are no XML, so s3fs knows no better name for them."""
    answer = getattr(error.__cause__, "response", None) or {}
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def main() -> None:
    request = json.load(sys.stdin)
    json.dump(read(request["endpoint_url"], request["path"], request["verify"]), sys.stdout)


if __name__ == "__main__":
    main()
