"""CSV files of the rows that a figure counts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from shared.clock import REGION_TIME_ZONE
from shared.tabular.writer import csv_bytes


def csv_file(names: Sequence[str], rows: Sequence[Row[Any]]) -> bytes:
    """Return rows as CSV for spreadsheet programs: with a byte order mark, and times in the region's time zone."""
    return csv_bytes([names, *([_in_region(value) for value in row] for row in rows)], with_mark=True)


def _in_region(value: Any) -> Any:
    return value.astimezone(REGION_TIME_ZONE).isoformat() if isinstance(value, datetime) else value
