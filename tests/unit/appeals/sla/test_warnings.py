"""Warnings are due when a share of the time is used, in working time and before the deadline."""

from datetime import datetime

import pytest

from services.appeals.sla.deadlines import warning_moment
from tests.unit.appeals.sla.case_table import Case, RawPolicy, RawTarget, read_calendars
from tests.unit.appeals.sla.case_table import RawEvent as Event
from tests.unit.appeals.sla.product_clocks import events_of

CALENDARS = read_calendars()


@pytest.mark.parametrize(
    ("calendar", "target", "events", "share", "warned"),
    [
        ("region", "9w", [("start", "03-17 10:00")], 0.5, "03-17 15:30"),
        ("region", "9w", [("start", "03-17 10:00")], 0.8, "03-18 09:12"),
        # Half of the time is used at 18:00, the end of the working day.
        ("region", "8w", [("start", "03-17 14:00")], 0.5, "03-18 09:00"),
        # Half of the time is used during lunch.
        ("region", "24c", [("start", "03-17 01:20")], 0.5, "03-17 14:00"),
        ("region", "24c", [("start", "03-17 16:40")], 0.5, "03-18 09:00"),
        # Half of the time is used on a Saturday, and the deadline passes on the same day.
        ("region", "24c", [("start", "03-13 16:40")], 0.5, None),
        # The ceiling is reached before the share of the target is used.
        ("region", "9w max 24c", [("start", "03-13 16:40")], 0.5, None),
        ("region", "9w", [("start", "03-17 10:00"), ("pause", "03-17 12:00")], 0.5, None),
        ("region", "9w", [("start", "03-17 10:00"), ("pause", "03-17 16:00")], 0.5, None),
        ("region", "9w", [("start", "03-17 10:00"), ("stop", "03-17 12:00")], 0.5, None),
        ("region", "9w", [("start", "03-17 10:00"), ("move", "03-17 17:00")], 0.8, "03-17 18:12"),
        # Extended by eight hours: half of seventeen hours is used.
        ("region", "9w", [("start", "03-17 10:00"), ("extend", "03-17 12:00")], 0.5, "03-18 10:30"),
    ],
)
def test_warning_is_due_in_working_time_or_not_at_all(
    calendar: str, target: str, events: list[tuple[str, str]], share: float, warned: str | None
) -> None:
    zone = CALENDARS[calendar].zone

    def moment(text: str) -> datetime:
        return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=zone)

    amount, _, ceiling = target.partition(" max ")
    raw = RawTarget(int(amount[:-1]) * 60, amount[-1], int(ceiling[:-1]) * 60 if ceiling else None)
    made = tuple(
        Event(
            kind,
            moment(at),
            calendar="duty" if kind == "move" else None,
            minutes=8 * 60 if kind == "extend" else None,
        )
        for kind, at in events
    )
    case = Case("", "", calendar, (RawPolicy(((None, raw),)),), made, None, None)
    assert warning_moment(events_of(case), share) == (moment(warned) if warned else None)
