"""State machine of an appeal: the allowed moves by role, and the requirements of each move.

People move appeals by `POST /appeals/{id}/moves` (`MOVES`) and merge them (`MERGE`). Other transitions
(`AUTOMATIC_TRANSITIONS`) follow from a reply, a message of the citizen, or the routing rules. Only a published
public reply stops the clock. `python -m services.appeals.lifecycle.workflow_document` writes the tables into the
documentation.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

from shared.auth.rights import Role
from shared.contracts.appeal_events import (
    AppealAnswered,
    AppealAssigned,
    AppealClosed,
    AppealMerged,
    AppealMoved,
    AppealReopened,
    AppealSnapshot,
    ReplyQueued,
)
from shared.contracts.values import AppealStatus

APPEAL_STATUSES: tuple[str, ...] = get_args(AppealStatus.__value__)

# Statuses in which the appeal is over and cannot be replied to.
FINAL_STATUSES: frozenset[str] = frozenset({"closed", "not_required", "merged"})

_CENTRE = frozenset({Role.MODERATOR})
_BOTH = _CENTRE | {Role.MANAGER, Role.APPROVER, Role.EXECUTOR}
_TRANSFER_ROLES = _CENTRE | {Role.MANAGER, Role.EXECUTOR}


@dataclass(frozen=True)
class AllowedMove:
    """A move that people may make. `takes_organisation`: the new organisation may be given. `needs_reason` applies
    to everyone, `staff_needs_reason` to staff of organisations. `once_for_staff`: staff may make the move only
    once per appeal. `event` is emitted besides `appeal.moved`.
    """

    to: AppealStatus
    roles: frozenset[Role] = _CENTRE
    needs_reason: bool = False
    takes_organisation: bool = False
    staff_needs_reason: bool = False
    once_for_staff: bool = False
    event: type[AppealSnapshot] | None = None

    def needs_triage(self, role: Role) -> bool:
        """Return whether the move is a decision of the centre, which needs the right `appeals:triage`: a move that
        only the centre may make, and its choice of the organisation.
        """
        return role in _CENTRE and (self.roles == _CENTRE or self.to == "assigned")

    @property
    def takes_owner_away(self) -> bool:
        """Return whether the organisation can lose the appeal by this move."""
        return self.to in {"assigned", "triage"}

    def requires_reason(self, role: Role) -> bool:
        """Return whether a person of this role must give a reason."""
        return self.needs_reason or (self.staff_needs_reason and role not in _CENTRE)

    def is_exhausted(self, role: Role, returns: int) -> bool:
        """Return whether the move is allowed to staff only once and staff have already made it."""
        return self.once_for_staff and returns > 0 and role not in _CENTRE


_ASSIGN = AllowedMove("assigned", takes_organisation=True, event=AppealAssigned)
_TRANSFER = AllowedMove(
    "assigned", _TRANSFER_ROLES, takes_organisation=True, staff_needs_reason=True, event=AppealAssigned
)
_WORK = AllowedMove("in_progress", _BOTH)
_RETURN = AllowedMove("triage", _BOTH, needs_reason=True, once_for_staff=True)
_NOT_REQUIRED = AllowedMove("not_required", needs_reason=True, event=AppealClosed)
_CLOSE = AllowedMove("closed", needs_reason=True, event=AppealClosed)
_CLOSE_ANSWERED = AllowedMove("closed", _BOTH, event=AppealClosed)
_REOPEN = AllowedMove("reopened", needs_reason=True, event=AppealReopened)

MOVES: dict[str, tuple[AllowedMove, ...]] = {
    "triage": (_ASSIGN, _NOT_REQUIRED),
    "assigned": (_WORK, _TRANSFER, _RETURN, _NOT_REQUIRED, _CLOSE),
    "in_progress": (_TRANSFER, _RETURN, _NOT_REQUIRED, _CLOSE),
    "interim": (_WORK, _ASSIGN, _CLOSE),
    "answered": (_CLOSE_ANSWERED, _REOPEN),
    "reopened": (_WORK, _TRANSFER, _RETURN, _CLOSE),
    "closed": (_REOPEN,),
    "not_required": (_ASSIGN,),
    # A merged appeal cannot be moved; only the merge itself can be undone.
    "merged": (),
}


@dataclass(frozen=True)
class AutomaticTransition:
    """A change of status that no person requests directly: its cause and its event."""

    cause: str
    statuses: tuple[AppealStatus, ...]
    to: AppealStatus
    event: type[AppealSnapshot]


_TAKES_REPLY: tuple[AppealStatus, ...] = ("triage", "assigned", "in_progress", "interim", "answered", "reopened")
_FINAL_REPLY = AutomaticTransition("a final reply is published", _TAKES_REPLY, "answered", AppealAnswered)
_INTERIM_REPLY = AutomaticTransition("an interim reply is published", _TAKES_REPLY, "interim", AppealAnswered)
_MESSAGE = AutomaticTransition(
    "the citizen writes or edits, an answer is due", ("answered",), "reopened", AppealReopened
)
_MISSED_MESSAGE = AutomaticTransition(
    "a person decides that an answer is due to a message after the last reply",
    ("answered",),
    "reopened",
    AppealReopened,
)
_UNCLEAR_MESSAGE = AutomaticTransition(
    "the citizen writes or edits, the need is unclear", ("answered",), "triage", AppealReopened
)

_NOT_SOLVED = AutomaticTransition(
    "the citizen says that the matter is not solved", ("answered", "closed"), "reopened", AppealReopened
)

# Undoing a merge restores the former status.
MERGE = AutomaticTransition(
    "a moderator merges it into another appeal", ("triage", "assigned", "in_progress"), "merged", AppealMerged
)

_WITHDRAWN = AutomaticTransition(
    "the published answer is withdrawn", ("interim", "answered", "closed"), "reopened", AppealReopened
)
_FINAL_WITHDRAWN = AutomaticTransition(
    "the final reply is withdrawn, an interim one is still public",
    ("answered", "closed"),
    "interim",
    AppealReopened,
)
_INTERIM_WITHDRAWN = AutomaticTransition(
    "the interim reply is withdrawn, an earlier final one is still public", ("interim",), "answered", AppealMoved
)

_ANSWERED_AGAIN = AutomaticTransition(
    "the message that reopened it needs no answer, or is split off",
    ("triage", "reopened"),
    "answered",
    AppealMoved,
)

AUTOMATIC_TRANSITIONS: tuple[AutomaticTransition, ...] = (
    AutomaticTransition(
        "an answer is due, the rules name an organisation", ("triage",), "assigned", AppealAssigned
    ),
    AutomaticTransition("the same after the first answer", ("triage",), "reopened", AppealReopened),
    AutomaticTransition("changed rules no longer name an organisation", ("assigned",), "triage", AppealMoved),
    AutomaticTransition("a reply is submitted", ("assigned", "reopened"), "in_progress", ReplyQueued),
    _FINAL_REPLY,
    _INTERIM_REPLY,
    _MESSAGE,
    _UNCLEAR_MESSAGE,
    _MISSED_MESSAGE,
    _NOT_SOLVED,
    _ANSWERED_AGAIN,
    _WITHDRAWN,
    _FINAL_WITHDRAWN,
    _INTERIM_WITHDRAWN,
)


def allowed_moves(status: str, role: Role, *, returns: int = 0, may_triage: bool = True) -> list[str]:
    """Return the statuses to which a person of this role may move an appeal in this status. `returns`: how often
    staff have returned it. `may_triage`: whether a moderator's token includes the right `appeals:triage`.
    """
    return list(_allowed_moves(status, role, returns, may_triage))


@lru_cache(maxsize=1024)
def _allowed_moves(status: str, role: Role, returns: int, may_triage: bool) -> tuple[str, ...]:
    return tuple(
        move.to
        for move in MOVES[status]
        if role in move.roles
        and not move.is_exhausted(role, returns)
        and (may_triage or not move.needs_triage(role))
    )


def is_centre_role(role: Role) -> bool:
    """Return whether the role belongs to the centre, which is not limited to one organisation."""
    return role in _CENTRE


def find_move(status: str, to: str, role: Role) -> AllowedMove | None:
    """Return the move, or None if it is not allowed."""
    return next((move for move in MOVES[status] if move.to == to and role in move.roles), None)


def status_after_reply(status: str, kind: str) -> str:
    """Return the status after a public reply was published; a final status does not change."""
    return _status_after(_INTERIM_REPLY if kind == "interim" else _FINAL_REPLY, status)


def status_after_message(status: str, needs_answer: str) -> str:
    """Return the status after a further message of the citizen.

    Only an answered appeal changes: it is reopened, or goes to triage if it is unclear whether an answer is due.
    """
    if needs_answer == "no":
        return status
    return _status_after(_MESSAGE if needs_answer == "yes" else _UNCLEAR_MESSAGE, status)


def status_after_missed_message(status: str) -> str:
    """Return the status after a person decided that a message after the last reply needs an answer."""
    return _status_after(_MISSED_MESSAGE, status)


def is_reopened_by_dissatisfaction(status: str) -> bool:
    """Return whether an appeal in this status is reopened when the citizen says that the matter is not solved."""
    return status in _NOT_SOLVED.statuses


def status_after_withdrawal(status: str, *, has_public_interim: bool) -> str:
    """Return the status after the answer is withdrawn; `has_public_interim`: an interim reply is still public."""
    return _status_after(_FINAL_WITHDRAWN if has_public_interim else _WITHDRAWN, status)


def status_with_final_reply(status: str) -> str:
    """Return the status after the withdrawal of a reply that had stopped no clock, if an earlier final reply is
    still public.
    """
    return _status_after(_INTERIM_WITHDRAWN, status)


def _status_after(transition: AutomaticTransition, status: str) -> str:
    return transition.to if status in transition.statuses else status
