# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Units and calendars that mean the same in other words, as UDUNITS and the CF conventions (4.1, 4.4.1) have it.

Only what is surely the same counts as equal: products of powers of units whose other names are known. Whatever else a text holds
(a factor, an offset, parentheses, unknown words) makes it equal to itself alone. UDUNITS itself is a library in C, which no worker has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_CALENDARS = {"gregorian": "standard", "365_day": "noleap", "366_day": "all_leap"}
_FACTOR = re.compile(r"(?:([A-Za-zµμ°%_]+)(?:(?:\^|\*\*)?([+-]?\d{1,3}))?|(1)(?![\d^*]))(?=[\s/.*·⋅]|$)")
_BETWEEN = re.compile(r"\s*(/|[.*·⋅](?!\*)|\s)\s*")
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_NAMES = {
    "m": "meter meters metre metres",
    "km": "kilometer kilometers kilometre kilometres",
    "cm": "centimeter centimeters centimetre centimetres",
    "mm": "millimeter millimeters millimetre millimetres",
    "um": "µm μm micrometer micrometers micrometre micrometres micron microns",
    "g": "gram grams",
    "kg": "kilogram kilograms",
    "s": "sec second seconds",
    "min": "minute minutes",
    "h": "hr hour hours",
    "d": "day days",
    "K": "kelvin Kelvin kelvins degK deg_K degreeK degree_K degrees_K degree_kelvin degree_Kelvin degrees_kelvin degrees_Kelvin",
    "degC": "°C deg_C degreeC degree_C degreesC degrees_C celsius Celsius degree_celsius degree_Celsius degrees_celsius degrees_Celsius",
    "degF": "°F deg_F degreeF degree_F degreesF degrees_F fahrenheit Fahrenheit degree_fahrenheit degree_Fahrenheit degrees_Fahrenheit",
    "Pa": "pascal pascals Pascal",
    "hPa": "hectopascal hectopascals mbar millibar millibars",
    "kPa": "kilopascal kilopascals",
    "J": "joule joules Joule",
    "W": "watt watts Watt",
    "N": "newton newtons",
    "V": "volt volts",
    "Hz": "hertz Hertz",
    "mol": "mole moles",
    "rad": "radian radians",
    "sr": "steradian steradians",
    "%": "percent",
    "degree": "° deg degrees arc_degree arcdeg",
    "degrees_north": "degree_north degree_N degrees_N degreeN degreesN",
    "degrees_east": "degree_east degree_E degrees_E degreeE degreesE",
}
_PREFIXES = ("", *"numcdhkMGT")
_BASES = ("m", "g", "s", "A", "Pa", "J", "W", "N", "V", "Hz", "mol", "T", "C", "eV", "L", "l", "bar")
_OTHERS = ("1", "ppm", "ppb", "ppt", "ppmv", "ppbv", "dB", "dBZ", "PSU", "psu", "gpm", "Sv", "Bq")
_SYMBOLS = {
    **{prefix + base: prefix + base for prefix in _PREFIXES for base in _BASES},
    **{symbol: symbol for symbol in (*_NAMES, *_OTHERS)},
    **{name: symbol for symbol, names in _NAMES.items() for name in names.split()},
}


def calendar_of(value: Any) -> str:
    """The name of a calendar by which it is the same as its synonyms; what has none counts by the standard one."""
    name = str(value if value is not None else "standard").strip().lower()
    return _CALENDARS.get(name, name)


def same_units(one: Any, other: Any) -> bool:
    """Whether two values of the attribute ``units``, None for none, surely mean the same."""
    return one == other or units_of(one) == units_of(other)


def units_of(value: Any) -> tuple[Any, ...]:
    """What two spellings of the same units have in common; no units are those of a number, as CF has it."""
    text = "1" if value is None else str(value).strip()
    powers: dict[str, int] = {}
    for name, exponent in _factors(text.translate(_RAISED) or "1"):
        symbol = _SYMBOLS.get(name)
        if symbol is None:
            return ("text", " ".join(text.split()))
        powers[symbol] = powers.get(symbol, 0) + exponent
    return ("powers", *sorted((symbol, power) for symbol, power in powers.items() if power and symbol != "1"))


def _factors(text: str) -> Iterator[tuple[str, int]]:
    """The powers of a product; at its end one of no name where the text is none."""
    place, sign = 0, 1
    while matched := _FACTOR.match(text, place):
        yield matched[1] or matched[3], sign * int(matched[2] or 1)
        place = matched.end()
        if place == len(text):
            return
        between = _BETWEEN.match(text, place)
        if not between:
            break
        sign, place = -1 if between[1] == "/" else 1, between.end()
    yield "", 0
