"""The versions of the rubric: the criteria for grading answers."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.schemas.grading import Criterion, RubricIn, RubricOut
from shared import clock
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import Invalid
from shared.ids import new_id
from shared.tables.metrics_grading import GradingRubric

_LOCK = int.from_bytes(b"rubrics", signed=True)


async def list_rubrics(session: AsyncSession) -> Sequence[RubricOut]:
    """Return all versions, newest first."""
    rows = await session.scalars(select(GradingRubric).order_by(GradingRubric.version.desc()))
    return [rubric_out(row) for row in rows]


async def load_rubrics(session: AsyncSession, ids: Collection[UUID]) -> Mapping[UUID, RubricOut]:
    """Return the rubrics with these ids, by id."""
    if not ids:
        return {}
    rows = await session.scalars(select(GradingRubric).where(GradingRubric.id.in_(ids)))
    return {row.id: rubric_out(row) for row in rows}


async def newest_rubric(session: AsyncSession) -> GradingRubric:
    """Return the newest rubric, by which new samples are graded."""
    return (await session.scalars(select(GradingRubric).order_by(GradingRubric.version.desc()).limit(1))).one()


async def add_rubric(session: WriteSession, caller: Caller, new: RubricIn) -> RubricOut:
    """Store the next version of the rubric; existing samples keep their version."""
    # Serialised, because two concurrent transactions would use the same version.
    await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    row = GradingRubric(
        id=new_id(),
        version=(await newest_rubric(session)).version + 1,
        criteria=[criterion.model_dump(mode="json") for criterion in new.criteria],
        created_by=caller.actor,
        created_at=clock.now(),
    )
    session.add(row)
    await session.flush()
    return rubric_out(row)


def rubric_out(row: GradingRubric) -> RubricOut:
    """Return the rubric as its API model."""
    criteria = [Criterion.model_validate(criterion) for criterion in row.criteria]
    return RubricOut(id=row.id, version=row.version, criteria=criteria, created_at=row.created_at)


def asked_criteria(rubric: RubricOut, kind: str) -> Sequence[Criterion]:
    """Return the criteria to grade in replies of this kind."""
    return [criterion for criterion in rubric.criteria if criterion.graded and kind in criterion.kinds]


async def graded_criteria(session: AsyncSession, ids: Collection[UUID]) -> Sequence[Criterion]:
    """Return the graded criteria of these rubrics, or of the newest if none is given; each criterion in its last
    version.
    """
    found = (await load_rubrics(session, ids)).values() or [rubric_out(await newest_rubric(session))]
    criteria: dict[str, Criterion] = {}
    for rubric in sorted(found, key=lambda one: -one.version):
        for criterion in rubric.criteria:
            criteria.setdefault(criterion.code, criterion)
    return [criterion for criterion in criteria.values() if criterion.graded]


def check_scores(scores: Mapping[str, int], rubric: RubricOut, kind: str) -> None:
    """Raise `Invalid` for a criterion without a score, or a score of a criterion that does not apply to this kind
    of reply.
    """
    asked = {criterion.code for criterion in asked_criteria(rubric, kind)}
    if missing := sorted(asked - scores.keys()):
        raise Invalid.field(f"/scores/{missing[0]}", "Give a score for this criterion: 0, 1 or 2")
    if unknown := sorted(scores.keys() - asked):
        raise Invalid.field(
            f"/scores/{unknown[0]}",
            f"This criterion does not apply to the answer. Score only: {', '.join(sorted(asked))}",
        )
