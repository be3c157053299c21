"""Loading of organisations' calendars and kinds, for deadlines."""

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.sla.named_calendar import DEFAULT_CALENDAR, NamedCalendar
from shared import calendars
from shared.database.id_conditions import is_one_of
from shared.tables.appeals_sla import SlaClock, SlaClockEvent
from shared.tables.registry import Organisation


@dataclass
class CalendarLookup:
    """Calendars of given organisations and clocks, loaded once for a request or a batch."""

    default: NamedCalendar = DEFAULT_CALENDAR
    _by_id: dict[UUID, NamedCalendar] = field(default_factory=dict)
    _chosen: dict[UUID, UUID | None] = field(default_factory=dict)
    _kinds: dict[UUID, str] = field(default_factory=dict)

    def for_organisation(self, organisation_id: UUID | None) -> NamedCalendar:
        """Return the organisation's calendar, or the default calendar if it has none."""
        chosen = self._chosen.get(organisation_id) if organisation_id is not None else None
        return self._by_id[chosen] if chosen is not None else self.default

    def by_id(self, calendar_id: UUID | None) -> NamedCalendar:
        """Return a calendar by its id; None means the built-in default. Raises `KeyError` if it is not loaded."""
        return self._by_id[calendar_id] if calendar_id is not None else DEFAULT_CALENDAR

    def kind(self, organisation_id: UUID | None) -> str | None:
        """Return the kind of a loaded organisation; None without an organisation, or if it is not loaded."""
        return self._kinds.get(organisation_id) if organisation_id is not None else None

    async def add(self, session: AsyncSession, organisations: Collection[UUID]) -> None:
        """Load the calendars of these organisations and of all clocks that the session has loaded.

        A clock may have counted in the calendar of an organisation that had the appeal before.
        """
        missing = {*organisations} - self._chosen.keys()
        if missing:
            rows = await session.execute(
                select(Organisation.id, Organisation.calendar_id, Organisation.kind).where(
                    is_one_of(Organisation.id, missing)
                )
            )
            for row in rows:
                self._chosen[row.id], self._kinds[row.id] = row.calendar_id, row.kind
        in_use = {found.calendar_id for found in session if isinstance(found, SlaClock | SlaClockEvent)}
        wanted = {found for found in (*self._chosen.values(), *in_use) if found is not None} - self._by_id.keys()
        if wanted or not self._by_id:
            await self._add_calendars(session, wanted)

    async def _add_calendars(self, session: AsyncSession, wanted: Collection[UUID]) -> None:
        rows = await calendars.load_calendar_rows(session, wanted)
        for calendar_id, working in (await calendars.build_working_calendars(session, rows)).items():
            self._by_id.setdefault(calendar_id, NamedCalendar(calendar_id, rows[calendar_id].name, working))
        self.default = next((self._by_id[row.id] for row in rows.values() if row.is_default), DEFAULT_CALENDAR)

    @staticmethod
    async def load(session: AsyncSession, organisations: Collection[UUID]) -> "CalendarLookup":
        """Return a new lookup with the calendars that `add` loads for these organisations, and the default
        calendar.
        """
        lookup = CalendarLookup()
        await lookup.add(session, organisations)
        return lookup
