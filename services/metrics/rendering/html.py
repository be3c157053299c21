"""The weekly report as one HTML file, without scripts or external resources."""

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from services.metrics.rendering import bar_chart
from services.metrics.rendering.blocks import BarChart, Block, cell_text
from services.metrics.rendering.presentation import presentation
from services.metrics.schemas.weekly_report import ReportOut
from shared.text.visible_text import visible

_TEMPLATES = Path(__file__).parent / "templates"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    environment.globals["kind"] = _kind
    environment.globals["cell_text"] = cell_text
    environment.globals["svg"] = _svg
    return environment


@cache
def _style() -> str:
    return (_TEMPLATES / "weekly.css").read_text(encoding="utf-8")


@cache
def content_security_policy() -> str:
    """Return the content security policy of the file: only its own style, by digest, is allowed."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def render(report: ReportOut) -> bytes:
    """Return the report as HTML in UTF-8; equal reports give equal bytes."""
    text = (
        _environment()
        .get_template("weekly.html")
        .render(
            shown=presentation(report),
            style=Markup(_style()),  # noqa: S704 (our own file)
            policy=content_security_policy(),
        )
    )
    return text.encode()


def _kind(block: Block) -> str:
    return type(block).__name__


def _svg(chart: BarChart, identifier: str) -> Markup:
    return Markup(bar_chart.svg(chart, identifier))  # noqa: S704 (it escapes all texts)
