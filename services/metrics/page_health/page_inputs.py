"""The inputs of page scores in a week: steps, daily checks, posts, citizens' messages, appeals.

Every query starts from a few pages and reads their rows of the week by an index; none reads a whole table.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, false, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.metrics.indicators.sla import EXCLUDED_STATUSES
from services.metrics.indicators.weeks import Week
from services.metrics.page_health.scoring import WEEK_DAYS
from services.metrics.schemas.page_formulas import PageFormula
from services.metrics.schemas.page_health import PageInputs
from shared.api.pagination import inline_literal
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.ingest import Message, Source
from shared.tables.registry import Page, PageCheck, PageStep

# Sources that read all posts of a page. A wall counts as read if it was last read a day before the week's end or
# later.
WALL_SOURCES = ("wall_poll", "topics_poll")
WALL_DATA_VALID_FOR = timedelta(hours=24)
# The step covers both widgets; the registry does not record them separately.
WIDGETS_OF_STEP = 2
# Audience figures are taken from checks between Friday and Sunday: each covers seven days, at least four of them
# in the week.
_AUDIENCE_DAYS = timedelta(days=2)
_PROFILE_FIELDS = ("avatar", "description", "cover", "comments_open", "members")


async def read_inputs(
    session: AsyncSession, page_ids: Sequence[UUID], week: Week, formula: PageFormula
) -> dict[UUID, PageInputs]:
    """Return the inputs of these pages in a week; post counts only for the periods that the formula uses."""
    windows = {WEEK_DAYS} | {criterion.days for criterion in formula.criteria if criterion.days is not None}
    steps = await _steps(session, page_ids, week)
    checks = await _checks(session, page_ids, week)
    talk = {row.id: row for row in await session.execute(_talk_query(page_ids, week))}
    posts = {row.id: row for row in await session.execute(_posts_query(page_ids, week, windows))}
    return {
        page_id: PageInputs(
            steps=steps[page_id],
            widgets=WIDGETS_OF_STEP if "widgets" in steps[page_id] else 0,
            **_profile(checks[page_id]),
            **_posts(posts[page_id], windows, checks[page_id], week),
            **_reactions(checks[page_id], week),
            **_reach(checks[page_id], week),
            citizen_messages=talk[page_id].citizen_messages,
            citizen_messages_in_dialogue=talk[page_id].in_dialogue,
            appeals_due=talk[page_id].appeals_due,
            appeals_answered=talk[page_id].appeals_answered,
        )
        for page_id in page_ids
    }


async def _steps(session: AsyncSession, page_ids: Sequence[UUID], week: Week) -> dict[UUID, dict[str, date]]:
    """Return, by page, the steps that it had at the end of the week, each with the day it was reached."""
    rows = await session.execute(
        select(PageStep.page_id, PageStep.step, PageStep.reached_on)
        .where(
            PageStep.page_id.in_(page_ids),
            PageStep.reached_on <= week.sunday,
            or_(PageStep.lost_on.is_(None), PageStep.lost_on > week.sunday),
        )
        .order_by(PageStep.reached_on)
    )
    found: dict[UUID, dict[str, date]] = defaultdict(dict)
    for page_id, step, reached_on in rows:
        found[page_id][step] = reached_on
    return found


async def _checks(session: AsyncSession, page_ids: Sequence[UUID], week: Week) -> dict[UUID, list[Row[Any]]]:
    """Return the checks of the week by page, in the order of days."""
    rows = await session.execute(
        select(PageCheck.page_id, PageCheck.day, PageCheck.state, PageCheck.reason, PageCheck.snapshot)
        .where(PageCheck.page_id.in_(page_ids), PageCheck.day >= week.monday, PageCheck.day <= week.sunday)
        .order_by(PageCheck.page_id, PageCheck.day)
    )
    found: dict[UUID, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        found[row.page_id].append(row)
    return found


def _profile(checks: Sequence[Row[Any]]) -> dict[str, Any]:
    if not checks:
        return {}
    last = checks[-1]
    known: dict[str, Any] = {"checked_on": last.day, "state": last.state, "state_reason": last.reason}
    seen = next((check for check in reversed(checks) if check.state == "open"), None)
    if seen is not None:
        known |= {name: seen.snapshot.get(name) for name in _PROFILE_FIELDS} | {"profile_on": seen.day}
    return known


def _reactions(checks: Sequence[Row[Any]], week: Week) -> dict[str, Any]:
    check = _last_check_with(checks, week, "likes_7_days")
    if check is None:
        return {}
    counts = {name: check.snapshot.get(f"{name}_7_days") for name in ("views", "likes", "comments", "reposts")}
    return {"reactions_on": check.day, "reacted_posts": check.snapshot.get("posts_7_days"), **counts}


def _reach(checks: Sequence[Row[Any]], week: Week) -> dict[str, Any]:
    check = _last_check_with(checks, week, "reach_7_days", "mean_post_reach")
    if check is None:
        return {}
    return {
        "reach_on": check.day,
        "reach": check.snapshot.get("reach_7_days"),
        "reach_counted_by": check.snapshot.get("reach_counted_by"),
        "mean_post_reach": check.snapshot.get("mean_post_reach"),
    }


def _last_check_with(checks: Sequence[Row[Any]], week: Week, *names: str) -> Row[Any] | None:
    late = [check for check in checks if check.day >= week.sunday - _AUDIENCE_DAYS]
    return next(
        (check for check in reversed(late) if any(check.snapshot.get(name) is not None for name in names)), None
    )


def _posts(row: Row[Any], windows: Collection[int], checks: Sequence[Row[Any]], week: Week) -> dict[str, Any]:
    if row.is_read:
        counted = {days: getattr(row, f"posts_{days}") for days in sorted(windows)}
        return {"posts": counted, "posts_source": "messages", "last_post_at": row.last_post_at}
    # The wall was not read: use the network's own count of Sunday's check, which covers the same seven days.
    if checks and checks[-1].day == week.sunday and checks[-1].snapshot.get("posts_7_days") is not None:
        snapshot = checks[-1].snapshot
        return {
            "posts": {WEEK_DAYS: snapshot["posts_7_days"]},
            "posts_source": "page_checks",
            "last_post_at": snapshot.get("last_post_at"),
        }
    return {}


def _posts_query(page_ids: Sequence[UUID], week: Week, windows: Collection[int]) -> Select[Any]:
    """Return the SQL query that counts the pages' own posts in each period before the end of the week."""
    own = (
        Message.page_id == Page.id,
        # With a parameter, the planner could not use the partial index of undeleted posts.
        Message.kind == inline_literal("wall_post"),
        Message.deleted_at.is_(None),
        Message.from_community,
        Message.written_at < week.end,
    )
    last = (
        select(Message.written_at.label("last_post_at"))
        .where(*own)
        .order_by(Message.written_at.desc())
        .limit(1)
        .correlate(Page)
        .lateral("last_post")
    )
    starts = {days: week.end - timedelta(days=days) for days in sorted(windows)}
    counted = (
        select(
            *(
                func.count().filter(Message.written_at >= start).label(f"posts_{days}")
                for days, start in starts.items()
            )
        )
        .select_from(Message)
        .where(*own, Message.written_at >= min(starts.values()))
        .correlate(Page)
        .lateral("counted_posts")
    )
    is_read = (
        select(Source.id)
        .where(
            Source.page_id == Page.id,
            Source.kind.in_(WALL_SOURCES),
            Source.last_success_at >= week.end - WALL_DATA_VALID_FOR,
        )
        .exists()
    )
    return (
        select(Page.id, is_read.label("is_read"), *last.c, *counted.c)
        .select_from(Page)
        .outerjoin(last, true())
        .join(counted, true())
        .where(Page.id.in_(page_ids))
    )


def _talk_query(page_ids: Sequence[UUID], week: Week) -> Select[Any]:
    """Return the SQL query that counts citizens' messages on the pages in the week, and their dialogues and
    appeals.

    Messages deleted by their author are left out; messages deleted by the community count.
    """
    reply = aliased(Message)
    is_replied = (
        select(reply.id)
        .where(
            reply.thread_key == Message.thread_key,
            reply.from_community,
            reply.written_at > Message.written_at,
            reply.written_at < week.end,
            reply.deleted_at.is_(None),
        )
        .exists()
    )
    is_public = Message.kind.in_(("comment", "wall_post"))
    is_answered = func.coalesce(Appeal.first_response_at < week.end, false())
    is_due = or_(is_answered, func.coalesce(Appeal.first_response_due_at < week.end, false()))
    written = (
        select(
            is_public.label("is_public"),
            and_(is_public, is_replied).label("is_replied"),
            Appeal.id.label("appeal_id"),
            is_answered.label("is_answered"),
            is_due.label("is_due"),
        )
        .select_from(Message)
        .outerjoin(AppealMessage, AppealMessage.message_id == Message.id)
        .outerjoin(
            Appeal,
            and_(
                Appeal.id == AppealMessage.appeal_id,
                Appeal.opened_at >= week.start,
                Appeal.status.not_in(EXCLUDED_STATUSES),
            ),
        )
        .where(
            Message.page_id == Page.id,
            Message.received_at >= week.start,
            Message.received_at < week.end,
            Message.from_community.is_(False),
            Message.history.is_(False),
            func.coalesce(Message.deleted_by != "author", true()),
        )
        .correlate(Page)
        .lateral("written")
    )
    column = written.c
    counted = (
        select(
            func.count().filter(column.is_public).label("citizen_messages"),
            func.count().filter(column.is_replied).label("in_dialogue"),
            func.count(column.appeal_id.distinct()).filter(column.is_due).label("appeals_due"),
            func.count(column.appeal_id.distinct()).filter(column.is_answered).label("appeals_answered"),
        )
        .select_from(written)
        .lateral("counted_talk")
    )
    return select(Page.id, *counted.c).select_from(Page).join(counted, true()).where(Page.id.in_(page_ids))
