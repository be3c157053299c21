"""The assignee that a request asks for."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class AssigneeWish:
    """The requested assignee. If `given`, the appeal is assigned to `person_id`, or released if this is None; if
    not `given`, it keeps its assignee.
    """

    given: bool
    person_id: UUID | None = None


UNCHANGED = AssigneeWish(given=False)
