"""Validation of rule sets: each error names its position, and a valid set routes every appeal."""

import re
from dataclasses import replace
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.appeals.routing.repository import RuleCatalogue
from services.appeals.routing.roles import RegistryRoles
from services.appeals.routing.rule_precedence import apply_rules
from services.appeals.routing.rules import (
    NO_CONDITIONS,
    NamedOrganisation,
    RoutingFacts,
    Rule,
    RuleIndex,
    conditions_of,
)
from services.appeals.routing.validation import RuleSetDraft, validate_rule_set
from services.appeals.routing.wording import TaxonomyNames
from tests.unit.appeals.test_routing_engine import (
    BODIES,
    CITY,
    CLOSED,
    DISTRICT,
    GROUP,
    GROUPS,
    ORGANISATIONS,
    OTHER_GROUP,
    OTHER_TOPIC,
    TOPIC,
    A,
    B,
    C,
    conditions,
    rule,
)

AROUND = RuleCatalogue(
    topic_ids={str(topic): topic for topic in GROUPS},
    groups=GROUPS,
    names=TaxonomyNames(
        {topic: f"Тема {topic.int}" for topic in GROUPS}, {CITY: "город Улан-Удэ", DISTRICT: "Кабанский район"}
    ),
    organisations=BODIES,
    roles=RegistryRoles(),
    settlements={
        name: {"сокол": "Сокол", "березовка": "Берёзовка"} for name in ("город Улан-Удэ", "Кабанский район")
    },
)
NOBODY = UUID(int=999)


def found(*rules: Rule, default_to: str | None = "page_owner", default: UUID | None = None) -> dict[str, str]:
    return {one.pointer: one.detail for one in validate_rule_set(RuleSetDraft(rules, default_to, default), AROUND)}


def test_valid_set_has_no_errors() -> None:
    assert found() == {}
    assert (
        found(rule(1, B, topic_id=TOPIC), rule(2, C, topic_id=GROUP), default_to="organisation", default=A) == {}
    )


@pytest.mark.parametrize(
    ("wrong", "pointer", "words"),
    [
        (rule(1, CLOSED, topic_id=TOPIC), "/rules/0/organisation_id", "closed: Организация 104"),
        (rule(1, NOBODY, topic_id=TOPIC), "/rules/0/organisation_id", "No such organisation"),
        (rule(1, topic_id=TOPIC), "/rules/0/organisation_id", "Give the organisation"),
        (
            rule(1, A, send_to="moderators", topic_id=TOPIC),
            "/rules/0/organisation_id",
            "must not name an organisation",
        ),
        (rule(1, A, send_to="nowhere", topic_id=TOPIC), "/rules/0/send_to", "Expected one of"),
        (rule(1, A, topic_id=NOBODY), "/rules/0/topic_id", "No such topic"),
        (rule(1, A, municipality="99999999"), "/rules/0/municipality", "No such municipality"),
        (rule(1, A, municipality="99999999", settlement="Сокол"), "/rules/0/municipality", "No such municipality"),
        (
            rule(1, A, settlement="Сокол"),
            "/rules/0/municipality",
            "settlements in several municipalities have the same name",
        ),
        (rule(1, A, municipality=CITY, settlement="Соколл"), "/rules/0/settlement", "in: город Улан-Удэ"),
        (rule(1, A, page_owner_id=NOBODY), "/rules/0/page_owner_id", "No such organisation"),
        (rule(1, A), "/rules/0", "at least one condition"),
    ],
)
def test_invalid_rule_is_refused_with_its_position(wrong: Rule, pointer: str, words: str) -> None:
    ((where, detail),) = found(wrong).items()
    assert where == pointer
    assert words in detail
    (error,) = validate_rule_set(RuleSetDraft([wrong], "page_owner"), AROUND)
    # Forms show errors in Russian. An unknown value of a closed list can come only from the API.
    assert (
        re.fullmatch(r"[^A-Za-z]+", error.text or "") or "Expected one of" in detail or "must not name" in detail
    )


def test_rule_set_without_a_default_is_refused() -> None:
    assert found(default_to=None) == {"/default": "A rule set needs a default for appeals that no rule matches"}
    assert list(found(default_to="organisation")) == ["/default/organisation_id"]
    assert "closed" in found(default_to="organisation", default=CLOSED)["/default/organisation_id"]


def test_conflict_names_both_rules() -> None:
    one = rule(1, B, topic_id=TOPIC, municipality=CITY, settlement="Берёзовка")
    other = rule(2, C, topic_id=TOPIC, municipality=CITY, settlement="березовка")
    ((where, detail),) = found(rule(0, A, topic_id=GROUP), one, other).items()
    assert where == "/rules/2"
    assert "Conflicts with rule /rules/1" in detail
    assert "Организация 101" in detail
    assert "Организация 102" in detail


def test_duplicate_rule_is_refused_as_unreachable() -> None:
    ((where, detail),) = found(rule(1, B, topic_id=TOPIC), rule(2, B, topic_id=TOPIC)).items()
    assert where == "/rules/1"
    assert detail.startswith("Never reached: rule /rules/0")


def test_loop_of_two_organisations_is_named() -> None:
    there = rule(1, B, page_owner_id=A, topic_id=GROUP)
    back = rule(2, A, page_owner_id=B, urgency="high")
    refused = found(there, rule(3, C, topic_id=TOPIC), back)
    assert list(refused) == ["/rules/0/page_owner_id", "/rules/2/page_owner_id"]
    assert "Организация 100" in refused["/rules/0/page_owner_id"]
    assert "forwarding loop" in refused["/rules/0/page_owner_id"]


def test_longer_loop_is_found() -> None:
    assert len(found(rule(1, B, page_owner_id=A), rule(2, C, page_owner_id=B), rule(3, A, page_owner_id=C))) == 3


@pytest.mark.parametrize(
    "back",
    [
        {"municipality": DISTRICT},
        {"municipality": CITY, "urgency": "normal"},
        {"municipality": CITY, "urgency": "high", "topic_id": OTHER_GROUP},
    ],
)
def test_rules_for_disjoint_appeals_form_no_loop(back: dict[str, Any]) -> None:
    there = rule(1, B, page_owner_id=A, topic_id=TOPIC, municipality=CITY, urgency="high")
    assert found(there, rule(2, A, page_owner_id=B, **back)) == {}


def test_maximum_number_of_forwarding_rules_is_checked_within_the_cost_limit() -> None:
    """Two thousand rules in a ring: each forwards one kind of appeal, and none loops."""
    ring = [UUID(int=10_000 + number) for number in range(100)]
    topics = [UUID(int=20_000 + number) for number in range(300)]
    around = replace(
        AROUND,
        topic_ids={str(one): one for one in topics},
        groups={one: one for one in topics},
        names=TaxonomyNames({}, {str(place): f"Район {place}" for place in range(97)}),
        organisations={one: NamedOrganisation(f"Орган {one.int}", active=True) for one in ring},
    )
    rules = [
        rule(
            number, ring[(number + 1) % 100], page_owner_id=ring[number % 100], topic_id=topics[number % 300],
            municipality=str(number % 97),
        )
        for number in range(2_000)
    ]  # fmt: skip
    assert validate_rule_set(RuleSetDraft(rules, "page_owner"), around) == []
    # One rule per organisation forwards all urgent appeals in a loop; the error names its first organisations.
    looping_rules = [
        rule(5_000 + number, ring[(number + 1) % 100], page_owner_id=one, urgency="high")
        for number, one in enumerate(ring)
    ]
    refused = validate_rule_set(RuleSetDraft([*rules, *looping_rules], "page_owner"), around)
    assert len(refused) == 100
    assert refused[0].detail.startswith("A forwarding loop: Орган ")
    assert "… (100 in all)" in refused[0].detail


def test_more_specific_rule_breaks_a_loop() -> None:
    there, back = rule(1, B, page_owner_id=A, topic_id=TOPIC), rule(2, A, page_owner_id=B, topic_id=GROUP)
    kept = rule(3, send_to="page_owner", page_owner_id=B, topic_id=TOPIC)
    assert found(there, back) != {}
    assert found(there, back, kept) == {}


rule_sets = st.lists(st.tuples(conditions, st.sampled_from([*ORGANISATIONS[:4], None])), max_size=14).map(
    lambda given: list(
        {
            conditions_of(made): made
            for made in (
                rule(number, to, send_to="organisation" if to else "page_owner", **one)
                for number, (one, to) in enumerate(given)
            )
            if conditions_of(made) != NO_CONDITIONS
        }.values()
    )
)


@given(rules=rule_sets)
def test_loop_is_refused_exactly_when_some_appeal_loops(rules: list[Rule]) -> None:
    book = RuleIndex(rules, groups=GROUPS, default_to="moderators")
    has_loop = False
    topics = (None, GROUP, TOPIC, OTHER_TOPIC, OTHER_GROUP)
    for topic, municipality, settlement, urgency, start in product(
        topics, (None, CITY, DISTRICT), (None, "Сокол"), ("high", "normal"), ORGANISATIONS
    ):
        appeal = RoutingFacts(topic, municipality, settlement if municipality else None, urgency)
        seen, desk = {start}, start
        while assignment_kind := book.forwarding_rule(desk, appeal):
            if assignment_kind.organisation_id is None:
                break
            desk = assignment_kind.organisation_id
            if desk in seen:
                has_loop = True
                break
            seen.add(desk)
    loops = [detail for detail in found(*rules).values() if "loop" in detail]
    assert bool(loops) == has_loop


@given(rules=rule_sets, topic=st.sampled_from([None, *GROUPS]), urgency=st.sampled_from(["high", "normal"]))
def test_valid_set_routes_every_appeal_to_one_result(rules: list[Rule], topic: UUID | None, urgency: str) -> None:
    if found(*rules):
        return
    book = RuleIndex(rules, groups=GROUPS, default_to="organisation", default_organisation_id=A)
    for municipality in (None, CITY, DISTRICT):
        appeal = RoutingFacts(topic, municipality, None, urgency)
        ended = apply_rules(book, appeal, BODIES)
        assert ended.organisation_id is not None or ended.unrouted_reason is not None
        if ended.organisation_id is not None:
            assert book.forwarding_rule(ended.organisation_id, appeal) is None


@pytest.mark.parametrize(
    ("wrong", "pointer", "words"),
    [
        (
            rule(1, send_to="sphere_body", topic_id=TOPIC, page_owner_sphere="near"),
            "page_owner_sphere",
            "same, other",
        ),
        (
            rule(1, send_to="sphere_body", topic_id=TOPIC, page_owner_kind="school"),
            "page_owner_kind",
            "institution",
        ),
        (
            rule(1, B, page_owner_id=A, page_owner_sphere="same"),
            "page_owner_sphere",
            "already determines the organisation",
        ),
        (
            rule(1, B, page_owner_id=A, page_owner_kind="court"),
            "page_owner_kind",
            "already determines the organisation",
        ),
        (rule(1, B, send_to="page_owner_founder", topic_id=TOPIC), "organisation_id", "must not name"),
    ],
)
def test_invalid_condition_on_the_page_owner_or_role_is_named(wrong: Rule, pointer: str, words: str) -> None:
    ((where, detail),) = found(wrong).items()
    assert where == f"/rules/0/{pointer}"
    assert words in detail


def test_conditions_on_the_page_owner_are_enough_and_distinguish_rules() -> None:
    assert (
        found(
            rule(1, send_to="page_owner", page_owner_sphere="same"),
            rule(2, send_to="sphere_body", page_owner_sphere="other"),
            rule(3, send_to="page_owner_founder", page_owner_kind="institution"),
            default_to="municipality_administration",
        )
        == {}
    )
    ((where, detail),) = found(
        rule(1, send_to="page_owner", page_owner_sphere="same"), rule(2, B, page_owner_sphere="same")
    ).items()
    assert where == "/rules/1"
    assert "«страница организации этой сферы → владелец страницы»" in detail
