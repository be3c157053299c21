"""Routes of cases: list, counts, one, open by hand, move."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from services.appeals.api.dependencies import READ, WRITE, Moderator, Reader, Worker
from services.appeals.api.presenters.appeals import item, listed
from services.appeals.classification.types import Language
from services.appeals.lifecycle import appeal_queries
from services.appeals.lifecycle.appeal_queries import Filter
from services.appeals.lifecycle.route_snapshot import WaitingFor
from services.appeals.lifecycle.workflow import Status
from services.appeals.moderation import decisions
from services.appeals.schemas import appeals, common, routes
from services.appeals.schemas.types import Line, Moment
from shared.api.idempotency import IdempotencyDep, once
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.database.sessions import uncrossed
from shared.http import problems
from shared.http.problems import (
    Invalid,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    Unavailable,
)
from shared.networks import NetworkName
from shared.service import Reading, Writing
from shared.tables.appeals import AppealsIdempotency

router = APIRouter(tags=["appeals"])


def wanted(
    *,
    status: Annotated[list[Status] | None, Query(description="One or several")] = None,
    waiting_for: Annotated[
        list[WaitingFor] | None,
        Query(description=f"In `triage`, for one or several of these reasons. {routes.WAITS}"),
    ] = None,
    organisation_id: UUID | None = None,
    network: NetworkName | None = None,
    topic_id: Annotated[UUID | None, Query(description="A topic; a group takes all its topics")] = None,
    municipality: Annotated[str | None, Query(pattern=common.OKTMO, description="OKTMO of the place")] = None,
    settlement: Annotated[Line | None, Query(description="As it is written in `place`")] = None,
    language: Language | None = None,
    fault: Annotated[Line | None, Query(description="What is out", examples=["power"])] = None,
    urgency: Literal["normal", "high"] | None = None,
    handed_over_at_least: Annotated[
        int | None, Query(ge=1, le=1_000, description="Went from one organisation to another this often or more")
    ] = None,
    overdue: Annotated[bool | None, Query(description="An answer is awaited and late")] = None,
    reply_failed: Annotated[
        bool | None, Query(description="The last reply failed, and nobody has sent one since")
    ] = None,
    opened_from: Moment | None = None,
    opened_to: Annotated[Moment | None, Query(description="Up to, not including")] = None,
    number: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    q: Annotated[
        str | None, Query(max_length=200, description="Words of the message that opened the case")
    ] = None,
) -> Filter:
    """What the list is narrowed to."""
    return Filter(
        status=status or (), waiting_for=waiting_for or (), organisation_id=organisation_id, network=network,
        topic_id=topic_id, municipality=municipality, settlement=settlement, language=language, fault=fault,
        urgency=urgency, handed_over_at_least=handed_over_at_least,
        overdue=overdue, reply_failed=reply_failed, opened_from=opened_from, opened_to=opened_to, number=number,
        q=q,
    )  # fmt: skip


FilterDep = Annotated[Filter, Depends(wanted)]


@router.get("/appeals", responses=problems.responses(*READ), summary="List cases")
async def list_appeals(
    session: Reading, caller: Reader, narrowed: FilterDep, paging: PagingDep, response: Response
) -> Page[appeals.AppealSummary]:
    """Cases newest first. Staff of an organisation see its own.

    Personal data is masked in `text` and in the words of `route`; with `q`, `text` is what stands around it, at
    most 300 characters. The words as they were written are in the case itself.
    """
    rows, cursor = paging.page(
        await appeal_queries.find(session, caller, narrowed, paging),
        lambda row: (row[0].opened_at, row[0].id),
        response,
    )
    return Page(items=await listed(session, rows, caller, narrowed.q), next_cursor=cursor)


@router.get("/appeals/counts", responses=problems.responses(*READ), summary="Count cases")
async def count_appeals(session: Reading, caller: Reader, narrowed: FilterDep) -> appeals.Counts:
    """How many cases the same filter as of the list leaves, by status, and how many are overdue."""
    return await appeal_queries.counts(session, caller, narrowed)


@router.get(
    "/appeals/{appeal_id}", responses=problems.responses(*READ, NotFound), summary="One case with all its parts"
)
async def get_appeal(session: Reading, caller: Reader, appeal_id: UUID, response: Response) -> appeals.AppealOut:
    """Messages, answers, timeline and the deadline's explanation. The ETag is for `If-Match`."""
    found = await item(session, caller, appeal_id)
    set_etag(response, found.version)
    return found


@router.post(
    "/appeals",
    status_code=201,
    responses=problems.responses(*WRITE, Unavailable)
    | {200: {"model": appeals.AppealOut, "description": "Joined an open case"}},
    summary="Open a case by hand",
)
async def open_appeal(
    session: Writing, caller: Moderator, body: appeals.AppealIn, key: IdempotencyDep, response: Response
) -> appeals.AppealOut:
    """From a stored message that no rule took, or from words that came another way (by phone, on paper).

    A message whose author has an open case in that thread joins it: the answer is 200 then.
    """

    async def work() -> appeals.AppealOut:
        wishes = body.wishes()
        if (body.message_id is None) == (body.text is None):
            raise Invalid.field("/message_id", "Give either message_id or text")
        if body.message_id is not None:
            appeal, new = await decisions.open_from_message(session, caller, body.message_id, wishes)
            response.status_code = 201 if new else 200
        else:
            appeal = await decisions.open_from_text(session, caller, body.text or "", wishes, url=body.url)
        await session.flush()
        return await item(session, caller, appeal.id)

    opened = await once(
        session,
        AppealsIdempotency,
        caller=caller.subject,
        key=key,
        response=response,
        model=appeals.AppealOut,
        work=lambda: uncrossed(session, work),
    )
    response.headers["Location"] = f"/api/v1/appeals/{opened.id}"
    set_etag(response, opened.version)
    return opened


@router.post(
    "/appeals/{appeal_id}/moves",
    responses=problems.responses(*WRITE, NotFound, PreconditionFailed, PreconditionRequired),
    summary="Move a case",
)
async def move_appeal(
    *,
    session: Writing,
    caller: Worker,
    appeal_id: UUID,
    body: appeals.MoveIn,
    version: RequiredVersion,
    response: Response,
) -> appeals.AppealOut:
    """To another status, and with `assigned` to another owner. A wrong move is a 409 naming the allowed ones.

    412 names the `version` that the appeal has now and its `last_change`.
    """
    appeal = await appeal_queries.lock(session, caller, appeal_id)
    await appeal_queries.check_version(session, appeal, version)
    await decisions.move(
        session,
        caller,
        appeal,
        body.to,
        organisation_id=body.organisation_id,
        reason=body.reason,
        outcome=body.outcome,
    )
    # Who gives a case back still sees what came of it, once.
    moved = await item(session, caller, appeal.id, scoped=False)
    if not await appeal_queries.is_seen(session, caller, appeal.id):
        moved.allowed_moves = []
    set_etag(response, moved.version)
    return moved
