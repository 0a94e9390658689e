# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""On Ceph RGW: objects that are read by ranges."""

from __future__ import annotations

# ruff: noqa: F401 - the fixture and tests of Swift's, which run here as they are
from integration.test_remote_sources import (
    place,
    test_a_signed_url_is_a_source,
    test_an_object_is_read_by_ranges,
    test_an_object_that_changes_is_an_error,
    test_what_is_refused_or_missing_is_said,
)
