"""Geometry of a small time chart. Positions are in the units of the chart's own view box, y growing downwards."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from libs.kernel.quantities import milliseconds, percent, significant
from libs.kernel.timewindow import TimeWindow, floor_minute
from services.console.domain.formats import size

WIDTH, HEIGHT = 440.0, 126.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 432.0, 20.0, 104.0
_GAP = timedelta(seconds=90)  # points further apart than this are not joined: there was no minute between them
_STEPS_MIN = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080)
_CHARACTER = 7.0  # width to reckon with for one letter of a label
LONGEST_LABEL = 18


class Measure(Enum):
    """What a chart's values are: the unit, how to write one, and the smallest top of the axis."""

    LATENCY = "ms"
    ERROR_RATIO = "%"
    RATE = "calls/min"
    BYTES = "By"
    LEVEL = ""

    def write(self, value: float) -> str:
        """Return a value with its unit."""
        writers: dict[Measure, Callable[[float], str]] = {
            Measure.LATENCY: milliseconds, Measure.ERROR_RATIO: percent, Measure.BYTES: size,
        }  # fmt: skip
        return writers.get(self, significant)(value)

    @property
    def least_top(self) -> float:
        """Return the smallest value the axis must reach, so that noise around zero does not look like a mountain."""
        return 0.01 if self is Measure.ERROR_RATIO else 1.0


@dataclass(frozen=True, slots=True)
class Point:
    """One value at the start of its minute."""

    at: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Marker:
    """Something that happened, to be shown as a vertical line; `kind` is `onset`, `deploy` or `resolved`.

    An onset at the start of a minute is known to the minute only.
    """

    at: datetime
    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled position on an axis."""

    position: float
    label: str


@dataclass(frozen=True, slots=True)
class PlacedMarker:
    """A marker with its position; `text` is its label where there is room for one, else empty.

    `anchor` is the side the label goes to, `start` or `end` as SVG's text-anchor has it.
    """

    x: float
    label: str
    kind: str
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything a template needs to draw one chart. `line` and `area` are SVG path data, empty without points."""

    title: str
    description: str
    line: str
    area: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    markers: tuple[PlacedMarker, ...]


def draw(title: str, measure: Measure, points: Sequence[Point], window: TimeWindow, markers: Sequence[Marker]) -> Chart:
    """Lay out one series over a window; points and markers outside it are left out."""
    inside = sorted((p for p in points if window.contains(p.at)), key=lambda p: p.at)
    top = nice_top(max((p.value for p in inside), default=0.0), measure)
    runs = [[(_x(p.at, window), _y(p.value, top)) for p in run] for run in _runs(inside)]
    return Chart(
        title=title,
        description=describe(measure, inside, window, _first(markers, "onset")),
        line=" ".join(_path(run) for run in runs),
        area=" ".join(_closed(run) for run in runs if len(run) > 1),
        x_ticks=_time_ticks(window),
        y_ticks=tuple(Tick(_y(top * part, top), measure.write(top * part)) for part in (0.0, 0.5, 1.0)),
        markers=_place([m for m in markers if window.contains(m.at)], window),
    )


def nice_top(highest: float, measure: Measure) -> float:
    """Return the round number the axis ends at: 1, 2 or 5 times a power of ten, at most 1 for a ratio."""
    highest = max(highest, measure.least_top)
    unit = 1024.0 ** math.floor(math.log(highest, 1024) + 1e-9) if measure is Measure.BYTES else 1.0
    power = unit * 10.0 ** math.floor(math.log10(highest / unit) + 1e-9)
    top = next(step * power for step in (1.0, 2.0, 5.0, 10.0, 20.0) if highest <= step * power * 1.0001)
    return min(top, 1.0) if measure is Measure.ERROR_RATIO and highest <= 1.0 else top


def describe(measure: Measure, points: Sequence[Point], window: TimeWindow, onset: datetime | None) -> str:
    """Say in one sentence what the line shows, for those who cannot see it."""
    span = f"{_label(window.start)} to {_label(window.end)} UTC"
    if not points:
        return f"No data from {span}."
    peak = max(points, key=lambda p: p.value)
    before = [p.value for p in points if onset is not None and p.at < onset]
    typical = f"typically {measure.write(median(before))} before onset, " if before else ""
    return f"From {span}: {typical}highest {measure.write(peak.value)} at {_label(peak.at)}."


def median(values: Sequence[float]) -> float:
    """Return the middle value, the lower one of two; raises IndexError when empty."""
    return sorted(values)[(len(values) - 1) // 2]


def _first(markers: Sequence[Marker], kind: str) -> datetime | None:
    return next((m.at for m in markers if m.kind == kind), None)


def _x(at: datetime, window: TimeWindow) -> float:
    return round(LEFT + (RIGHT - LEFT) * ((at - window.start) / window.duration), 1)


def _y(value: float, top: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * min(max(value, 0.0) / top, 1.0), 1)


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    runs: list[list[Point]] = []
    for point in points:
        if not runs or point.at - runs[-1][-1].at > _GAP:
            runs.append([])
        runs[-1].append(point)
    return runs


def _path(run: Sequence[tuple[float, float]]) -> str:
    if len(run) == 1:  # a lone minute: a dot, drawn by the round line cap
        return f"M{run[0][0]} {run[0][1]}h0"
    return "M" + "L".join(f"{x} {y}" for x, y in run)


def _closed(run: Sequence[tuple[float, float]]) -> str:
    return f"{_path(run)}V{BOTTOM}H{run[0][0]}Z"


def _time_ticks(window: TimeWindow) -> tuple[Tick, ...]:
    minutes = window.duration / timedelta(minutes=1)
    step = timedelta(minutes=next((s for s in _STEPS_MIN if minutes / s <= 5), _STEPS_MIN[-1]))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    at = epoch + -(-(window.start - epoch) // step) * step
    ticks: list[Tick] = []
    while at < window.end:
        ticks.append(Tick(_x(at, window), _label(at) if step < timedelta(days=1) else at.strftime("%d %b")))
        at += step
    return tuple(ticks)


def _label(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%H:%M")


def _place(markers: Sequence[Marker], window: TimeWindow) -> tuple[PlacedMarker, ...]:
    """Give each marker a label where it covers no other one; onset first, then the latest."""
    taken: list[tuple[float, float]] = []
    placed: list[PlacedMarker] = []
    for marker in sorted(markers, key=lambda m: (m.kind != "onset", -m.at.timestamp())):
        x = _x(_drawn_at(marker, markers), window)
        anchor = next((side for side in ("start", "end") if _fits(_extent(x, marker, side), taken)), "")
        if anchor:
            taken.append(_extent(x, marker, anchor))
        text = _shortened(marker.label) if anchor else ""
        placed.append(PlacedMarker(x, marker.label, marker.kind, text, anchor or "start"))
    return tuple(sorted(placed, key=lambda p: p.x))


def _drawn_at(marker: Marker, markers: Sequence[Marker]) -> datetime:
    """Return where a marker's line is: a deploy within the minute of the onset came before it, so not right of it."""
    if marker.kind != "onset" or marker.at != floor_minute(marker.at):
        return marker.at
    same_minute = (m.at for m in markers if m.kind == "deploy" and floor_minute(m.at) == marker.at)
    return max(same_minute, default=marker.at)


def _extent(x: float, marker: Marker, anchor: str) -> tuple[float, float]:
    width = _CHARACTER * len(_shortened(marker.label)) + 6
    return (x, x + width) if anchor == "start" else (x - width, x)


def _fits(extent: tuple[float, float], taken: Sequence[tuple[float, float]]) -> bool:
    left, right = extent
    return left >= 0 and right <= WIDTH and all(right <= a or left >= b for a, b in taken)


def _shortened(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"
