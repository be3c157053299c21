"""Generate the days whose working time differs from the usual, from Russia's calendar and the region's days off.

Holidays on a weekend are included. The region's days off are in `regional_days.csv`, one row for each, by decree
of the region's head. The working day before a `public_holiday` is an hour shorter; before a day off that was only
moved it is not.

`python -m migrations.reference.days` writes `days.csv`, which the migrations load; a test compares the two, so
that a changed day in an update of the `holidays` library is noticed. With a year as its argument it prints the
days of that year as the body of `PUT /api/v1/calendars/{id}/days`.
"""

import csv
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from datetime import date, datetime, time, timedelta
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from shared.working_time import format_intervals, shorten

if TYPE_CHECKING:
    import holidays

YEARS = range(2025, 2028)
NATIONAL = "holidays: RU"
SHORT_DAY = 60

# Article 112 of the Labour Code: the day before one of these is an hour shorter (article 95); the day before
# a day off that was only moved is not.
PUBLIC_HOLIDAYS = frozenset(
    {*((1, day) for day in range(1, 9)), (2, 23), (3, 8), (5, 1), (5, 9), (6, 12), (11, 4)}
)
WORKING_DAY = ((time(9), time(13)), (time(14), time(18)))


@dataclass(frozen=True, order=True)
class CalendarDayRow:
    """A date, whether it is a working day, by how many minutes it is shorter, and why."""

    day: date
    works: bool
    shorter_by: int
    title: str
    source: str


@dataclass(frozen=True)
class RegionalDay:
    """A day off of the region."""

    day: date
    public_holiday: bool
    title: str
    source: str


def read_regional_days() -> list[RegionalDay]:
    """Return the region's days off from its file."""
    return [
        RegionalDay(
            day=date.fromisoformat(row["day"]),
            public_holiday=row["public_holiday"] == "True",
            title=row["title"],
            source=row["source"],
        )
        for row in _rows("regional_days.csv")
    ]


def generate(years: Iterable[int] = YEARS) -> list[CalendarDayRow]:
    """Return all holidays, and the other days that differ from the weekly pattern, in order."""
    import holidays  # noqa: PLC0415 - migrations read the file, and images have no such package

    wanted_years = list(years)
    # The public holidays on the first days of the next year shorten the last day of this one.
    russia = holidays.country_holidays("RU", years=[*wanted_years, max(wanted_years) + 1], language="ru")
    regional_days = read_regional_days()
    days_off = {day: (title, NATIONAL) for day, title in russia.items()}
    days_off |= {row.day: (row.title, row.source) for row in regional_days}
    public = {day for day in russia if (day.month, day.day) in PUBLIC_HOLIDAYS}
    public |= {row.day for row in regional_days if row.public_holiday}
    moved = dict(_moved_days_off(russia))
    rows = [
        CalendarDayRow(day, works=False, shorter_by=0, title=title, source=source)
        for day, (title, source) in days_off.items()
        if day.year in wanted_years
    ]
    for day in sorted(russia.weekend_workdays):
        if day.year in wanted_years:
            # A working Saturday is as long as the day it was swapped with.
            shorter = SHORT_DAY if moved[day] + timedelta(days=1) in public else 0
            title = f"Рабочий день (выходной перенесён на {moved[day]:%d.%m.%Y})"
            rows.append(CalendarDayRow(day, works=True, shorter_by=shorter, title=title, source=NATIONAL))
    for holiday in sorted(public):
        eve = holiday - timedelta(days=1)
        if eve.year in wanted_years and eve.isoweekday() <= 5 and eve not in days_off:
            source = days_off[holiday][1]
            rows.append(
                CalendarDayRow(eve, works=True, shorter_by=SHORT_DAY, title="Предпраздничный день", source=source)
            )
    return sorted(rows)


def _moved_days_off(days_off: "holidays.HolidayBase") -> Iterator[tuple[date, date]]:
    for day, title in days_off.items():
        if match := re.search(r"перенесено с (\d\d\.\d\d\.\d{4})", title):
            yield datetime.strptime(match[1], "%d.%m.%Y").date(), day  # noqa: DTZ007 — a date has no zone


def write(rows: Iterable[CalendarDayRow], file: TextIO) -> None:
    """Write the rows as CSV."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([field.name for field in fields(CalendarDayRow)])
    writer.writerows(astuple(row) for row in rows)


def _rows(name: str) -> list[dict[str, str]]:
    with files("migrations.reference").joinpath(name).open(encoding="utf-8") as source:
        return list(csv.DictReader(source))


def read() -> list[CalendarDayRow]:
    """Return the rows of the checked-in file."""
    return [
        CalendarDayRow(
            day=date.fromisoformat(row["day"]),
            works=row["works"] == "True",
            shorter_by=int(row["shorter_by"]),
            title=row["title"],
            source=row["source"],
        )
        for row in _rows("days.csv")
    ]


def replacement(year: int) -> dict[str, Any]:
    """Return a year's days as the body of `PUT /api/v1/calendars/{id}/days`."""
    return {
        "start": f"{year}-01-01",
        "end": f"{year}-12-31",
        "days": [
            {
                "day": day.day.isoformat(),
                "intervals": format_intervals(
                    shorten(WORKING_DAY, timedelta(minutes=day.shorter_by)) if day.works else ()
                ),
                "title": day.title,
            }
            for day in generate([year])
        ],
    }


def main(year: str | None = None) -> None:
    """Write the checked-in file, or print one year."""
    if year is None:
        target = Path(__file__).with_name("days.csv")
        with target.open("w", encoding="utf-8", newline="") as file:
            write(generate(), file)
        sys.stdout.write(f"{target.name} written\n")
        return
    if not any(row.day.year == int(year) for row in read_regional_days()):
        sys.stderr.write(f"regional_days.csv has no day in {year}: only Russia's days are printed\n")
    json.dump(replacement(int(year)), sys.stdout, ensure_ascii=False, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:2])
