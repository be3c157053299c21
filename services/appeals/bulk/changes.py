"""The change of a bulk operation: its action with the parameters, and the check of both at the request."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from typing_extensions import TypeAliasType

from services.appeals.assignees.directory import has_access
from services.appeals.assignments.assignments import require_open_organisation
from services.appeals.lifecycle.workflow import MOVES
from services.appeals.moderation.corrections import Corrections, check_corrections
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.contracts.values import AppealOutcome, AppealStatus, Urgency
from shared.http.problems import Forbidden, Invalid
from shared.tables.registry import Person

BulkAction = TypeAliasType("BulkAction", Literal["assign", "transfer", "close", "triage", "undo"])
# Without `undo`, which has its own route.
RequestedAction = TypeAliasType("RequestedAction", Literal["assign", "transfer", "close", "triage"])

_PARAMETERS: dict[RequestedAction, frozenset[str]] = {
    "assign": frozenset({"assignee_id"}),
    "transfer": frozenset({"organisation_id", "reason"}),
    "close": frozenset({"reason", "outcome"}),
    "triage": frozenset({"needs_answer", "confirm", "organisation_id", "topic_id", "urgency"}),
}
# Null is a value of `assignee_id` (release the appeal), so a request must name it: leaving it out does not mean
# null.
_REQUIRED: dict[RequestedAction, str] = {
    "assign": "assignee_id",
    "transfer": "organisation_id",
    "triage": "needs_answer",
}
# The status to which the action moves an appeal.
MOVE_TO: dict[str, AppealStatus] = {"transfer": "assigned", "close": "closed"}


class BulkChange(BaseModel):
    """The action of a bulk operation and its parameters; parameters of other actions are None. `seen_at`: when the
    person saw the list of the appeals; None: not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: BulkAction
    assignee_id: UUID | None = None
    organisation_id: UUID | None = None
    reason: str | None = None
    outcome: AppealOutcome | None = None
    needs_answer: bool | None = None
    confirm: bool = False
    topic_id: UUID | None = None
    urgency: Urgency | None = None
    seen_at: datetime | None = None

    @property
    def right(self) -> Right:
        """Return the right that is needed to change each appeal."""
        return Right.APPEALS_TRIAGE if self.action == "triage" else Right.APPEALS_WORK

    def corrections(self) -> Corrections:
        """Return the corrections of a triage decision, besides whether an answer is due."""
        return Corrections(self.organisation_id, self.topic_id, self.urgency, confirms_rest=self.confirm)


def check_parameters(action: RequestedAction, given: set[str]) -> None:
    """Raise `Invalid` naming a parameter that does not belong to the action, or is missing."""
    for name in sorted(given - _PARAMETERS[action]):
        taken = ", ".join(sorted(_PARAMETERS[action]))
        raise Invalid.field(f"/{name}", f"The action «{action}» does not take this parameter; it takes: {taken}")
    required = _REQUIRED.get(action)
    if required is not None and required not in given:
        raise Invalid.field(f"/{required}", f"The action «{action}» needs this parameter")


async def check_change(session: AsyncSession, caller: Caller, change: BulkChange) -> None:
    """Raise `Forbidden` or `Invalid`, naming the field, if the change would be refused for every appeal."""
    caller.require(change.right)
    if change.action == "assign" and change.assignee_id is not None:
        query = select(Person.id).where(
            Person.id == change.assignee_id, has_access(), caller.scope(Person.organisation_id)
        )
        if await session.scalar(query) is None:
            raise Invalid.field(
                "/assignee_id",
                "Choose a person who has access to the system and belongs to an organisation within your scope",
            )
    elif change.action == "triage":
        await check_corrections(session, change.corrections(), needs_answer=bool(change.needs_answer))
    elif change.action in MOVE_TO:
        _check_move(caller, change)
        await require_open_organisation(session, change.organisation_id)


def _check_move(caller: Caller, change: BulkChange) -> None:
    to = MOVE_TO[change.action]
    moves = [move for found in MOVES.values() for move in found if move.to == to and caller.role in move.roles]
    if not moves:
        raise Forbidden(f"The role «{caller.role}» may not move appeals to «{to}»")
    if Right.APPEALS_TRIAGE not in caller.rights:
        moves = [move for move in moves if not move.needs_triage(caller.role)]
        if not moves:
            caller.require(Right.APPEALS_TRIAGE)
    if not change.reason and all(move.requires_reason(caller.role) for move in moves):
        raise Invalid.field("/reason", f"A move to «{to}» needs a reason")
