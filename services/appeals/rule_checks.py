"""What makes a rule set wrong: it is checked as a whole when it is made, and again before it comes into force."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from uuid import UUID

from services.appeals.routing import Body, Facts, Key, Router, Rule, RuleBook, key_of
from services.appeals.rule_books import Surroundings
from shared.problems import FieldError

# Organisations that hand on in both directions are few; more kinds than this nobody would write down.
_MOST_POINTS = 20_000
_TARGETS = frozenset({"organisation", "page_owner", "moderators"})


@dataclass(frozen=True)
class Draft:
    """A set as it is given: `default_to` null is a set that does not say where goes what no rule takes."""

    rules: Sequence[Rule]
    default_to: str | None
    default_organisation_id: UUID | None = None


def faults(draft: Draft, around: Surroundings) -> list[FieldError]:
    """Everything that is wrong, each named by its place in the set; empty for a good set."""
    found = list(_default(draft, around.bodies))
    for number, rule in enumerate(draft.rules):
        found += _rule(f"/rules/{number}", rule, around)
    found += _conflicts(draft.rules, around)
    # A loop is looked for in rules that are sound by themselves.
    return found or loops(draft.rules, around)


def _target(
    pointer: str, send_to: str, organisation_id: UUID | None, bodies: Mapping[UUID, Body]
) -> Iterator[FieldError]:
    if send_to not in _TARGETS:
        yield FieldError(pointer=f"{pointer}/send_to", detail=f"Expected one of {', '.join(sorted(_TARGETS))}")
        return
    here = f"{pointer}/organisation_id"
    if send_to != "organisation":
        if organisation_id is not None:
            yield FieldError(pointer=here, detail=f"What is sent to «{send_to}» names no organisation")
    elif organisation_id is None:
        yield FieldError(pointer=here, detail="Name the organisation that answers")
    elif organisation_id not in bodies:
        yield FieldError(pointer=here, detail="No such organisation")
    elif not bodies[organisation_id].active:
        yield FieldError(pointer=here, detail=f"The organisation is closed: {bodies[organisation_id].name}")


def _default(draft: Draft, bodies: Mapping[UUID, Body]) -> Iterator[FieldError]:
    if draft.default_to is None:
        yield FieldError(pointer="/default", detail="A rule set has a default: say where goes what no rule takes")
        return
    yield from _target("/default", draft.default_to, draft.default_organisation_id, bodies)


def _rule(pointer: str, rule: Rule, around: Surroundings) -> Iterator[FieldError]:
    yield from _target(pointer, rule.send_to, rule.organisation_id, around.bodies)
    if key_of(rule) == (None,) * 5:
        yield FieldError(pointer=pointer, detail="A rule for everything is the default of the set")
    if rule.topic_id is not None and rule.topic_id not in around.codes.values():
        yield FieldError(pointer=f"{pointer}/topic_id", detail="No such topic in the present classifier")
    if rule.municipality is not None and rule.municipality not in around.names.municipalities:
        yield FieldError(pointer=f"{pointer}/municipality", detail="No such municipality")
    if rule.settlement is not None and rule.municipality is None:
        yield FieldError(
            pointer=f"{pointer}/municipality",
            detail="Name the municipality too: settlements of one name lie in several",
        )
    if rule.page_owner_id is not None and rule.page_owner_id not in around.bodies:
        yield FieldError(pointer=f"{pointer}/page_owner_id", detail="No such organisation")


def _conflicts(rules: Sequence[Rule], around: Surroundings) -> Iterator[FieldError]:
    first: dict[Key, int] = {}
    for number, rule in enumerate(rules):
        other = first.setdefault(key_of(rule), number)
        if other == number:
            continue
        before = rules[other]
        same = (before.send_to, before.organisation_id) == (rule.send_to, rule.organisation_id)
        words = _in_words(before, around), _in_words(rule, around)
        detail = (
            f"Never reached: rule /rules/{other} says the same: {words[0]}"
            if same
            else f"In conflict with rule /rules/{other}, which takes the same cases for another owner and is as "
            f"specific: «{words[0]}» and «{words[1]}»"
        )
        yield FieldError(pointer=f"/rules/{number}", detail=detail)


def loops(rules: Sequence[Rule], around: Surroundings) -> list[FieldError]:
    """The first circle of organisations that hand a case on to each other.

    Only rules of a circle matter, and only where all of them apply: the places where their conditions meet.
    """
    numbers = {key_of(rule): number for number, rule in enumerate(rules)}
    for circle in _circles(rules):
        book = RuleBook(
            [rule for rule in rules if rule.page_owner_id in circle],
            groups=around.groups,
            default_to="moderators",
        )
        points = _meeting_points(book.rules)
        if points is None:
            detail = "Too many rules hand cases on among the same organisations to tell whether any goes round"
            return [FieldError(pointer="/rules", detail=detail)]
        for case in points:
            if steps := _circle_of(book, case):
                named = " → ".join(_name(rule.page_owner_id, around) for rule in (*steps, steps[0]))
                places = ", ".join(f"/rules/{numbers[key_of(rule)]}" for rule in steps)
                detail = f"A loop of transfers: {named} ({places}) hand the same cases on to each other"
                return [
                    FieldError(pointer=f"/rules/{numbers[key_of(rule)]}/page_owner_id", detail=detail)
                    for rule in steps
                ]
    return []


def _circles(rules: Sequence[Rule]) -> list[set[UUID]]:
    """Groups of organisations that could hand on to each other and back, whatever the conditions."""
    onward: dict[UUID, set[UUID]] = {}
    for rule in rules:
        if rule.page_owner_id is not None and rule.organisation_id not in {None, rule.page_owner_id}:
            onward.setdefault(rule.page_owner_id, set()).add(rule.organisation_id)
    reached = {start: _reached(start, onward) for start in onward}
    found: list[set[UUID]] = []
    for start, ends in reached.items():
        circle = {end for end in ends if start in reached.get(end, ())}
        if circle and circle not in found:
            found.append(circle)
    return found


def _reached(start: UUID, onward: Mapping[UUID, set[UUID]]) -> set[UUID]:
    seen: set[UUID] = set()
    waiting = [start]
    while waiting:
        for following in onward.get(waiting.pop(), ()):
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return seen


def _meeting_points(rules: Sequence[Rule]) -> list[Facts] | None:
    """Cases of all kinds that the rules tell apart; None when there are too many kinds."""
    # In the order of the rules, so that the same set is always refused with the same words.
    topics = dict.fromkeys([None, *(rule.topic_id for rule in rules)])
    places = dict.fromkeys([(None, None), *((rule.municipality, rule.settlement) for rule in rules)])
    if len(topics) * len(places) > _MOST_POINTS:
        return None
    return [
        Facts(topic_id, municipality, settlement, urgency)
        for topic_id, (municipality, settlement), urgency in product(topics, places, ("normal", "high"))
    ]


def _circle_of(book: RuleBook, case: Facts) -> list[Rule]:
    done: set[UUID] = set()
    for start in dict.fromkeys(rule.page_owner_id for rule in book.rules):
        path: dict[UUID, Rule] = {}
        desk: UUID | None = start
        while desk is not None and desk not in done:
            if desk in path:
                steps = list(path.values())
                return steps[list(path).index(desk) :]
            rule = book.hands_on(desk, case)
            if rule is None:
                break
            path[desk] = rule
            desk = rule.organisation_id
        done |= path.keys()
    return []


def _in_words(rule: Rule, around: Surroundings) -> str:
    book = RuleBook([], groups=around.groups, default_to="moderators")
    return Router(book, around.bodies, around.names).in_words(rule)


def _name(organisation_id: UUID | None, around: Surroundings) -> str:
    body = around.bodies.get(organisation_id) if organisation_id else None
    return body.name if body else str(organisation_id)
