"""Application of the rules: the most specific matching rule of a set decides who must answer, else the set's
default.

Specificity is compared by topic first (a topic before its group before none), then by location (a settlement
before its municipality before none), then by the page's owner, its sphere and its kind, then by urgency. Two rules
of equal specificity that match the same appeal have the same conditions, which `validation` refuses, so the order
is total. If the result is an organisation that forwards such appeals (a rule with it as `page_owner_id`), that
rule is applied next, until no organisation forwards the appeal.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from services.appeals.lifecycle.route_snapshot import UnroutedReason
from services.appeals.routing.roles import RegistryRoles
from services.appeals.routing.rules import (
    REGISTRY_ROLES,
    NamedOrganisation,
    PageOwner,
    RoutingFacts,
    Rule,
    RuleIndex,
)

# Below this confidence a topic is more likely wrong than right (probabilities are calibrated). A wrong assignment
# delays the answer by hours until the appeal is returned; a moderator's decision takes minutes.
MIN_TOPIC_CONFIDENCE = 0.5
_NO_ROLES = RegistryRoles()


@dataclass(frozen=True, slots=True)
class RoutingDecision:
    """The result of the rules: an `organisation_id`, or moderators because of `unrouted_reason`.

    `rules` are the applied rules in order; empty if the default decided. `stopped_at` is the organisation at which
    routing ended; `holders` are the organisations that have the role, if there are several. If the topic is
    uncertain, `agreement` is the total probability of the topics that lead to the organisation, and `topic_id` the
    likeliest of these.
    """

    organisation_id: UUID | None
    rules: tuple[Rule, ...] = ()
    unrouted_reason: UnroutedReason | None = None
    stopped_at: UUID | None = None
    holders: tuple[UUID, ...] = ()
    topic_id: UUID | None = None
    agreement: float | None = None


def apply_rules(
    index: RuleIndex,
    facts: RoutingFacts,
    organisations: Mapping[UUID, NamedOrganisation],
    roles: RegistryRoles = _NO_ROLES,
    *,
    excluding: Collection[Rule] = (),
) -> RoutingDecision:
    """Return the decision of the rules except those in `excluding`; `organisations` are the organisations that the
    rules refer to or that have a role.
    """
    rule = next((rule for rule in index.matching_rules(facts) if rule not in excluding), None)
    send_to, organisation_id = index.default_to, index.default_organisation_id
    steps: tuple[Rule, ...] = ()
    if rule is not None:
        steps, send_to, organisation_id = (rule,), rule.send_to, rule.organisation_id
    seen: set[UUID] = set()
    while True:
        by_topic = steps[-1].depends_on_topic if steps else send_to == "sphere_body"
        if by_topic and facts.confidence < MIN_TOPIC_CONFIDENCE:
            return RoutingDecision(None, steps, "topic_uncertain")
        if send_to == "moderators":
            return RoutingDecision(None, steps, "moderators_by_rule" if steps else "no_rule")
        page_owner = facts.page_owner.organisation_id if facts.page_owner else None
        receiver_id = page_owner if send_to == "page_owner" else organisation_id
        if send_to in REGISTRY_ROLES:
            holders = tuple(roles.holders(send_to, facts))
            if len(holders) != 1:
                return RoutingDecision(None, steps, "several_role_holders" if holders else "no_role_holder",
                                       holders=holders)  # fmt: skip
            receiver_id = holders[0]
        if receiver_id is None:
            return RoutingDecision(None, steps, "page_unknown")
        # The page owner's own rules were part of the first match. Loops of named organisations are refused when a
        # set is validated; a loop through a role ends at the organisation that is reached twice.
        stays = receiver_id in seen or (not seen and receiver_id == page_owner)
        forwarding_rule = None if stays else index.forwarding_rule(receiver_id, facts, excluding=excluding)
        if forwarding_rule is None:
            open_now = is_open(receiver_id, facts.page_owner, organisations)
            return RoutingDecision(
                receiver_id if open_now else None, steps, None if open_now else "organisation_closed", receiver_id
            )
        seen.add(receiver_id)
        steps, send_to, organisation_id = (
            (*steps, forwarding_rule),
            forwarding_rule.send_to,
            forwarding_rule.organisation_id,
        )


def is_open(
    organisation_id: UUID, page_owner: PageOwner | None, organisations: Mapping[UUID, NamedOrganisation]
) -> bool:
    """Return whether the organisation (from a rule, the page's owner or its founder) is open."""
    if page_owner is not None and page_owner.organisation_id == organisation_id:
        return page_owner.active
    if page_owner is not None and page_owner.founder is not None and page_owner.founder_id == organisation_id:
        return page_owner.founder.active
    return organisation_id in organisations and organisations[organisation_id].active
