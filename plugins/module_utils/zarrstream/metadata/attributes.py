# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Attributes by the CF conventions that say what stored numbers mean: change one, and the same numbers are other values."""

PACKING = ("scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned")
TIME = ("units", "calendar")  # of numbers that count time from a date
MEANING = PACKING + TIME  # two files that differ in them cannot share one array
