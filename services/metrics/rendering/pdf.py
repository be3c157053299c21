"""The weekly report as a tagged PDF (PDF/UA-1), laid out by typst with the fonts of its wheel.

Texts are passed to the template as JSON data and never parsed as markup.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import typst

from services.metrics.rendering import bar_chart
from services.metrics.rendering.blocks import (
    BarChart,
    Block,
    Figures,
    Paragraph,
    Points,
    Quotation,
    Section,
    Subheading,
    Table,
    cell_text,
)
from services.metrics.rendering.pdf_text import printable
from services.metrics.rendering.presentation import presentation
from services.metrics.schemas.weekly_report import ReportOut

_FONT = "Libertinus Serif"
_REMEMBERED_DOCUMENTS = 11
# The width of a chart beside its table, in the units of `bar_chart.WIDTH`: its letters are as large as in wider
# charts.
_BESIDE = 280


@cache
def _template() -> bytes:
    return (Path(__file__).parent / "templates" / "weekly.typ").read_bytes()


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True)


def render(report: ReportOut) -> bytes:
    """Return the report as PDF; equal reports give equal bytes."""
    try:
        return typst.compile(
            _template(),
            format="pdf",
            font_paths=_fonts(),
            ignore_system_fonts=True,
            sys_inputs={"report": json.dumps(layout(report), ensure_ascii=False)},
            pdf_standards=["ua-1"],
            timestamp=int(report.report.as_of.timestamp()),
        )
    finally:
        _release_memory()


def _release_memory() -> None:
    """Clear the cache of typst, which would keep some 25 MB per report for the next ten documents."""
    for _ in range(_REMEMBERED_DOCUMENTS):
        typst.compile(b"", font_paths=_fonts(), ignore_system_fonts=True)


def layout(report: ReportOut) -> dict[str, Any]:
    """Return the input of the template: texts that the fonts can show, and charts as SVG."""
    shown = presentation(report)

    def section(part: Section, *, is_top: bool = False) -> dict[str, Any]:
        return {
            "title": part.title,
            "wide": part.is_wide,
            "blocks": [
                _block(block, f"{part.anchor}-{number}", is_top=is_top) for number, block in enumerate(part.blocks)
            ],
        }

    def _block(block: Block, identifier: str, *, is_top: bool) -> dict[str, Any]:
        if isinstance(block, Table):
            return _table(block, identifier, _BESIDE if is_top else bar_chart.WIDTH)
        return {"kind": type(block).__name__.lower()} | _texts(block)

    def _table(table: Table, identifier: str, chart_width: int) -> dict[str, Any]:
        return {
            "kind": "table",
            "caption": printable(table.caption),
            "columns": [
                {"heading": printable(column.heading), "number": column.is_number, "weight": column.weight}
                for column in table.columns
            ],
            "rows": [
                [
                    printable(cell_text(column, value, shown.zone))
                    for column, value in zip(table.columns, row, strict=True)
                ]
                for row in table.rows
            ],
            "total": table.has_total_row,
            "chart": None if table.chart is None else _chart(table.chart, identifier, chart_width),
            "empty": table.empty,
        }

    return {
        "title": shown.title,
        "subtitle": shown.subtitle,
        "status": shown.status,
        "notices": list(shown.notices),
        "top": section(shown.top, is_top=True),
        "sections": [section(part) for part in shown.sections],
    }


def _texts(block: Paragraph | Points | Figures | Subheading | Quotation) -> dict[str, Any]:
    match block:
        case Paragraph():
            return {"text": printable(block.text), "note": block.is_note}
        case Subheading():
            return {"text": printable(block.text)}
        case Points():
            return {"title": printable(block.title), "items": _lists(block.items)}
        case Figures():
            return {"items": _lists(block.items)}
        case Quotation():
            return {
                "title": printable(block.title),
                "facts": _lists(block.facts),
                "paragraphs": printable(block.text).split("\n"),
            }


def _lists(items: Sequence[tuple[str, ...]]) -> list[list[str]]:
    return [[printable(text) for text in item] for item in items]


def _chart(chart: BarChart, identifier: str, width: int) -> dict[str, str]:
    return {
        "title": printable(chart.title),
        "alternative": printable(chart.description),
        "svg": bar_chart.svg(chart, identifier, width=width, font=_FONT, clean=printable),
    }
