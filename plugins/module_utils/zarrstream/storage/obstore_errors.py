# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What obstore's exceptions say about a failed request: they tell status, code and cause in their text alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..abandon import Late
from .redirects import is_redirect

_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_CODE_OF_CLASS = {
    "FileNotFoundError": "NoSuchKey",
    "NotFoundError": "NoSuchKey",
    "AlreadyExistsError": "PreconditionFailed",
    "PreconditionError": "PreconditionFailed",
    "PermissionDeniedError": "AccessDenied",
    "UnauthenticatedError": "AccessDenied",
}
_UNTRUSTED, _REFUSED, _UNKNOWN, _SILENT = (
    "its certificate is not trusted",
    "connection refused",
    "no address is known for this name",
    "no answer in time",
)
_CAUSES = {  # what obstore tells only in the details of its errors
    "InvalidCertificate": _UNTRUSTED,
    "ConnectionRefused": _REFUSED,
    "dns error": _UNKNOWN,
    "TimedOut": _SILENT,
    "ConnectionReset": "the connection was interrupted",
    "BrokenPipe": "the connection was interrupted",
    "IncompleteMessage": "the connection was interrupted",
    "IncompleteBody": "the answer was interrupted",
}
_OVERLOADED = frozenset({408, 429, 500, 502, 503, 504})
_BUSY_CODES = frozenset({"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "TooManyRequests"})
_SPOILED = frozenset({"XAmzContentSHA256Mismatch", "BadDigest", "IncompleteBody"})  # other bytes came than were sent
# Swift says InvalidURI when its Keystone does not answer; the other two, that a request for the same object is under way.
_PASSING_CODES = _BUSY_CODES | _SPOILED | {"InvalidURI", "ConditionalRequestConflict", "OperationAborted"}
_HOPELESS = ("InvalidCertificate", "InvalidMessage", "AlertReceived", "wrong version number", "Name or service not known")


@dataclass(frozen=True)
class Answer:
    """``code`` is S3's error code ('' for none), ``status`` the HTTP status (0 for no answer), ``reason`` for people."""

    code: str
    status: int
    reason: str
    passing: bool  # the same request may succeed in a moment
    overloaded: bool  # the server has too much to do
    absent: bool  # nothing at this address takes connections
    redirected: bool = False  # the server sends requests on
    wait: float = 0.0  # seconds for which the server asks to be left alone
    moved: bool = False  # much had come until then, so that the time of the request says nothing


class Failed(Exception):
    """A request of another client than obstore, which knows the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.reason)
        self.answer = answer


def interrupted(reason: str = "the connection was interrupted", *, silent: bool = False, absent: bool = False) -> Answer:
    """No answer, or none that is whole, which may pass. ``silent`` where nothing came in time."""
    return Answer("", 0, _SILENT if silent else reason, passing=True, overloaded=silent, absent=absent)


def answered(status: int, code: str, reason: str, wait: float = 0.0) -> Answer:
    """An answer with this status that is none to what was asked."""
    passing = code in _PASSING_CODES or status in _OVERLOADED
    return Answer(code, status, reason, passing, overloaded=code in _BUSY_CODES or status in _OVERLOADED, absent=False, wait=wait)


def read_answer(error: BaseException) -> Answer:
    """What an exception of obstore's says, or of ours, or that none came in time."""
    if isinstance(error, Failed):
        return error.answer
    if isinstance(error, Late):
        return Answer("", 0, _SILENT, passing=True, overloaded=True, absent=False)
    text = str(error)
    found, number = _CODE.search(text), _STATUS.search(text)
    code = found.group(1) if found else _CODE_OF_CLASS.get(type(error).__name__, "")
    status = int(number.group(1)) if number else 0
    reason = next((words for sign, words in _CAUSES.items() if sign in text), text.partition("\n")[0])
    redirected = is_redirect(status, text)
    lost = not status and not redirected and not code and "HttpError {" in text
    return Answer(
        code=code,
        status=status,
        reason=reason,
        passing=code in _PASSING_CODES or status in _OVERLOADED or (lost and not any(sign in text for sign in _HOPELESS)),
        overloaded=code in _BUSY_CODES or status in _OVERLOADED or (lost and reason == _SILENT),
        absent=lost and "kind: Connect" in text,
        redirected=redirected,
    )
