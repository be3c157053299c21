"""What a rule set would do with cases that are there, without changing any: the same decision as routing takes.

Cases are gathered by what rules look at, so each kind is decided once however many there are.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, case, cast, exists, func, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals import rule_books
from services.appeals.reference import facts_of
from services.appeals.routing import SURE, PageOwner, Router
from shared.tables.appeals import Appeal, AppealMessage, Hand, Reply, RuleSet, Triage

TOP = 50
EXAMPLES = 5
_BY_PEOPLE = ("assigned", "returned", "transferred")

Pair = tuple[UUID | None, UUID | None]


@dataclass
class Outcome:
    """How many cases were routed, where they would go from their owners, and how many nobody has decided about."""

    cases: int = 0
    unrouted: int = 0
    unclear: int = 0
    moves: Counter[Pair] = field(default_factory=Counter)
    examples: dict[Pair, list[UUID]] = field(default_factory=dict)

    @property
    def would_move(self) -> int:
        """How many would have another owner."""
        return sum(self.moves.values())

    def commonest(self) -> Sequence[tuple[Pair, int]]:
        """The movements that most cases would make."""
        return sorted(self.moves.items(), key=lambda found: (-found[1], str(found[0])))[:TOP]


def need_is_clear() -> ColumnElement[bool]:
    """Whether it is decided that an answer is due: by a message of the case, or by who opened it by hand."""
    messages = exists().where(AppealMessage.appeal_id == Appeal.id)
    clear = exists().where(
        AppealMessage.appeal_id == Appeal.id,
        Triage.message_id == AppealMessage.message_id,
        Triage.needs_answer == "yes",
    )
    return case((Appeal.status == "triage", or_(clear, ~messages)), else_=True)


def ownerless() -> ColumnElement[bool]:
    """Cases that wait for an owner, and that no person has taken from one."""
    return and_(
        Appeal.status == "triage",
        Appeal.organisation_id.is_(None),
        Appeal.route["returned_by"].astext.is_(None),
        ~_handed_by_people(),
    )


def untouched() -> ColumnElement[bool]:
    """Open cases that the rules alone have given an owner, or none, and that nobody has begun to work on."""
    handed = exists().where(Hand.appeal_id == Appeal.id)
    replies = exists().where(Reply.appeal_id == Appeal.id)
    by_rules = and_(Appeal.status == "assigned", handed, ~_handed_by_people(), ~replies)
    return and_(Appeal.first_response_at.is_(None), or_(ownerless(), by_rules))


def _handed_by_people() -> ColumnElement[bool]:
    return exists().where(Hand.appeal_id == Appeal.id, Hand.kind.in_(_BY_PEOPLE))


async def run(
    session: AsyncSession,
    rule_set: RuleSet,
    *,
    opened_from: datetime | None = None,
    opened_to: datetime | None = None,
    only_untouched: bool = False,
) -> Outcome:
    """Route the cases opened in the window by the set, with the topic, place, urgency and page that they hold.

    Cases found to need no answer, and those merged into others, are left out.
    """
    conditions: list[ColumnElement[bool]] = [Appeal.status.not_in(("not_required", "merged"))]
    if opened_from is not None:
        conditions.append(Appeal.opened_at >= opened_from)
    if opened_to is not None:
        conditions.append(Appeal.opened_at < opened_to)
    if only_untouched:
        conditions.append(untouched())
    rows = (await session.execute(_gathered(conditions))).all()
    router, _ = await rule_books.router_of(session, rule_set)
    owners = await rule_books.page_owners(session, {row.page_id for row in rows if row.page_id})
    return _sum_up(rows, router, owners)


def _gathered(conditions: Sequence[ColumnElement[bool]]) -> Any:
    read = Appeal.route["topic"]
    # As `Reference.route_case` reads it: a topic that a person named is certain.
    sure = case(
        (
            read["id"].astext == cast(Appeal.topic_id, Text),
            func.coalesce(read["confidence"].as_float(), 1.0) >= SURE,
        ),
        else_=True,
    ).label("sure")
    clear = need_is_clear().label("clear")
    facts = (
        Appeal.topic_id, Appeal.municipality, Appeal.settlement, Appeal.urgency, Appeal.page_id,
        Appeal.organisation_id,
    )  # fmt: skip
    gathered = select(Appeal.id, Appeal.opened_at, *facts, sure, clear).where(*conditions).subquery()
    ids = func.array_agg(aggregate_order_by(gathered.c.id, gathered.c.opened_at.desc(), gathered.c.id.desc()))
    keys = [gathered.c[name] for name in (*(column.key for column in facts), "sure", "clear")]
    return select(*keys, func.count().label("cases"), ids[1:EXAMPLES].label("latest")).group_by(*keys)


def _sum_up(rows: Sequence[Any], router: Router, owners: Mapping[UUID, PageOwner]) -> Outcome:
    outcome = Outcome()
    for row in rows:
        if not row.clear:
            outcome.unclear += row.cases
            continue
        facts = facts_of(
            owners.get(row.page_id) if row.page_id else None,
            topic_id=row.topic_id,
            municipality=row.municipality,
            settlement=row.settlement,
            urgency=row.urgency,
            confidence=1.0 if row.sure else 0.0,
        )
        owner = router.decide(facts).organisation_id
        outcome.cases += row.cases
        outcome.unrouted += row.cases if owner is None else 0
        if owner != row.organisation_id:
            pair = row.organisation_id, owner
            outcome.moves[pair] += row.cases
            examples = outcome.examples.setdefault(pair, [])
            examples += row.latest[: EXAMPLES - len(examples)]
    return outcome
