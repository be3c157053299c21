"""Notices are sent in working hours, at once or with the digest of a working morning."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from services.webhooks.notices.schedule import OFFICE_HOURS, next_digest, next_working_moment
from shared.working_time import DayException, WorkingCalendar

ZONE = ZoneInfo("Asia/Irkutsk")
HOLIDAYS = WorkingCalendar(
    ZONE,
    OFFICE_HOURS.weekly,
    {date(2026, 1, day): DayException((), "Новогодние каникулы") for day in range(1, 12)},
)
AFTERNOONS = WorkingCalendar(ZONE, dict.fromkeys(range(1, 6), ((time(14), time(20)),)))
EARLY = WorkingCalendar(ZONE, dict.fromkeys(range(1, 6), ((time(5), time(8)),)))
NEVER = WorkingCalendar(ZONE, {})


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE).astimezone(UTC)


@pytest.mark.parametrize(
    ("calendar", "moment", "sent_at"),
    [
        (OFFICE_HOURS, "2026-03-03 10:15", "2026-03-03 10:15"),  # a Tuesday
        (OFFICE_HOURS, "2026-03-03 13:20", "2026-03-03 14:00"),
        (OFFICE_HOURS, "2026-03-03 18:00", "2026-03-04 09:00"),
        (OFFICE_HOURS, "2026-03-04 02:30", "2026-03-04 09:00"),
        (OFFICE_HOURS, "2026-03-06 19:00", "2026-03-09 09:00"),
        (HOLIDAYS, "2025-12-31 17:30", "2025-12-31 17:30"),
        (HOLIDAYS, "2025-12-31 18:30", "2026-01-12 09:00"),
        (NEVER, "2026-03-07 12:00", "2026-03-09 09:00"),
    ],
)
def test_immediate_notice_waits_for_working_hours(calendar: WorkingCalendar, moment: str, sent_at: str) -> None:
    assert next_working_moment(calendar, local(moment)) == local(sent_at)


@pytest.mark.parametrize(
    ("calendar", "moment", "sent"),
    [
        (OFFICE_HOURS, "2026-03-03 08:59", "2026-03-03 09:00"),
        (OFFICE_HOURS, "2026-03-03 09:01", "2026-03-04 09:00"),
        (OFFICE_HOURS, "2026-03-06 12:00", "2026-03-09 09:00"),
        (HOLIDAYS, "2025-12-31 12:00", "2026-01-12 09:00"),
        (AFTERNOONS, "2026-03-03 10:00", "2026-03-03 14:00"),
        (EARLY, "2026-03-03 10:00", "2026-03-04 05:00"),
        (NEVER, "2026-03-07 12:00", "2026-03-09 09:00"),
    ],
)
def test_digest_is_sent_on_a_working_morning(calendar: WorkingCalendar, moment: str, sent: str) -> None:
    assert next_digest(calendar, local(moment), time(9)) == local(sent)


def test_digest_time_within_a_break_waits_for_its_end() -> None:
    assert next_digest(OFFICE_HOURS, local("2026-03-03 08:00"), time(13, 30)) == local("2026-03-03 14:00")
