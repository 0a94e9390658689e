# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The users of a host, for whom root writes files: with their rights, so that what a user planted leads root nowhere."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadRequest


@dataclass(frozen=True)
class Account:
    """A user as passwd describes it."""

    name: str
    uid: int
    gid: int
    home: Path


def find_accounts(names: Iterable[str]) -> list[Account]:
    """The users of these names, each once. Raises BadRequest that names all whom the host lacks, or for whom nothing may be written."""
    wanted = list(dict.fromkeys(names))
    found = [account for account in map(_account, wanted) if account]
    missing = sorted(set(wanted) - {account.name for account in found})
    if missing:
        raise BadRequest(
            f"users names {', '.join(map(repr, missing))}: this host has no such user. Make the user first, or correct the name.",
            unknown_users=missing,
        )
    others = [account.name for account in found if account.uid != os.geteuid()]
    if others and os.geteuid() != 0:
        raise BadRequest(
            f"users names {', '.join(map(repr, others))}, but only root may write for others, and this runs as user {os.geteuid()}. "
            "Set become: true.",
        )
    homeless = [f"{account.home} of {account.name}" for account in found if not _is_folder(account)]
    if homeless:
        raise BadRequest(f"users names a user without a home: {', '.join(homeless)} is no folder. Make it, or leave the user out.")
    return found


@contextlib.contextmanager
def acting_as(account: Account) -> Iterator[None]:
    """Read and write with the rights of this user, as sshd does. It holds for the whole process: not for programs with threads."""
    if account.uid == os.geteuid():
        yield
        return
    user, group, groups = os.geteuid(), os.getegid(), os.getgroups()
    try:
        os.initgroups(account.name, account.gid)
        os.setegid(account.gid)
        os.seteuid(account.uid)
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)
        os.setgroups(groups)


def _account(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))


def _is_folder(account: Account) -> bool:
    with acting_as(account):
        try:
            return account.home.is_dir()
        except OSError:  # a home that its own user may not look at
            return False
