"""Working calendars."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.registry import calendars
from services.registry.api.answers import CHANGE, COMMON, NEW, ONE, Editor, Reader
from services.registry.schemas.calendars import (
    CalendarDay,
    CalendarNew,
    CalendarShown,
    CalendarWithDays,
    DaysReplacement,
)
from shared import tables
from shared.idempotency import IdempotencyDep, once
from shared.pagination import Page, PagingDep
from shared.preconditions import RequiredVersion, set_etag
from shared.service import Reading, Writing
from shared.tables.events import RegistryIdempotency

router = APIRouter(prefix="/calendars", tags=["calendars"], responses=COMMON)


def _shown(calendar: tables.registry.Calendar, days: list[tables.registry.CalendarDay]) -> CalendarWithDays:
    head = CalendarShown.model_validate(calendar)
    return CalendarWithDays(**head.model_dump(), days=[CalendarDay.model_validate(day) for day in days])


@router.get("", summary="Working calendars, newest first")
async def list_calendars(
    session: Reading, _caller: Reader, paging: PagingDep, response: Response
) -> Page[CalendarShown]:
    """Calendars without their single days."""
    rows = await calendars.listed(session, paging)
    kept, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    return Page(items=[CalendarShown.model_validate(row) for row in kept], next_cursor=cursor)


@router.get("/{calendar_id}", summary="One calendar with its special days", responses=ONE)
async def get_calendar(
    calendar_id: UUID, session: Reading, _caller: Reader, response: Response
) -> CalendarWithDays:
    """The weekly pattern and every day that differs from it, with the version as `ETag`."""
    found, days = await calendars.one(session, calendar_id)
    set_etag(response, found.version)
    return _shown(found, days)


@router.post("", summary="Make a calendar for organisations that work otherwise", status_code=201, responses=NEW)
async def post_calendar(
    body: CalendarNew, session: Writing, caller: Editor, key: IdempotencyDep, response: Response
) -> CalendarWithDays:
    """An organisation uses it once its `calendar_id` names it (`PATCH /organisations/{id}`)."""

    async def work() -> CalendarWithDays:
        return _shown(*await calendars.register(session, body, caller.actor))

    made = await once(
        session,
        RegistryIdempotency,
        caller=caller.subject,
        key=key,
        response=response,
        model=CalendarWithDays,
        work=work,
    )
    set_etag(response, made.version)
    return made


@router.put("/{calendar_id}/days", summary="Replace the special days of a time", responses=ONE | CHANGE)
async def put_calendar_days(
    *,
    calendar_id: UUID,
    body: DaysReplacement,
    session: Writing,
    caller: Editor,
    version: RequiredVersion,
    response: Response,
) -> CalendarWithDays:
    """Days off, short days and working Saturdays from `start` to `end` become exactly those given."""
    found, days = await calendars.replace_days(session, calendar_id, body, version, caller.actor)
    set_etag(response, found.version)
    return _shown(found, days)
