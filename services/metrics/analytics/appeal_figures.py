"""Figures of appeals as the API returns them: counts, the on-time share with its interval, and a link to the
appeals.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from services.metrics.fairness.intervals import wilson_interval
from services.metrics.indicators.dimensions import AppealSelection
from services.metrics.indicators.period import Period
from services.metrics.schemas.analytics import AppealDimension, ShareInterval
from services.metrics.schemas.metrics import SlaFigure

APPEALS_PATH = "/api/v1/metrics/appeals"
SHARE_DIGITS = 4


def appeals_link(period: Period, keys: Mapping[AppealDimension, str]) -> str:
    """Return the link to the appeals of a period, restricted to these keys."""
    query = {"from": period.start.isoformat(), "to": period.end.isoformat()} | {
        dimension.value: key for dimension, key in keys.items()
    }
    return f"{APPEALS_PATH}?{urlencode(query)}"


def shown_figures(
    counts: Mapping[str, int], selection: AppealSelection, cell: Mapping[AppealDimension, str]
) -> dict[str, Any]:
    """Return the fields of `AppealFigures` for the table cell with these keys.

    A dimension in both the filter and the cell has the same key, so it occurs once in the link.
    """
    figures = {figure.value: counts.get(figure.value, 0) for figure in SlaFigure}
    return figures | {
        "on_time_share": share_interval(figures["on_time"], figures["on_time"] + figures["overdue"]),
        "appeals": appeals_link(selection.period, selection.filters.keys | dict(cell)),
    }


def share_interval(successes: int, trials: int) -> ShareInterval:
    """Return the share with its Wilson interval, rounded; null values if there are no trials."""
    interval = wilson_interval(successes, trials)
    if interval is None:
        return ShareInterval(share=None, low=None, high=None)
    low, high = interval
    return ShareInterval(
        share=round(successes / trials, SHARE_DIGITS), low=round(low, SHARE_DIGITS), high=round(high, SHARE_DIGITS)
    )
