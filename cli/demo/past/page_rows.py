"""Made-up health of pages: their steps, the checks on Sundays, and the scores by the formula."""

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from cli.demo.past.region_facts import Body, OfficialPage, RegionFacts
from cli.demo.past.row_ids import RowIds
from cli.demo.past.row_writer import RowWriter
from services.metrics.indicators.weeks import Week
from services.metrics.page_health.formulas import formula_of_week, parse_formula
from services.metrics.page_health.page_inputs import read_inputs
from services.metrics.page_health.scoring import WEEK_DAYS, score_page
from shared.tables.registry import PageCheck

# The share of pages that stop publishing in one of the weeks.
_SLEEPING_SHARE = 0.12
# The share of pages whose manager gave a token with the right to read the reach.
_REACH_SHARE = 0.7
# By step that only a person can confirm: the share of pages that have reached it.
_STEP_SHARES = {"connected": 0.85, "gov_badge": 0.7, "widgets": 0.45}
STEPS = tuple(_STEP_SHARES)
CONFIRMED_BY = "made-up-history"


def add_pages(
    writer: RowWriter, region: RegionFacts, ids: RowIds, rng: random.Random, weeks: Sequence[Week]
) -> None:
    """Add the steps of every page, and the result of its check on each week's Sunday."""
    for body in region.bodies.values():
        for page in body.pages:
            _add_steps(writer, page, ids, rng, weeks[0])
            for checked_at, week, snapshot in _checks(body, rng, weeks):
                # A separate random generator, so that a change here does not change other rows.
                audience = _audience(page, snapshot, random.Random(f"{page.id}:{week.name}"))
                writer.add(
                    "page_checks",
                    id=ids.new(checked_at),
                    page_id=page.id,
                    day=week.sunday,
                    checked_at=checked_at,
                    state="open",
                    snapshot=snapshot | audience,
                    changes=[],
                    calls=0,
                )


def _add_steps(writer: RowWriter, page: OfficialPage, ids: RowIds, rng: random.Random, first: Week) -> None:
    for step, share in _STEP_SHARES.items():
        if rng.random() < share:
            reached_on = first.monday - timedelta(days=rng.randrange(10, 300))
            writer.add(
                "page_steps",
                id=ids.new(first.start),
                page_id=page.id,
                step=step,
                reached_on=reached_on,
                evidence_kind="manual",
                evidence="Придуманные данные",
                confirmed_by=CONFIRMED_BY,
                created_at=first.start,
            )


def _checks(
    body: Body, rng: random.Random, weeks: Sequence[Week]
) -> Iterator[tuple[datetime, Week, dict[str, Any]]]:
    """Yield, for each week, when a page of the organisation was checked, the week, and the snapshot."""
    usual_posts = 1 + 6 * body.quality * rng.random()
    sleeps_from = rng.randrange(len(weeks)) if rng.random() < _SLEEPING_SHARE else len(weeks)
    members = rng.randrange(120, 9000)
    last_post_at = weeks[0].start - timedelta(days=rng.randrange(1, 20))
    for number, week in enumerate(weeks):
        posts = 0 if number >= sleeps_from else max(0, round(rng.gauss(usual_posts, 1.2)))
        if posts:
            last_post_at = week.end - timedelta(hours=rng.uniform(3, 60))
        members += rng.randrange(-3, 20)
        checked_at = week.end - timedelta(hours=rng.uniform(1, 6))
        snapshot = {
            # Equal to what the emulated networks return, so that the next real check finds no change.
            "avatar": True,
            "description": True,
            "cover": False,
            "comments_open": True,
            "members": members,
            "last_post_at": last_post_at.isoformat(),
            "posts_7_days": posts,
        }
        yield checked_at, week, snapshot


def _audience(page: OfficialPage, snapshot: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return likes, comments, reposts and views of the week, and the reach if the page has a token for it."""
    members, posts = snapshot["members"], snapshot["posts_7_days"]
    # Seeded by the page only: the same in all its weeks.
    usual = random.Random(f"{page.id}")
    seen_share, has_reach = usual.uniform(0.12, 0.45), usual.random() < _REACH_SHARE
    per_post = [int(members * seen_share * rng.uniform(0.6, 1.4)) for _ in range(posts)]
    views = sum(per_post)
    found: dict[str, Any] = {
        "likes_7_days": int(views * rng.uniform(0.01, 0.04)),
        "comments_7_days": int(views * rng.uniform(0.001, 0.008)),
        "reposts_7_days": int(views * rng.uniform(0, 0.005)),
    }
    reaches = [int(one * 0.85) for one in per_post]
    if page.network == "vk":
        found["views_7_days"] = views
    if has_reach and page.network == "vk":
        found |= {"reach_7_days": _joint_reach(members, reaches), "reach_counted_by": "week"}
        found["mean_post_reach"] = sum(reaches) // posts if posts else None
    elif has_reach:
        found |= {"reach_7_days": sum(reaches), "reach_counted_by": "days"}
    return found


def _joint_reach(members: int, reaches: Sequence[int]) -> int:
    """Return how many subscribers saw at least one of the posts, if each post is seen independently."""
    missed = 1.0
    for reach in reaches:
        missed *= 1 - reach / members
    return int(members * (1 - missed))


async def add_page_scores(
    session: AsyncSession, writer: RowWriter, region: RegionFacts, ids: RowIds, weeks: Sequence[Week]
) -> None:
    """Add the scores of the weeks, computed by the formula in force from the written checks and messages.

    The number of posts is taken from the checks: the walls of the emulated networks have no posts of past weeks.
    """
    pages = [page.id for body in region.bodies.values() for page in body.pages]
    for week in weeks:
        row = await formula_of_week(session, week)
        formula = parse_formula(row)
        found = await read_inputs(session, pages, week, formula)
        snapshots = await _sunday_snapshots(session, week)
        scored_at = week.end + timedelta(hours=5)
        for page_id in pages:
            snapshot = snapshots[page_id]
            inputs = found[page_id].model_copy(
                update={
                    "posts": {WEEK_DAYS: snapshot["posts_7_days"]},
                    "posts_source": "page_checks",
                    "last_post_at": datetime.fromisoformat(snapshot["last_post_at"]),
                }
            )
            result = score_page(formula, inputs, week.end)
            writer.add(
                "page_scores",
                id=ids.new(scored_at),
                page_id=page_id,
                week=week.name,
                formula_id=row.id,
                score=result.score,
                light=result.light,
                inputs=inputs.model_dump(mode="json", exclude_none=True),
                points=[criterion.as_json() for criterion in result.criteria],
                last_post_at=inputs.last_post_at,
                created_at=scored_at,
            )


async def _sunday_snapshots(session: AsyncSession, week: Week) -> dict[Any, dict[str, Any]]:
    query = select(PageCheck.page_id, PageCheck.snapshot).where(PageCheck.day == week.sunday)
    return {row.page_id: row.snapshot for row in await session.execute(query)}
