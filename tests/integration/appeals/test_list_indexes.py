"""Filtered lists use an index, so that a filter finds few rows among millions quickly."""

from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from services.appeals.extensions import extension_requests
from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.lists.appeal_list import list_query
from services.appeals.moderation import reviews
from services.appeals.replies import approval
from shared.api.pagination import Paging
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from tests.integration.appeals.conftest import AppealsScenario

DIALECT = dialect()  # type: ignore[no-untyped-call]
PAGING = Paging(50, None, "", "")
CENTRE = Caller("somebody", "", Role.MODERATOR, None).with_right(Right.APPEALS_READ)
APPROVER = Caller("somebody", "", Role.MODERATOR, None).with_right(Right.REPLIES_APPROVE)
STAFF = Caller("somebody", "", Role.EXECUTOR, UUID(int=1)).with_right(Right.APPEALS_READ)


async def plan_of(scenario: AppealsScenario, query: Any) -> str:
    """Return the plan of a query without sequential and bitmap scans, as a large table would get it."""
    literal = query.params(reader=None).compile(dialect=DIALECT, compile_kwargs={"literal_binds": True})
    async with scenario.appeals.service.database.read() as session:
        # The planner scans an empty table unless sequential scans are disabled.
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        await session.execute(text("SET LOCAL enable_bitmapscan = off"))
        return "\n".join(await session.scalars(text(f"EXPLAIN {literal}".replace(":", r"\:"))))


async def test_filtered_lists_use_an_index(scenario: AppealsScenario) -> None:
    for query, index in (
        (list_query(AppealFilter(language="bxr").conditions(CENTRE), PAGING), "ix_appeals_language"),
        (list_query(AppealFilter(settlement="Кабанск").conditions(CENTRE), PAGING), "ix_appeals_settlement"),
        (
            list_query(AppealFilter(utility_failure="power").conditions(CENTRE), PAGING),
            "ix_appeals_utility_failure",
        ),
        (
            list_query(AppealFilter(feedback="not_solved").conditions(CENTRE), PAGING),
            "ix_appeals_feedback_kind",
        ),
        (approval.waiting_query(APPROVER, PAGING), "ix_replies_on_approval"),
        (extension_requests.open_query(CENTRE, PAGING), "ix_extension_requests_open"),
        (
            list_query(AppealFilter(possible_other_matter=True).conditions(CENTRE), PAGING),
            "ix_appeals_possible_other_matters",
        ),
        (reviews.review_list_query(STAFF, reviews.ReviewFilter(), PAGING), "ix_reviews_organisation_id"),
    ):
        plan = await plan_of(scenario, query)
        assert f"using {index}" in plan.replace("Backward ", ""), plan
        assert "Sort" not in plan, plan
