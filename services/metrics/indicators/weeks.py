"""ISO weeks of the region, Monday to Sunday. Their names, such as 2026-W48, sort by time."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from services.metrics.indicators.period import Period, midnight
from shared.clock import REGION_TIME_ZONE
from shared.http.problems import Invalid

_NAME = re.compile(r"(20[0-9]{2})-W([0-9]{2})")


@dataclass(frozen=True)
class Week:
    """A week of the region, identified by its Monday."""

    monday: date

    @classmethod
    def containing(cls, moment: datetime) -> "Week":
        """Return the week that contains the moment."""
        day = moment.astimezone(REGION_TIME_ZONE).date()
        return cls(day - timedelta(days=day.weekday()))

    @classmethod
    def parse(cls, name: str) -> "Week":
        """Return the week with this name. Raises `ValueError` if there is no such week."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise ValueError(f"{name} is not an ISO week")
        return cls(date.fromisocalendar(int(found[1]), int(found[2]), 1))

    @property
    def name(self) -> str:
        """Return the ISO name, such as 2026-W48."""
        year, number, _ = self.monday.isocalendar()
        return f"{year}-W{number:02}"

    @property
    def sunday(self) -> date:
        """Return the last day."""
        return self.monday + timedelta(days=6)

    @property
    def start(self) -> datetime:
        """Return the first moment of the week."""
        return midnight(self.monday)

    @property
    def end(self) -> datetime:
        """Return the first moment after the week."""
        return midnight(self.monday + timedelta(days=7))

    @property
    def period(self) -> Period:
        """Return the week as a period."""
        return Period(self.start, self.end)

    def shifted(self, weeks: int) -> "Week":
        """Return the week that is `weeks` later; earlier if negative."""
        return Week(self.monday + timedelta(weeks=weeks))

    def year_before(self) -> "Week":
        """Return the week with the same number a year before; for week 53, the last week of a year that had 52."""
        year, number, _ = self.monday.isocalendar()
        last = date(year - 1, 12, 28).isocalendar().week
        return Week(date.fromisocalendar(year - 1, min(number, last), 1))


def weeks_between(first: Week, last: Week) -> Iterator[Week]:
    """Yield the weeks from the first to the last, both included; none if the first is later."""
    while first.monday <= last.monday:
        yield first
        first = first.shifted(1)


def requested_week(name: str, pointer: str) -> Week:
    """Return the week with the requested name. Raises `Invalid` for the field if there is no such week."""
    try:
        return Week.parse(name)
    except ValueError as error:
        detail = f"There is no week {name}: expected one such as 2026-W47; a year has 52 or 53 ISO weeks"
        raise Invalid.field(pointer, detail) from error
