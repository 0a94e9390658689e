# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""playbooks/teardown.yml on Ceph RGW: data sets go by their records, buckets only when told, and what is not ours stays."""

from __future__ import annotations

from typing import Any

import pytest

# ruff: noqa: F401 - fixtures and tests of Swift's, which run here as they are
from integration.test_teardown import site, test_what_the_site_made_goes_and_data_only_when_told_twice

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="session")
def cloud(rgw: Any) -> Any:
    """The region that names both services."""
    return rgw.site("iu-s3")
