# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How object stores are reached, as one value: the profile with the keys, and what is said beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..errors import BadRequest
from ..profiles.profile import Profile, read_profile
from .timeouts import LONGEST_TIMEOUT, TIMEOUT


@dataclass(frozen=True)
class Access:
    """Names and paths on this host, no secrets; None is for what the profile, or AWS tools, say. Raises BadRequest.

    ``timeout`` is in seconds, for a request with all its repetitions. Of the files nothing is read before they are needed.
    """

    profile: str | None = None
    endpoint_url: str | None = field(default=None, repr=False)  # keys do not belong there, and are refused when it is used
    config_file: str | None = None
    ca_bundle: str | None = None
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        if isinstance(self.timeout, bool) or not 0 < self.timeout <= LONGEST_TIMEOUT:
            raise BadRequest(f"timeout is {self.timeout!r}: give seconds, more than 0 and no more than {LONGEST_TIMEOUT:.0f}.")

    def read(self) -> Profile:
        """The profile, with what is said beside it; raises ProfileError, and BadRequest for what is no endpoint."""
        found = read_profile(self.profile, self.config_file, self.endpoint_url)
        return replace(found, ca_bundle=self.ca_bundle or found.ca_bundle)

    def without_keys(self) -> Access:
        """For an anonymous client: endpoint and CA are those of the profile, where one is named."""
        if not self.profile or (self.endpoint_url and self.ca_bundle):
            return self
        known = read_profile(self.profile, self.config_file)
        return replace(self, endpoint_url=self.endpoint_url or known.endpoint_url, ca_bundle=self.ca_bundle or known.ca_bundle)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that mean the same in another folder, such as a worker's."""
        paths = {name: str(Path(path).absolute()) if (path := getattr(self, name)) else None for name in ("config_file", "ca_bundle")}
        return {"profile": self.profile, "endpoint_url": self.endpoint_url, **paths, "timeout": self.timeout}


BY_DEFAULT = Access()


def access_from(options: Mapping[str, Any]) -> Access:
    """The access in the options of a module, among others; raises BadRequest."""
    return Access(**{name.name: options[name.name] for name in fields(Access) if options.get(name.name) is not None})
