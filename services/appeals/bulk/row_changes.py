"""The change of one appeal by a bulk operation, made by the functions of the single-appeal routes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.assignee_wish import AssigneeWish
from services.appeals.assignments import assignee_changes
from services.appeals.bulk.changes import MOVE_TO, BulkChange
from services.appeals.lifecycle import appeal_queries
from services.appeals.moderation import decisions
from services.appeals.moderation.corrected_results import MODERATOR_REASON
from shared import clock
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import PreconditionFailed
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_classification import Classification

# Actions after which a new message could stay unread, because the appeal has ended or was decided about.
_READ_BEFORE = frozenset({"close", "triage"})


class FormerRowState(BaseModel):
    """The state of an appeal before a change, as needed to undo it. `at` is the moment of the change: everything
    that the change writes has this time or a later one. `route` is without `why`, which quotes the citizen and
    which a transfer keeps. Rows written by earlier versions have neither `at` nor `route` nor `assigned_at`.
    """

    model_config = ConfigDict(frozen=True)

    status: str
    organisation_id: UUID | None
    assignee_id: UUID | None
    transfers: int
    at: datetime | None = None
    route: dict[str, Any] | None = None
    assigned_at: datetime | None = None

    @staticmethod
    def of(appeal: Appeal) -> "FormerRowState":
        """Return the current state of the appeal."""
        found = FormerRowState.model_validate(appeal, from_attributes=True)
        route = {name: value for name, value in appeal.route.items() if name != "why"}
        return found.model_copy(update={"at": clock.now(), "route": route})


@dataclass(frozen=True)
class RowChange:
    """The change of an appeal: `former` is its state before, `version` its version after. Both are None if nothing
    had to be changed.
    """

    number: int
    former: FormerRowState | None = None
    version: int | None = None


async def change_appeal(session: WriteSession, caller: Caller, appeal_id: UUID, change: BulkChange) -> RowChange:
    """Change one appeal on behalf of the caller, unless it is already in the requested state. Raises as the
    single-appeal routes do: `NotFound` out of the caller's current scope, `Forbidden`, `Conflict`, `Invalid`.
    Raises `PreconditionFailed` naming `/list_version` if the change would end or decide about an appeal with a
    message that the person has not seen.
    """
    appeal = await appeal_queries.lock(session, caller.with_right(change.right), appeal_id)
    if _has_requested_state(appeal, change):
        return RowChange(appeal.number)
    if change.seen_at is not None and change.action in _READ_BEFORE:
        await _require_no_message_since(session, appeal, change.seen_at)
    former = FormerRowState.of(appeal)
    if change.action == "assign":
        wish = AssigneeWish(given=True, person_id=change.assignee_id)
        await assignee_changes.assign_person(session, appeal, wish, caller)
    elif change.action == "triage":
        await _decide(session, caller.with_right(change.right), appeal, change)
    else:
        await decisions.move_appeal(
            session, caller, appeal, MOVE_TO[change.action], organisation_id=change.organisation_id,
            reason=change.reason, outcome=change.outcome,
        )  # fmt: skip
    await session.flush()
    return RowChange(appeal.number, former, appeal.version)


async def _require_no_message_since(session: AsyncSession, appeal: Appeal, seen_at: datetime) -> None:
    written = exists().where(AppealMessage.appeal_id == appeal.id, AppealMessage.received_at() >= seen_at)
    if await session.scalar(select(written)):
        raise PreconditionFailed.field(
            "/list_version", "This appeal has received a message since you looked at the list: read it first"
        )


def _has_requested_state(appeal: Appeal, change: BulkChange) -> bool:
    """Return whether the appeal is already in the requested state."""
    match change.action:
        case "assign":
            return appeal.assignee_id == change.assignee_id
        case "transfer":
            # An appeal in triage is not assigned to the organisation yet.
            has_it = appeal.organisation_id == change.organisation_id
            return has_it and appeal.status not in {"triage", "not_required"}
        case "close":
            return appeal.status == "closed"
        case _:
            return change.needs_answer is False and appeal.status == "not_required"


async def _decide(session: WriteSession, caller: Caller, appeal: Appeal, change: BulkChange) -> None:
    """Decide about the message that needs a decision, or about an appeal without messages."""
    message_id = await _message_to_decide(session, appeal)
    if message_id is not None:
        await decisions.decide_message(
            session, caller, message_id, change.corrections(), needs_answer=bool(change.needs_answer)
        )
    elif change.needs_answer:
        await decisions.triage_appeal(session, caller, appeal, change.corrections())
    else:
        await decisions.move_appeal(
            session, caller, appeal, "not_required", organisation_id=None,
            reason=MODERATOR_REASON, outcome=None,
        )  # fmt: skip


async def _message_to_decide(session: AsyncSession, appeal: Appeal) -> UUID | None:
    """Return the id of the appeal's last message whose need for an answer is unclear, else of the first one; None
    without messages.
    """
    rows = await session.execute(
        select(AppealMessage.message_id, Classification.needs_answer)
        .outerjoin(Classification, Classification.message_id == AppealMessage.message_id)
        .where(AppealMessage.appeal_id == appeal.id)
        .order_by(AppealMessage.received_at(), AppealMessage.created_at, AppealMessage.message_id)
    )
    messages = rows.all()
    unclear: list[UUID] = [row.message_id for row in messages if row.needs_answer == "unsure"]
    first: list[UUID] = [row.message_id for row in messages[:1]]
    return next(iter([*reversed(unclear), *first]), None)
