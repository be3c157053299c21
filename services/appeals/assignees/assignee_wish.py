"""The assignee that a request asks for."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class AssigneeWish:
    """The requested assignee: if `given`, a null releases the appeal; if not `given`, the appeal keeps its
    assignee.
    """

    given: bool
    person_id: UUID | None = None


UNCHANGED = AssigneeWish(given=False)
