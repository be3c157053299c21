"""Versions of the routing rules: a set is created and validated as a whole, and one set is active at a time. A set
is never edited. An older set can be activated again to undo a mistake. Adding or retiring a single rule creates
the next version from the active one.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Row, ScalarSelect, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals import jobs
from services.appeals.routing import repository
from services.appeals.routing.repository import RuleCatalogue, organisations_in
from services.appeals.routing.rules import NO_CONDITIONS, Rule, conditions_of
from services.appeals.routing.validation import MAX_RULES, RuleSetDraft, find_forwarding_loops, validate_rule_set
from shared import clock
from shared.api.pagination import Paging
from shared.api.preconditions import check_version
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Duplicate, FieldError, Invalid, NotFound
from shared.ids import new_id
from shared.tables.appeals_routing import RoutingRule, RuleSet

# Rerouting starts after this delay, in which requests that route by the former set end. Batches of messages need
# no delay: they wait for the lock of the activation.
_REROUTE_DELAY = timedelta(seconds=2)

RuleSetRow = Row[RuleSet, int]


def _counted_rules() -> ScalarSelect[int]:
    return (
        select(func.count())
        .select_from(RoutingRule)
        .where(RoutingRule.rule_set_id == RuleSet.id)
        .correlate(RuleSet)
        .scalar_subquery()
    )


async def list_rule_sets(
    session: AsyncSession, paging: Paging, *, status: str | None = None
) -> Sequence[RuleSetRow]:
    """Return sets with their number of rules, newest first: one page plus one row."""
    query = select(RuleSet, _counted_rules()).order_by(RuleSet.number.desc()).limit(paging.limit + 1)
    if status is not None:
        query = query.where(RuleSet.status == status)
    after = paging.after((RuleSet.number,), (int,))
    return (await session.execute(query if after is None else query.where(after))).all()


async def get_rule_set(session: AsyncSession, rule_set_id: UUID) -> RuleSet:
    """Return the set. Raises `NotFound` for an unknown id."""
    rule_set = await session.get(RuleSet, rule_set_id)
    if rule_set is None:
        raise NotFound("No such rule set")
    return rule_set


async def stored_rules(session: AsyncSession, rule_set_id: UUID) -> Sequence[RoutingRule]:
    """Return the rules of a set in the order in which they were given."""
    return (
        await session.scalars(
            select(RoutingRule)
            .where(RoutingRule.rule_set_id == rule_set_id)
            .order_by(RoutingRule.created_at, RoutingRule.id)
        )
    ).all()


async def create_draft(session: WriteSession, draft: RuleSetDraft, note: str | None, actor: str) -> RuleSet:
    """Create a draft. Raises `Invalid` naming every error by its position in the set."""
    catalogue = await RuleCatalogue.load(session, organisations_in(draft.rules, draft.default_organisation_id))
    if errors := validate_rule_set(draft, catalogue):
        raise Invalid(_describe_errors(errors), errors=errors)
    return await _store(session, draft.with_canonical_settlements(catalogue), note, actor)


async def activate(
    session: WriteSession,
    rule_set_id: UUID,
    version: int | None,
    actor: str,
    *,
    expected_active_id: UUID | None = None,
    reroute: bool = False,
) -> RuleSet:
    """Replace the active set with this one, and enqueue the rerouting of unassigned appeals.

    With `reroute`, appeals that nobody has moved or started to work on are rerouted too. Raises `NotFound`,
    `PreconditionFailed`, or `Conflict` if the set is already active, is no longer valid, or `expected_active_id`
    is not the active set.
    """
    present = await _lock_active_set(session)
    rule_set = await session.get(RuleSet, rule_set_id, populate_existing=True)
    if rule_set is None:
        raise NotFound("No such rule set")
    check_version(rule_set.version, version)
    if expected_active_id is not None and expected_active_id != present.id:
        raise Conflict(
            f"Set № {present.number} is active now: read it, and send its id as `expected_active_id`",
            active_id=str(present.id),
        )
    if rule_set.id == present.id:
        raise Conflict("The set is already active")
    rules = await repository.load_rules(session, rule_set.id)
    catalogue = await RuleCatalogue.load(session, organisations_in(rules, rule_set.default_organisation_id))
    if errors := validate_rule_set(
        RuleSetDraft(rules, rule_set.default_to, rule_set.default_organisation_id), catalogue
    ):
        raise Conflict(f"The set is no longer valid: {_describe_errors(errors)}", errors=errors)
    await _switch(session, present, rule_set, actor)
    await _enqueue_reroute(session, rule_set, reroute=reroute)
    return rule_set


async def add_rule(session: WriteSession, rule: Rule, actor: str) -> tuple[RuleSet, RoutingRule]:
    """Activate a copy of the active set with one more rule.

    Raises `Invalid` naming the field, `Duplicate`, or `Conflict` when the set is full.
    """
    present = await _lock_active_set(session)
    stored = await stored_rules(session, present.id)
    rules = await repository.load_rules(session, present.id)
    if len(rules) >= MAX_RULES:
        raise Conflict(f"The active set has {len(rules)} rules; at most {MAX_RULES} are allowed")
    draft = RuleSetDraft([*rules, rule], present.default_to, present.default_organisation_id)
    catalogue = await RuleCatalogue.load(session, organisations_in(draft.rules, draft.default_organisation_id))
    for row, other in zip(stored, rules, strict=True):
        if conditions_of(other) == conditions_of(rule):
            raise Duplicate("A rule with these conditions already exists", rule_id=str(row.id))
    # Rules of the active set that have become invalid since its activation do not prevent adding this rule.
    own = f"/rules/{len(rules)}"
    errors = [
        FieldError(pointer=fault.pointer.removeprefix(own) or "/", detail=fault.detail)
        for fault in validate_rule_set(draft, catalogue)
        if fault.pointer.startswith(own)
    ] or _at_the_new_rule(find_forwarding_loops(draft.rules, catalogue))
    if errors:
        raise Invalid(_describe_errors(errors), errors=errors)
    made = await _store(session, draft.with_canonical_settlements(catalogue), "Добавлено правило", actor)
    await _switch(session, present, made, actor)
    await _enqueue_reroute(session, made, reroute=False)
    return made, (await stored_rules(session, made.id))[-1]


async def retire_rule(session: WriteSession, rule_id: UUID, actor: str) -> RuleSet:
    """Activate a copy of the active set without one rule, given by its id in this or an earlier set. Raises
    `NotFound`; `Conflict` if the remaining rules would forward appeals in a loop.
    """
    present = await _lock_active_set(session)
    rules = await repository.load_rules(session, present.id)
    named = await session.get(RoutingRule, rule_id)
    key = conditions_of(to_rule(named)) if named is not None else None
    remaining = [rule for rule in rules if conditions_of(rule) != key]
    if len(remaining) == len(rules):
        raise NotFound("No such rule in the active set")
    catalogue = await RuleCatalogue.load(session, organisations_in(remaining, None))
    if errors := find_forwarding_loops(remaining, catalogue):
        raise Conflict(_describe_errors(errors), errors=errors)
    draft = RuleSetDraft(remaining, present.default_to, present.default_organisation_id)
    made = await _store(session, draft, "Снято правило", actor)
    await _switch(session, present, made, actor)
    await _enqueue_reroute(session, made, reroute=False)
    return made


async def compare(
    session: AsyncSession, rule_set: RuleSet, against: RuleSet
) -> tuple[list[RoutingRule], list[RoutingRule], list[tuple[RoutingRule, RoutingRule]], int]:
    """Return the rules that were added, removed, or got another target compared with the set `against`, and how
    many are unchanged.
    """
    after = {conditions_of(to_rule(row)): row for row in await stored_rules(session, rule_set.id)}
    before = {conditions_of(to_rule(row)): row for row in await stored_rules(session, against.id)}
    both = [(before[key], row) for key, row in after.items() if key in before]
    changed = [pair for pair in both if _target(pair[0]) != _target(pair[1])]
    return (
        [row for key, row in after.items() if key not in before],
        [row for key, row in before.items() if key not in after],
        changed,
        len(both) - len(changed),
    )


async def _lock_active_set(session: WriteSession) -> RuleSet:
    """Lock and return the active set: no other transaction can replace it until this one ends."""
    await repository.lock_activation(session)
    return await repository.active_set(session)


async def _store(session: WriteSession, draft: RuleSetDraft, note: str | None, actor: str) -> RuleSet:
    now = clock.now()
    made = RuleSet(
        id=new_id(),
        status="draft",
        note=note,
        default_to=draft.default_to,
        default_organisation_id=draft.default_organisation_id,
        created_by=actor,
    )
    session.add(made)
    await session.flush()
    session.add_all(
        RoutingRule(
            id=new_id(), rule_set_id=made.id, topic_id=rule.topic_id, municipality=rule.municipality,
            settlement=rule.settlement.strip() if rule.settlement else None, page_owner_id=rule.page_owner_id,
            urgency=rule.urgency, send_to=rule.send_to, organisation_id=rule.organisation_id,
            page_owner_sphere=rule.page_owner_sphere, page_owner_kind=rule.page_owner_kind, reason=rule.reason,
            # Creation times are one microsecond apart, because rules are read in the order of creation.
            created_at=now + timedelta(microseconds=index),
        )
        for index, rule in enumerate(draft.rules)
    )  # fmt: skip
    await session.flush()
    await session.refresh(made)
    return made


async def _switch(session: WriteSession, present: RuleSet, wanted: RuleSet, actor: str) -> None:
    now: datetime = clock.now()
    present.status, present.retired_at = "retired", now
    # Flushed before the next set is activated: the unique index allows only one active set at any moment.
    await session.flush()
    wanted.status, wanted.activated_by, wanted.activated_at, wanted.retired_at = "active", actor, now, None
    await session.flush()


async def _enqueue_reroute(session: WriteSession, rule_set: RuleSet, *, reroute: bool) -> None:
    payload = {"rule_set_id": str(rule_set.id), "include_untouched": reroute}
    await jobs.queue.enqueue(session, jobs.REROUTE_APPEALS, payload, delay=_REROUTE_DELAY)


def to_rule(row: RoutingRule) -> Rule:
    """Return a stored rule as the object that routing uses."""
    return Rule(
        row.id, row.send_to, row.organisation_id, row.topic_id, row.municipality, row.settlement,
        row.page_owner_id, row.urgency, row.page_owner_sphere, row.page_owner_kind, row.reason,
    )  # fmt: skip


def _target(row: RoutingRule) -> tuple[str, UUID | None]:
    return row.send_to, row.organisation_id


def _at_the_new_rule(found: Sequence[FieldError]) -> list[FieldError]:
    return [FieldError(pointer="/page_owner_id", detail=found[0].detail)] if found else []


def _describe_errors(found: Sequence[FieldError]) -> str:
    """Return the first errors as text; an error that concerns several rules is listed once."""
    pointers_by_detail: dict[str, list[str]] = {}
    for fault in found[:5]:
        pointers_by_detail.setdefault(fault.detail, []).append(fault.pointer)
    return "; ".join(f"{', '.join(pointers)}: {detail}" for detail, pointers in pointers_by_detail.items())


async def list_active_rules(session: AsyncSession, paging: Paging) -> Sequence[RoutingRule]:
    """Return the active rules, newest first: one page plus one row."""
    query = (
        select(RoutingRule)
        .join(RuleSet, RuleSet.id == RoutingRule.rule_set_id)
        .where(RuleSet.status == "active")
        .order_by(RoutingRule.created_at.desc(), RoutingRule.id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after((RoutingRule.created_at, RoutingRule.id), (datetime.fromisoformat, UUID))
    return (await session.scalars(query if after is None else query.where(after))).all()


async def add_checked_rule(session: WriteSession, rule: Rule, actor: str) -> RoutingRule:
    """Add a rule and activate it at once. Raises `Invalid` naming the field, `Duplicate` or `Conflict`."""
    if conditions_of(rule) == NO_CONDITIONS:
        named = (
            "topic_id", "municipality", "page_owner_id", "page_owner_sphere", "page_owner_kind", "urgency",
        )  # fmt: skip
        detail = "Give at least one condition: the set's default applies to appeals that no rule matches"
        raise Invalid(
            f"A rule without conditions: give {', '.join(named[:-1])} or {named[-1]}. The set's "
            "default applies to appeals that no rule matches",
            errors=[FieldError(pointer=f"/{name}", detail=detail) for name in named],
        )
    _, made = await add_rule(session, rule, actor)
    return made
