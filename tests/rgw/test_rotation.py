# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""playbooks/rotate.yml on Ceph RGW, with a client that reads its profile anew for each request."""

from __future__ import annotations

import pytest

# ruff: noqa: F401 - fixtures and tests of Swift's, which run here as they are
from integration.test_rotation import cloud, site, test_rotation_with_a_host_that_is_down_goes_on_in_the_next_run

pytestmark = pytest.mark.thorough
