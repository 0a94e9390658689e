# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What tests/integration proves of writing on Swift, on Ceph RGW, as far as test_writing.py has not."""

from __future__ import annotations

import pytest

# ruff: noqa: F401 - fixtures and tests of Swift's, which run here as they are
from integration.test_zarr_write import (
    bucket,
    keys,
    other,
    source,
    test_a_bucket_holds_what_the_source_holds,
    test_a_certificate_that_nobody_vouches_for,
    test_a_killed_writer_leaves_no_store_and_the_next_run_makes_it,
    test_a_missing_bucket,
    test_a_reader_sees_nothing_until_everything_is_there,
    test_a_replacement_shows_old_or_nothing_or_new,
    test_a_store_in_a_bucket_is_a_source,
    test_a_wrong_secret,
    test_an_object_that_changed_meanwhile_is_sent_again,
    test_create_refuses_what_is_there,
    test_neighbours_with_a_longer_name_are_no_part_of_a_store,
    test_the_life_of_a_store_in_a_playbook,
    test_the_swift_api_as_endpoint,
    test_values_arrive_to_the_last_bit,
)

pytestmark = [pytest.mark.thorough, pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")]
