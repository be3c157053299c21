"""What makes a rule set wrong: it is checked as a whole when it is made, and again before it comes into force."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from services.appeals.classification.locations.settlement_names import place_key
from services.appeals.routing.engine import Body, Facts, Key, Router, Rule, RuleBook, key_of
from services.appeals.routing.repository import Surroundings
from shared.http.problems import FieldError

MAX_RULES = 2_000
# Organisations that hand on in both directions are few. So many rules are looked at in less than a second; only
# sets that nobody would write down ask for more.
_MOST_LOOKS = 2_000_000
# What finding the rule that fits costs, in rules looked at.
_A_STEP = 20
# A longer circle is told by so many of its organisations.
_MOST_NAMED = 10
_TARGETS = frozenset({"organisation", "page_owner", "moderators"})


@dataclass(frozen=True)
class Draft:
    """A set as it is given: `default_to` null is a set that does not say where goes what no rule takes."""

    rules: Sequence[Rule]
    default_to: str | None
    default_organisation_id: UUID | None = None

    def spelt(self, around: Surroundings) -> "Draft":
        """The same with settlements as they are spelt; of one that is not known, as it is given."""
        rules = [
            replace(rule, settlement=around.spelling(rule.municipality, rule.settlement) or rule.settlement)
            if rule.settlement
            else rule
            for rule in self.rules
        ]
        return replace(self, rules=rules)


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
    place = around.names.municipalities.get(rule.municipality or "")
    if rule.municipality is not None and place is None:
        yield FieldError(pointer=f"{pointer}/municipality", detail="No such municipality")
    if rule.settlement is not None and rule.municipality is None:
        yield FieldError(
            pointer=f"{pointer}/municipality",
            detail="Name the municipality too: settlements of one name lie in several",
        )
    elif rule.settlement and place and around.spelling(rule.municipality, rule.settlement) is None:
        yield FieldError(pointer=f"{pointer}/settlement", detail=f"No such settlement in: {place}")
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
    """The first circle of organisations that hand a case on to each other."""
    try:
        steps = _Circles(rules, around.groups).first()
    except _TooManyError:
        detail = "Too many rules hand cases on among the same organisations to tell whether any goes round"
        return [FieldError(pointer="/rules", detail=detail)]
    if not steps:
        return []
    numbers = {key_of(rule): number for number, rule in enumerate(rules)}
    first = min(range(len(steps)), key=lambda at: numbers[key_of(steps[at])])
    steps = [*steps[first:], *steps[:first]]
    shown = steps[:_MOST_NAMED]
    names = [_name(rule.page_owner_id, around) for rule in shown]
    named = " → ".join([*names, names[0] if len(shown) == len(steps) else f"… ({len(steps)} in all)"])
    places = ", ".join(f"/rules/{numbers[key_of(rule)]}" for rule in shown)
    detail = f"A loop of transfers: {named} ({places}) hand the same cases on to each other"
    return [FieldError(pointer=f"/rules/{numbers[key_of(rule)]}/page_owner_id", detail=detail) for rule in steps]


class _TooManyError(Exception):
    """The rules of a circle tell more kinds of cases apart than anybody would write down."""


class _Circles:
    """Looks for a case that goes round, by topic, then place, then urgency: at each step only the rules that could
    still make a circle are looked at, and mostly there are none.
    """

    def __init__(self, rules: Sequence[Rule], groups: Mapping[UUID, UUID]) -> None:
        self._rules = [rule for rule in rules if rule.page_owner_id is not None]
        self._groups = groups
        self._book = RuleBook(self._rules, groups=groups, default_to="moderators")
        self._looks = 0

    def first(self) -> list[Rule]:
        """The rules of the first circle; none when no case goes round. Raises `_TooManyError`."""
        onward = self._circling(
            [rule for rule in self._rules if rule.organisation_id not in {None, rule.page_owner_id}]
        )
        by_topic: dict[UUID | None, list[Rule]] = {None: []}
        for rule in onward:
            by_topic.setdefault(rule.topic_id, []).append(rule)
        for topic_id in by_topic:
            names = dict.fromkeys([topic_id, self._groups.get(topic_id) if topic_id else None, None])
            fitting = [rule for name in names for rule in by_topic.get(name, ())]
            for case, circling in self._places(topic_id, self._circling(fitting)):
                if steps := self._circle_of(case, circling):
                    return steps
        return []

    def _places(self, topic_id: UUID | None, rules: Sequence[Rule]) -> Iterator[tuple[Facts, list[Rule]]]:
        """Cases of a topic that could go round, and by which rules."""
        by_place: dict[tuple[str | None, str | None], list[Rule]] = {(None, None): []}
        for rule in rules:
            by_place.setdefault((rule.municipality, place_key(rule.settlement)), []).append(rule)
        for municipality, settlement in by_place:
            names = dict.fromkeys([(municipality, settlement), (municipality, None), (None, None)])
            here = self._circling([rule for name in names for rule in by_place.get(name, ())])
            for urgency in ("normal", "high") if here else ():
                if left := self._circling([rule for rule in here if rule.urgency in {None, urgency}]):
                    yield Facts(topic_id, municipality, settlement, urgency), left

    def _circling(self, rules: list[Rule]) -> list[Rule]:
        """Those of the rules that could make a circle with others of them, whatever else they ask for."""
        while True:
            self._looks += len(rules)
            if self._looks > _MOST_LOOKS:
                raise _TooManyError
            giving = {rule.page_owner_id for rule in rules}
            getting = {rule.organisation_id for rule in rules}
            left = [rule for rule in rules if rule.organisation_id in giving and rule.page_owner_id in getting]
            if len(left) == len(rules):
                return left
            rules = left

    def _circle_of(self, case: Facts, circling: Sequence[Rule]) -> list[Rule]:
        """The circle in which such a case goes, whoever of these has it first."""
        done: set[UUID] = set()
        for start in dict.fromkeys(rule.page_owner_id for rule in circling):
            path: dict[UUID, Rule] = {}
            desk: UUID | None = start
            while desk is not None and desk not in done:
                if desk in path:
                    steps = list(path.values())
                    return steps[list(path).index(desk) :]
                self._looks += _A_STEP
                rule = self._book.hands_on(desk, case)
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
