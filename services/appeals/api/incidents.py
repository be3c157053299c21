"""Routes of incidents: many cases about one trouble, one answer to all."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, Reader, Replier, Worker
from services.appeals.api.presenters import incidents
from services.appeals.api.presenters.incidents import appeal_brief, incident_out, incident_response
from services.appeals.incidents import bulk_reply, incident_queries, service, similar_appeals
from services.appeals.lifecycle import assignments
from services.appeals.schemas.common import OKTMO_PATTERN
from services.appeals.schemas.incidents import (
    IncidentIn,
    IncidentMemberOut,
    IncidentMembersIn,
    IncidentOut,
    IncidentPatch,
    IncidentReplyIn,
    IncidentReplyOut,
    SimilarAppealList,
    SimilarAppealOut,
)
from shared.api.idempotency import IdempotencyDep, once
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.database.sessions import uncrossed
from shared.http import problems
from shared.http.problems import Duplicate, NotFound, PreconditionFailed, PreconditionRequired
from shared.service import Reading, Writing
from shared.tables.appeals import AppealsIdempotency

router = APIRouter(tags=["incidents"])


@router.get(
    "/appeals/{appeal_id}/similar",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="Cases like this one",
    tags=["appeals"],
)
async def list_similar(
    *,
    session: Reading,
    caller: Reader,
    appeal_id: UUID,
    days: Annotated[int, Query(ge=1, le=90, description="How far before and after the case to look")] = 14,
    limit: Annotated[int, Query(ge=1, le=50, description="How many, the likest first")] = 20,
    anywhere: Annotated[
        bool, Query(description="Among all that you may see, not in the case's organisation alone")
    ] = False,
) -> SimilarAppealList:
    """Alike by words, place, topic, author and time, best first, each with the reasons; 500 cases at most are
    compared. The same words in another network within hours are probably the same person's.
    """
    found, read = await similar_appeals.like(session, caller, appeal_id, days=days, all_organisations=anywhere)
    return SimilarAppealList(
        items=[
            SimilarAppealOut(
                **appeal_brief(one.appeal, one.organisation, one.topic),
                incident_id=one.appeal.incident_id,
                score=round(one.similarity.score, 3),
                why=list(one.similarity.why),
                same_person=one.similarity.same_person,
            )
            for one in found[:limit]
        ],
        read=read,
    )


@router.get("/incidents", responses=problems.responses(*READ_PROBLEMS), summary="List incidents")
async def list_incidents(
    *,
    session: Reading,
    caller: Reader,
    paging: PagingDep,
    response: Response,
    open: Annotated[bool | None, Query(description="Open ones, or closed ones")] = None,
    municipality: Annotated[str | None, Query(pattern=OKTMO_PATTERN, description="OKTMO of the place")] = None,
    topic_id: UUID | None = None,
    q: Annotated[str | None, Query(max_length=200, description="Words of the title")] = None,
) -> Page[IncidentOut]:
    """Newest first. An organisation sees those that it leads or has a case of its own in."""
    filters = incident_queries.IncidentFilter(open=open, municipality=municipality, topic_id=topic_id, q=q)
    rows, cursor = paging.page(
        await incident_queries.find(session, caller, filters, paging),
        lambda row: (row[0].opened_at, row[0].id),
        response,
    )
    return Page(items=[incident_out(row) for row in rows], next_cursor=cursor)


@router.post(
    "/incidents",
    status_code=201,
    responses=problems.responses(*WRITE_PROBLEMS),
    summary="Join cases into an incident",
)
async def open_incident(
    session: Writing, caller: Worker, body: IncidentIn, key: IdempotencyDep, response: Response
) -> IncidentOut:
    """Each case keeps its author, thread, owner and deadline. A case is in one incident at most: 409 else.

    Moderators join cases of any organisations, staff their own.
    """

    async def work() -> IncidentOut:
        incident = await service.open_manually(session, caller, body.appeal_ids, body.title)
        return incident_out(await incident_queries.get_incident_row(session, caller, incident.id))

    opened = await once(
        session,
        AppealsIdempotency,
        caller=caller.subject,
        key=key,
        response=response,
        model=IncidentOut,
        work=lambda: uncrossed(session, work),
    )
    response.headers["Location"] = f"/api/v1/incidents/{opened.id}"
    set_etag(response, opened.version)
    return opened


@router.get(
    "/incidents/{incident_id}", responses=problems.responses(*READ_PROBLEMS, NotFound), summary="One incident"
)
async def get_incident(session: Reading, caller: Reader, incident_id: UUID, response: Response) -> IncidentOut:
    """Its cases stand in `/incidents/{id}/members`. The ETag is for `If-Match`."""
    found = incident_out(await incident_queries.get_incident_row(session, caller, incident_id))
    set_etag(response, found.version)
    return found


CHANGE_PROBLEMS = (*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired)


@router.patch(
    "/incidents/{incident_id}", responses=problems.responses(*CHANGE_PROBLEMS), summary="Change an incident"
)
async def change_incident(
    *,
    session: Writing,
    caller: Worker,
    incident_id: UUID,
    body: IncidentPatch,
    version: RequiredVersion,
    response: Response,
) -> IncidentOut:
    """The title, and who leads it, which only the centre says."""
    values: dict[str, Any] = body.model_dump(exclude_unset=True)
    if values.get("title", "") is None:
        raise problems.Invalid.field("/title", "An incident has a title")
    await assignments.require_open_organisation(session, values.get("organisation_id"))
    await service.update_incident(session, caller, incident_id, version, values)
    return await incident_response(session, caller, incident_id, response)


@router.post(
    "/incidents/{incident_id}/closure", responses=problems.responses(*CHANGE_PROBLEMS), summary="Close an incident"
)
async def close_incident(
    session: Writing, caller: Worker, incident_id: UUID, version: RequiredVersion, response: Response
) -> IncidentOut:
    """The trouble is over: no case joins any more. The cases go on as they are."""
    await service.close(session, caller, incident_id, version)
    return await incident_response(session, caller, incident_id, response)


@router.get(
    "/incidents/{incident_id}/members",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="Cases of an incident",
)
async def list_members(
    session: Reading, caller: Reader, incident_id: UUID, paging: PagingDep, response: Response
) -> Page[IncidentMemberOut]:
    """Last joined first, with the reason of each. An organisation sees its own."""
    rows, cursor = paging.page(
        await incident_queries.members(session, caller, incident_id, paging),
        lambda row: (row[0].joined_at, row[0].id),
        response,
    )
    return Page(
        items=[
            IncidentMemberOut(
                **appeal_brief(appeal, organisation, topic),
                likeness=member.likeness,
                why=member.why,
                joined_at=member.joined_at,
                joined_by=member.joined_by,
            )
            for member, appeal, organisation, topic in rows
        ],
        next_cursor=cursor,
    )


@router.post(
    "/incidents/{incident_id}/members",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound),
    summary="Join further cases",
)
async def add_members(
    session: Writing, caller: Worker, incident_id: UUID, body: IncidentMembersIn, response: Response
) -> IncidentOut:
    """Cases that are in it already stay; one that is in another incident has to leave that first: 409."""
    await uncrossed(session, lambda: service.add_manually(session, caller, incident_id, body.appeal_ids))
    return await incident_response(session, caller, incident_id, response)


@router.delete(
    "/incidents/{incident_id}/members/{appeal_id}",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound),
    status_code=204,
    summary="Take a case out",
)
async def remove_member(session: Writing, caller: Worker, incident_id: UUID, appeal_id: UUID) -> None:
    """The case is what it was before it joined. It is never joined again by itself."""
    await uncrossed(session, lambda: service.remove_member(session, caller, incident_id, appeal_id))


@router.get(
    "/incidents/{incident_id}/replies",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="Answers to an incident",
)
async def list_incident_replies(
    session: Reading, caller: Reader, incident_id: UUID, paging: PagingDep, response: Response
) -> Page[IncidentReplyOut]:
    """Newest first, each with how many of its replies are in which status, of the cases that you see."""
    rows, cursor = paging.page(
        await bulk_reply.list_bulk_replies(session, caller, incident_id, paging),
        lambda row: (row.created_at, row.id),
        response,
    )
    return Page(items=await incidents.bulk_replies_out(session, caller, rows), next_cursor=cursor)


@router.post(
    "/incidents/{incident_id}/replies",
    status_code=202,
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, Duplicate),
    summary="Answer all cases of an incident",
)
async def answer_incident(
    *,
    session: Writing,
    caller: Replier,
    incident_id: UUID,
    body: IncidentReplyIn,
    key: IdempotencyDep,
    response: Response,
) -> IncidentReplyOut:
    """Each case that still waits gets a reply of its own, in its own thread, under its own page, once.

    A moderator answers all; staff those of their organisation. Cases that a person has answered, or is answering,
    are left alone; a final answer follows an interim one that is still under way. The same final text within 24
    hours is a 409 (`duplicate`) naming the first, unless the request has an `Idempotency-Key` of its own. What has
    become of it: `GET /incidents/{id}/replies`.
    """

    async def work() -> IncidentReplyOut:
        given = bulk_reply.NewBulkReply(body.text, body.kind, body.promised_at, body.also_later)
        reply = await bulk_reply.submit_bulk_reply(
            session, caller, incident_id, given, repeats=key.key is not None
        )
        return (await incidents.bulk_replies_out(session, caller, [reply]))[0]

    return await once(
        session,
        AppealsIdempotency,
        caller=caller.subject,
        key=key,
        response=response,
        model=IncidentReplyOut,
        work=work,
        status=202,
    )
