"""Whom a person wants to assign an appeal to."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class AssigneeWish:
    """A wish that is `given` with null releases the appeal; one that is not given leaves its assignee."""

    given: bool
    person_id: UUID | None = None


UNCHANGED = AssigneeWish(given=False)
