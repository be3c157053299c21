"""Rules and their sets as they cross the wire, with the names of what they speak of."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.api.presenters import routes
from services.appeals.routing import rule_sets
from services.appeals.routing.dry_run import Outcome
from services.appeals.routing.engine import Router, RuleBook, doubt
from services.appeals.routing.preview import Result
from services.appeals.routing.repository import Surroundings, named_in
from services.appeals.schemas.common import Named
from services.appeals.schemas.rule_sets import (
    Changes,
    DefaultOut,
    Movement,
    ReadOut,
    Replaced,
    RuleOut,
    RuleSetOut,
    RuleSetSummary,
    TestOut,
)
from shared.tables.appeals import RoutingRule, RuleSet


async def rules(session: AsyncSession, rows: Sequence[RoutingRule]) -> list[RuleOut]:
    """Stored rules, in the order given."""
    naming = await _naming(session, rows)
    return [_rule(row, naming) for row in rows]


async def summaries(session: AsyncSession, rows: Sequence[rule_sets.Counted]) -> list[RuleSetSummary]:
    """Sets without their rules."""
    naming = await _naming(session, (), [found for found, _ in rows])
    return [_summary(found, count, naming) for found, count in rows]


async def whole(session: AsyncSession, found: RuleSet) -> RuleSetOut:
    """A set with its rules."""
    rows = await rule_sets.stored_rules(session, found.id)
    naming = await _naming(session, rows, [found])
    summary = _summary(found, len(rows), naming)
    return RuleSetOut(**dict(summary), rules=[_rule(row, naming) for row in rows])


async def changes(session: AsyncSession, found: RuleSet, against: RuleSet) -> Changes:
    """What a set says otherwise than another."""
    added, removed, changed, same = await rule_sets.compare(session, found, against)
    rows = [*added, *removed, *(row for pair in changed for row in pair)]
    naming = await _naming(session, rows, [against])
    defaults = [(one.default_to, one.default_organisation_id) for one in (found, against)]
    return Changes(
        against=against.number,
        default_before=_default(against, naming) if defaults[0] != defaults[1] else None,
        added=[_rule(row, naming) for row in added],
        removed=[_rule(row, naming) for row in removed],
        changed=[Replaced(before=_rule(before, naming), after=_rule(after, naming)) for before, after in changed],
        same=same,
    )


async def movements(session: AsyncSession, outcome: Outcome) -> list[Movement]:
    """The commonest movements of a dry run, with the names of the organisations."""
    commonest = outcome.commonest()
    named = {organisation for pair, _ in commonest for organisation in pair if organisation is not None}
    around = await Surroundings.load(session, named)
    naming = _router(around)
    return [
        Movement(
            from_organisation=body(naming, pair[0]),
            to_organisation=body(naming, pair[1]),
            count=count,
            examples=outcome.examples[pair],
        )
        for pair, count in commonest
    ]


async def tried(session: AsyncSession, found: RuleSet, result: Result) -> TestOut:
    """What came of trying a set."""
    facts, owner, judgement = result.facts, result.facts.owner, result.judgement
    naming = result.reference.router
    rows = {row.id: row for row in await rule_sets.stored_rules(session, found.id)}
    topic = Named(id=facts.topic_id, name=naming.names.topics[facts.topic_id]) if facts.topic_id else None
    to = result.route.organisation_id
    page_owner = Named(id=owner.organisation_id, name=owner.organisation) if owner else None
    unclear = doubt(judgement) if judgement else None
    waiting_for = unclear or result.route.stop
    return TestOut(
        rule_set=found.number,
        organisation=page_owner if page_owner and page_owner.id == to else body(naming, to),
        waiting_for=waiting_for,
        # As a case of these words would hold it.
        route=await routes.shown(session, result.route.waiting(unclear) if waiting_for else result.route.stored()),
        read=ReadOut(
            topic=topic,
            topic_confidence=facts.confidence if result.topic_was_read else None,
            municipality=facts.municipality,
            settlement=facts.settlement,
            urgency="high" if facts.urgency == "high" else "normal",
            page_owner=page_owner,
            needs_answer=judgement.needs_answer if judgement else None,
        ),
        fitting=[_rule(rows[rule.id], naming) for rule in result.fitting if rule.id is not None],
    )


def body(naming: Router, organisation_id: UUID | None) -> Named | None:
    """An organisation by its name; null for none."""
    if organisation_id is None:
        return None
    found = naming.bodies.get(organisation_id)
    return Named(id=organisation_id, name=found.name if found else "")


async def _naming(session: AsyncSession, rows: Sequence[RoutingRule], sets: Sequence[RuleSet] = ()) -> Router:
    named = named_in([rule_sets.as_rule(row) for row in rows], None)
    named |= {found.default_organisation_id for found in sets if found.default_organisation_id is not None}
    return _router(await Surroundings.load(session, named))


def _router(around: Surroundings) -> Router:
    return Router(RuleBook([], groups=around.groups, default_to="moderators"), around.bodies, around.names)


def _rule(row: RoutingRule, naming: Router) -> RuleOut:
    same: dict[str, Any] = {
        name: getattr(row, name)
        for name in ("id", "topic_id", "municipality", "settlement", "urgency", "send_to", "created_at")
    }
    return RuleOut(
        **same,
        page_owner=body(naming, row.page_owner_id),
        organisation=body(naming, row.organisation_id),
        words=naming.in_words(rule_sets.as_rule(row)),
    )


def _default(found: RuleSet, naming: Router) -> DefaultOut:
    return DefaultOut(send_to=found.default_to, organisation=body(naming, found.default_organisation_id))


def _summary(found: RuleSet, count: int, naming: Router) -> RuleSetSummary:
    same: dict[str, Any] = {
        name: getattr(found, name)
        for name in (
            "id", "number", "version", "status", "note", "made_by", "created_at", "activated_by",
            "activated_at", "retired_at",
        )
    }  # fmt: skip
    return RuleSetSummary(**same, default=_default(found, naming), rule_count=count)
