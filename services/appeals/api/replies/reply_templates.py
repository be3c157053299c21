"""Routes of reply templates."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, Replier
from services.appeals.api.presenters.replies import template_out
from services.appeals.lifecycle import appeal_queries
from services.appeals.reply_templates import reply_templates
from services.appeals.schemas.replies import reply_templates as schemas
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.api.response_headers import with_headers
from shared.http import problems
from shared.http.problems import NotFound, PreconditionFailed, PreconditionRequired
from shared.service import Once, ReadTransaction, WriteTransaction

router = APIRouter(tags=["reply templates"])

_CHANGE_PROBLEMS = (*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired)


@router.get("/reply-templates", responses=problems.responses(*READ_PROBLEMS), summary="List reply templates")
async def list_reply_templates(
    *,
    session: ReadTransaction,
    caller: Replier,
    filters: Annotated[reply_templates.ReplyTemplateFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[schemas.ReplyTemplateOut]:
    """Return the templates of the centre and of your organisation, newest first."""
    rows, cursor = paging.page(
        await reply_templates.list_templates(session, caller, filters, paging),
        lambda row: (row[0].created_at, row[0].id),
        response,
    )
    return Page(items=[template_out(row) for row in rows], next_cursor=cursor)


@router.post(
    "/reply-templates",
    status_code=201,
    responses=problems.responses(*WRITE_PROBLEMS) | with_headers(201, "Location"),
    summary="Create a reply template",
)
async def create_reply_template(
    session: WriteTransaction,
    caller: Replier,
    body: schemas.ReplyTemplateIn,
    once: Once,
    response: Response,
) -> schemas.ReplyTemplateOut:
    """Create a template. An unknown field in its text is a 422 that names it."""

    async def work() -> schemas.ReplyTemplateOut:
        made = await reply_templates.create_template(session, caller, body.given())
        return template_out(await reply_templates.get_template(session, caller, made.id))

    made = await once(schemas.ReplyTemplateOut, work)
    response.headers["Location"] = f"/api/v1/reply-templates/{made.id}"
    set_etag(response, made.version)
    return made


@router.get(
    "/reply-templates/{template_id}",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="Get a reply template",
)
async def get_reply_template(
    session: ReadTransaction, caller: Replier, template_id: UUID, response: Response
) -> schemas.ReplyTemplateOut:
    """Return the template. Send the ETag as `If-Match`."""
    template = template_out(await reply_templates.get_template(session, caller, template_id))
    set_etag(response, template.version)
    return template


@router.put(
    "/reply-templates/{template_id}",
    responses=problems.responses(*_CHANGE_PROBLEMS),
    summary="Change a reply template",
)
async def change_reply_template(
    *,
    session: WriteTransaction,
    caller: Replier,
    template_id: UUID,
    body: schemas.ReplyTemplateIn,
    version: RequiredVersion,
    response: Response,
) -> schemas.ReplyTemplateOut:
    """Replace the template. Drafts that were written from it stay unchanged."""
    changed = await reply_templates.change_template(session, caller, template_id, version, body.given())
    set_etag(response, changed.version)
    return template_out(await reply_templates.get_template(session, caller, changed.id))


@router.delete(
    "/reply-templates/{template_id}",
    status_code=204,
    responses=problems.responses(*_CHANGE_PROBLEMS),
    summary="Delete a reply template",
)
async def delete_reply_template(
    session: WriteTransaction, caller: Replier, template_id: UUID, version: RequiredVersion
) -> None:
    """Delete the template."""
    await reply_templates.delete_template(session, caller, template_id, version)


@router.get(
    "/appeals/{appeal_id}/reply-templates",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="List the templates for an appeal",
)
async def list_templates_for_appeal(
    session: ReadTransaction, caller: Replier, appeal_id: UUID
) -> list[schemas.FilledTemplateOut]:
    """Return at most 50 templates filled with the values of the appeal, best first: templates of its topic, then
    of the topic's group, then of any topic; among equals the organisation's own before the centre's.
    """
    appeal = await appeal_queries.get_visible(session, caller, appeal_id)
    return [
        schemas.FilledTemplateOut(
            id=filled.template.id,
            name=filled.template.name,
            kind=filled.template.kind,
            own=filled.template.organisation_id is not None,
            text=filled.text,
            missing_fields=list(filled.missing),
        )
        for filled in await reply_templates.templates_for(session, appeal)
    ]
