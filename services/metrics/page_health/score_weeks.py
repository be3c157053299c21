"""ISO weeks of the region, Monday to Sunday. The order of their names, such as 2026-W48, is that of time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from services.metrics.indicators.period import midnight
from shared.clock import REGION_TIME_ZONE
from shared.http.problems import Invalid


@dataclass(frozen=True)
class ScoreWeek:
    """A week of the region, by its Monday."""

    monday: date

    @classmethod
    def of(cls, moment: datetime) -> "ScoreWeek":
        """Return the week that contains the moment."""
        day = moment.astimezone(REGION_TIME_ZONE).date()
        return cls(day - timedelta(days=day.weekday()))

    @classmethod
    def parse(cls, name: str) -> "ScoreWeek":
        """Return the week of this name. Raise `ValueError` if the year has no such week."""
        return cls(date.fromisocalendar(int(name[:4]), int(name[6:]), 1))

    @property
    def name(self) -> str:
        """Return the ISO name."""
        year, number, _ = self.monday.isocalendar()
        return f"{year}-W{number:02}"

    @property
    def sunday(self) -> date:
        """Return the last day."""
        return self.monday + timedelta(days=6)

    @property
    def start(self) -> datetime:
        """Return the first moment."""
        return midnight(self.monday)

    @property
    def end(self) -> datetime:
        """Return the moment that follows the week."""
        return midnight(self.monday + timedelta(days=7))

    def shifted(self, weeks: int) -> "ScoreWeek":
        """Return the week so many weeks later; earlier if negative."""
        return ScoreWeek(self.monday + timedelta(weeks=weeks))


def weeks_between(first: ScoreWeek, last: ScoreWeek) -> Iterator[ScoreWeek]:
    """Yield the weeks from the first to the last, both included; none if the first is later."""
    while first.monday <= last.monday:
        yield first
        first = first.shifted(1)


def requested_week(name: str, pointer: str) -> ScoreWeek:
    """Return the week that a request names. Raise `Invalid` naming the field."""
    try:
        return ScoreWeek.parse(name)
    except ValueError as error:
        raise Invalid.field(pointer, f"There is no week {name}: a year has 52 or 53 ISO weeks") from error
