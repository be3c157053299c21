"""Presenters of rules and rule sets: rows to response models, with the names that they show."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.api.presenters import routes
from services.appeals.routing import rule_sets
from services.appeals.routing.dry_run import DryRunOutcome
from services.appeals.routing.engine import Router
from services.appeals.routing.preview import PreviewResult
from services.appeals.routing.repository import RuleCatalogue, organisations_in
from services.appeals.routing.rules import RuleIndex
from services.appeals.routing.triage import unclear_need_reason
from services.appeals.schemas.common import NamedRef
from services.appeals.schemas.routing.rule_sets import (
    ChangedRule,
    DefaultRouteOut,
    DryRunMovement,
    RoutingFactsOut,
    RuleOut,
    RulePreviewOut,
    RuleSetChanges,
    RuleSetOut,
    RuleSetSummary,
)
from shared.tables.appeals_routing import RoutingRule, RuleSet


async def rules_out(session: AsyncSession, rows: Sequence[RoutingRule]) -> list[RuleOut]:
    """Return stored rules in the given order."""
    naming = await _naming(session, rows)
    return [_rule(row, naming) for row in rows]


async def rule_set_summaries(session: AsyncSession, rows: Sequence[rule_sets.RuleSetRow]) -> list[RuleSetSummary]:
    """Return sets without their rules."""
    naming = await _naming(session, (), [rule_set for rule_set, _ in rows])
    return [_summary(rule_set, count, naming) for rule_set, count in rows]


async def rule_set_out(session: AsyncSession, rule_set: RuleSet) -> RuleSetOut:
    """Return a set with its rules."""
    rows = await rule_sets.stored_rules(session, rule_set.id)
    naming = await _naming(session, rows, [rule_set])
    summary = _summary(rule_set, len(rows), naming)
    return RuleSetOut(**dict(summary), rules=[_rule(row, naming) for row in rows])


async def changes_out(session: AsyncSession, rule_set: RuleSet, against: RuleSet) -> RuleSetChanges:
    """Return the differences between two sets."""
    added, removed, changed, same = await rule_sets.compare(session, rule_set, against)
    rows = [*added, *removed, *(row for pair in changed for row in pair)]
    naming = await _naming(session, rows, [against])
    defaults = [(one.default_to, one.default_organisation_id) for one in (rule_set, against)]
    return RuleSetChanges(
        against=against.number,
        default_before=_default(against, naming) if defaults[0] != defaults[1] else None,
        added=[_rule(row, naming) for row in added],
        removed=[_rule(row, naming) for row in removed],
        changed=[
            ChangedRule(before=_rule(before, naming), after=_rule(after, naming)) for before, after in changed
        ],
        unchanged_count=same,
    )


async def movements_out(session: AsyncSession, outcome: DryRunOutcome) -> list[DryRunMovement]:
    """Return the most frequent changes of organisation in a dry run, with the names of the organisations."""
    commonest = outcome.most_common()
    named = {organisation for pair, _ in commonest for organisation in pair if organisation is not None}
    catalogue = await RuleCatalogue.load(session, named)
    naming = _router(catalogue)
    return [
        DryRunMovement(
            from_organisation=organisation_ref(naming, pair[0]),
            to_organisation=organisation_ref(naming, pair[1]),
            count=count,
            examples=outcome.examples[pair],
        )
        for pair, count in commonest
    ]


async def preview_out(session: AsyncSession, rule_set: RuleSet, result: PreviewResult) -> RulePreviewOut:
    """Return the preview of a message: the route that the set gives it, and the facts that the rules compared."""
    facts, owner, classification = result.facts, result.facts.page_owner, result.classification
    naming = result.routing_context.router
    rows = {row.id: row for row in await rule_sets.stored_rules(session, rule_set.id)}
    topic = NamedRef(id=facts.topic_id, name=naming.names.topics[facts.topic_id]) if facts.topic_id else None
    to = result.route.organisation_id
    page_owner = NamedRef(id=owner.organisation_id, name=owner.organisation) if owner else None
    unclear = unclear_need_reason(classification) if classification else None
    triage_reason = unclear or result.route.unrouted_reason
    stored = result.route.to_triage_snapshot(unclear) if triage_reason else result.route.to_snapshot()
    return RulePreviewOut(
        rule_set=rule_set.number,
        organisation=page_owner if page_owner and page_owner.id == to else organisation_ref(naming, to),
        triage_reason=triage_reason,
        # The route as it would be stored with an appeal.
        route=await routes.load_route(session, stored),
        facts=RoutingFactsOut(
            topic=topic,
            topic_confidence=facts.confidence if result.topic_was_classified else None,
            municipality=facts.municipality,
            settlement=facts.settlement,
            urgency="high" if facts.urgency == "high" else "normal",
            page_owner=page_owner,
            needs_answer=classification.needs_answer if classification else None,
        ),
        matching_rules=[_rule(rows[rule.id], naming) for rule in result.matching_rules if rule.id is not None],
    )


def organisation_ref(naming: Router, organisation_id: UUID | None) -> NamedRef | None:
    """Return a reference to the organisation, with its name; None for None."""
    if organisation_id is None:
        return None
    found = naming.organisations.get(organisation_id)
    return NamedRef(id=organisation_id, name=found.name if found else "")


async def _naming(session: AsyncSession, rows: Sequence[RoutingRule], sets: Sequence[RuleSet] = ()) -> Router:
    named = organisations_in([rule_sets.to_rule(row) for row in rows], None)
    named |= {
        rule_set.default_organisation_id for rule_set in sets if rule_set.default_organisation_id is not None
    }
    return _router(await RuleCatalogue.load(session, named))


def _router(catalogue: RuleCatalogue) -> Router:
    return Router(
        RuleIndex([], groups=catalogue.groups, default_to="moderators"), catalogue.organisations, catalogue.names
    )


def _rule(row: RoutingRule, naming: Router) -> RuleOut:
    same: dict[str, Any] = {
        name: getattr(row, name)
        for name in (
            "id", "topic_id", "municipality", "settlement", "urgency", "page_owner_sphere", "page_owner_kind",
            "send_to", "reason", "created_at",
        )
    }  # fmt: skip
    return RuleOut(
        **same,
        page_owner=organisation_ref(naming, row.page_owner_id),
        organisation=organisation_ref(naming, row.organisation_id),
        description=naming.describe_rule(rule_sets.to_rule(row)),
    )


def _default(rule_set: RuleSet, naming: Router) -> DefaultRouteOut:
    return DefaultRouteOut(
        send_to=rule_set.default_to, organisation=organisation_ref(naming, rule_set.default_organisation_id)
    )


def _summary(rule_set: RuleSet, count: int, naming: Router) -> RuleSetSummary:
    same: dict[str, Any] = {
        name: getattr(rule_set, name)
        for name in (
            "id", "number", "version", "status", "note", "created_by", "created_at", "activated_by",
            "activated_at", "retired_at",
        )
    }  # fmt: skip
    return RuleSetSummary(**same, default=_default(rule_set, naming), rule_count=count)
