# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What tests/integration proves of EC2 credentials on Swift, on Ceph RGW, as far as test_credentials.py has not."""

from __future__ import annotations

import pytest

# ruff: noqa: F401 - fixtures and tests of Swift's, which run here as they are
from integration.test_ec2_credential import (
    ask,
    cloud,
    config,
    killed,
    new_cloud,
    test_access_rules_are_named_as_the_cause,
    test_damaged_secret_is_mended_without_a_new_pair,
    test_no_key_of_another_profile_or_controller_dies,
    test_other_profiles_stay_and_a_shadow_is_reported,
    test_pair_of_a_run_that_was_killed_is_found_by_the_next,
    test_pair_of_another_project_is_left_alone,
    test_pair_that_was_made_by_hand_is_used_and_left,
    test_refused_list_is_never_taken_for_no_key,
    test_rotation_that_was_killed_goes_on_with_the_pair_that_it_made,
    test_swift_path_is_refused_with_the_right_url,
    test_unknown_ca_is_named,
    test_wrong_supplied_keys_are_refused_and_the_profile_stays,
    with_rules,
)

pytestmark = pytest.mark.thorough
