# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a secret may be spoken of: never itself, only so that two people can tell whether theirs is the same."""

from __future__ import annotations

import hashlib


def fingerprint(access_key: str, secret_key: str) -> str:
    """Twelve hexadecimal digits that are the same for the same pair.

    Keystone's secrets are too long to guess, but a supplied one may be a word. So the hash is a slow one (scrypt, about
    50 ms and 16 MiB), salted with the access key: nobody can search for a weak secret with a log at hand.
    """
    digest = hashlib.scrypt(secret_key.encode(), salt=access_key.encode(), n=2**14, r=8, p=1, dklen=6)
    return digest.hex()
