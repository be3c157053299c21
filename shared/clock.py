"""The one clock. Code asks `now()`; nothing else reads the time of day."""

import os
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

REGION_ZONE = ZoneInfo("Asia/Irkutsk")

_shift = timedelta(seconds=float(os.environ.get("GOSPABLIK_CLOCK_SHIFT_SECONDS", "0")))


def now() -> datetime:
    """The present moment in UTC, moved by `GOSPABLIK_CLOCK_SHIFT_SECONDS`."""
    moment = datetime.now(UTC)
    return moment + _shift if _shift else moment


def today() -> date:
    """The date in the region."""
    return now().astimezone(REGION_ZONE).date()
