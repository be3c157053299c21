"""Undo of one change of a bulk operation: restore the assignee, organisation and status, if nobody changed the
appeal since.
"""

from uuid import UUID

from services.appeals.assignees.assignee_wish import AssigneeWish
from services.appeals.assignments import assignee_changes, assignments
from services.appeals.assignments.assignments import require_open_organisation
from services.appeals.bulk.changes import MOVE_TO
from services.appeals.bulk.row_changes import FormerRowState, RowChange
from services.appeals.lifecycle import appeal_queries
from services.appeals.lifecycle.restored_appeals import record_restored
from services.appeals.lifecycle.route_snapshot import RouteSnapshot, manual_route, route_of
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.lifecycle.workflow import find_move
from services.appeals.replies import reply_queries
from services.appeals.routing.context import RoutingContext
from services.appeals.routing.triage import keep_in_triage
from services.appeals.sla import clocks
from shared import clock
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Forbidden, PreconditionFailed
from shared.tables.appeals import Appeal
from shared.tables.appeals_bulk import BulkOperationRow

BULK_UNDO_REASON = "Отмена массовой операции"
# A transfer from one of these statuses can be undone: the former status is restored with the organisation.
_RESTORED_AFTER_TRANSFER = frozenset({"assigned", "in_progress", "interim", "reopened"})


async def take_back(
    session: WriteSession, caller: Caller, appeal_id: UUID, *, action: str, changed: BulkOperationRow
) -> RowChange:
    """Undo the change that the operation's row `changed` records. Everybody who may make the move may undo it.
    Raises `NotFound`, `Forbidden`, `PreconditionFailed` if somebody changed the appeal since, `Conflict` if its
    former state cannot be restored, `Invalid` if the former organisation has closed.
    """
    caller = caller.with_right(Right.APPEALS_WORK)
    appeal = await appeal_queries.lock(session, caller, appeal_id)
    if appeal.version != changed.version:
        raise PreconditionFailed("The appeal has been changed since the operation: change it individually")
    former, before = FormerRowState.model_validate(changed.former), FormerRowState.of(appeal)
    if action == "assign":
        wish = AssigneeWish(given=True, person_id=former.assignee_id)
        await assignee_changes.assign_person(session, appeal, wish, caller)
    else:
        _check_restorable(appeal, action, former, caller)
        await require_open_organisation(session, former.organisation_id)
        await _restore(session, appeal, former, caller)
    await session.flush()
    return RowChange(appeal.number, before, appeal.version)


def _check_restorable(appeal: Appeal, action: str, former: FormerRowState, caller: Caller) -> None:
    to = MOVE_TO[action]
    move = find_move(former.status, to, caller.role)
    if move is None:
        raise Forbidden(f"The role «{caller.role}» may not move an appeal from «{former.status}» to «{to}»")
    if move.needs_triage(caller.role):
        caller.require(Right.APPEALS_TRIAGE)
    # An appeal that was in triage without an organisation, and has no reply yet, returns to triage.
    untouched = former.status == "triage" and former.organisation_id is None and appeal.first_response_at is None
    if action == "transfer" and former.status not in _RESTORED_AFTER_TRANSFER and not untouched:
        raise Conflict(f"A transfer from «{former.status}» cannot be undone: move the appeal individually")


async def _restore(session: WriteSession, appeal: Appeal, former: FormerRowState, caller: Caller) -> None:
    """Restore the former organisation, status and assignee of a locked appeal; its clocks are recomputed."""
    organisations = {one for one in (appeal.organisation_id, former.organisation_id) if one is not None}
    context = await RoutingContext.load(session, {appeal.page_id} if appeal.page_id else (), organisations)
    recorder, lost_by, status = AppealRecorder(), appeal.organisation_id, appeal.status
    appeal.status, appeal.closed_at = former.status, None
    appeal.outcome = await reply_queries.last_outcome(session, appeal) if former.status == "answered" else None
    appeal.updated_at = clock.now()
    if former.organisation_id != lost_by:
        await _return_organisation(session, appeal, former, context)
    clocks.follow_appeal(appeal, context.sla, caller.actor)
    await record_restored(
        session, appeal, caller, context.sla, recorder,
        lost_by=lost_by, status=status, assignee_id=former.assignee_id, reason=BULK_UNDO_REASON,
        undone_since=former.at,
    )  # fmt: skip


async def _return_organisation(
    session: WriteSession, appeal: Appeal, former: FormerRowState, context: RoutingContext
) -> None:
    # The appeal has not changed since the transfer, so the last assignment is the transfer's.
    transfer_id = await assignments.last_assignment_id(session, appeal)
    await assignments.remove(session, [transfer_id] if transfer_id is not None else [])
    appeal.organisation_id = former.organisation_id
    # An undone transfer does not count.
    appeal.transfers = former.transfers
    if former.route is not None:
        # The former route lacks the fields that come from the text. A transfer keeps them: use the current ones.
        appeal.route = RouteSnapshot.parse(former.route).replaced_by(route_of(appeal).text_reading()).dump()
        appeal.assigned_at = former.assigned_at
    elif former.organisation_id is None:
        keep_in_triage(appeal, context.route_appeal(appeal))
    else:
        appeal.route = route_of(appeal).text_reading().replaced_by(manual_route(BULK_UNDO_REASON)).dump()
