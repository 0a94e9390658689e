# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is said about a cloud that is not found."""

from __future__ import annotations

import pytest
from zarrstream.openstack.cloud_entry import explained

GONE = "Cloud jetstream2 was not found."


@pytest.mark.parametrize(
    ("message", "environ", "names", "says"),
    [
        (
            GONE,
            {},
            ["iu", "tacc"],
            "looked for at /a, /b. It has: iu, tacc. Correct the name. With an openrc file alone: source it",
        ),
        (GONE, {}, [], "There is no such file, or it names no cloud"),
        (
            GONE,
            {"OS_AUTH_URL": "https://k"},
            [],
            "An openrc was sourced in this shell (OS_AUTH_URL is set): to log in",
        ),
        ("Cloud envvars was not found.", {}, ["iu"], "Source it in the shell that runs Ansible"),
        ("Expecting value", {}, [], "Expecting value"),
    ],
)
def test_ways_out(message: str, environ: dict[str, str], names: list[str], says: str) -> None:
    text = explained(message, environ, names, ["/a", "/b"])
    assert text.startswith(message)
    assert says in text
