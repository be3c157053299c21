"""Routes of grading answers: rubric, samples, grades, objections."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.metrics.api.metrics import MetricsReader, PeriodFrom, PeriodTo
from services.metrics.grading import claims, graded_items, grades, objections, rubrics, samples
from services.metrics.indicators.period import parse_period
from services.metrics.schemas.grading import (
    Assignments,
    Claimed,
    ClaimIn,
    GradedItem,
    GradedItemDetails,
    GradeIn,
    GradeOut,
    ObjectionIn,
    ObjectionOut,
    RejectIn,
    RubricIn,
    RubricOut,
    Rubrics,
    SampleIn,
    SampleOut,
    UpholdIn,
)
from services.metrics.settings import metrics_settings
from shared import clock
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.http import problems
from shared.http.problems import (
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    Unauthenticated,
)
from shared.service import Once, ReadTransaction, WriteTransaction

router = APIRouter(prefix="/grading", tags=["grading"])

Grader = Annotated[Caller, require_right(Right.ANSWERS_GRADE)]
Objector = Annotated[Caller, require_right(Right.GRADES_OBJECT)]
RuleManager = Annotated[Caller, require_right(Right.RULES_MANAGE)]
AppealReader = Annotated[Caller, require_right(Right.APPEALS_READ)]

_READ = (Unauthenticated, Forbidden, Invalid)
_WRITE = (BadRequest, *_READ, Conflict)
_DECISION = (*_WRITE, NotFound, PreconditionFailed, PreconditionRequired)


@router.get("/rubrics", responses=problems.responses(*_READ), summary="The rubric in all its versions")
async def list_rubrics(session: ReadTransaction, caller: MetricsReader) -> Rubrics:
    """Return the criteria for grading answers in all versions, newest first. A version never changes."""
    return Rubrics(items=list(await rubrics.list_rubrics(session)))


@router.post(
    "/rubrics",
    status_code=201,
    responses=problems.responses(*_WRITE),
    summary="Make the next version of the rubric",
)
async def add_rubric(
    session: WriteTransaction, caller: RuleManager, body: RubricIn, once: Once, response: Response
) -> RubricOut:
    """Store a new version of the rubric for grading later samples. Existing samples keep their version."""
    made = await once(RubricOut, lambda: rubrics.add_rubric(session, caller, body))
    set_etag(response, made.version)
    return made


@router.get("/samples", responses=problems.responses(*_READ), summary="Weekly samples and their progress")
async def list_samples(
    session: ReadTransaction, caller: Grader, paging: PagingDep, response: Response
) -> Page[SampleOut]:
    """Return the samples, newest week first."""
    rows = await samples.list_samples(session, paging)
    items, cursor = paging.page(rows, lambda row: (row.GradingSample.week,), response)
    return Page(items=[samples.sample_out(row) for row in items], next_cursor=cursor)


@router.post(
    "/samples",
    status_code=201,
    responses=problems.responses(*_WRITE)
    | {200: {"model": SampleOut, "description": "The week already has this sample"}},
    summary="Draw the sample of a week",
)
async def draw_sample(
    session: WriteTransaction, caller: Grader, body: SampleIn, once: Once, response: Response
) -> SampleOut:
    """Draw the sample of a week that ended at least a day ago; samples are also drawn automatically every Tuesday.

    A week has one sample: an existing sample is returned with 200, or with 409 if its size or seed differs. A
    given size or seed requires the right `rules:manage`.
    """
    if not (body.size is None and body.seed is None):
        caller.require(Right.RULES_MANAGE)

    async def work() -> SampleOut:
        sample, is_new = await samples.draw_sample(
            session, metrics_settings(), caller.actor, body.week, size=body.size, seed=body.seed
        )
        if not is_new:
            response.status_code = 200
        return await samples.get_sample(session, sample.id)

    return await once(SampleOut, work)


@router.get("/assignments", responses=problems.responses(*_READ), summary="The caller's answers to grade")
async def list_assignments(session: ReadTransaction, caller: Grader) -> Assignments:
    """Return the answers assigned to the caller, with the citizens' questions, masked, and the rubric.

    The organisation, the appeal, the address in the network and another grader's grade are not included.
    """
    return await claims.list_assignments(session, caller)


@router.post(
    "/assignments", status_code=201, responses=problems.responses(*_WRITE), summary="Take answers to grade"
)
async def claim_assignments(session: WriteTransaction, caller: Grader, body: ClaimIn, once: Once) -> Claimed:
    """Assign up to `count` answers to the caller, from the newest sample first; `GET` returns them.

    Nobody gets an answer twice, or an answer that they wrote, edited or approved. 409 while the caller has 20.
    """

    async def work() -> Claimed:
        taken = await claims.claim_items(session, caller, body.count, metrics_settings().grading_claim_hours)
        return Claimed(item_ids=list(taken.item_ids), claimed_until=taken.claimed_until)

    return await once(Claimed, work)


@router.get("/items", responses=problems.responses(*_READ), summary="Graded answers")
async def list_graded_items(
    *,
    session: ReadTransaction,
    caller: MetricsReader,
    filters: Annotated[graded_items.GradedItemFilter, Query()],
    paging: PagingDep,
    response: Response,
    from_: PeriodFrom = None,
    to: PeriodTo = None,
) -> Page[GradedItem]:
    """Return the answers published in the period whose grades are complete, newest first.

    Organisation staff get the answers of their own organisation.
    """
    period = parse_period(from_, to, clock.now())
    rows = await graded_items.list_graded_items(session, caller, period, filters, paging)
    items, cursor = paging.page(rows, lambda row: (row.GradingItem.published_at, row.GradingItem.id), response)
    return Page(items=[graded_items.graded_item_out(row) for row in items], next_cursor=cursor)


@router.get(
    "/items/{item_id}",
    responses=problems.responses(*_READ, NotFound),
    summary="A graded answer with its grades",
)
async def get_graded_item(session: ReadTransaction, caller: AppealReader, item_id: UUID) -> GradedItemDetails:
    """Return a graded answer with its question and comments, masked; the graders are not named."""
    return await graded_items.get_graded_item(session, caller, item_id, metrics_settings().grading_objection_days)


@router.post(
    "/items/{item_id}/grades",
    status_code=201,
    responses=problems.responses(*_WRITE, NotFound),
    summary="Grade an answer",
)
async def grade_item(
    session: WriteTransaction, caller: Grader, item_id: UUID, body: GradeIn, once: Once
) -> GradeOut:
    """Store the scores of an answer assigned to the caller; they are final. 422 if a criterion is missing.

    409 if the answer is not assigned to the caller, is already graded, or the citizen's data was erased meanwhile.
    """
    return await once(GradeOut, lambda: grades.grade_item(session, caller, item_id, body))


@router.post(
    "/items/{item_id}/objections",
    status_code=201,
    responses=problems.responses(*_WRITE, NotFound),
    summary="Object to the grades of an answer",
)
async def object_to_grades(
    *,
    session: WriteTransaction,
    caller: Objector,
    item_id: UUID,
    body: ObjectionIn,
    once: Once,
    response: Response,
) -> ObjectionOut:
    """Object to the grades, with a ground, once, until the moment `objection_until`. The centre decides the
    objection.
    """

    async def work() -> ObjectionOut:
        days = metrics_settings().grading_objection_days
        return await objections.object_to_grades(session, caller, item_id, body.ground, days)

    made = await once(ObjectionOut, work)
    set_etag(response, made.version)
    return made


@router.get("/objections", responses=problems.responses(*_READ), summary="Open objections")
async def list_objections(
    session: ReadTransaction, caller: MetricsReader, paging: PagingDep, response: Response
) -> Page[ObjectionOut]:
    """Return the objections that await the centre's decision, oldest first; an organisation sees its own."""
    rows, cursor = paging.page(
        await objections.list_open(session, caller, paging), lambda row: (row[0].created_at, row[0].id), response
    )
    return Page(items=[objections.objection_out(row, name) for row, name in rows], next_cursor=cursor)


@router.post(
    "/objections/{objection_id}/uphold", responses=problems.responses(*_DECISION), summary="Uphold an objection"
)
async def uphold_objection(
    *,
    session: WriteTransaction,
    caller: Grader,
    objection_id: UUID,
    body: UpholdIn,
    version: RequiredVersion,
    once: Once,
    response: Response,
) -> ObjectionOut:
    """Uphold an objection: the given scores replace the grades.

    403 for people who graded, wrote, edited or approved the answer.
    """
    made = await once(ObjectionOut, lambda: objections.uphold(session, caller, objection_id, body, version))
    set_etag(response, made.version)
    return made


@router.post(
    "/objections/{objection_id}/reject", responses=problems.responses(*_DECISION), summary="Reject an objection"
)
async def reject_objection(
    *,
    session: WriteTransaction,
    caller: Grader,
    objection_id: UUID,
    body: RejectIn,
    version: RequiredVersion,
    once: Once,
    response: Response,
) -> ObjectionOut:
    """Reject an objection, with a reason: the grades stay.

    403 for people who graded, wrote, edited or approved the answer.
    """
    made = await once(ObjectionOut, lambda: objections.reject(session, caller, objection_id, body, version))
    set_etag(response, made.version)
    return made
