"""Selection of the SLA policy of an appeal: a pure function of the policies and the facts of the appeal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.appeals.sla.deadlines import Target, TimeUnit
from shared.tables.appeals_sla import SlaPolicy

DEFAULT_LEGAL_REGIME = "open_source_message"
# The channel of an appeal that was not received through a network.
MANUAL_CHANNEL = "manual"


@dataclass(frozen=True)
class PolicyFacts:
    """The facts of an appeal that the conditions of policies are compared with."""

    urgency: str
    topic_id: UUID | None = None
    topic_group_id: UUID | None = None
    organisation_kind: str | None = None
    channel: str = MANUAL_CHANNEL
    legal_regime: str = DEFAULT_LEGAL_REGIME


def policy_in_effect(policies: Sequence[SlaPolicy], facts: PolicyFacts, moment: datetime) -> SlaPolicy:
    """Return the most specific policy that is in effect at the moment and matches.

    The policy with the most conditions applies; among equals one with the urgency, so that a topic never delays
    the answer to a danger; then one for the topic before one for its group; then the latest `valid_from`. Raises
    `LookupError` if none matches.
    """
    found = [policy for policy in policies if is_in_effect(policy, moment) and _matches(policy, facts)]
    if not found:
        raise LookupError(f"no SLA policy for urgency «{facts.urgency}» at {moment.isoformat()}")
    return max(
        found,
        key=lambda policy: (
            _conditions(policy),
            policy.urgency is not None,
            policy.topic_id is not None and policy.topic_id != facts.topic_group_id,
            policy.valid_from,
            policy.created_at,
            policy.id,
        ),
    )


def is_in_effect(policy: SlaPolicy, moment: datetime) -> bool:
    """Return whether the version is in effect at the moment."""
    return policy.valid_from <= moment and (policy.valid_until is None or moment < policy.valid_until)


def is_general(policy: SlaPolicy, urgency: str) -> bool:
    """Return whether the policy matches all appeals of this urgency."""
    return policy.urgency in {None, urgency} and _conditions(policy) == (policy.urgency is not None)


def first_response_target(policy: SlaPolicy) -> Target:
    """Return the time allowed for the answer to a message."""
    ceiling = timedelta(hours=policy.ceiling_hours) if policy.ceiling_hours is not None else None
    return Target(timedelta(hours=policy.first_response_hours), _unit(policy.first_response_unit), ceiling)


def final_answer_target(policy: SlaPolicy) -> Target:
    """Return the time allowed for the final answer."""
    return Target(timedelta(hours=policy.resolution_hours), _unit(policy.resolution_unit))


def promise_target(policy: SlaPolicy) -> Target | None:
    """Return how far ahead a final answer may be promised; None means no limit."""
    if policy.promise_hours is None:
        return None
    return Target(timedelta(hours=policy.promise_hours), _unit(policy.promise_unit))


def return_target(policy: SlaPolicy) -> Target | None:
    """Return the time after an assignment in which the organisation may return the appeal; None means no limit."""
    if policy.return_hours is None:
        return None
    return Target(timedelta(hours=policy.return_hours), _unit(policy.return_unit))


def _unit(stored: str) -> TimeUnit:
    return "calendar" if stored == "calendar" else "working"


def _matches(policy: SlaPolicy, facts: PolicyFacts) -> bool:
    return (
        policy.urgency in {None, facts.urgency}
        and policy.topic_id in {None, facts.topic_id, facts.topic_group_id}
        and policy.organisation_kind in {None, facts.organisation_kind}
        and policy.channel in {None, facts.channel}
        and policy.legal_regime in {None, facts.legal_regime}
    )


def _conditions(policy: SlaPolicy) -> int:
    named = (policy.urgency, policy.topic_id, policy.organisation_kind, policy.channel, policy.legal_regime)
    return sum(condition is not None for condition in named)
