"""Weekly samples: the answers of a week that people grade."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Row, Select, case, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.grading import rubrics
from services.metrics.grading.sampling import Answer, draw
from services.metrics.indicators.period import Period
from services.metrics.indicators.weeks import Week, requested_week
from services.metrics.schemas.grading import SampleOut
from services.metrics.settings import MetricsSettings
from shared import clock
from shared.api.pagination import Paging, inline_literal
from shared.database.bulk_insert import insert_rows
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Invalid
from shared.ids import new_id
from shared.tables.appeals import Appeal, Assignment
from shared.tables.appeals_replies import Reply, ReplyChange
from shared.tables.metrics_grading import GradingItem, GradingRubric, GradingSample

_LOCK = int.from_bytes(b"samples", signed=True)
SCHEDULER = "metrics"
# A sample is drawn at least this long after its week, so that replies written in the network have been read.
READ_WITHIN = timedelta(hours=24)


async def draw_sample(
    session: WriteSession,
    config: MetricsSettings,
    actor: str,
    week: str,
    *,
    size: int | None = None,
    seed: str | None = None,
) -> tuple[GradingSample, bool]:
    """Draw the sample of a week that ended at least a day ago; return the sample, and whether it is new.

    A week has one sample: a repeated call returns it. Raises `Conflict` if its size or seed differs from the given
    one, and `Invalid` for `/week`, or for `/size` if none is given and samples are disabled.
    """
    period = _ended_week(week)
    await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    found = await session.scalar(select(GradingSample).where(GradingSample.week == week))
    if found is not None:
        if size not in {None, found.size} or seed not in {None, found.seed}:
            raise Conflict(f"The week already has a sample of {found.size} answers with the seed «{found.seed}»")
        return found, False
    wanted = config.grading_sample_size if size is None else size
    if not wanted:
        raise Invalid.field("/size", "Samples are disabled (GOSPABLIK_GRADING_SAMPLE_SIZE is 0): give a size")
    answers = {row.id: row for row in await session.execute(answers_query(period))}
    # A reply is graded in one week only, even if the network corrected its time of publication later.
    for reply_id in await session.scalars(
        select(GradingItem.reply_id).where(is_one_of(GradingItem.reply_id, answers))
    ):
        del answers[reply_id]
    sample = GradingSample(
        id=new_id(),
        week=week,
        rubric_id=(await rubrics.newest_rubric(session)).id,
        # A random seed: before the draw nobody can know which answers will be graded.
        seed=seed or secrets.token_hex(8),
        size=wanted,
        second_share=config.grading_second_share,
        answers=len(answers),
        created_by=actor,
        created_at=clock.now(),
    )
    session.add(sample)
    await session.flush()
    drawn = draw(
        (Answer(row.id, row.organisation_id, row.text_id) for row in answers.values()),
        sample.size,
        sample.seed,
        sample.second_share,
    )
    edits = await _applied_edits(session, [one.reply_id for one in drawn])
    await insert_rows(
        session,
        GradingItem,
        [
            {
                "id": new_id(),
                "sample_id": sample.id,
                "position": position,
                "reply_id": one.reply_id,
                "organisation_id": one.organisation_id,
                "kind": answers[one.reply_id].kind,
                "published_at": answers[one.reply_id].published_at,
                "edits": edits.get(one.reply_id, 0),
                "stratum_size": one.stratum_size,
                "graders_wanted": one.graders_wanted,
                "scores": None,
                "graded_at": None,
                "created_at": sample.created_at,
            }
            for position, one in enumerate(drawn, start=1)
        ],
    )
    return sample, True


async def draw_last_week(session: WriteSession, config: MetricsSettings) -> GradingSample | None:
    """Draw the sample of the last week whose replies are all read, or return the existing one. None if samples are
    disabled.
    """
    if not config.grading_sample_size:
        return None
    week = Week.containing(clock.now() - READ_WITHIN).shifted(-1)
    sample, _ = await draw_sample(session, config, SCHEDULER, week.name)
    return sample


def answers_query(period: Period) -> Select[UUID, str, datetime, UUID, UUID]:
    """Return the SQL query for the answers published in a period, with the organisation that had the appeal at
    that time or, before any assignment, got it first.

    Left out: answers given by phone or on paper, of which only a note exists; answers of the centre, whose people
    grade; answers to citizens whose data was erased.
    """
    # The last assignment before the answer or, if staff answered before any assignment, the first one.
    is_later = Assignment.at > Reply.published_at
    had = (
        select(Assignment.to_organisation_id, literal(True).label("known"))
        .where(Assignment.appeal_id == Reply.appeal_id)
        .order_by(
            is_later,
            case((~is_later, Assignment.at)).desc(),
            Assignment.at,
            case((is_later, Assignment.id)),
            Assignment.id.desc(),
        )
        .limit(1)
        .lateral("had")
    )
    organisation_id = case((had.c.known, had.c.to_organisation_id), else_=Appeal.organisation_id)
    return (
        select(
            Reply.id,
            Reply.kind,
            Reply.published_at,
            func.coalesce(Reply.incident_reply_id, Reply.id).label("text_id"),
            organisation_id.label("organisation_id"),
        )
        .join(Appeal, Appeal.id == Reply.appeal_id)
        .outerjoin(had, literal(True))
        .where(
            Reply.status == inline_literal("published"),
            Reply.published_at >= period.start,
            Reply.published_at < period.end,
            Reply.origin != "recorded",
            Reply.text != "",
            organisation_id.is_not(None),
        )
    )


async def list_samples(session: AsyncSession, paging: Paging) -> Sequence[Row[GradingSample, int, int, int]]:
    """Return samples, newest week first, with their rubric's version and the numbers of items and graded items,
    one more than the page holds.
    """
    query = _select_samples().order_by(GradingSample.week.desc()).limit(paging.limit + 1)
    after = paging.after((GradingSample.week,), (str,))
    return (await session.execute(query if after is None else query.where(after))).all()


async def get_sample(session: AsyncSession, sample_id: UUID) -> SampleOut:
    """Return a sample as its API model."""
    return sample_out((await session.execute(_select_samples().where(GradingSample.id == sample_id))).one())


def sample_out(row: Row[GradingSample, int, int, int]) -> SampleOut:
    """Return a row of `list_samples` as its API model."""
    sample, version, items, graded = row
    names = ("id", "week", "seed", "size", "second_share", "answers", "created_at")
    return SampleOut(
        **{name: getattr(sample, name) for name in names}, rubric_version=version, items=items, graded=graded
    )


def _select_samples() -> Select[GradingSample, int, int, int]:
    items, graded = (
        select(func.count())
        .select_from(GradingItem)
        .where(GradingItem.sample_id == GradingSample.id, condition)
        .scalar_subquery()
        for condition in (literal(True), GradingItem.graded_at.is_not(None))
    )
    return select(GradingSample, GradingRubric.version, items, graded).join(
        GradingRubric, GradingRubric.id == GradingSample.rubric_id
    )


def _ended_week(week: str) -> Period:
    period = requested_week(week, "/week").period
    if period.end + READ_WITHIN > clock.now():
        detail = "The week ended less than a day ago, or has not ended: answers read later would never be drawn"
        raise Invalid.field("/week", detail)
    return period


async def _applied_edits(session: AsyncSession, reply_ids: Sequence[UUID]) -> Mapping[UUID, int]:
    rows = await session.execute(
        select(ReplyChange.reply_id, func.count().label("edits"))
        .where(ReplyChange.reply_id.in_(reply_ids), ReplyChange.kind == "edit", ReplyChange.status == "applied")
        .group_by(ReplyChange.reply_id)
    )
    return {row.reply_id: row.edits for row in rows}
