"""Values of measures from counts."""

from services.metrics.fairness.intervals import wilson_interval
from services.metrics.rendering.labels import AXES
from services.metrics.schemas.weekly_report import AxisValues, MeasureValue
from services.metrics.weekly_report.measures import MEASURES, Measure
from services.metrics.weekly_report.week_figures import WeekFigures

_SECONDS_PER_HOUR = 3600


def axis_values(figures: WeekFigures, last_week: WeekFigures | None, *, complete: bool = True) -> list[AxisValues]:
    """Return the measures of each axis; `last_week` is None if no data were collected in that week.

    `complete`: the week has ended; an incomplete week is not compared with a complete one.
    """
    return [
        AxisValues(
            axis=axis,
            title=title,
            measures=[_value(one, figures, last_week, complete=complete) for one in MEASURES if one.axis == axis],
        )
        for axis, title in AXES.items()
    ]


def percent(part: int, whole: int) -> float | None:
    """Return a percentage with one decimal; None if `whole` is 0. It is 100 only if `part` is `whole`, and 0 only
    if `part` is 0.
    """
    if not whole:
        return None
    shown = round(100 * part / whole, 1)
    if 0 < part < whole:
        return min(max(shown, 0.1), 99.9)
    return shown


def measured(measure: Measure, figures: WeekFigures) -> float | None:
    """Return the value of a measure: a percentage, hours of working time, a count, or a mean mark."""
    if measure.quantile is not None:
        seconds = figures.quantiles[measure.quantile]
        return None if seconds is None else round(seconds / _SECONDS_PER_HOUR, 1)
    assert measure.numerator is not None
    part = figures.total[measure.numerator]
    if measure.denominator is None:
        return part
    whole = figures.total[measure.denominator]
    if measure.unit == "mark":
        return round(part / whole, 2) if whole else None
    return percent(part, whole)


def _value(
    measure: Measure, figures: WeekFigures, last_week: WeekFigures | None, *, complete: bool
) -> MeasureValue:
    value = measured(measure, figures)
    before = None if last_week is None else measured(measure, last_week)
    part = whole = interval = None
    if measure.denominator is not None:
        whole = figures.total[measure.denominator]
    if measure.unit == "percent":
        assert measure.numerator is not None
        assert whole is not None
        part = figures.total[measure.numerator]
        interval = wilson_interval(part, whole)
    return MeasureValue(
        code=measure.code,
        value=value,
        numerator=part,
        denominator=whole,
        low=None if interval is None else round(100 * interval[0], 1),
        high=None if interval is None else round(100 * interval[1], 1),
        last_week=before,
        change=round(value - before, 2) if complete and value is not None and before is not None else None,
    )
