"""Routes of working calendars."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from services.registry.api.common import (
    COMMON_ERRORS,
    CREATE_ERRORS,
    NOT_FOUND_ERROR,
    UPDATE_ERRORS,
    RegistryEditor,
    RegistryReader,
)
from services.registry.calendars import calendars, ical_export, ical_import
from services.registry.schemas.calendars import (
    Calendar,
    CalendarCreate,
    CalendarDate,
    CalendarSummary,
    CalendarUpdate,
    SpecialDay,
    SpecialDaysReplace,
)
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, etag, set_etag
from shared.api.response_headers import declared, with_headers
from shared.service import Once, ReadTransaction, WriteTransaction
from shared.working_time import format_intervals

_ICAL_EXAMPLE = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example//RU\r\nBEGIN:VEVENT\r\nUID:1@example\r\n"
    "DTSTART;VALUE=DATE:20280226\r\nSUMMARY:Сагаалган\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
ICAL_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {ical_export.ICAL_MEDIA_TYPE: {"schema": {"type": "string"}, "example": _ICAL_EXAMPLE}},
        "description": "iCalendar",
        "headers": declared("ETag"),
    }
}
ICAL_REQUEST_BODY = {
    ical_export.ICAL_MEDIA_TYPE: {
        "schema": {"type": "string"},
        "example": _ICAL_EXAMPLE,
    }
}

router = APIRouter(prefix="/calendars", tags=["calendars"], responses=COMMON_ERRORS)


def _shown(details: calendars.CalendarDetails) -> Calendar:
    head = CalendarSummary.model_validate(details.row)
    special = (
        (day, details.working_calendar.exception(day)) for day in details.working_calendar.exception_dates()
    )
    days = [
        SpecialDay(
            day=day,
            intervals=format_intervals(interval_list.intervals),
            title=interval_list.title,
            own=day in details.working_calendar.exceptions,
        )
        for day, interval_list in special
        if interval_list is not None
    ]
    return Calendar(**head.model_dump(), days=days)


@router.get("", summary="Working calendars, newest first")
async def list_calendars(
    session: ReadTransaction, _caller: RegistryReader, paging: PagingDep, response: Response
) -> Page[CalendarSummary]:
    """Return calendars without their special days."""
    rows = await calendars.list_calendars(session, paging)
    items, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    return Page(items=[CalendarSummary.model_validate(row) for row in items], next_cursor=cursor)


@router.get("/{calendar_id}", summary="One calendar with its special days", responses=NOT_FOUND_ERROR)
async def get_calendar(
    calendar_id: UUID, session: ReadTransaction, _caller: RegistryReader, response: Response
) -> Calendar:
    """Return the weekly pattern and every day that differs from it, with the version as `ETag`.

    Days inherited from the base calendar are included.
    """
    details = await calendars.get(session, calendar_id)
    set_etag(response, details.row.version)
    return _shown(details)


@router.post(
    "",
    summary="Create a calendar for organisations with other working hours",
    status_code=201,
    responses=CREATE_ERRORS | with_headers(201, "Location"),
)
async def create_calendar(
    body: CalendarCreate,
    session: WriteTransaction,
    caller: RegistryEditor,
    once: Once,
    response: Response,
) -> Calendar:
    """Create a calendar. Set an organisation's `calendar_id` to use it (`PATCH /organisations/{id}`)."""

    async def work() -> Calendar:
        return _shown(await calendars.register(session, body, caller.actor))

    made = await once(Calendar, work)
    set_etag(response, made.version)
    response.headers["Location"] = f"/api/v1/calendars/{made.id}"
    return made


@router.patch(
    "/{calendar_id}",
    summary="Change a calendar's name, week or time zone",
    responses=NOT_FOUND_ERROR | UPDATE_ERRORS,
)
async def update_calendar(
    *,
    calendar_id: UUID,
    body: CalendarUpdate,
    session: WriteTransaction,
    caller: RegistryEditor,
    version: RequiredVersion,
    response: Response,
) -> Calendar:
    """Change the given fields; `If-Match` names the version that was read.

    After a change of the week or the time zone, running and paused deadlines that count by this calendar are
    computed again.
    """
    details = await calendars.change(session, calendar_id, body, version, caller.actor)
    set_etag(response, details.row.version)
    return _shown(details)


@router.put(
    "/{calendar_id}/days",
    summary="Replace the special days of a period",
    responses=NOT_FOUND_ERROR | UPDATE_ERRORS,
)
async def replace_calendar_days(
    *,
    calendar_id: UUID,
    body: SpecialDaysReplace,
    session: WriteTransaction,
    caller: RegistryEditor,
    version: RequiredVersion,
    response: Response,
) -> Calendar:
    """Replace the calendar's own special days from `start` to `end` with the given ones.

    Days of its base calendar are not changed: a date given here overrides the base's. Running and paused
    deadlines that count by this calendar, or by one based on it, are computed again.
    """
    details = await calendars.replace_days(
        session,
        calendar_id,
        start=body.start,
        end=body.end,
        days=body.days,
        version=version,
        actor=caller.actor,
    )
    set_etag(response, details.row.version)
    return _shown(details)


@router.get(
    "/{calendar_id}/days.ics",
    summary="Special days as iCalendar",
    responses=NOT_FOUND_ERROR | ICAL_RESPONSE,
    response_class=Response,
)
async def export_calendar_days(
    calendar_id: UUID,
    session: ReadTransaction,
    _caller: RegistryReader,
    own_only: Annotated[bool, Query(description="Without the days of the base calendar")] = False,
) -> Response:
    """Return an iCalendar file: days off as all-day events, other working hours as one event per interval."""
    details = await calendars.get(session, calendar_id)
    return Response(
        ical_export.to_ical(details, own_only=own_only),
        media_type=ical_export.ICAL_MEDIA_TYPE,
        headers={"ETag": etag(details.row.version)},
    )


@router.put(
    "/{calendar_id}/days.ics",
    summary="Replace the special days of a period from an iCalendar file",
    responses=NOT_FOUND_ERROR | UPDATE_ERRORS,
    openapi_extra={"requestBody": {"required": True, "content": ICAL_REQUEST_BODY}},
)
async def import_calendar_days(
    *,
    calendar_id: UUID,
    request: Request,
    session: WriteTransaction,
    caller: RegistryEditor,
    version: RequiredVersion,
    response: Response,
    start: Annotated[
        CalendarDate | None, Query(description="Left out: 1 January of the first year in the file")
    ] = None,
    end: Annotated[
        CalendarDate | None, Query(description="Left out: 31 December of the last year in the file")
    ] = None,
) -> Calendar:
    """Replace the calendar's own days from `start` to `end` with those of the file. Deadlines are computed again
    as after `PUT /calendars/{calendar_id}/days`.

    Repeating the request changes nothing.

    Each error names its event, counted from 0: `/VEVENT/3/DTSTART`. Recurring events are refused.
    """
    zone = (await calendars.get(session, calendar_id)).working_calendar.zone
    parsed = await asyncio.to_thread(ical_import.parse_calendar, await request.body(), zone)
    start, end = parsed.covered_dates(start, end)
    changed = await calendars.replace_days(
        session, calendar_id, start=start, end=end, days=parsed.days, version=version, actor=caller.actor
    )
    set_etag(response, changed.row.version)
    return _shown(changed)
