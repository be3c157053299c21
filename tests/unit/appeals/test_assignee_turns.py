"""Turns of an assignee rule: absent people are skipped or replaced, people without access are left out."""

from collections import Counter
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from services.appeals.assignees.directory import Staff
from services.appeals.assignees.selection import Availability, Turns, take_turn
from shared.auth.rights import Role

ORGANISATION = uuid4()
A, B, C = (UUID(int=number) for number in (1, 2, 3))


def _staff(*people: UUID, organisation_id: UUID = ORGANISATION) -> dict[UUID, Staff]:
    return {one: Staff(one, Role.EXECUTOR, organisation_id, include_subordinates=False) for one in people}


def _taken(turns: Turns, availability: Availability, times: int) -> list[UUID | None]:
    return [take_turn(turns, ORGANISATION, availability) for _ in range(times)]


def test_people_take_turns_in_their_order() -> None:
    assert _taken(Turns([A, B, C], last_person_id=A), Availability(_staff(A, B, C)), 4) == [B, C, A, B]


def test_turns_restart_when_the_last_chosen_person_has_left_the_rule() -> None:
    assert _taken(Turns([A, B], last_person_id=C), Availability(_staff(A, B)), 2) == [A, B]


def test_absent_person_is_skipped() -> None:
    assert _taken(Turns([A, B, C]), Availability(_staff(A, B, C), {B: None}), 4) == [A, C, A, C]


def test_substitute_takes_the_turn_of_the_absent_person() -> None:
    turns = Turns([A, B])
    assert _taken(turns, Availability(_staff(A, B, C), {B: C}), 4) == [A, C, A, C]
    assert turns.last_person_id == B


def test_absent_substitute_is_skipped_too() -> None:
    assert _taken(Turns([A, B]), Availability(_staff(A, B, C), {B: C, C: None}), 2) == [A, A]


def test_nobody_is_chosen_when_nobody_is_available() -> None:
    turns = Turns([A, B], last_person_id=A)
    assert take_turn(turns, ORGANISATION, Availability(_staff(A, organisation_id=uuid4()), {})) is None
    assert take_turn(turns, ORGANISATION, Availability({}, {A: B})) is None
    assert turns.last_person_id == A


def test_substitute_of_a_person_without_access_gets_no_turn() -> None:
    assert take_turn(Turns([A]), ORGANISATION, Availability(_staff(B), {A: B})) is None


@given(
    people=st.lists(st.uuids(), min_size=1, max_size=6, unique=True),
    absent=st.sets(st.integers(0, 5)),
    rounds=st.integers(1, 5),
)
def test_available_people_get_equally_many_turns(people: list[UUID], absent: set[int], rounds: int) -> None:
    away = {person: None for number, person in enumerate(people) if number in absent}
    available = [person for person in people if person not in away]
    taken = _taken(Turns(people), Availability(_staff(*people), away), rounds * len(available))
    assert Counter(taken) == Counter(available * rounds)
