# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""On Ceph RGW over TLS: stores are written, killed and resumed, replaced, continued and removed; what is not ours stays."""

from __future__ import annotations

# ruff: noqa: F401 - fixtures and tests of Swift's, which run here as they are
from integration.test_foreign_objects import (
    place,
    test_a_store_goes_with_few_requests_and_readers_find_none_at_once,
    test_every_foreign_object_is_still_there,
)
from integration.test_zarr_write import (
    bucket,
    keys,
    other,
    pytestmark,
    source,
    test_a_replacement_that_was_killed_is_finished,
    test_an_append_that_was_killed_shows_the_old_store_and_is_finished,
    test_the_bucket_of_another_project,
    test_the_next_run_sends_only_what_is_missing,
)
