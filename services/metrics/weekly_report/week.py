"""Weeks of reports: ISO weeks of the region, Monday to Sunday."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from services.metrics.indicators.period import Period, midnight
from shared.clock import REGION_TIME_ZONE
from shared.http.problems import Invalid

_LABEL = re.compile(r"(20[0-9]{2})-W([0-9]{2})")


@dataclass(frozen=True, order=True)
class Week:
    """A week by its Monday."""

    monday: date

    @property
    def label(self) -> str:
        """Return the ISO name, such as 2026-W47."""
        year, number, _ = self.monday.isocalendar()
        return f"{year}-W{number:02}"

    @property
    def sunday(self) -> date:
        """Return the last day."""
        return self.monday + timedelta(days=6)

    @property
    def period(self) -> Period:
        """Return the week as a period in the region's time zone."""
        return Period(midnight(self.monday), midnight(self.monday + timedelta(days=7)))

    def earlier(self, weeks: int) -> "Week":
        """Return the week that many weeks before."""
        return Week(self.monday - timedelta(weeks=weeks))

    def year_before(self) -> "Week":
        """Return the week with the same number a year before; week 53 of a year that had 52 is its last one."""
        year, number, _ = self.monday.isocalendar()
        last = date(year - 1, 12, 28).isocalendar().week
        return Week(date.fromisocalendar(year - 1, min(number, last), 1))

    @classmethod
    def containing(cls, moment: datetime) -> "Week":
        """Return the region's week that contains the moment."""
        day = moment.astimezone(REGION_TIME_ZONE).date()
        return cls(day - timedelta(days=day.weekday()))

    @classmethod
    def parse(cls, label: str, pointer: str = "path/week") -> "Week":
        """Return the week of an ISO name. Raise `Invalid` naming `pointer`."""
        found = _LABEL.fullmatch(label)
        year, number = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= number <= date(max(year, 1), 12, 28).isocalendar().week:
            raise Invalid.field(pointer, "Expected an ISO week such as 2026-W47")
        return cls(date.fromisocalendar(year, number, 1))
