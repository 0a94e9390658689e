# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The option --role, and the table of times at the end."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the choice of one role."""
    parser.addoption("--role", default="", help="only the scenarios of this role; 'site' is the whole platform")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show how long each scenario took; the scenarios overlap, so the sum is more than the whole."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, []) if report.when == "call"]
    rows = [
        (dict(report.user_properties).get("seconds", 0.0), report.nodeid.partition("[")[2].rstrip("]"), report.outcome)
        for report in reports
    ]
    if rows:
        terminalreporter.section("scenarios")
    for seconds, name, outcome in sorted(rows, reverse=True):
        terminalreporter.write_line(f"{seconds:7.1f} s  {outcome}  {name}")
