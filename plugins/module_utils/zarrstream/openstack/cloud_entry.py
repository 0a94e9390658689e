# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A cloud that is not found: what the SDK looked at, and how an openrc is named. Pure but for the files that are looked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

ENVIRONMENT = "envvars"  # what openstacksdk calls the cloud of the variables OS_*


def explained(message: str, environ: Mapping[str, str], names: Sequence[str], looked_at: Sequence[str]) -> str:
    """The SDK's message with a way out, where it says that a cloud was not found; any other as it is.

    ``names`` are the clouds that the SDK knows, ``looked_at`` the files in which it looked.
    """
    if not message.rstrip().endswith("was not found."):
        return message
    sourced = "OS_AUTH_URL" in environ
    if message.startswith(f"Cloud {ENVIRONMENT} "):
        return (
            f"{message.rstrip()} '{ENVIRONMENT}' is the login of an openrc file, and this shell has none (OS_AUTH_URL is not set). "
            "Source it in the shell that runs Ansible: 'source my-openrc.sh'; it asks for the password once."
        )
    has = f"It has: {', '.join(names)}." if names else "There is no such file, or it names no cloud."
    where = f"clouds.yaml was looked for at {', '.join(looked_at)}. {has}"
    way = (
        "An openrc was sourced in this shell (OS_AUTH_URL is set): to log in with it"
        if sourced
        else "With an openrc file alone: source it, and"
    )
    openrc = f"{way}{',' if sourced else ''} set zarr_cloud: {ENVIRONMENT} (cloud: {ENVIRONMENT})."
    return f"{message.rstrip()} {where} Correct the name. {openrc}"
