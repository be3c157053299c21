"""Routes of the clocks of an appeal."""

from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy import select
from sqlalchemy.orm import load_only, selectinload

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, ClockPauser, Reader
from services.appeals.api.presenters.deadlines import deadlines_of
from services.appeals.lifecycle import appeal_queries, clock_pauses
from services.appeals.schemas.sla import deadlines
from services.appeals.sla.sla_context import SlaContext
from shared.api.preconditions import RequiredVersion, set_etag
from shared.http import problems
from shared.http.problems import NotFound, PreconditionFailed, PreconditionRequired
from shared.service import ReadTransaction, WriteTransaction
from shared.tables.appeals import Appeal
from shared.tables.appeals_sla import SlaClock

router = APIRouter(prefix="/appeals/{appeal_id}", tags=["sla"])


@router.get(
    "/deadlines", responses=problems.responses(*READ_PROBLEMS, NotFound), summary="Get the deadlines of an appeal"
)
async def get_deadlines(
    session: ReadTransaction, caller: Reader, appeal_id: UUID, response: Response
) -> deadlines.DeadlinesOut:
    """Return each clock of the appeal: its policy and calendar, which time counted, which did not and why, and how
    much is left. The segments of a clock add up to its used and remaining time. The ETag is the appeal's.
    """
    appeal = await session.scalar(
        select(Appeal)
        .options(
            load_only(
                Appeal.id,
                Appeal.version,
                Appeal.status,
                Appeal.organisation_id,
                Appeal.written_at,
                Appeal.opened_at,
                Appeal.next_escalation_at,
            ),
            selectinload(Appeal.clocks).selectinload(SlaClock.events),
        )
        .where(Appeal.id == appeal_id, caller.scope(Appeal.organisation_id))
    )
    if appeal is None:
        raise NotFound("No such appeal")
    sla = await SlaContext.load(session, {appeal.organisation_id}, selects_policies=False)
    set_etag(response, appeal.version)
    return await deadlines_of(session, appeal, sla, caller)


@router.post(
    "/clocks/pause",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired),
    summary="Pause the clocks of an appeal",
)
async def pause_clocks(
    *,
    session: WriteTransaction,
    caller: ClockPauser,
    appeal_id: UUID,
    body: deadlines.ClockPauseIn,
    version: RequiredVersion,
    response: Response,
) -> deadlines.DeadlinesOut:
    """Pause the clocks of the response and the final answer, with a reason that everybody who reads the appeal
    sees. A promised date stays. No time counts until somebody resumes the clocks, and a clock paused before its
    deadline has no deadline until then. 409 if no clock is running.
    """
    appeal = await appeal_queries.lock(session, caller, appeal_id)
    await appeal_queries.check_version(session, appeal, version)
    sla = await clock_pauses.pause_clocks(session, caller, appeal, body.reason)
    set_etag(response, appeal.version)
    return await deadlines_of(session, appeal, sla, caller)


@router.post(
    "/clocks/resume",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired),
    summary="Resume the clocks of an appeal",
)
async def resume_clocks(
    *,
    session: WriteTransaction,
    caller: ClockPauser,
    appeal_id: UUID,
    body: deadlines.ClockResumeIn,
    version: RequiredVersion,
    response: Response,
) -> deadlines.DeadlinesOut:
    """Resume paused clocks: the remaining time counts from now. 409 if no clock is paused."""
    appeal = await appeal_queries.lock(session, caller, appeal_id)
    await appeal_queries.check_version(session, appeal, version)
    sla = await clock_pauses.resume_clocks(session, caller, appeal, body.reason)
    set_etag(response, appeal.version)
    return await deadlines_of(session, appeal, sla, caller)
