"""The days on which the region's working time differs: made from Russia's calendar and the region's own days.

`python -m migrations.reference.days` writes `days.csv`, which the migrations load; a test compares the two, so
that an update of the `holidays` library that moves a day is noticed and not silently mixed in.
"""

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import TextIO

import holidays

YEARS = range(2025, 2028)
NATIONAL = "holidays: RU"
SHORT_DAY = 60

# Article 112 of the Labour Code: the day before one of these is an hour shorter (article 95); the day before
# a day off that was only moved is not.
PUBLIC_HOLIDAYS = frozenset(
    {*((1, day) for day in range(1, 9)), (2, 23), (3, 8), (5, 1), (5, 9), (6, 12), (11, 4)}
)
# Days off by decree of the region's head; the first is the public holiday, a moved one only a day off.
SAGAALGAN = "Сагаалган"
REGIONAL = {
    date(2025, 3, 1): (SAGAALGAN, "newbur.ru: decree of the head of the republic"),
    date(2025, 3, 3): ("Выходной (перенесено с 01.03.2025)", "newbur.ru: decree of the head of the republic"),
    date(2026, 2, 18): (SAGAALGAN, "buryatiya-news.ru, 10.12.2025: decree of the head of the republic"),
    date(2027, 2, 7): (SAGAALGAN, "lunar calendar, as holidays: MN; no decree seen yet"),
}


@dataclass(frozen=True, order=True)
class Day:
    """A date, whether people work on it, by how many minutes less than usual, and why."""

    day: date
    works: bool
    shorter_by: int
    title: str
    source: str


def generate(years: Iterable[int] = YEARS) -> list[Day]:
    """All days that differ from the weekly pattern, in order."""
    wanted = list(years)
    # The first days of the next year make the last of this one an eve.
    russia = holidays.country_holidays("RU", years=[*wanted, max(wanted) + 1], language="ru")
    days_off = {day: (title, NATIONAL) for day, title in russia.items()} | REGIONAL
    public = {day for day in russia if (day.month, day.day) in PUBLIC_HOLIDAYS}
    public |= {day for day, (title, _) in REGIONAL.items() if title == SAGAALGAN}
    moved = dict(_moved(russia))
    found = [
        Day(day, works=False, shorter_by=0, title=title, source=source)
        for day, (title, source) in days_off.items()
        if day.year in wanted
    ]
    for day in sorted(russia.weekend_workdays):
        if day.year in wanted:
            # A working Saturday is as long as the day it was swapped with.
            shorter = SHORT_DAY if moved[day] + timedelta(days=1) in public else 0
            title = f"Рабочий день (выходной перенесён на {moved[day]:%d.%m.%Y})"
            found.append(Day(day, works=True, shorter_by=shorter, title=title, source=NATIONAL))
    for holiday in sorted(public):
        eve = holiday - timedelta(days=1)
        if eve.year in wanted and eve.isoweekday() <= 5 and eve not in days_off:
            source = days_off[holiday][1]
            found.append(Day(eve, works=True, shorter_by=SHORT_DAY, title="Предпраздничный день", source=source))
    return sorted(found)


def _moved(days_off: "holidays.HolidayBase") -> Iterator[tuple[date, date]]:
    for day, title in days_off.items():
        if match := re.search(r"перенесено с (\d\d\.\d\d\.\d{4})", title):
            yield datetime.strptime(match[1], "%d.%m.%Y").date(), day  # noqa: DTZ007 — a date has no zone


def write(rows: Iterable[Day], to: TextIO) -> None:
    """The rows as CSV."""
    writer = csv.writer(to, lineterminator="\n")
    writer.writerow([field.name for field in fields(Day)])
    writer.writerows(astuple(row) for row in rows)


def read() -> list[Day]:
    """The rows of the checked-in file."""
    with files("migrations.reference").joinpath("days.csv").open(encoding="utf-8") as source:
        return [
            Day(
                day=date.fromisoformat(row["day"]),
                works=row["works"] == "True",
                shorter_by=int(row["shorter_by"]),
                title=row["title"],
                source=row["source"],
            )
            for row in csv.DictReader(source)
        ]


if __name__ == "__main__":
    target = Path(__file__).with_name("days.csv")
    with target.open("w", encoding="utf-8", newline="") as file:
        write(generate(), file)
    sys.stdout.write(f"{target.name} written\n")
