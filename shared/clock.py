"""The clock of the services and the CLI. Only signatures of webhooks read the system clock themselves."""

import os
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

REGION_TIME_ZONE = ZoneInfo("Asia/Irkutsk")

_shift = timedelta(seconds=float(os.environ.get("GOSPABLIK_CLOCK_SHIFT_SECONDS", "0")))


def now() -> datetime:
    """Return the current time in UTC, shifted by `GOSPABLIK_CLOCK_SHIFT_SECONDS`."""
    moment = datetime.now(UTC)
    return moment + _shift if _shift else moment


def today() -> date:
    """Return the current date in the region."""
    return now().astimezone(REGION_TIME_ZONE).date()
