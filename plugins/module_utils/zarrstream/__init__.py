# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Zarrstream's core: credentials, profiles, and Zarr stores that are written and proved. It knows no Ansible."""

from __future__ import annotations

__version__ = "0.1.0"
