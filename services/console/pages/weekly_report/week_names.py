"""Weeks in addresses and file names: «2026-W48»."""

import re
from contextlib import suppress
from datetime import date, timedelta

from starlette.exceptions import HTTPException

from shared import clock


def known_week(week: str) -> str:
    """Return the week if it exists in the calendar and has begun; otherwise raise 404."""
    if re.fullmatch(r"20[0-9]{2}-W[0-9]{2}", week) is not None:
        with suppress(ValueError):
            if (monday := _monday(week)) <= clock.today():
                return week_name(monday)
    raise HTTPException(404)


def week_name(day: date) -> str:
    """Return the ISO week of a day: «2026-W48»."""
    year, number, _ = day.isocalendar()
    return f"{year}-W{number:02}"


def shifted_week(week: str, weeks: int) -> str:
    """Return the week that is `weeks` later."""
    return week_name(_monday(week) + timedelta(weeks=weeks))


def _monday(week: str) -> date:
    return date.fromisocalendar(int(week[:4]), int(week[6:]), 1)
