"""Routes of incidents: many appeals about one problem, and one reply to all of them."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, Reader, Replier, Worker
from services.appeals.api.presenters import incidents
from services.appeals.api.presenters.incidents import appeal_brief, incident_out, incident_response, incidents_out
from services.appeals.assignments import assignments
from services.appeals.incidents import bulk_reply, incident_queries, service, similar_appeals
from services.appeals.schemas.incidents.incidents import (
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
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.api.response_headers import with_headers
from shared.database.sessions import retry_on_deadlock
from shared.http import problems
from shared.http.problems import Duplicate, NotFound, PreconditionFailed, PreconditionRequired, TooManyRequests
from shared.service import Once, ReadTransaction, WriteTransaction

router = APIRouter(tags=["incidents"])


@router.get(
    "/appeals/{appeal_id}/similar",
    responses=problems.responses(*READ_PROBLEMS, NotFound, TooManyRequests),
    summary="List similar appeals",
    tags=["appeals"],
)
async def list_similar_appeals(
    *,
    session: ReadTransaction,
    caller: Reader,
    appeal_id: UUID,
    days: Annotated[int, Query(ge=1, le=90, description="Days before and after the appeal to search")] = 14,
    limit: Annotated[int, Query(ge=1, le=50, description="Maximum number, most similar first")] = 20,
    all_organisations: Annotated[
        bool, Query(description="Search all appeals that you may see, not only those of the appeal's organisation")
    ] = False,
) -> SimilarAppealList:
    """Return appeals similar by text, location, topic, author and time, most similar first, each with the reasons.
    At most 500 appeals are compared, by the first 2,000 characters of their texts. The same text posted in another
    network within hours is probably from the same person.
    """
    similar, compared_count = await similar_appeals.like(
        session, caller, appeal_id, days=days, all_organisations=all_organisations
    )
    return SimilarAppealList(
        items=[
            SimilarAppealOut(
                **appeal_brief(one.appeal, one.organisation, one.topic),
                incident_id=one.appeal.incident_id,
                score=round(one.similarity.score, 3),
                why=list(one.similarity.why),
                same_person=one.similarity.same_person,
            )
            for one in similar[:limit]
        ],
        compared_count=compared_count,
    )


@router.get("/incidents", responses=problems.responses(*READ_PROBLEMS), summary="List incidents")
async def list_incidents(
    *,
    session: ReadTransaction,
    caller: Reader,
    filters: Annotated[incident_queries.IncidentFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[IncidentOut]:
    """Return incidents, newest first. Staff of an organisation see incidents that it leads or has an appeal in."""
    rows, cursor = paging.page(
        await incident_queries.find(session, caller, filters, paging),
        lambda row: (row[0].opened_at, row[0].id),
        response,
    )
    return Page(items=await incidents_out(session, rows), next_cursor=cursor)


@router.post(
    "/incidents",
    status_code=201,
    responses=problems.responses(*WRITE_PROBLEMS) | with_headers(201, "Location"),
    summary="Join appeals into an incident",
)
async def open_incident(
    session: WriteTransaction, caller: Worker, body: IncidentIn, once: Once, response: Response
) -> IncidentOut:
    """Join appeals into an incident. Each appeal keeps its author, thread, organisation and deadline; 409 if an
    appeal is in another incident.

    Moderators may join appeals of any organisation, staff those of their own.
    """

    async def work() -> IncidentOut:
        incident = await service.open_manually(session, caller, body.appeal_ids, body.title)
        return await incident_out(session, await incident_queries.get_incident_row(session, caller, incident.id))

    opened = await once(IncidentOut, lambda: retry_on_deadlock(session, work))
    response.headers["Location"] = f"/api/v1/incidents/{opened.id}"
    set_etag(response, opened.version)
    return opened


@router.get(
    "/incidents/{incident_id}", responses=problems.responses(*READ_PROBLEMS, NotFound), summary="Get an incident"
)
async def get_incident(
    session: ReadTransaction, caller: Reader, incident_id: UUID, response: Response
) -> IncidentOut:
    """Return the incident; its appeals are listed by `/incidents/{id}/members`. Send the ETag as `If-Match`."""
    incident = await incident_out(session, await incident_queries.get_incident_row(session, caller, incident_id))
    set_etag(response, incident.version)
    return incident


CHANGE_PROBLEMS = (*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired)


@router.patch(
    "/incidents/{incident_id}", responses=problems.responses(*CHANGE_PROBLEMS), summary="Change an incident"
)
async def update_incident(
    *,
    session: WriteTransaction,
    caller: Worker,
    incident_id: UUID,
    body: IncidentPatch,
    version: RequiredVersion,
    response: Response,
) -> IncidentOut:
    """Change the title or the leading organisation, also of a closed incident: its title may name a person whose
    data is erased. Only the centre may change who leads.
    """
    values: dict[str, Any] = body.model_dump(exclude_unset=True)
    if values.get("title", "") is None:
        raise problems.Invalid.field(
            "/title", "An incident must have a title: leave `title` out to keep the current one"
        )
    await assignments.require_open_organisation(session, values.get("organisation_id"))
    await service.update_incident(session, caller, incident_id, version, values)
    return await incident_response(session, caller, incident_id, response)


@router.post(
    "/incidents/{incident_id}/closure", responses=problems.responses(*CHANGE_PROBLEMS), summary="Close an incident"
)
async def close_incident(
    session: WriteTransaction, caller: Worker, incident_id: UUID, version: RequiredVersion, response: Response
) -> IncidentOut:
    """Close the incident: appeals can no longer join it. Its appeals stay unchanged."""
    await service.close(session, caller, incident_id, version)
    return await incident_response(session, caller, incident_id, response)


@router.get(
    "/incidents/{incident_id}/members",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="List the appeals of an incident",
)
async def list_incident_members(
    session: ReadTransaction, caller: Reader, incident_id: UUID, paging: PagingDep, response: Response
) -> Page[IncidentMemberOut]:
    """Return the incident's appeals, last joined first, with the reason for each. Staff of an organisation see its
    appeals only.
    """
    rows, cursor = paging.page(
        await incident_queries.members(session, caller, incident_id, paging),
        lambda row: (row[0].joined_at, row[0].id),
        response,
    )
    return Page(
        items=[
            IncidentMemberOut(
                **appeal_brief(appeal, organisation, topic),
                similarity=member.similarity,
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
    summary="Add appeals to an incident",
)
async def add_incident_members(
    session: WriteTransaction, caller: Worker, incident_id: UUID, body: IncidentMembersIn, response: Response
) -> IncidentOut:
    """Add appeals to the incident. Appeals that are already in the incident stay; 409 if an appeal is in another
    incident.
    """
    await retry_on_deadlock(session, lambda: service.add_manually(session, caller, incident_id, body.appeal_ids))
    return await incident_response(session, caller, incident_id, response)


@router.delete(
    "/incidents/{incident_id}/members/{appeal_id}",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound),
    status_code=204,
    summary="Remove an appeal from an incident",
)
async def remove_incident_member(
    session: WriteTransaction, caller: Worker, incident_id: UUID, appeal_id: UUID
) -> None:
    """Remove an appeal from the incident. It is never added again automatically."""
    await retry_on_deadlock(session, lambda: service.remove_member(session, caller, incident_id, appeal_id))


@router.get(
    "/incidents/{incident_id}/replies",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="List the replies to an incident",
)
async def list_incident_replies(
    session: ReadTransaction, caller: Reader, incident_id: UUID, paging: PagingDep, response: Response
) -> Page[IncidentReplyOut]:
    """Return the incident's replies, newest first, each with the number of appeals in your scope by reply
    status.
    """
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
    summary="Reply to all appeals of an incident",
)
async def reply_to_incident(
    *,
    session: WriteTransaction,
    caller: Replier,
    incident_id: UUID,
    body: IncidentReplyIn,
    once: Once,
) -> IncidentReplyOut:
    """Reply to each appeal of the incident that awaits a reply, once, in its own thread and on behalf of its own
    page.

    A moderator replies to all appeals, staff to those of their organisation. A moderator's reply also assigns the
    appeals in triage, so it needs `appeals:triage` too. Appeals that a person has answered or
    is answering are skipped; if an interim reply is still under way, the final reply is published after it. The
    same final text within 24 hours is a 409 (`duplicate`) naming the first, unless the request has a
    new `Idempotency-Key`. Progress: `GET /incidents/{id}/replies`.
    """

    async def work() -> IncidentReplyOut:
        given = bulk_reply.NewBulkReply(body.text, body.kind, body.promised_at, body.include_later_members)
        reply = await bulk_reply.submit_bulk_reply(
            session, caller, incident_id, given, allow_duplicate=once.has_key
        )
        return (await incidents.bulk_replies_out(session, caller, [reply]))[0]

    return await once(IncidentReplyOut, work)
