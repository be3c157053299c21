"""Routes of appeals: list, count, details, manual opening, moves."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, Opener, Reader, Worker
from services.appeals.api.presenters.appeals import appeal_detail, appeal_list_items, without_colleagues
from services.appeals.api.presenters.facets import appeal_facets
from services.appeals.assignees.directory import actor_id
from services.appeals.assignments import assignee_changes
from services.appeals.bulk import list_versions
from services.appeals.bulk.operations import MAX_APPEALS
from services.appeals.lifecycle import appeal_queries, unread_marks
from services.appeals.lists import appeal_counts, appeal_list, facets
from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.lists.appeal_sorting import SORT_HELP, AppealSort, position_of
from services.appeals.moderation import decisions, manual_appeals
from services.appeals.schemas.appeals import appeals
from services.appeals.schemas.appeals.appeals import AppealExpansion
from services.appeals.schemas.lists.facets import AppealFacets
from shared.api.pagination import PagingDep, TwoWayPage
from shared.api.preconditions import RequiredVersion, set_etag
from shared.api.query_parameters import from_query, refuse_unknown_parameters
from shared.api.response_headers import declared, with_headers
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.database.sessions import WriteSession, retry_on_deadlock
from shared.http import problems
from shared.http.problems import (
    Duplicate,
    Invalid,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    Unavailable,
)
from shared.service import Once, ReadTransaction, WriteTransaction
from shared.tables.appeals import Appeal

router = APIRouter(tags=["appeals"])


AppealQuery = Annotated[AppealFilter, from_query(AppealFilter)]


@router.get("/appeals", responses=problems.responses(*READ_PROBLEMS), summary="List appeals")
async def list_appeals(
    *,
    session: ReadTransaction,
    caller: Reader,
    filters: AppealQuery,
    paging: PagingDep,
    response: Response,
    sort: Annotated[AppealSort, Query(description=SORT_HELP)] = "-opened_at",
    expand: Annotated[
        list[AppealExpansion] | None, Query(description="`route`: why each appeal is with its organisation")
    ] = None,
) -> TwoWayPage[appeals.AppealListItem]:
    """Return appeals newest first, or in the order of `sort`. Staff of an organisation see its appeals only.

    Personal data is masked in `text` and in the quotes of `route`; the appeal itself has the full text. With `q`
    appeals are ordered by number, `text` is an extract, and `highlights` has extracts in which the found words are
    marked.
    """
    found = await appeal_list.find(session, caller, filters, paging, sort)
    rows, following, previous = paging.two_way_page(
        found.rows, lambda row: position_of(row, sort, filters), response
    )
    items = await appeal_list_items(session, rows, caller, found.search, with_route="route" in (expand or ()))
    return TwoWayPage(items=items, next_cursor=following, prev_cursor=previous)


@router.get(
    "/appeals/counts",
    responses=problems.responses(*READ_PROBLEMS),
    dependencies=[Depends(refuse_unknown_parameters)],
    summary="Count appeals",
)
async def count_appeals(
    session: ReadTransaction,
    caller: Reader,
    filters: AppealQuery,
    with_list_version: Annotated[
        bool, Query(description="Return `list_version` too, before a bulk operation on the whole list")
    ] = False,
) -> appeals.AppealCounts:
    """Return how many appeals match the filter of the list, by status, and how many are overdue."""
    counted = await appeal_counts.count_by_status(session, caller, filters)
    version = await list_versions.current(session, caller, filters, MAX_APPEALS) if with_list_version else None
    return appeals.AppealCounts(
        total=sum(counted.by_status.values()),
        by_status=counted.by_status,
        overdue=counted.overdue,
        list_version=version,
    )


@router.get(
    "/appeals/facets",
    responses=problems.responses(*READ_PROBLEMS),
    dependencies=[Depends(refuse_unknown_parameters)],
    summary="Count the values of a list of appeals",
)
async def get_appeal_facets(session: ReadTransaction, caller: Reader, filters: AppealQuery) -> AppealFacets:
    """Return the values by which the list can be narrowed, each with its count among the newest 1,000 appeals of
    the list, or with `updated_since` among those that changed last. `q` applies too.
    """
    return appeal_facets(await facets.count_facets(session, caller, filters))


@router.get(
    "/appeals/{appeal_id}",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="Get an appeal with all its parts",
)
async def get_appeal(
    session: ReadTransaction, caller: Reader, appeal_id: UUID, response: Response
) -> appeals.AppealOut:
    """Return the appeal with messages, replies, timeline and the explanation of its deadline. Send the ETag as
    `If-Match`.
    """
    detail = await appeal_detail(session, caller, appeal_id, with_contact=True)
    set_etag(response, detail.version)
    return detail


@router.post(
    "/appeals",
    status_code=201,
    responses=problems.responses(*WRITE_PROBLEMS, Duplicate, Unavailable)
    | with_headers(201, "Location")
    | {
        200: {
            "model": appeals.AppealOut,
            "description": "Joined an appeal of the same matter, or already submitted with this `external_id`",
            "headers": declared("Location"),
        }
    },
    summary="Open an appeal by hand",
)
async def open_appeal(
    session: WriteTransaction, caller: Opener, body: appeals.AppealIn, once: Once, response: Response
) -> appeals.AppealOut:
    """Open an appeal from a text received by phone, in person, by letter or from another system (`source`), or
    from a stored message (with the right `appeals:triage`). Without an organisation the routing rules choose one,
    or moderators decide. Staff may give only their own organisation.

    With `external_id` the request may be repeated at any time: the same content returns the first appeal with
    status 200, other content under the same id is a 422. If the caller may no longer read that appeal, the
    response is a 409 (`duplicate`) that names it. Each `source` and each organisation that enters appeals has its
    own ids.

    A message whose author has an appeal about the same matter in the same thread joins that appeal, with status
    200. Without an `external_id`, the same text from the same caller within ten minutes is a 409 that names the
    first appeal, unless an Idempotency-Key is given.
    """

    async def work() -> appeals.AppealOut:
        corrections, submission = body.corrections(), body.submission()
        if (body.message_id is None) == (body.text is None):
            raise Invalid.field("/message_id", "Give either message_id or text")
        if body.message_id is not None:
            if submission is not None:
                raise Invalid.field(
                    "/source", "A stored message comes from its network: omit `source` and the fields that need it"
                )
            moderator = caller.with_right(Right.APPEALS_TRIAGE)
            appeal, new = await decisions.open_from_message(session, moderator, body.message_id, corrections)
        else:
            appeal, new = await manual_appeals.open_from_text(
                session,
                caller,
                body.text or "",
                corrections,
                submission,
                url=body.url,
                allow_duplicate=once.has_key,
            )
        response.status_code = 201 if new else 200
        await session.flush()
        return await _after_change(session, caller, appeal.id)

    opened = await once(appeals.AppealOut, lambda: retry_on_deadlock(session, work))
    response.headers["Location"] = f"/api/v1/appeals/{opened.id}"
    set_etag(response, opened.version)
    return opened


@router.put(
    "/appeals/{appeal_id}/read",
    status_code=204,
    responses=problems.responses(*WRITE_PROBLEMS, NotFound),
    summary="Mark an appeal as read",
)
async def mark_appeal_read(
    session: WriteTransaction, caller: Reader, appeal_id: UUID, body: appeals.ReadIn
) -> None:
    """Mark the appeal as read by the caller up to the time `until`. Later changes stay unread."""
    await appeal_queries.require_visible(session, caller, appeal_id)
    await unread_marks.mark_read(session, actor_id(caller.subject), appeal_id, body.until)


@router.post(
    "/appeals/{appeal_id}/moves",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired),
    summary="Move an appeal",
)
async def move_appeal(
    *,
    session: WriteTransaction,
    caller: Worker,
    appeal_id: UUID,
    body: appeals.MoveIn,
    version: RequiredVersion,
    response: Response,
) -> appeals.AppealOut:
    """Move the appeal to another status; with `assigned` also to another organisation; with `assignee_id` also to
    that person. A move that is not allowed is a 409 naming the allowed moves. Moves that only the centre may make,
    and the centre's choice of an organisation, need `appeals:triage` too (403).

    `{"assignee_id": …}` alone assigns the appeal to a person and leaves its status. Everybody who works on appeals
    of the organisation may take an unassigned appeal, and pass on or release their own. Reassigning a colleague's
    appeal needs `assignees:manage` (403). Without `assignee_id` a move to `in_progress` assigns an unassigned
    appeal to the caller if they belong to its organisation.

    A 412 contains the current `version` of the appeal and its `last_change`.
    """
    appeal = await retry_on_deadlock(session, lambda: _move(session, caller, appeal_id, body, version))
    moved = await _after_change(session, caller, appeal.id)
    set_etag(response, moved.version)
    return moved


async def _after_change(session: WriteSession, caller: Caller, appeal_id: UUID) -> appeals.AppealOut:
    """Return the appeal as shown to the person who changed it, even if the change moved it out of their scope."""
    detail = await appeal_detail(session, caller, appeal_id, scoped=False)
    return detail if await appeal_queries.is_visible(session, caller, appeal_id) else without_colleagues(detail)


async def _move(
    session: WriteSession, caller: Caller, appeal_id: UUID, body: appeals.MoveIn, version: int | None
) -> Appeal:
    appeal = await appeal_queries.lock(session, caller, appeal_id)
    await appeal_queries.check_version(session, appeal, version)
    if body.to is not None:
        await decisions.move_appeal(
            session,
            caller,
            appeal,
            body.to,
            organisation_id=body.organisation_id,
            reason=body.reason,
            outcome=body.outcome,
            assignee=body.assignee(),
        )
    elif not body.assignee().given:
        raise Invalid.field(
            "/to", "Give `to` (the new status) or `assignee_id` (a person, or null to release the appeal)"
        )
    elif body.model_fields_set - {"to", "assignee_id"}:
        raise Invalid.field(
            "/to", "Give `to` (the new status): only a move takes a reason, an organisation or an outcome"
        )
    else:
        await assignee_changes.assign_person(session, appeal, body.assignee(), caller)
    return appeal
