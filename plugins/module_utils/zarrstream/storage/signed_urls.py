# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Signed URLs, which are valid for a time: when that ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

_FORMS = (("x-amz-date", "x-amz-expires"), ("x-goog-date", "x-goog-expires"))  # signature V4 of Amazon, and of Google
_SIGNS = ("x-amz-signature", "x-goog-signature", "signature", "sig", "temp_url_sig")


def is_signed(url: str) -> bool:
    """Whether the query of a URL has a signature in it: of S3, Google, Azure, or Swift's temporary URLs."""
    return bool(_query(url).keys() & set(_SIGNS))


def valid_until(url: str) -> datetime | None:
    """When a signed URL ends, in UTC; None where it does not say so."""
    query = _query(url)
    try:
        for begin, seconds in _FORMS:
            if begin in query and seconds in query:
                return datetime.strptime(query[begin], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) + timedelta(seconds=int(query[seconds]))
        if "se" in query:
            return datetime.fromisoformat(query["se"]).astimezone(UTC)
        text = query.get("expires") or query.get("temp_url_expires")
        return datetime.fromtimestamp(int(text), UTC) if text else None
    except (ValueError, OverflowError):
        return None


def _query(url: str) -> dict[str, str]:
    return {name.lower(): values[0] for name, values in parse_qs(urlsplit(url).query).items()}
