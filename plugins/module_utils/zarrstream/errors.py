# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one family of errors. A message says what happened, where, why it is likely, and what to do, in that order."""

from __future__ import annotations

from .text import shown


class ZarrstreamError(Exception):
    """An error for the user: one message without traceback or secret.

    ``details`` are plain values (endpoint, bucket, key, status …) that a module returns beside the message. What others put into
    the message, such as names of objects, cannot steer a terminal.
    """

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(shown(message))
        self.details = details


class BadRequest(ZarrstreamError):
    """A parameter is wrong: found before anything is touched."""


class ProfileError(ZarrstreamError):
    """An AWS profile is missing, incomplete, shadowed or unsafe to edit."""


class Unreachable(ZarrstreamError):
    """An endpoint refused the connection, did not answer in time, only with errors, or has a certificate that is not trusted."""


class AccessRefused(ZarrstreamError):
    """The server answered, and said no: wrong keys, no right, clock skew, quota."""


class NotFound(ZarrstreamError):
    """A bucket or an object is not there."""


class Conflict(ZarrstreamError):
    """Something else is in the place that was asked for."""


class SourceError(ZarrstreamError):
    """The source of a data set is missing, damaged or contradicts itself."""


class PlanError(ZarrstreamError):
    """A layout that is illegal or dangerous; the message names the nearest legal one."""


class WriteError(ZarrstreamError):
    """A write did not arrive whole; nothing was published."""


class MissingLibrary(ZarrstreamError):
    """A Python library is not installed for the interpreter that runs the module."""
