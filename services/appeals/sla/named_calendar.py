"""Working calendars with their names, independent of the database."""

from dataclasses import dataclass
from datetime import time
from uuid import UUID

from shared.clock import REGION_TIME_ZONE
from shared.working_time import WorkingCalendar

_OFFICE = ((time(9), time(13)), (time(14), time(18)))


@dataclass(frozen=True)
class NamedCalendar:
    """Working time of an organisation, and the calendar it comes from (`id` None: the built-in default)."""

    id: UUID | None
    name: str
    working: WorkingCalendar


DEFAULT_CALENDAR = NamedCalendar(
    None, "Пятидневная неделя", WorkingCalendar(REGION_TIME_ZONE, dict.fromkeys(range(1, 6), _OFFICE))
)
