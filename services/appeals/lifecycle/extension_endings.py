"""Ending of open extension requests whose clock or appeal can no longer be extended. A request ends in the same
transaction as the change that makes it pointless. The clock has the id of its open request, so no query is needed
for the appeals without a request, which are nearly all appeals.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.lifecycle.workflow import FINAL_STATUSES
from services.appeals.sla.clock_extensions import has_passed
from services.appeals.sla.clock_rows import ENDED_STATES
from shared import clock
from shared.contracts.values import ExtensionEndReason
from shared.tables.appeals import Appeal
from shared.tables.appeals_extensions import ExtensionRequest
from shared.tables.appeals_sla import SlaClock


@dataclass(frozen=True)
class EndedRequest:
    """A request that has ended without a decision, and the reason."""

    appeal: Appeal
    request: ExtensionRequest
    reason: ExtensionEndReason


async def end_requests(session: AsyncSession, appeals: Iterable[Appeal]) -> list[EndedRequest]:
    """End the open requests of these locked appeals that can no longer be approved; return them."""
    named = {row.extension_request_id: (appeal, row) for appeal in appeals for row in _requested(appeal)}
    if not named:
        return []
    requests = await session.scalars(
        select(ExtensionRequest).where(ExtensionRequest.id.in_(named)).order_by(ExtensionRequest.id)
    )
    ended = []
    for request in requests:
        appeal, row = named[request.id]
        reason = end_reason(appeal, row, request)
        if reason is not None:
            request.status, request.ended_reason, row.extension_request_id = "ended", reason, None
            ended.append(EndedRequest(appeal, request, reason))
    return ended


def end_reason(appeal: Appeal, row: SlaClock, request: ExtensionRequest) -> ExtensionEndReason | None:
    """Return the reason why an open request for this clock must end; None if it can still be approved."""
    if row.state in ENDED_STATES:
        return "answered" if row.state == "stopped" else "question_withdrawn"
    if appeal.status in FINAL_STATUSES:
        return "merged" if appeal.status == "merged" else "closed"
    if appeal.organisation_id != request.organisation_id:
        return "transferred" if appeal.organisation_id is not None else "returned"
    return "deadline_passed" if has_passed(row, clock.now()) else None


def _requested(appeal: Appeal) -> Iterator[SlaClock]:
    """Yield the clocks with an open request. Clocks that are not loaded were not changed."""
    loaded: Iterable[SlaClock] = vars(appeal).get("clocks", ())
    yield from (row for row in loaded if row.extension_request_id is not None)
