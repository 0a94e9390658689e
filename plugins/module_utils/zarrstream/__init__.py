# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Zarrstream's core: credentials, profiles, and Zarr stores that are written and proved. It knows no Ansible.

``from zarrstream import check, probe, write``: ``help`` of each tells the rest.
"""

from __future__ import annotations

import sys

__version__ = "0.1.0"

# What is offered here, by where it is defined. It is imported by whoever asks for it: each module of Ansible brings this file along.
_OFFERED = {"ZarrstreamError": "errors", "check": "commands.api", "probe": "commands.api", "write": "commands.api"}
__all__ = ["ZarrstreamError", "check", "probe", "write"]  # by __getattr__; pylint: disable=undefined-all-variable


ModuleType = type(sys)  # types and importlib would be the command's first moments, in which Ctrl-C is Python's own


class _Package(ModuleType):
    """Keeps the functions in place: Python binds a submodule to its name here when it is imported, and some have the same names."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _OFFERED or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    if name not in _OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_OFFERED[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_OFFERED})
