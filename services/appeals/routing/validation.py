"""Validation of rule sets as a whole: when they are created, and again before activation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args
from uuid import UUID

from services.appeals.classification.locations.settlement_names import settlement_key
from services.appeals.routing.repository import RuleCatalogue
from services.appeals.routing.rules import (
    NO_CONDITIONS,
    NamedOrganisation,
    PageOwnerKind,
    PageOwnerSphere,
    RoutingFacts,
    Rule,
    RuleConditions,
    RuleIndex,
    SendTo,
    conditions_of,
)
from services.appeals.routing.wording import Wording
from shared.http.problems import FieldError

MAX_RULES = 2_000
# Limit of the search for loops, reached in less than a second; only unrealistic sets exceed it, because few
# organisations forward in both directions.
_MAX_COST = 2_000_000
# The cost of finding a matching rule, in units of compared rules.
_STEP_COST = 20
# Maximum number of organisations listed in an error; for a longer loop the first ones are listed.
_MOST_NAMED = 10
_NO_ORGANISATION = "такой организации нет"
_TARGETS = frozenset(get_args(SendTo.__value__))


@dataclass(frozen=True)
class RuleSetDraft:
    """A rule set to be validated; `default_to` None: the default is missing."""

    rules: Sequence[Rule]
    default_to: str | None
    default_organisation_id: UUID | None = None

    def with_canonical_settlements(self, catalogue: RuleCatalogue) -> "RuleSetDraft":
        """Return a copy with settlements in the gazetteer's spelling; unknown settlements are kept."""
        rules = [
            replace(
                rule,
                settlement=catalogue.canonical_settlement(rule.municipality, rule.settlement) or rule.settlement,
            )
            if rule.settlement
            else rule
            for rule in self.rules
        ]
        return replace(self, rules=rules)


def validate_rule_set(draft: RuleSetDraft, catalogue: RuleCatalogue) -> list[FieldError]:
    """Return every error, each with its position in the set; empty for a valid set."""
    errors = list(_default(draft, catalogue.organisations))
    for number, rule in enumerate(draft.rules):
        errors += _rule(f"/rules/{number}", rule, catalogue)
    errors += _conflicts(draft.rules, catalogue)
    # Loops are searched for only if each rule is valid by itself.
    return errors or find_forwarding_loops(draft.rules, catalogue)


def _target(
    pointer: str, send_to: str, organisation_id: UUID | None, organisations: Mapping[UUID, NamedOrganisation]
) -> Iterator[FieldError]:
    if send_to not in _TARGETS:
        yield FieldError(pointer=f"{pointer}/send_to", detail=f"Expected one of {', '.join(sorted(_TARGETS))}")
        return
    here = f"{pointer}/organisation_id"
    if send_to != "organisation":
        if organisation_id is not None:
            yield FieldError(pointer=here, detail=f"A rule with «{send_to}» must not name an organisation")
    elif organisation_id is None:
        yield FieldError(
            pointer=here,
            detail="Give the organisation that must answer",
            text="не названа организация, которая отвечает",
        )
    elif organisation_id not in organisations:
        yield FieldError(pointer=here, detail="No such organisation", text=_NO_ORGANISATION)
    elif not organisations[organisation_id].active:
        name = organisations[organisation_id].name
        yield FieldError(
            pointer=here, detail=f"The organisation is closed: {name}", text=f"организация закрыта: {name}"
        )


def _default(draft: RuleSetDraft, organisations: Mapping[UUID, NamedOrganisation]) -> Iterator[FieldError]:
    if draft.default_to is None:
        yield FieldError(
            pointer="/default",
            detail="A rule set needs a default for appeals that no rule matches",
            text="не сказано, кому идут обращения, к которым не подошло ни одно правило",
        )
        return
    yield from _target("/default", draft.default_to, draft.default_organisation_id, organisations)


def _rule(pointer: str, rule: Rule, catalogue: RuleCatalogue) -> Iterator[FieldError]:
    yield from _target(pointer, rule.send_to, rule.organisation_id, catalogue.organisations)
    if conditions_of(rule) == NO_CONDITIONS:
        yield FieldError(
            pointer=pointer,
            detail="Give at least one condition: the set's default applies to appeals that no rule matches",
            text="у правила нет ни одного условия",
        )
    if rule.topic_id is not None and rule.topic_id not in catalogue.topic_ids.values():
        yield FieldError(
            pointer=f"{pointer}/topic_id",
            detail="No such topic in the current taxonomy",
            text="такой темы больше нет",
        )
    municipality_name = catalogue.names.municipalities.get(rule.municipality or "")
    if rule.municipality is not None and municipality_name is None:
        yield FieldError(
            pointer=f"{pointer}/municipality", detail="No such municipality", text="такого муниципалитета нет"
        )
    if rule.settlement is not None and rule.municipality is None:
        yield FieldError(
            pointer=f"{pointer}/municipality",
            detail="Give the municipality too: settlements in several municipalities have the same name",
            text="к населённому пункту выберите муниципалитет",
        )
    elif (
        rule.settlement
        and municipality_name
        and catalogue.canonical_settlement(rule.municipality, rule.settlement) is None
    ):
        yield FieldError(
            pointer=f"{pointer}/settlement",
            detail=f"No such settlement in: {municipality_name}",
            text=f"такого населённого пункта нет: {municipality_name}",
        )
    if rule.page_owner_id is not None and rule.page_owner_id not in catalogue.organisations:
        yield FieldError(pointer=f"{pointer}/page_owner_id", detail="No such organisation", text=_NO_ORGANISATION)
    yield from _page_owner(pointer, rule)


def _page_owner(pointer: str, rule: Rule) -> Iterator[FieldError]:
    for name, value, known in (
        ("page_owner_sphere", rule.page_owner_sphere, get_args(PageOwnerSphere.__value__)),
        ("page_owner_kind", rule.page_owner_kind, get_args(PageOwnerKind.__value__)),
    ):
        if value is not None and value not in known:
            yield FieldError(pointer=f"{pointer}/{name}", detail=f"Expected one of {', '.join(known)}")
        elif value is not None and rule.page_owner_id is not None:
            yield FieldError(
                pointer=f"{pointer}/{name}",
                detail="Omit this field: `page_owner_id` already determines the organisation",
                text="страница уже названа: сфера и вид владельца лишние",
            )


def _conflicts(rules: Sequence[Rule], catalogue: RuleCatalogue) -> Iterator[FieldError]:
    first: dict[RuleConditions, int] = {}
    for number, rule in enumerate(rules):
        other = first.setdefault(conditions_of(rule), number)
        if other == number:
            continue
        before = rules[other]
        same = (before.send_to, before.organisation_id) == (rule.send_to, rule.organisation_id)
        words = _in_words(before, catalogue), _in_words(rule, catalogue)
        pointer = f"/rules/{number}"
        if same:
            detail = f"Never reached: rule /rules/{other} is the same: {words[0]}"
            yield FieldError(pointer=pointer, detail=detail, text=f"такое же правило уже есть: {words[0]}")
            continue
        detail = (
            f"Conflicts with rule /rules/{other}, which sends the same appeals to another "
            f"organisation and is as specific: «{words[0]}» and «{words[1]}»"
        )
        text = f"противоречит другому правилу с теми же условиями: «{words[0]}» и «{words[1]}»"
        yield FieldError(pointer=pointer, detail=detail, text=text)


def find_forwarding_loops(rules: Sequence[Rule], catalogue: RuleCatalogue) -> list[FieldError]:
    """Return the errors about the first loop of organisations that forward an appeal to each other; empty without
    a loop.
    """
    try:
        steps = _LoopFinder(rules, catalogue.groups).first()
    except _TooManyError:
        detail = "Too many rules forward appeals among the same organisations to check them for loops"
        text = "слишком много правил передачи между одними и теми же организациями"
        return [FieldError(pointer="/rules", detail=detail, text=text)]
    if not steps:
        return []
    numbers = {conditions_of(rule): number for number, rule in enumerate(rules)}
    first = min(range(len(steps)), key=lambda at: numbers[conditions_of(steps[at])])
    steps = [*steps[first:], *steps[:first]]
    shown = steps[:_MOST_NAMED]
    names = [_name(rule.page_owner_id, catalogue) for rule in shown]
    named = " → ".join([*names, names[0] if len(shown) == len(steps) else f"… ({len(steps)} in all)"])
    in_russian = " → ".join([*names, names[0] if len(shown) == len(steps) else f"… (всего {len(steps)})"])
    text = f"организации передают обращения друг другу по кругу: {in_russian}"
    pointers = ", ".join(f"/rules/{numbers[conditions_of(rule)]}" for rule in shown)
    detail = f"A forwarding loop: {named} ({pointers}) forward the same appeals to each other"
    return [
        FieldError(pointer=f"/rules/{numbers[conditions_of(rule)]}/page_owner_id", detail=detail, text=text)
        for rule in steps
    ]


class _TooManyError(Exception):
    """The rules of a loop distinguish more combinations of facts than can be checked."""


class _LoopFinder:
    """Searches for a forwarding loop by topic, then location, then urgency.

    Each step considers only the rules that could still form a loop; usually there are none.
    """

    def __init__(self, rules: Sequence[Rule], groups: Mapping[UUID, UUID]) -> None:
        self._rules = [rule for rule in rules if rule.page_owner_id is not None]
        self._groups = groups
        self._index = RuleIndex(self._rules, groups=groups, default_to="moderators")
        self._cost = 0

    def first(self) -> list[Rule]:
        """Return the rules of the first loop; empty if there is none.

        Raises `_TooManyError` if the search takes too long.
        """
        onward = self._looping(
            [rule for rule in self._rules if rule.organisation_id not in {None, rule.page_owner_id}]
        )
        by_topic: dict[UUID | None, list[Rule]] = {None: []}
        for rule in onward:
            by_topic.setdefault(rule.topic_id, []).append(rule)
        for topic_id in by_topic:
            names = dict.fromkeys([topic_id, self._groups.get(topic_id) if topic_id else None, None])
            fitting = [rule for name in names for rule in by_topic.get(name, ())]
            for appeal, circling in self._by_location(topic_id, self._looping(fitting)):
                if steps := self._loop_of(appeal, circling):
                    return steps
        return []

    def _by_location(
        self, topic_id: UUID | None, rules: Sequence[Rule]
    ) -> Iterator[tuple[RoutingFacts, list[Rule]]]:
        """Yield the combinations of facts with this topic that could loop, each with the rules involved."""
        by_location: dict[tuple[str | None, str | None], list[Rule]] = {(None, None): []}
        for rule in rules:
            by_location.setdefault((rule.municipality, settlement_key(rule.settlement)), []).append(rule)
        for municipality, settlement in by_location:
            names = dict.fromkeys([(municipality, settlement), (municipality, None), (None, None)])
            here = self._looping([rule for name in names for rule in by_location.get(name, ())])
            for urgency in ("normal", "high") if here else ():
                if left := self._looping([rule for rule in here if rule.urgency in {None, urgency}]):
                    yield RoutingFacts(topic_id, municipality, settlement, urgency), left

    def _looping(self, rules: list[Rule]) -> list[Rule]:
        """Return the rules that could form a loop with each other if their conditions are ignored."""
        while True:
            self._cost += len(rules)
            if self._cost > _MAX_COST:
                raise _TooManyError
            giving = {rule.page_owner_id for rule in rules}
            getting = {rule.organisation_id for rule in rules}
            left = [rule for rule in rules if rule.organisation_id in giving and rule.page_owner_id in getting]
            if len(left) == len(rules):
                return left
            rules = left

    def _loop_of(self, appeal: RoutingFacts, circling: Sequence[Rule]) -> list[Rule]:
        """Return the loop into which an appeal with these facts would get from any of the organisations; empty if
        none.
        """
        done: set[UUID] = set()
        for start in dict.fromkeys(rule.page_owner_id for rule in circling):
            path: dict[UUID, Rule] = {}
            organisation_id: UUID | None = start
            while organisation_id is not None and organisation_id not in done:
                if organisation_id in path:
                    steps = list(path.values())
                    return steps[list(path).index(organisation_id) :]
                self._cost += _STEP_COST
                rule = self._index.forwarding_rule(organisation_id, appeal)
                if rule is None:
                    break
                path[organisation_id] = rule
                organisation_id = rule.organisation_id
            done |= path.keys()
        return []


def _in_words(rule: Rule, catalogue: RuleCatalogue) -> str:
    index = RuleIndex([], groups=catalogue.groups, default_to="moderators")
    return Wording(index, catalogue.organisations, catalogue.names).rule(rule)


def _name(organisation_id: UUID | None, catalogue: RuleCatalogue) -> str:
    body = catalogue.organisations.get(organisation_id) if organisation_id else None
    return body.name if body else str(organisation_id)
