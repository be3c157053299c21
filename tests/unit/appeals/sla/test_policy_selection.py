"""The most specific policy in effect applies; the documented rule decides between equally specific ones."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.appeals.sla.policy_selection import PolicyFacts, is_general, is_in_effect, policy_in_effect
from shared.tables.appeals_sla import SlaPolicy

ROAD, ROADS, HEAT = UUID(int=1), UUID(int=2), UUID(int=3)
MOMENT = datetime(2026, 3, 4, tzinfo=UTC)
FACTS = PolicyFacts("high", ROAD, ROADS, "administration", "vk")


def made(name: str, *, since: int = 2000, until: int | None = None, **conditions: Any) -> SlaPolicy:
    """Return a policy in effect from the start of one year until the start of another."""
    return SlaPolicy(
        id=uuid4(),
        name=name,
        valid_from=datetime(since, 1, 1, tzinfo=UTC),
        valid_until=datetime(until, 1, 1, tzinfo=UTC) if until else None,
        created_at=datetime(since, 1, 1, tzinfo=UTC),
        **conditions,
    )


@pytest.mark.parametrize(
    ("winner", "others"),
    [
        # The policy with more conditions applies, whichever they are.
        (made("two", topic_id=ROADS, channel="vk"), [made("one", urgency="high", since=2025)]),
        (made("urgency", urgency="high"), [made("any", since=2025)]),
        (made("regime", legal_regime="open_source_message"), [made("any", since=2025)]),
        (made("kind", organisation_kind="administration"), [made("any")]),
        # If equally many, the one with an urgency applies: the topic must not delay an answer to danger.
        (made("urgency", urgency="high"), [made("topic", topic_id=ROAD, since=2025)]),
        # Next, a topic takes precedence over its group.
        (made("topic", topic_id=ROAD), [made("group", topic_id=ROADS, since=2025)]),
        (made("topic", topic_id=ROAD, channel="vk"), [made("group", topic_id=ROADS, channel="vk", since=2025)]),
        # Last, the policy with the latest start applies.
        (made("new", urgency="high", since=2025), [made("old", urgency="high")]),
        (made("vk", channel="vk", since=2025), [made("kind", organisation_kind="administration", since=2024)]),
        # A policy that does not match or is not in effect does not apply.
        (made("any"), [made("normal", urgency="normal"), made("heat", topic_id=HEAT), made("ok", channel="ok")]),
        (made("any"), [made("59-FZ", legal_regime="appeal_59_fz"), made("kind", organisation_kind="school")]),
        (made("any"), [made("ended", urgency="high", until=2026), made("later", urgency="high", since=2027)]),
    ],
    ids=lambda value: (
        value.name if isinstance(value, SlaPolicy) else "over " + ", ".join(one.name for one in value)
    ),
)
def test_most_specific_policy_in_effect_applies(winner: SlaPolicy, others: list[SlaPolicy]) -> None:
    for policies in ([winner, *others], [*others, winner]):
        assert policy_in_effect(policies, FACTS, MOMENT) is winner


def test_appeal_without_topic_or_organisation_gets_a_policy_without_these_conditions() -> None:
    general = made("any")
    specific = [made("topic", topic_id=ROAD), made("kind", organisation_kind="administration")]
    assert policy_in_effect([general, *specific], PolicyFacts("normal"), MOMENT) is general


def test_version_is_in_effect_from_its_start_until_before_its_end() -> None:
    version = made("one", since=2025, until=2026)
    assert is_in_effect(version, datetime(2025, 1, 1, tzinfo=UTC))
    assert is_in_effect(version, datetime(2025, 12, 31, 23, 59, tzinfo=UTC))
    assert not is_in_effect(version, datetime(2026, 1, 1, tzinfo=UTC))
    assert not is_in_effect(version, datetime(2024, 12, 31, tzinfo=UTC))


def test_missing_policy_raises_an_error() -> None:
    with pytest.raises(LookupError, match="no SLA policy for urgency «high»"):
        policy_in_effect([made("normal", urgency="normal")], FACTS, MOMENT)


def test_policy_is_general_without_conditions_other_than_the_urgency() -> None:
    assert is_general(made("any"), "high")
    assert is_general(made("high", urgency="high"), "high")
    assert not is_general(made("normal", urgency="normal"), "high")
    assert not is_general(made("high in VK", urgency="high", channel="vk"), "high")
