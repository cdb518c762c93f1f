"""What varies in a log line, and the line with that replaced: its signature.

ClickHouse runs the same steps when rows arrive (`log_signatures_1m_mv`); tests hold the two equal. The patterns
therefore use only what RE2 and `re` (ASCII) read alike: no look-around, no back-references, leftmost-first
alternatives. Nearly all values are one pattern without groups: RE2 finds a match fifteen times faster than it
tells where the groups of a match lie.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MASK: Final = "<*>"
MAX_LINE: Final = 512  # characters

_METHOD = "GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT|TRACE"
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_CLOCK = r"\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?"
_UNIT = (
    r"(?:[mhd]| ?(?:(?:n|u|µ|m)?s|[kKMGTP]i?B|B|min|(?:milli|micro|nano)?sec(?:ond)?s?|minutes?|hours?|days?|bytes?))"
)
_HEX = "[0-9a-fA-F]"

_QUOTED = r"""\B(?:"[^"]*"|'[^']*')"""
_PATH = r"\B/[\w.@%+$~-]+(?:/[\w.@%+$~-]+)*/?(?::\d+)?"
_SHORT = (  # what may also follow an underscore, as in `user_42`
    rf"0x{_HEX}+\b",
    rf"{_HEX}{{8,}}\b",
    r"[a-z0-9]*[0-9]+[a-z]+[0-9]+[a-z]+[a-z0-9]*\b",
    r"\d+(?:[.,:]\d+)*",
)
# A value begins where a word does, so `sha256` and `http2` stay. The more special comes first.
_VALUES = (
    r"[a-z][a-z0-9+.-]*://[^ \t\r,;)\]>\"']+",
    rf"(?:{_DAY},? )?(?:{_MONTH} +\d{{1,2}}|\d{{1,2}}[ /-]{_MONTH})\b(?:[ /,-]+\d{{4}})?(?:[ T:,]+{_CLOCK})?"
    r"(?: [-+]\d{4})?(?: \d{4})?\b",
    r"eyJ[\w-]+(?:\.[\w-]*){0,2}",  # a JSON web token: long, and a secret
    r"[A-Za-z]:\\[^ \t\r\"',;]+",
    r"(?:(?:[a-z0-9-]+\.)+[a-z]{2,}:\d{4,5}|(?:[a-z0-9-]+\.){2,}[a-z]{2,}:\d{1,3})\b",
    r"[\w.+-]+@(?:[\w-]+\.)+[\w-]+",
    rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}",
    rf"\d{{4}}-\d{{2}}-\d{{2}}(?:[T ]{_CLOCK}(?:Z|[+-]\d{{2}}:?\d{{2}})?)?",
    r"\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b",
    rf"(?:{_HEX}{{1,4}}::?){{2,7}}{_HEX}{{1,4}}\b",
    rf"\d+(?:[.,]\d+)*{_UNIT}\b",
    *_SHORT,
)
_VALUE = rf"{_PATH}|\b(?:{'|'.join(_VALUES)})"


@dataclass(frozen=True, slots=True)
class Step:
    """One replacement, done on lines that contain `needs`; `json` restricts it to JSON bodies or to all others."""

    pattern: str
    replacement: str
    needs: str = ""
    json: bool | None = None


STEPS: Final = (
    # `Class#42` names the statement that logs: a mark that is no value keeps its number until the last step
    Step(r"([A-Za-z_$])#(\d)", r"\1#QzQ\2", needs="#"),
    Step(rf'"({_METHOD}) [^"]*"', rf"\1 {MASK}", needs=" HTTP/", json=False),
    Step(r"""((?i:\b\w*id\b)["']?[=:] ?)["']?[\w.-]*\d[\w.-]*["']?""", rf"\1{MASK}"),
    Step(f"{_QUOTED}|{_VALUE}", MASK, json=False),
    Step(_VALUE, MASK, json=True),
    Step(rf"_-?(?:<\*>|{'|'.join(_SHORT)})", f"_{MASK}", needs="_"),
    Step("#QzQ", "#", needs="#"),
)
_COMPILED = tuple((step, re.compile(step.pattern, re.ASCII)) for step in STEPS)


def mask(body: str) -> str:
    """Return the first line of a log body, at most 512 characters of it, with what varies replaced by `<*>`."""
    line = body.split("\n", 1)[0][:MAX_LINE]
    json = line.startswith("{")  # there the text itself stands in quotes, so what is quoted stays
    for step, pattern in _COMPILED:
        if step.needs in line and step.json in (None, json):
            line = pattern.sub(step.replacement, line)
    return line


def signature(body: str, exception_type: str = "") -> str:
    """Return the masked line; the exception's type goes in front when the line does not name it."""
    masked = mask(body)
    return masked if not exception_type or exception_type in masked else f"{exception_type}: {masked}"


def sql(source: str) -> str:
    """Return a ClickHouse query for all columns of a source with a column `Body`, and what `mask` makes of that.

    Each step is a query around the one before: as aliases of one query, which ClickHouse writes out wherever they are
    used, every insert took twice as long to plan.
    """
    query = f"SELECT *, substringUTF8(substringIndex(Body, '\\n', 1), 1, {MAX_LINE}) AS Line FROM {source}"
    query = f"SELECT *, startsWith(Line, '{{') AS Json FROM (\n{query})"
    before = "Line"
    for number, step in enumerate(STEPS, start=1):
        name = "Masked" if number == len(STEPS) else f"Step{number}"
        done = f"replaceRegexpAll({before}, {_literal(step.pattern)}, {_literal(step.replacement)})"
        conditions = [f"position({before}, {_literal(step.needs)}) > 0"] if step.needs else []
        if step.json is not None:
            conditions.append("Json" if step.json else "NOT Json")
        if conditions:
            done = f"if({' AND '.join(conditions)}, {done}, {before})"
        query = f"SELECT *, {done} AS {name} FROM (\n{query})"
        before = name
    return query


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
