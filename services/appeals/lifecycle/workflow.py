"""The state machine of a case, written once: who may move it from where to where, and what a move must carry.

People move cases by `POST /appeals/{id}/moves`. The rest happens by itself: a published answer leads to
`answered` or `interim`, a new message of the citizen to `reopened` or `triage`. Only a published public answer
stops the clock.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from shared.auth.rights import Role

AppealStatus = Literal[
    "new", "triage", "assigned", "in_progress", "on_approval", "interim", "answered", "reopened", "closed",
    "not_required", "merged",
]  # fmt: skip
APPEAL_STATUSES: tuple[str, ...] = get_args(AppealStatus)
AppealOutcome = Literal["solved", "explained", "not_solved", "postponed"]

# No answer may be given: the case is over, or nobody has decided yet that one is due.
FINAL_STATUSES: frozenset[str] = frozenset({"closed", "not_required", "merged"})

_CENTRE = frozenset({Role.MODERATOR})
_BOTH = _CENTRE | {Role.MANAGER, Role.APPROVER, Role.EXECUTOR}
_TRANSFER_ROLES = _CENTRE | {Role.MANAGER, Role.EXECUTOR}


@dataclass(frozen=True)
class AllowedMove:
    """One allowed step of people. `takes_organisation`: the owner may be named with it.

    Staff of an organisation must give a reason also where only `staff_needs_reason`, and take a step that is
    `once_for_staff` only while nobody of them has taken it.
    """

    to: AppealStatus
    roles: frozenset[Role] = _CENTRE
    needs_reason: bool = False
    takes_organisation: bool = False
    staff_needs_reason: bool = False
    once_for_staff: bool = False

    def requires_reason(self, role: Role) -> bool:
        """Whether a person of this role must say why."""
        return self.needs_reason or (self.staff_needs_reason and role not in _CENTRE)

    def is_exhausted(self, role: Role, returns: int) -> bool:
        """Whether an organisation has taken this step for the last time."""
        return self.once_for_staff and returns > 0 and role not in _CENTRE


_ASSIGN = AllowedMove("assigned", takes_organisation=True)
_TRANSFER = AllowedMove("assigned", _TRANSFER_ROLES, takes_organisation=True, staff_needs_reason=True)
_WORK = AllowedMove("in_progress", _BOTH)
_RETURN = AllowedMove("triage", _BOTH, needs_reason=True, once_for_staff=True)
_NOT_REQUIRED = AllowedMove("not_required", needs_reason=True)
_CLOSE = AllowedMove("closed", needs_reason=True)

MOVES: dict[str, tuple[AllowedMove, ...]] = {
    "new": (_ASSIGN, _RETURN, _NOT_REQUIRED),
    "triage": (_ASSIGN, _NOT_REQUIRED),
    "assigned": (_WORK, _TRANSFER, _RETURN, _NOT_REQUIRED, _CLOSE),
    "in_progress": (AllowedMove("on_approval", _BOTH), _TRANSFER, _RETURN, _NOT_REQUIRED, _CLOSE),
    "on_approval": (_WORK, _ASSIGN, _NOT_REQUIRED, _CLOSE),
    "interim": (_WORK, _ASSIGN, _CLOSE),
    "answered": (AllowedMove("closed", _BOTH), AllowedMove("reopened", needs_reason=True)),
    "reopened": (_WORK, _TRANSFER, _RETURN, _CLOSE),
    "closed": (AllowedMove("reopened", needs_reason=True),),
    "not_required": (_ASSIGN,),
    "merged": (),
}


def allowed_moves(status: str, role: Role, *, returns: int = 0) -> list[str]:
    """Where a person of this role may move a case of this status that was given back so often."""
    return [move.to for move in MOVES[status] if role in move.roles and not move.is_exhausted(role, returns)]


def is_centre_role(role: Role) -> bool:
    """Whether a person of this role decides for the centre, where all organisations' rights end."""
    return role in _CENTRE


def find_move(status: str, to: str, role: Role) -> AllowedMove | None:
    """The move, or None when it is not allowed."""
    return next((move for move in MOVES[status] if move.to == to and role in move.roles), None)


def status_after_reply(status: str, kind: str) -> str:
    """The status after a public answer was published: what is over stays over."""
    if status in FINAL_STATUSES:
        return status
    return "interim" if kind == "interim" else "answered"


def status_after_message(status: str, needs_answer: str) -> str:
    """The status after a further message of the citizen. An answered case that is spoken to again lives again."""
    if status != "answered" or needs_answer == "no":
        return status
    return "reopened" if needs_answer == "yes" else "triage"
