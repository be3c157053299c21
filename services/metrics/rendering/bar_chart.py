"""Horizontal bar charts as SVG, with a title and a description, readable in black and white.

Only presentation attributes are used: a strict Content-Security-Policy forbids inline styles. Labels are above
their bars, so that long labels are not clipped, even on small screens.
"""

import textwrap
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

from services.metrics.rendering.blocks import Bar, BarChart
from shared.text.visible_text import visible

WIDTH = 400
_LINE = 16
_BAR = 12
_MARK = 6
_GAP = 10
_LETTER = 8
_LABEL_LINES = 2
_FONT = "DejaVu Sans, Liberation Sans, Arial, sans-serif"
_INK = "#1a1a1a"
_FILL = "#1f4e79"


def svg(
    chart: BarChart,
    identifier: str,
    *,
    width: int = WIDTH,
    font: str = _FONT,
    clean: Callable[[str], str] = visible,
) -> str:
    """Return the chart as an SVG element; `identifier` makes the ids of its title and description unique.

    `width` is in units; a letter is about eight units wide. `clean` removes characters that the output cannot
    show.
    """

    def shown(text: str) -> str:
        return escape(clean(text))

    parts: list[str] = []
    top = 0
    if chart.legend is not None:
        parts += _legend([shown(name) for name in chart.legend], width)
        top += _LINE + _GAP
    most = max([bar.value for bar in chart.bars] + [bar.compared_with or 0 for bar in chart.bars] + [1])
    for bar in chart.bars:
        drawn, height = _bar(bar, top, width / most, width, shown)
        parts += drawn
        top += height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" width="{width}" height="{top}" '
        f'role="img" aria-labelledby="{identifier}-title {identifier}-desc" font-family="{font}" font-size="13" '
        f'fill="{_INK}"><title id="{identifier}-title">{shown(chart.title)}</title>'
        f'<desc id="{identifier}-desc">{shown(chart.description)}</desc>{"".join(parts)}</svg>'
    )


def _bar(bar: Bar, top: int, scale: float, width: int, shown: Callable[[str], str]) -> tuple[list[str], int]:
    """Return the SVG elements of a bar, and its height."""
    lines = _lines(bar.label, (width - _LETTER * len(bar.text)) // _LETTER)
    y = top
    parts: list[str] = []
    for line in lines:
        y += _LINE
        parts.append(f'<text x="0" y="{y - 4}">{shown(line)}</text>')
    parts.append(f'<text x="{width}" y="{y - 4}" text-anchor="end" font-weight="bold">{shown(bar.text)}</text>')
    parts.append(f'<rect x="0" y="{y}" width="{_length(bar.value * scale)}" height="{_BAR}" fill="{_FILL}"/>')
    y += _BAR
    if bar.compared_with is not None:
        parts.append(_outlined(0, y + 1, _length(bar.compared_with * scale)))
        y += _MARK + 1
    return parts, y + _GAP - top


def _legend(names: Sequence[str], width: int) -> list[str]:
    middle = width // 2
    return [
        f'<rect x="0" y="2" width="24" height="{_BAR}" fill="{_FILL}"/>',
        f'<text x="32" y="12">{names[0]}</text>',
        _outlined(middle, 5, 24),
        f'<text x="{middle + 32}" y="12">{names[1]}</text>',
    ]


def _outlined(x: int, y: float, width: float) -> str:
    inner = max(width - 1, 0)
    return (
        f'<rect x="{x + 0.5:g}" y="{y + 0.5:g}" width="{inner:g}" height="{_MARK - 1}" fill="#ffffff" '
        f'stroke="{_INK}" stroke-width="1"/>'
    )


def _length(length: float) -> float:
    """Return the length of a bar; a value above zero gets a visible length."""
    return round(max(length, 1.5), 1) if length > 0 else 0


def _lines(label: str, letters: int) -> Sequence[str]:
    flat = " ".join(visible(label).split())
    return textwrap.wrap(flat, max(letters, 10), max_lines=_LABEL_LINES, placeholder=" …") or [""]
