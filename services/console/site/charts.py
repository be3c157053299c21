"""Geometry of charts: bars, lines and intervals as `components/charts.html` draws them in SVG.

Sizes are units of the drawing. The content security policy forbids inline styles, so SVG attributes are used.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from shared.text.visible_text import visible

WIDTH = 320
_LINE, _BAR, _MARK, _GAP = 15, 10, 5, 9
_LETTER = 7
_END_LETTERS = 18
_PLOT_LEFT, _PLOT_TOP, _PLOT_HEIGHT = 34, 8, 110
_PLOT_WIDTH = WIDTH - _PLOT_LEFT - 8


@dataclass(frozen=True)
class Bar:
    """A bar: its label, its value as a number and as text, and the earlier value for comparison."""

    label: str
    value: float
    text: str
    before: float | None = None


@dataclass(frozen=True)
class DrawnBar:
    """A bar with its coordinates: `lines` are the lines of its label with their baselines, `y` its upper edge."""

    lines: Sequence[tuple[float, str]]
    text: str
    y: float
    length: float
    before_length: float | None


@dataclass(frozen=True)
class BarChart:
    """Horizontal bars, each below its label, so that long labels fit on a phone."""

    title: str
    description: str
    bars: Sequence[DrawnBar]
    height: float
    legend: tuple[str, str] | None


def bar_chart(
    title: str, bars: Sequence[Bar], *, description: str = "", legend: tuple[str, str] | None = None
) -> BarChart:
    """Return a bar chart; the default description lists each bar in words."""
    most = max([1.0, *(bar.value for bar in bars), *(bar.before or 0 for bar in bars)])
    top = float(_LINE + _GAP if legend else 0)
    drawn = []
    for bar in bars:
        lines = _wrapped(bar.label, (WIDTH - _LETTER * len(bar.text)) // _LETTER)
        y = top + _LINE * len(lines)
        baselines = [(top + _LINE * (number + 1) - 4, line) for number, line in enumerate(lines)]
        before = None if bar.before is None else _length(bar.before / most * (WIDTH - 1))
        drawn.append(DrawnBar(baselines, bar.text, y, _length(bar.value / most * (WIDTH - 1)), before))
        top = y + _BAR + (0 if before is None else _MARK + 1) + _GAP
    said = description or "; ".join(f"{bar.label}: {bar.text}" for bar in bars)
    return BarChart(title, said, drawn, top, legend)


def _length(length: float) -> float:
    """Return the length of a bar; a value above zero gets a visible length."""
    return round(max(length, 1.5), 1) if length > 0 else 0


def _wrapped(label: str, letters: int) -> list[str]:
    flat = " ".join(visible(label).split())
    return textwrap.wrap(flat, max(letters, 10), max_lines=2, placeholder=" …") or [""]


@dataclass(frozen=True)
class LinePoint:
    """A point of a line: its label, its text and its coordinates."""

    label: str
    text: str
    x: float
    y: float


@dataclass(frozen=True)
class LineChart:
    """A line over time. `segments` are its parts between gaps, `ticks` the values of the scale with their y."""

    title: str
    description: str
    points: Sequence[LinePoint]
    segments: Sequence[str]
    ticks: Sequence[tuple[float, str]]
    first: str
    last: str
    height: float = _PLOT_TOP + _PLOT_HEIGHT + 20


def line_chart(
    title: str, values: Sequence[tuple[str, float | None, str]], *, most: float | None = None
) -> LineChart:
    """Return a line chart of (label, value, text of the value); None makes a gap. `most` is the top of the
    scale.
    """
    top = most or _round_up(max([1.0, *(value for _, value, _ in values if value is not None)]))
    step = _PLOT_WIDTH / max(len(values) - 1, 1)
    points, segments, current = [], [], list[str]()
    for number, (label, value, text) in enumerate(values):
        if value is None:
            segments.append(" ".join(current))
            current = []
            continue
        x = round(_PLOT_LEFT + step * number, 1)
        y = round(_PLOT_TOP + _PLOT_HEIGHT * (1 - value / top), 1)
        points.append(LinePoint(label, text, x, y))
        current.append(f"{x},{y}")
    segments.append(" ".join(current))
    ticks = [(_PLOT_TOP + _PLOT_HEIGHT * (1 - part), f"{top * part:g}".replace(".", ",")) for part in (0, 0.5, 1)]
    said = "; ".join(f"{label}: {text}" for label, _, text in values)
    ends = (_short(values[0][0]), _short(values[-1][0])) if values else ("", "")
    return LineChart(title, said, points, [part for part in segments if part], ticks, *ends)


def _short(label: str) -> str:
    """Return a label that fits under an end of the line: for a long period, its first day."""
    return label if len(label) <= _END_LETTERS else label.partition(" \N{EN DASH} ")[0]


def _round_up(value: float) -> float:
    """Return the next value that makes a readable scale with its half: 2, 4, 6, 10, 20, 40, 60, 100 …"""
    power = 1.0
    while True:
        for first in (2, 4, 6, 10):
            if value <= first * power:
                return first * power
        power *= 10


def sparkline(values: Sequence[float]) -> str:
    """Return the points of a `polyline` in a drawing of 100 × 20."""
    most = max([1.0, *values])
    step = 98 / max(len(values) - 1, 1)
    return " ".join(f"{1 + step * at:.1f},{19 - 18 * value / most:.1f}" for at, value in enumerate(values))


def part_of(value: float, most: float) -> float:
    """Return the length of a bar in a table: the value as a percentage of `most`; above zero, at least 1.5."""
    return _length(100 * value / most) if most > 0 else 0
