"""Objections: an organisation disagrees with the grades of its answer, and a person of the centre decides.

The grades stay unchanged; an upheld objection keeps the former scores beside the new ones.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.grading.authorship import took_part
from services.metrics.grading.grades import grades_of, lock_item, masked, require_person, require_texts, rubric_of
from services.metrics.grading.rubrics import check_scores
from services.metrics.schemas.grading import GradedOrganisation, ObjectionOut, RejectIn, UpholdIn
from shared import clock
from shared.api.pagination import Paging, inline_literal
from shared.api.preconditions import check_version
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Forbidden, NotFound
from shared.ids import new_id
from shared.tables.appeals_replies import Reply
from shared.tables.metrics_grading import GradingItem, GradingObjection
from shared.tables.registry import Organisation


async def object_to_grades(
    session: WriteSession, caller: Caller, item_id: UUID, ground: str, days: int
) -> ObjectionOut:
    """Store the objection of the caller's organisation to the grades of its answer.

    Raises `NotFound` for an answer outside the caller's scope or whose grades are not complete, and `Conflict` for
    a second objection, after `days`, or if the citizen's data was erased.
    """
    visible = select(GradingItem.id).where(
        GradingItem.id == item_id, GradingItem.graded_at.is_not(None), caller.scope(GradingItem.organisation_id)
    )
    if await session.scalar(visible) is None:
        raise NotFound("No such graded answer")
    item = await lock_item(session, item_id)
    if await objection_of(session, item_id) is not None:
        raise Conflict("The organisation has already objected to these grades")
    if item.graded_at is None or clock.now() > item.graded_at + timedelta(days=days):
        raise Conflict(f"Objections are possible only for {days} days after the answer was graded")
    await require_texts(session, item)
    objection = GradingObjection(
        id=new_id(),
        item_id=item_id,
        organisation_id=item.organisation_id,
        status="open",
        ground=ground,
        former_scores=dict(item.scores or {}),
        requested_by=caller.actor,
    )
    session.add(objection)
    await session.flush()
    return objection_out(objection, await _organisation_name(session, item.organisation_id))


async def uphold(
    session: WriteSession, caller: Caller, objection_id: UUID, given: UpholdIn, version: int | None
) -> ObjectionOut:
    """Uphold the objection: the given scores replace the grades' scores. Raises the errors of `reject`, and
    `Invalid` for a wrong criterion.
    """
    objection, item = await _lock_open(session, caller, objection_id, version)
    check_scores(given.scores, await rubric_of(session, item), item.kind)
    objection.scores = item.scores = {code: float(score) for code, score in given.scores.items()}
    return await _decide(session, caller, objection, "upheld", given.reason)


async def reject(
    session: WriteSession, caller: Caller, objection_id: UUID, given: RejectIn, version: int | None
) -> ObjectionOut:
    """Reject the objection: the scores stay.

    Raises `NotFound`, `PreconditionFailed`, `Conflict` if the objection is not open or the citizen's data was
    erased, and `Forbidden` for an API client and for a person who graded, wrote, edited or approved the answer.
    """
    objection, _ = await _lock_open(session, caller, objection_id, version)
    return await _decide(session, caller, objection, "rejected", given.reason)


async def list_open(session: AsyncSession, caller: Caller, paging: Paging) -> Sequence[Row[GradingObjection, str]]:
    """Return the open objections in the caller's scope with the organisation's name, oldest first, one more than
    the page holds.
    """
    query = (
        select(GradingObjection, Organisation.name)
        .join(Organisation, Organisation.id == GradingObjection.organisation_id)
        .where(GradingObjection.status == inline_literal("open"), caller.scope(GradingObjection.organisation_id))
        .order_by(GradingObjection.created_at, GradingObjection.id)
        .limit(paging.limit + 1)
    )
    columns = (GradingObjection.created_at, GradingObjection.id)
    after = paging.after(columns, (datetime.fromisoformat, UUID), descending=False)
    return (await session.execute(query if after is None else query.where(after))).all()


async def objection_of(session: AsyncSession, item_id: UUID) -> GradingObjection | None:
    """Return the objection to the grades of an item; None if there is none."""
    query = select(GradingObjection).where(GradingObjection.item_id == item_id)
    found: GradingObjection | None = await session.scalar(query)
    return found


def objection_out(objection: GradingObjection, organisation: str) -> ObjectionOut:
    """Return the objection as its API model, without the people who graded, objected and decided."""
    names = ("id", "item_id", "version", "status", "former_scores", "scores", "created_at", "decided_at")
    return ObjectionOut(
        **{name: getattr(objection, name) for name in names},
        organisation=GradedOrganisation(id=objection.organisation_id, name=organisation),
        ground=masked(objection.ground) or "",
        reason=masked(objection.reason),
    )


async def _lock_open(
    session: WriteSession, caller: Caller, objection_id: UUID, version: int | None
) -> tuple[GradingObjection, GradingItem]:
    await require_person(session, caller)
    found = await session.get(GradingObjection, objection_id)
    if found is None:
        raise NotFound("No such objection")
    item = await lock_item(session, found.item_id)
    await session.refresh(found)
    if found.status != "open":
        raise Conflict(f"The objection has already been decided: it was {found.status}")
    check_version(found.version, version)
    if any(grade.grader == caller.actor for grade in await grades_of(session, item.id)):
        raise Forbidden("You graded the answer: another person must decide the objection")
    if await session.scalar(select(Reply.id).where(Reply.id == item.reply_id, took_part(caller.actor))):
        raise Forbidden("You wrote, edited or approved the answer: another person must decide the objection")
    await require_texts(session, item)
    return found, item


async def _decide(
    session: WriteSession, caller: Caller, objection: GradingObjection, status: str, reason: str
) -> ObjectionOut:
    objection.status, objection.reason = status, reason
    objection.decided_by, objection.decided_at = caller.actor, clock.now()
    await session.flush()
    return objection_out(objection, await _organisation_name(session, objection.organisation_id))


async def _organisation_name(session: AsyncSession, organisation_id: UUID) -> str:
    query = select(Organisation.name).where(Organisation.id == organisation_id)
    return (await session.execute(query)).scalar_one()
