"""Appeals as service requests of Open311: the filters of `GET requests` and its limits, on the list of appeals."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Literal, get_args
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from typing_extensions import TypeAliasType

from services.appeals.classification import topics
from services.appeals.field_types import BoundedDatetime
from services.appeals.lists import appeal_list
from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.moderation.manual_appeals import OPEN311_SOURCE
from shared import clock
from shared.auth.callers import Caller
from shared.contracts.values import AppealStatus
from shared.http.problems import Invalid, NotFound
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal, AppealSubmission

ServiceRequestStatus = TypeAliasType("ServiceRequestStatus", Literal["open", "closed"])

# The limits of the specification: the span of a query, and the number of requests in a response.
MAX_PERIOD = timedelta(days=90)
MAX_REQUESTS = 1_000
# More codes than one query needs, and few enough for one statement.
MAX_CODES = 100
_STATUSES: Mapping[str, list[AppealStatus]] = {
    "open": [one for one in get_args(AppealStatus.__value__) if one in OPEN_APPEAL_STATUSES],
    "closed": [one for one in get_args(AppealStatus.__value__) if one not in OPEN_APPEAL_STATUSES],
}
_W3C = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})")
_DATETIME: TypeAdapter[datetime] = TypeAdapter(BoundedDatetime)


class _RequestFilter(AppealFilter):
    """The filter of `GET /appeals`, with any of several topics."""

    topic_ids: tuple[UUID, ...] = ()

    def conditions_without_words(
        self, caller: Caller, *, tag_is_frequent: bool = False
    ) -> list[ColumnElement[bool]]:
        conditions = super().conditions_without_words(caller, tag_is_frequent=tag_is_frequent)
        if self.topic_ids:
            conditions.append(topics.in_any_topic(Appeal.topic_id, self.topic_ids))
        return conditions


@dataclass(frozen=True, kw_only=True)
class RequestQuery:
    """The parameters of `GET requests` as they were sent. An empty parameter counts as absent; the values of a
    list are repeated parameters, or separated by commas.
    """

    service_request_id: Sequence[str] | None = None
    service_code: Sequence[str] | None = None
    start_date: str | None = None
    end_date: str | None = None
    status: Sequence[str] | None = None


def service_request_status(appeal_status: str) -> ServiceRequestStatus:
    """Return the status of a service request that corresponds to this status of an appeal."""
    return "open" if appeal_status in OPEN_APPEAL_STATUSES else "closed"


async def find_requests(session: AsyncSession, caller: Caller, query: RequestQuery) -> list[SimpleNamespace]:
    """Return the appeals that match and that the caller may read, newest first, 1,000 at most, as rows of the list
    of appeals. Ids override all other parameters. Raises `Invalid` naming a parameter.
    """
    ids = _uuids("service_request_id", query.service_request_id, MAX_REQUESTS)
    if not ids:
        ids = await appeal_list.find_ids(session, caller, _filter(query), "-opened_at", MAX_REQUESTS)
    rows = await appeal_list.read_rows(session, caller, ids)
    return sorted(rows, key=lambda row: (row.opened_at, row.id), reverse=True)


async def get_request(session: AsyncSession, caller: Caller, service_request_id: str) -> SimpleNamespace:
    """Return the appeal with this id as a row of the list. Raises `NotFound` also out of the caller's scope."""
    try:
        ids = [UUID(service_request_id)]
    except ValueError:
        ids = []
    rows = await appeal_list.read_rows(session, caller, ids)
    if not rows:
        raise NotFound("service_request_id: there is no such request")
    return rows[0]


async def submitted_locations(
    session: AsyncSession, rows: Sequence[SimpleNamespace]
) -> dict[UUID, Mapping[str, Any]]:
    """Return what the submissions through Open311 among these rows say about the location, by appeal."""
    ids = [row.id for row in rows if row.source == OPEN311_SOURCE]
    if not ids:
        return {}
    submitted = await session.execute(
        select(AppealSubmission.appeal_id, AppealSubmission.extra).where(AppealSubmission.appeal_id.in_(ids))
    )
    return {row.appeal_id: row.extra for row in submitted}


def _filter(query: RequestQuery) -> _RequestFilter:
    start, end = _period(_moment("start_date", query.start_date), _moment("end_date", query.end_date))
    # Not validated again: 90 days before `end_date` may be before the earliest moment that a filter accepts.
    return _RequestFilter.model_construct(
        status=_appeal_statuses(query.status),
        opened_from=start,
        opened_to=end,
        topic_ids=tuple(_uuids("service_code", query.service_code, MAX_CODES)),
    )


def _appeal_statuses(given: Sequence[str] | None) -> list[AppealStatus] | None:
    named = set(_values(given))
    if unknown := sorted(named - _STATUSES.keys()):
        raise Invalid.field("query/status", f"«{unknown[0][:40]}» is not a status: give `open`, `closed` or both")
    # Both together mean all appeals: without a condition the database reads them in the order of the list.
    return _STATUSES[named.pop()] if len(named) == 1 else None


def _period(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime | None]:
    """Return the first moment of the search, and the moment before which it ends; None if it ends now."""
    if start is None:
        return (end or clock.now()) - MAX_PERIOD, end
    if end is None:
        return start, start + MAX_PERIOD
    if end < start:
        raise Invalid.field("query/end_date", "The end is before `start_date`")
    if end - start > MAX_PERIOD:
        raise Invalid.field("query/end_date", "The period from `start_date` must not span more than 90 days")
    return start, end


def _moment(name: str, given: str | None) -> datetime | None:
    if not given:
        return None
    # In an address `+` means a space; a client that does not escape the offset means the sign.
    text = given.replace(" ", "+")
    if _W3C.fullmatch(text) is None:
        raise Invalid.field(f"query/{name}", "Give date, time and offset, for example 2026-11-27T00:00:00Z")
    try:
        return _DATETIME.validate_python(text)
    except ValidationError as error:
        detail = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise Invalid.field(f"query/{name}", detail) from error


def _uuids(name: str, given: Sequence[str] | None, most: int) -> list[UUID]:
    values = _values(given)
    if len(values) > most:
        raise Invalid.field(f"query/{name}", f"At most {most} values are allowed")
    try:
        return list(dict.fromkeys(UUID(value) for value in values))
    except ValueError as error:
        raise Invalid.field(f"query/{name}", "A value is not an id: separate ids by commas") from error


def _values(given: Iterable[str] | None) -> list[str]:
    parts = (part.strip() for one in given or () for part in one.split(","))
    return [part for part in parts if part]
