"""Routes of rule sets: create, list, compare, preview, dry run, activate."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, RegistryReader, RuleManager
from services.appeals.api.presenters import rule_sets as presenters
from services.appeals.routing import dry_run, preview, rule_sets
from services.appeals.routing.preview import PreviewInput
from services.appeals.routing.repository import active_set
from services.appeals.routing.validation import RuleSetDraft
from services.appeals.schemas.routing import rule_sets as schemas
from shared import clock
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.api.response_headers import with_headers
from shared.http import problems
from shared.http.problems import Invalid, NotFound, PreconditionFailed, PreconditionRequired, Unavailable
from shared.service import Once, ReadTransaction, WriteTransaction

router = APIRouter(prefix="/rule-sets", tags=["routing"])

_WINDOW = timedelta(days=30)


@router.get("", responses=problems.responses(*READ_PROBLEMS), summary="List the versions of the routing rules")
async def list_rule_sets(
    *,
    session: ReadTransaction,
    caller: RegistryReader,
    paging: PagingDep,
    response: Response,
    status: Annotated[
        schemas.RuleSetStatus | None, Query(description="Only sets with this status; exactly one set is `active`")
    ] = None,
) -> Page[schemas.RuleSetSummary]:
    """Return rule sets, newest first, without their rules."""
    rows, cursor = paging.page(
        await rule_sets.list_rule_sets(session, paging, status=status), lambda row: (row[0].number,), response
    )
    return Page(items=await presenters.rule_set_summaries(session, rows), next_cursor=cursor)


@router.post(
    "",
    status_code=201,
    responses=problems.responses(*WRITE_PROBLEMS) | with_headers(201, "Location"),
    summary="Create a rule set",
)
async def create_rule_set(
    session: WriteTransaction,
    caller: RuleManager,
    body: schemas.RuleSetIn,
    once: Once,
    response: Response,
) -> schemas.RuleSetOut:
    """Create a draft, validated as a whole: conflicts, closed or unknown organisations, unknown topics and
    locations, forwarding loops and a missing default are a 422 that names the rules. The draft routes nothing
    until it is activated.
    """

    async def work() -> schemas.RuleSetOut:
        draft = RuleSetDraft(
            [rule.rule() for rule in body.rules],
            body.default.send_to if body.default else None,
            body.default.organisation_id if body.default else None,
        )
        made = await rule_sets.create_draft(session, draft, body.note, caller.actor)
        return await presenters.rule_set_out(session, made)

    made = await once(schemas.RuleSetOut, work)
    response.headers["Location"] = f"/api/v1/rule-sets/{made.id}"
    set_etag(response, made.version)
    return made


@router.get("/{rule_set_id}", responses=problems.responses(*READ_PROBLEMS, NotFound), summary="Get a rule set")
async def get_rule_set(
    session: ReadTransaction, caller: RegistryReader, rule_set_id: UUID, response: Response
) -> schemas.RuleSetOut:
    """Return the set with its rules. Send the ETag as `If-Match`."""
    rule_set = await presenters.rule_set_out(session, await rule_sets.get_rule_set(session, rule_set_id))
    set_etag(response, rule_set.version)
    return rule_set


@router.post(
    "/{rule_set_id}/activation",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired),
    summary="Activate a rule set",
)
async def activate_rule_set(
    *,
    session: WriteTransaction,
    caller: RuleManager,
    rule_set_id: UUID,
    body: schemas.RuleSetActivationIn,
    version: RequiredVersion,
    response: Response,
) -> schemas.RuleSetOut:
    """Replace the active set with this one; an older set may be activated again. The set is validated again: if it
    is no longer valid, the response is a 409 that names the rules. Unassigned appeals are routed again; with
    `reroute` also appeals that nobody has moved or started to work on. `POST …/dry-run` with `only_untouched`
    shows which appeals would move.
    """
    active = await rule_sets.activate(
        session,
        rule_set_id,
        version,
        caller.actor,
        expected_active_id=body.expected_active_id,
        reroute=body.reroute,
    )
    set_etag(response, active.version)
    return await presenters.rule_set_out(session, active)


@router.post(
    "/{rule_set_id}/dry-run",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="Dry-run a rule set",
)
async def dry_run_rule_set(
    session: ReadTransaction, caller: RuleManager, rule_set_id: UUID, body: schemas.DryRunIn
) -> schemas.DryRunOut:
    """Return how the set would route the appeals of a period, with their current topic, location, urgency and
    page. Nothing changes. The decisions are made as in real routing.
    """
    opened_from, opened_to = body.from_, body.to
    if not body.only_untouched:
        opened_to = opened_to or clock.now()
        opened_from = opened_from or opened_to - _WINDOW
    if opened_from is not None and opened_to is not None and opened_from >= opened_to:
        raise Invalid.field("/from", "The window must end after it begins: give an earlier `from` or a later `to`")
    rule_set = await rule_sets.get_rule_set(session, rule_set_id)
    outcome = await dry_run.dry_run(
        session, rule_set, opened_from=opened_from, opened_to=opened_to, only_untouched=body.only_untouched
    )
    return schemas.DryRunOut(
        rule_set=rule_set.number,
        from_=opened_from,
        to=opened_to,
        appeals=outcome.appeals,
        would_move=outcome.would_move,
        unrouted=outcome.unrouted,
        need_unclear=outcome.need_unclear,
        movements=await presenters.movements_out(session, outcome),
    )


@router.post(
    "/{rule_set_id}/preview",
    responses=problems.responses(*READ_PROBLEMS, NotFound, Unavailable),
    summary="Preview a rule set",
)
async def preview_rule_set(
    session: ReadTransaction, caller: RuleManager, rule_set_id: UUID, body: schemas.RulePreviewIn
) -> schemas.RulePreviewOut:
    """Return the route that a message would get, and every rule that matches it. The text is classified like a
    citizen's message; given fields take precedence. Nothing is stored.
    """
    rule_set = await rule_sets.get_rule_set(session, rule_set_id)
    return await presenters.preview_out(
        session, rule_set, await preview.preview_route(session, rule_set, PreviewInput(**body.model_dump()))
    )


@router.get(
    "/{rule_set_id}/changes",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="Compare two rule sets",
)
async def compare_rule_sets(
    session: ReadTransaction,
    caller: RegistryReader,
    rule_set_id: UUID,
    against: Annotated[UUID | None, Query(description="The active set by default")] = None,
) -> schemas.RuleSetChanges:
    """Return the rules that this set adds or removes, or whose target organisation it changes."""
    rule_set = await rule_sets.get_rule_set(session, rule_set_id)
    other = await rule_sets.get_rule_set(session, against) if against else await active_set(session)
    return await presenters.changes_out(session, rule_set, other)
