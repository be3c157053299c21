"""Figures that can be merged for any union of appeals: counts, and every measured value, packed in bytes.

Quantiles of a union cannot be computed from the quantiles of its parts, and an appeal becomes overdue without a
change of its row: both are computed from the values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    Double,
    LargeBinary,
    Row,
    Select,
    Text,
    cast,
    func,
    literal_column,
    select,
)

from services.metrics.indicators.breakdown import NO_GROUP
from services.metrics.indicators.sla import figure_conditions, measured_values
from services.metrics.schemas.metrics import DurationQuantiles, SlaFigure
from shared.clock import REGION_TIME_ZONE
from shared.tables.appeals import Appeal

_DAY = func.date_trunc("day", func.timezone(REGION_TIME_ZONE.key, Appeal.opened_at))
# The column of each kind of rollup, and the group's key as text, computed per group instead of per row. Every
# other grouping is derived from one of these.
KINDS: Mapping[str, tuple[ColumnElement[Any], ColumnElement[Any]]] = {
    "organisation": (Appeal.organisation_id.expression, cast(Appeal.organisation_id, Text)),
    "topic": (Appeal.topic_id.expression, cast(Appeal.topic_id, Text)),
    "network": (Appeal.network.expression, Appeal.network.expression),
    "day": (_DAY, func.to_char(_DAY, "YYYY-MM-DD")),
}
# The packed columns, each with the binary type of its values.
PACKED = {"response_seconds": ">i4", "delay_seconds": ">f8", "open_deadlines": ">i8"}
COUNTS = tuple(figure.value for figure in SlaFigure)
COLUMNS = (*COUNTS, *PACKED)

# At this moment no open deadline has passed.
_BEFORE_ALL_DEADLINES = datetime(1, 1, 1, tzinfo=UTC)
# The epoch of Postgres' binary timestamps.
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_NO_BYTES: ColumnElement[bytes] = literal_column("''::bytea", LargeBinary)


def concatenated(values: ColumnElement[Any], condition: ColumnElement[bool] | None = None) -> ColumnElement[bytes]:
    """Return the SQL expression that concatenates the bytes of all rows, or of the rows that meet the
    condition.
    """
    joined = func.string_agg(values, _NO_BYTES)
    return func.coalesce(joined if condition is None else joined.filter(condition), _NO_BYTES)


def packed_rows(kind: str, of: ColumnElement[bool]) -> Select[Any]:
    """Return the SQL query for `key` and `COLUMNS` of the appeals that meet the condition, grouped by a kind of
    `KINDS`.
    """
    conditions = figure_conditions(Appeal, _BEFORE_ALL_DEADLINES)
    measured = measured_values(Appeal, conditions)
    seconds, answered = measured["first_response"]
    delay, opened = measured["receipt_delay"]
    deadlines = func.timestamptz_send(Appeal.first_response_due_at)
    column, key = KINDS[kind]
    columns: list[ColumnElement[Any]] = [
        func.coalesce(key, NO_GROUP).label("key"),
        *(func.count().filter(condition).label(figure.value) for figure, condition in conditions.items()),
        concatenated(func.int4send(seconds), answered).label("response_seconds"),
        concatenated(func.float8send(cast(delay, Double)), opened).label("delay_seconds"),
        concatenated(deadlines, conditions[SlaFigure.WAITING]).label("open_deadlines"),
    ]
    return select(*columns).where(of).group_by(column)


@dataclass(frozen=True)
class PackedFigures:
    """The packed values, and the counts by figure, in which no open deadline has passed."""

    counts: Mapping[str, int]
    response_seconds: bytes
    delay_seconds: bytes
    open_deadlines: bytes

    @classmethod
    def of_row(cls, row: Row[Any]) -> "PackedFigures":
        """Return the figures of a row with the columns `COLUMNS`."""
        return cls({name: int(getattr(row, name)) for name in COUNTS}, *(getattr(row, name) for name in PACKED))

    @classmethod
    def union(cls, parts: Sequence["PackedFigures"]) -> "PackedFigures":
        """Return the merged figures of all parts."""
        return cls(
            {name: sum(part.counts[name] for part in parts) for name in COUNTS},
            *(b"".join(getattr(part, name) for part in parts) for name in PACKED),
        )

    def values(self, name: str) -> NDArray[Any]:
        """Return the values of a packed column."""
        return np.frombuffer(getattr(self, name), PACKED[name])

    def in_order(self) -> "PackedFigures":
        """Return the figures with all values sorted, so that equal figures compare as equal."""
        return PackedFigures(self.counts, *(np.sort(self.values(name)).tobytes() for name in PACKED))

    def sla_fields_at(self, now: datetime) -> dict[str, Any]:
        """Return the fields of `SlaFigures` at this moment."""
        late = int(np.count_nonzero(self.values("open_deadlines") < (now - _EPOCH) // timedelta(microseconds=1)))
        return {
            **self.counts,
            "overdue": self.counts["overdue"] + late,
            "waiting": self.counts["waiting"] - late,
            "first_response": _quantiles(self.values("response_seconds")),
            "receipt_delay": _quantiles(self.values("delay_seconds")),
        }


def _quantiles(values: NDArray[Any]) -> DurationQuantiles:
    """Return the quantiles exactly as `percentile_cont` computes them."""
    last = len(values) - 1
    if last < 0:
        return DurationQuantiles(median=None, p90=None)
    positions = 0.5 * last, 0.9 * last
    indexes = [index for position in positions for index in (floor(position), ceil(position))]
    ranked = np.partition(values.astype(np.float64), indexes)
    median, p90 = (_between(ranked, position) for position in positions)
    return DurationQuantiles(median=median, p90=p90)


def _between(ranked: NDArray[np.float64], position: float) -> float:
    low, high = float(ranked[floor(position)]), float(ranked[ceil(position)])
    return low + (position - floor(position)) * (high - low)
