# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The results as JUnit XML, which every CI shows.

The file says nothing that changes from run to run, such as times and rates: as long as the cluster is as it was, so is the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

from ...errors import BadRequest
from ...findings import CheckResult, acceptable
from ...profiles import safe_file


def write_junit(path: str, text: str, *, dry_run: bool = False) -> bool:
    """Write the file where it says something else; gives whether it does. Raises BadRequest where it cannot be written."""
    place, data = Path(path).expanduser(), text.encode()
    try:
        if place.is_file() and place.read_bytes() == data:
            return False
        if not dry_run:
            place.parent.mkdir(parents=True, exist_ok=True)
            safe_file.write(place, data, 0o644)
    except OSError as error:
        text = f"junit is '{path}': it cannot be written ({error.strerror}). Name a file in a folder that can."
        raise BadRequest(text, junit=path) from None
    return True


def junit_xml(scheduler: str, checks: Sequence[CheckResult], fail_on: str) -> str:
    """A test suite with a test case for each check; what ``fail_on`` names is a failure."""
    bad = [check for check in checks if not acceptable([check], fail_on)]
    numbers = {"tests": len(checks), "failures": len(bad), "skipped": sum(check.status == "skipped" for check in checks), "errors": 0}
    suite = Xml.Element("testsuite", {"name": f"dask_info {scheduler}", **{name: str(number) for name, number in numbers.items()}})
    for check in checks:
        case = Xml.SubElement(suite, "testcase", {"classname": "dask_info", "name": check.id})
        if check in bad:
            Xml.SubElement(case, "failure", {"type": check.severity, "message": check.message})
        elif check.status == "skipped":
            Xml.SubElement(case, "skipped", {"message": check.message})
        elif check.status == "warning":
            Xml.SubElement(case, "system-out").text = check.message
    Xml.indent(suite)
    return Xml.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
