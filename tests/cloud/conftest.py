# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A project and a server for the tests of the compute cloud.

The cloud has to be up (`make cloud-up`): it takes minutes, and whoever works with it keeps it.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

sys.path.append(str(Path(__file__).resolve().parent))
import layout
import seed
from project import Machine, Project

USER = "embedded-other"
USER_DATA = "#cloud-config\nwrite_files: [{path: /etc/asked, content: by user-data}]\n"


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project of its own, with a network."""
    if not layout.READY.exists():
        pytest.fail("No compute cloud of this checkout runs. Run: make cloud-up", pytrace=False)
    name = f"test-{uuid4().hex[:6]}"
    identity: Any = seed.connect().identity
    user = seed.connect(USER)
    project = identity.create_project(name=name, domain_id="default")
    identity.assign_project_role_to_user(project, user.current_user_id, identity.find_role("member"))
    made = Project(user.connect_as_project(name), name, tmp_path_factory.mktemp("project"))
    try:
        made.make()
        yield made
    finally:
        made.remove()
        identity.delete_project(project)


@pytest.fixture(scope="session")
def machine(project: Project) -> Machine:
    """A server that all tests share: what one test does to it is undone when it ends."""
    made = project.machine(user_data=base64.b64encode(USER_DATA.encode()).decode())
    made.await_ssh()
    return made
