"""Who may read and write a bucket, by tables: what stays, what goes, what comes."""

from __future__ import annotations

from typing import Any

import pytest
from zarrstream.errors import BadRequest
from zarrstream.openstack.grants import plan

PUBLIC = ".r:*,.rlistings"


@pytest.mark.parametrize(
    ("found", "declared", "read", "lines"),
    [
        pytest.param("", {}, "", [], id="private, as it is"),
        pytest.param("", {"public": True}, PUBLIC, ["+ read .r:*", "+ read .rlistings"], id="opened"),
        pytest.param(PUBLIC, {}, "", ["- read .r:*", "- read .rlistings"], id="closed"),
        pytest.param(".rlistings,.r:*", {"public": True}, ".rlistings,.r:*", [], id="public in another order"),
        pytest.param("lab:ana", {}, "lab:ana", [], id="named: stays"),
        pytest.param(f"lab:*,{PUBLIC}", {}, "lab:*", ["- read .r:*", "- read .rlistings", "  read lab:*"], id="anonymous goes"),
        pytest.param("lab:*", {"public": True}, f"{PUBLIC},lab:*", ["  read lab:*", "+ read .r:*", "+ read .rlistings"], id="besides"),
        pytest.param(".r:.example.com,.r:-bad.example.com,*:ben,member", {}, "*:ben,member",
            ["- read .r:.example.com", "- read .r:-bad.example.com", "  read *:ben", "  read member"], id="referrers are anonymous"),
        pytest.param("*:*", {}, "", ["- read *:*"], id="each user of the cloud is nobody by name"),
        pytest.param("*:*", {"read": ["*:*"]}, "*:*", [], id="unless declared"),
        pytest.param("lab:*,old:*", {"read": ["lab", "new:ana"]}, "lab:*,new:ana",
            ["- read old:*", "  read lab:*", "+ read new:ana"], id="exactly"),
        pytest.param("lab:*", {"read": []}, "", ["- read lab:*"], id="nobody any more"),
        pytest.param(".", {}, ".", [], id="what S3 writes for private"),
    ],
)  # fmt: skip
def test_who_may_read(found: str, declared: dict[str, Any], read: str, lines: list[str]) -> None:
    planned = plan(found, "", **{"public": False, "read": None, "write": None, **declared})
    assert (planned.read, planned.write, list(planned.lines), planned.changes) == (read, "", lines, bool(lines))


@pytest.mark.parametrize(
    ("found", "write", "acl"), [("lab:*", None, "lab:*"), (".r:*,lab:*", None, "lab:*"), ("lab:*", ["new"], "new:*"), ("*:*", None, "")]
)
def test_who_may_write_whether_public_or_not(found: str, write: list[str] | None, acl: str) -> None:
    assert plan(PUBLIC, found, True, None, write).write == plan("", found, False, None, write).write == acl


@pytest.mark.parametrize("entry", [".r:*", ".rlistings", "a,b", "lab:", ":ana", "", "lab : ana", "a:b:c"])
def test_what_is_no_project_is_refused(entry: str) -> None:
    with pytest.raises(BadRequest, match=r"bucket_write has .*bucket_public: true alone"):
        plan("", "", False, None, ["lab", entry])
