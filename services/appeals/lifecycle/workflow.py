"""The state machine of a case, written once: who may move it from where to where, and what a move must carry.

People move cases by `POST /appeals/{id}/moves`. The rest happens by itself: a published answer leads to
`answered` or `interim`, a new message of the citizen to `reopened` or `triage`. Only a published public answer
stops the clock.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from shared.auth.rights import Role

Status = Literal[
    "new", "triage", "assigned", "in_progress", "on_approval", "interim", "answered", "reopened", "closed",
    "not_required", "merged",
]  # fmt: skip
STATUSES: tuple[str, ...] = get_args(Status)
Outcome = Literal["solved", "explained", "not_solved", "postponed"]

# No answer may be given: the case is over, or nobody has decided yet that one is due.
ENDED: frozenset[str] = frozenset({"closed", "not_required", "merged"})

_CENTRE = frozenset({Role.MODERATOR})
_BOTH = _CENTRE | {Role.MANAGER, Role.APPROVER, Role.EXECUTOR}
_HANDING = _CENTRE | {Role.MANAGER, Role.EXECUTOR}


@dataclass(frozen=True)
class Move:
    """One allowed step of people. `takes_organisation`: the owner may be named with it.

    Staff of an organisation must give a reason also where only `staff_needs_reason`, and take a step that is
    `once_for_staff` only while nobody of them has taken it.
    """

    to: Status
    roles: frozenset[Role] = _CENTRE
    needs_reason: bool = False
    takes_organisation: bool = False
    staff_needs_reason: bool = False
    once_for_staff: bool = False

    def asks_reason(self, role: Role) -> bool:
        """Whether a person of this role must say why."""
        return self.needs_reason or (self.staff_needs_reason and role not in _CENTRE)

    def is_spent(self, role: Role, returns: int) -> bool:
        """Whether an organisation has taken this step for the last time."""
        return self.once_for_staff and returns > 0 and role not in _CENTRE


_ASSIGN = Move("assigned", takes_organisation=True)
_HAND_OVER = Move("assigned", _HANDING, takes_organisation=True, staff_needs_reason=True)
_WORK = Move("in_progress", _BOTH)
_RETURN = Move("triage", _BOTH, needs_reason=True, once_for_staff=True)
_NOT_REQUIRED = Move("not_required", needs_reason=True)
_CLOSE = Move("closed", needs_reason=True)

MOVES: dict[str, tuple[Move, ...]] = {
    "new": (_ASSIGN, _RETURN, _NOT_REQUIRED),
    "triage": (_ASSIGN, _NOT_REQUIRED),
    "assigned": (_WORK, _HAND_OVER, _RETURN, _NOT_REQUIRED, _CLOSE),
    "in_progress": (Move("on_approval", _BOTH), _HAND_OVER, _RETURN, _NOT_REQUIRED, _CLOSE),
    "on_approval": (_WORK, _ASSIGN, _NOT_REQUIRED, _CLOSE),
    "interim": (_WORK, _ASSIGN, _CLOSE),
    "answered": (Move("closed", _BOTH), Move("reopened", needs_reason=True)),
    "reopened": (_WORK, _HAND_OVER, _RETURN, _CLOSE),
    "closed": (Move("reopened", needs_reason=True),),
    "not_required": (_ASSIGN,),
    "merged": (),
}


def allowed_moves(status: str, role: Role, *, returns: int = 0) -> list[str]:
    """Where a person of this role may move a case of this status that was given back so often."""
    return [move.to for move in MOVES[status] if role in move.roles and not move.is_spent(role, returns)]


def is_of_centre(role: Role) -> bool:
    """Whether a person of this role decides for the centre, where all organisations' rights end."""
    return role in _CENTRE


def find_move(status: str, to: str, role: Role) -> Move | None:
    """The move, or None when it is not allowed."""
    return next((move for move in MOVES[status] if move.to == to and role in move.roles), None)


def after_answer(status: str, kind: str) -> str:
    """The status after a public answer was published: what is over stays over."""
    if status in ENDED:
        return status
    return "interim" if kind == "interim" else "answered"


def after_message(status: str, needs_answer: str) -> str:
    """The status after a further message of the citizen. An answered case that is spoken to again lives again."""
    if status != "answered" or needs_answer == "no":
        return status
    return "reopened" if needs_answer == "yes" else "triage"
