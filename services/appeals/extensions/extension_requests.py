"""Requests to extend the deadline of an appeal: made by the organisation that has it, decided by the centre.

Functions that change a request take a locked appeal. A deadline that has passed cannot be extended: the breach was
already recorded and reported.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.lifecycle.workflow import FINAL_STATUSES
from services.appeals.sla.clock_extensions import ExtensionLimit, extend_clock, extension_limit, has_passed
from services.appeals.sla.clock_rows import STARTED_STATES, deadline_text, extensions_of, unfinished
from services.appeals.sla.opened_clocks import clocks_of
from services.appeals.sla.sla_context import SlaContext
from shared import clock
from shared.api.pagination import Paging, inline_literal
from shared.api.preconditions import check_version
from shared.auth.callers import Caller
from shared.auth.rights import Role
from shared.contracts.appeal_events import (
    AppealExtensionApproved,
    AppealExtensionRefused,
    AppealExtensionRequested,
    AppealExtensionWithdrawn,
)
from shared.contracts.values import ExtendableClock
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Forbidden, Invalid, NotFound
from shared.ids import new_id
from shared.tables.appeals import Appeal
from shared.tables.appeals_extensions import ExtensionRequest
from shared.tables.appeals_sla import SlaClock
from shared.tables.registry import Organisation

_SECONDS_OF_HOUR = 3600
# A request, the number of its appeal, and the name of its organisation.
ExtensionRequestRow = Row[ExtensionRequest, int, str]


async def request_extension(
    session: WriteSession, caller: Caller, appeal: Appeal, *, kind: ExtendableClock, hours: float, ground: str
) -> ExtensionRequest:
    """Request an extension of a clock by `hours`, working or calendar ones as the clock counts, on this ground.
    Raises `Conflict` if no such clock is running or paused, the appeal has no organisation, its deadline has
    passed, its policy allows no further extension, or a request is open; `Invalid` naming `hours` if the policy
    allows fewer hours.
    """
    sla = await SlaContext.load(session, {appeal.organisation_id}, selects_policies=False)
    row = unfinished(appeal, kind)
    if row is None or row.state not in STARTED_STATES or appeal.status in FINAL_STATUSES:
        raise Conflict("The appeal has no running or paused clock of this kind, so there is nothing to extend")
    # In triage no organisation has to answer, so no organisation needs more time.
    if appeal.organisation_id is None:
        raise Conflict("The appeal is assigned to no organisation, so its deadline cannot be extended")
    if row.extension_request_id is not None:
        raise Conflict(
            "The centre has not decided about the earlier request yet: withdraw it first, or wait",
            request_id=str(row.extension_request_id),
        )
    _require_not_late(row)
    longest = _require_allowed(row, sla).longest / timedelta(hours=1)
    if hours > longest:
        raise Invalid.field("/hours", f"The SLA policy allows at most {longest:g} hours at a time")
    request = ExtensionRequest(
        id=new_id(), appeal_id=appeal.id, clock_id=row.id, clock=kind, organisation_id=appeal.organisation_id,
        extension_seconds=round(hours * _SECONDS_OF_HOUR), unit=row.unit, ground=ground, due_at=row.due_at,
        status="open", requested_by=caller.actor,
    )  # fmt: skip
    session.add(request)
    row.extension_request_id = request.id
    recorder = AppealRecorder()
    recorder.add_timeline_entry(appeal, "extension_requested", caller.actor, **_entry(request))
    recorder.add_event(AppealExtensionRequested(**_event_fields(appeal, request)), caller.actor)
    await recorder.write(session)
    return request


async def approve(
    session: WriteSession,
    caller: Caller,
    appeal: Appeal,
    request_id: UUID,
    *,
    version: int | None,
    remarks: str | None,
) -> ExtensionRequest:
    """Extend the clock as requested; its deadline is recomputed. Raises `NotFound`, `PreconditionFailed`,
    `Forbidden` for the person who made the request, and `Conflict` if the request is not open, the deadline has
    passed, or the policy that applies now does not allow the extension.
    """
    request = await _get_open(session, appeal, request_id, version)
    _require_other(request, caller)
    sla = await SlaContext.load(session, {appeal.organisation_id}, selects_policies=False)
    row = _clock_of(appeal, request)
    _require_not_late(row)
    longest = _require_allowed(row, sla).longest.total_seconds()
    # A change of urgency or topic may have given the clock another policy since.
    if row.unit != request.unit or request.extension_seconds > longest:
        raise Conflict("The SLA policy that applies now does not allow this extension: refuse the request")
    extend_clock(appeal, row, request.extension_seconds, sla, caller.actor)
    appeal.extensions += 1
    appeal.updated_at = clock.now()
    _decide(request, row, caller, "approved", remarks)
    request.extended_due_at = row.due_at
    recorder = AppealRecorder()
    recorder.add_timeline_entry(
        appeal, "extension_approved", caller.actor, **_entry(request), deadline=deadline_text(row, sla)
    )
    approved = AppealExtensionApproved(**_event_fields(appeal, request), due_at=row.due_at)
    recorder.add_event(approved, caller.actor)
    await recorder.write(session)
    return request


async def refuse(
    session: WriteSession, caller: Caller, appeal: Appeal, request_id: UUID, *, version: int | None, remarks: str
) -> ExtensionRequest:
    """Refuse the request with remarks; the deadline stays. Raises as `approve`, but not because of a passed
    deadline or the policy.
    """
    request = await _get_open(session, appeal, request_id, version)
    _require_other(request, caller)
    _decide(request, _clock_of(appeal, request), caller, "refused", remarks)
    recorder = AppealRecorder()
    recorder.add_timeline_entry(appeal, "extension_refused", caller.actor, **_entry(request))
    recorder.add_event(AppealExtensionRefused(**_event_fields(appeal, request)), caller.actor)
    await recorder.write(session)
    return request


async def withdraw(
    session: WriteSession, caller: Caller, appeal: Appeal, request_id: UUID, *, version: int | None
) -> ExtensionRequest:
    """Withdraw the request; the deadline stays, and another request may be made. Raises `NotFound`,
    `PreconditionFailed`, `Conflict` if the request is not open, and `Forbidden` for all but the person who made it
    and the managers of their organisation.
    """
    request = await _get_open(session, appeal, request_id, version)
    is_manager = caller.role is Role.MANAGER and caller.organisation_id == request.organisation_id
    if request.requested_by != caller.actor and not is_manager:
        raise Forbidden("Only the person who made the request, or a manager of the organisation, may withdraw it")
    _decide(request, _clock_of(appeal, request), caller, "withdrawn", None)
    recorder = AppealRecorder()
    recorder.add_timeline_entry(appeal, "extension_withdrawn", caller.actor, **_entry(request))
    recorder.add_event(AppealExtensionWithdrawn(**_event_fields(appeal, request)), caller.actor)
    await recorder.write(session)
    return request


def open_query(caller: Caller, paging: Paging) -> Select[ExtensionRequest, int, str]:
    """Return the query for one page of open requests in the caller's scope plus one row."""
    query = (
        select(ExtensionRequest, Appeal.number, Organisation.name)
        .join(Appeal, Appeal.id == ExtensionRequest.appeal_id)
        .join(Organisation, Organisation.id == ExtensionRequest.organisation_id)
        .where(ExtensionRequest.status == inline_literal("open"), caller.scope(ExtensionRequest.organisation_id))
        .order_by(ExtensionRequest.created_at, ExtensionRequest.id)
        .limit(paging.limit + 1)
    )
    columns = (ExtensionRequest.created_at, ExtensionRequest.id)
    after = paging.after(columns, (datetime.fromisoformat, UUID), descending=False)
    return query if after is None else query.where(after)


async def list_open(session: AsyncSession, caller: Caller, paging: Paging) -> Sequence[ExtensionRequestRow]:
    """Return the open requests in the caller's scope, oldest first: one page plus one row."""
    return (await session.execute(open_query(caller, paging))).all()


async def requests_of(session: AsyncSession, caller: Caller, appeal_id: UUID) -> Sequence[ExtensionRequest]:
    """Return the requests about an appeal that the caller may see, oldest first: staff see those of their
    organisation.
    """
    return list(
        await session.scalars(
            select(ExtensionRequest)
            .where(ExtensionRequest.appeal_id == appeal_id, caller.scope(ExtensionRequest.organisation_id))
            .order_by(ExtensionRequest.created_at, ExtensionRequest.id)
        )
    )


async def _get_open(
    session: WriteSession, appeal: Appeal, request_id: UUID, version: int | None
) -> ExtensionRequest:
    request = await session.scalar(
        select(ExtensionRequest).where(ExtensionRequest.id == request_id, ExtensionRequest.appeal_id == appeal.id)
    )
    if request is None:
        raise NotFound("No such extension request")
    if request.status != "open":
        why = f", because of «{request.ended_reason}»" if request.ended_reason else ""
        raise Conflict(f"The request is not open: it is «{request.status}»{why}", request_status=request.status)
    check_version(request.version, version)
    return request


def _require_other(request: ExtensionRequest, caller: Caller) -> None:
    if request.requested_by == caller.actor:
        raise Forbidden("You requested this extension yourself: another moderator must decide about it")


def _clock_of(appeal: Appeal, request: ExtensionRequest) -> SlaClock:
    return next(row for row in clocks_of(appeal) if row.id == request.clock_id)


def _require_not_late(row: SlaClock) -> None:
    if has_passed(row, clock.now()):
        raise Conflict("The deadline has passed: only a deadline in the future can be extended")


def _require_allowed(row: SlaClock, sla: SlaContext) -> ExtensionLimit:
    policy = sla.policy(row.policy_id)
    limit = extension_limit(policy, row.kind) if policy is not None else None
    if limit is None:
        raise Conflict("The SLA policy of this clock allows no extension")
    if len(extensions_of(row)) >= limit.count:
        raise Conflict(f"All extensions that the SLA policy allows for this clock ({limit.count}) are used up")
    return limit


def _decide(request: ExtensionRequest, row: SlaClock, caller: Caller, status: str, remarks: str | None) -> None:
    row.extension_request_id = None
    request.status, request.remarks = status, remarks
    request.decided_by, request.decided_at = caller.actor, clock.now()


def _entry(request: ExtensionRequest) -> dict[str, Any]:
    """Return the data of a timeline entry. It omits the ground, which only the centre and the requesting
    organisation may see.
    """
    return {
        "request_id": str(request.id),
        "clock": request.clock,
        "hours": request.extension_seconds / _SECONDS_OF_HOUR,
        "unit": request.unit,
    }


def _event_fields(appeal: Appeal, request: ExtensionRequest) -> dict[str, Any]:
    shown = {name: getattr(request, name) for name in ("clock", "extension_seconds")}
    return event_snapshot(appeal) | shown | {"request_id": request.id}
