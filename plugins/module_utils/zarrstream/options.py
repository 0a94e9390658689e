# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options that several modules share, written once; ``plugins/doc_fragments`` documents them."""

from __future__ import annotations

from typing import Any

S3_OPTIONS: dict[str, dict[str, Any]] = {
    "profile": {"type": "str"},
    "endpoint_url": {"type": "str"},
    "config_file": {"type": "path"},
    "ca_bundle": {"type": "path"},
}

SOURCE_OPTIONS: dict[str, dict[str, Any]] = {
    "source_profile": {"type": "str"},
    "source_endpoint_url": {"type": "str"},
    "source_anonymous": {"type": "bool", "default": False},
    "source_ca_bundle": {"type": "path"},
    "source_token_file": {"type": "path", "no_log": False},
    "source_hosts": {"type": "list", "elements": "str", "default": []},
    "source_concurrency": {"type": "int", "default": 16},
    "spool": {"type": "path"},
}

DASK_OPTIONS: dict[str, dict[str, Any]] = {
    "scheduler": {"type": "str"},
    "scheduler_tls": {
        "type": "dict",
        "options": {
            "ca_file": {"type": "path", "required": True},
            "cert": {"type": "path", "required": True},
            "key": {"type": "path", "required": True, "no_log": False},
        },
    },
}
