"""Dry run of a rule set over stored appeals, by the same code as real routing; nothing is changed.

Appeals are grouped by the facts that rules compare, so each combination is decided once in each slice of the
period.
"""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, case, cast, exists, func, literal, null, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignments import assignments
from services.appeals.lifecycle.route_snapshot import PredictedTopic
from services.appeals.routing import repository
from services.appeals.routing.context import routing_facts
from services.appeals.routing.engine import Router
from services.appeals.routing.rule_precedence import MIN_TOPIC_CONFIDENCE
from services.appeals.routing.rules import PageOwner
from shared.tables.appeals import Appeal, AppealMessage, Assignment
from shared.tables.appeals_classification import Classification
from shared.tables.appeals_replies import Reply
from shared.tables.appeals_routing import RuleSet

MAX_MOVEMENTS = 50
MAX_EXAMPLES = 5
_SLICE = timedelta(days=3)

OrganisationPair = tuple[UUID | None, UUID | None]


@dataclass
class DryRunOutcome:
    """Numbers of appeals. `appeals`: the rules decided about them; `unrouted`: of these, the ones that get no
    organisation; `need_unclear`: left out, because it is unclear whether they need an answer; `moves`: they would
    get another organisation.
    """

    appeals: int = 0
    unrouted: int = 0
    need_unclear: int = 0
    moves: Counter[OrganisationPair] = field(default_factory=Counter)
    examples: dict[OrganisationPair, list[UUID]] = field(default_factory=dict)

    @property
    def would_move(self) -> int:
        """Return how many appeals would get another organisation."""
        return sum(self.moves.values())

    def most_common(self) -> Sequence[tuple[OrganisationPair, int]]:
        """Return the most frequent movements."""
        return sorted(self.moves.items(), key=lambda found: (-found[1], str(found[0])))[:MAX_MOVEMENTS]


def needs_answer_decided() -> ColumnElement[bool]:
    """Return the SQL condition that it is decided whether an answer is due: the appeal is not in triage, one of
    its messages needs an answer, or a person opened it without messages.
    """
    messages = exists().where(AppealMessage.appeal_id == Appeal.id)
    clear = exists().where(
        AppealMessage.appeal_id == Appeal.id,
        Classification.message_id == AppealMessage.message_id,
        Classification.needs_answer == "yes",
    )
    return case((Appeal.status == "triage", or_(clear, ~messages)), else_=True)


def unassigned() -> ColumnElement[bool]:
    """Return the SQL condition of appeals in triage without an organisation that no person has moved or
    returned.
    """
    return and_(
        Appeal.status == "triage",
        Appeal.organisation_id.is_(None),
        Appeal.route["returned_by"].astext.is_(None),
        ~assignments.moved_by_person(Appeal.id),
    )


def untouched() -> ColumnElement[bool]:
    """Return the SQL condition of appeals that are `unassigned`, or that only the rules have assigned and nobody
    has started to work on.
    """
    assigned_before = exists().where(Assignment.appeal_id == Appeal.id)
    replies = exists().where(Reply.appeal_id == Appeal.id)
    by_rules = and_(
        Appeal.status == "assigned", assigned_before, ~assignments.moved_by_person(Appeal.id), ~replies
    )
    return and_(Appeal.first_response_at.is_(None), or_(unassigned(), by_rules))


async def dry_run(
    session: AsyncSession,
    rule_set: RuleSet,
    *,
    opened_from: datetime | None = None,
    opened_to: datetime | None = None,
    only_untouched: bool = False,
) -> DryRunOutcome:
    """Return how the set would route the appeals opened in the period, with their current topic, location, urgency
    and page.

    Appeals that need no answer or were merged are left out.
    """
    router, _ = await repository.load_router(session, rule_set)
    outcome, page_owners = DryRunOutcome(), dict[UUID, PageOwner]()
    conditions: list[ColumnElement[bool]] = [Appeal.status.not_in(("not_required", "merged"))]
    if only_untouched:
        conditions.append(untouched())
    async for start, end in _slices(session, opened_from, opened_to):
        window = [*conditions, Appeal.opened_at >= start, Appeal.opened_at < end]
        rows = (await session.execute(_grouped_query(window, router.index.relevant_facts))).all()
        unknown = {row.page_id for row in rows if row.page_id} - page_owners.keys()
        page_owners |= await repository.page_owners(session, unknown)
        _add(outcome, rows, router, page_owners)
    return outcome


async def _slices(
    session: AsyncSession, opened_from: datetime | None, opened_to: datetime | None
) -> AsyncIterator[tuple[datetime, datetime]]:
    """Yield slices of the period, latest first, to limit the size of each statement. None means from the first or
    to the last appeal.
    """
    first, last = (await session.execute(select(func.min(Appeal.opened_at), func.max(Appeal.opened_at)))).one()
    if first is None:
        return
    start = max(first, opened_from) if opened_from else first
    end = last + timedelta(microseconds=1)
    end = min(end, opened_to) if opened_to else end
    while start < end:
        following = max(start, end - _SLICE)
        yield following, end
        end = following


def _grouped_query(conditions: Sequence[ColumnElement[bool]], looks_at: Collection[str]) -> Any:
    """Return the query that groups appeals by the relevant facts, with the count and the latest ids of each
    group.
    """
    read = Appeal.route["topic"]
    # As in `RoutingContext.route_appeal`, a topic set by a person is certain. If the topic is certain, other
    # candidates do not matter.
    read_well = case(
        (
            read["id"].astext == cast(Appeal.topic_id, Text),
            func.coalesce(read["confidence"].as_float(), 1.0) >= MIN_TOPIC_CONFIDENCE,
        ),
        else_=Appeal.topic_id.is_not(None),
    )
    uncertain = case((~read_well, read)) if "topic_id" in looks_at else null()
    columns = (Appeal.topic_id, Appeal.municipality, Appeal.settlement, Appeal.urgency)
    facts = [
        column if column.key in looks_at else literal(None, column.type).label(column.key) for column in columns
    ]
    each = select(
        Appeal.id,
        Appeal.opened_at,
        Appeal.page_id,
        Appeal.organisation_id,
        *facts,
        uncertain.label("uncertain"),
        needs_answer_decided().label("clear"),
    ).where(*conditions)
    found = each.subquery().c
    keys = [column for name, column in found.items() if name not in {"id", "opened_at"}]
    latest = func.array_agg(aggregate_order_by(found.id, found.opened_at.desc(), found.id.desc()))
    return select(*keys, func.count().label("appeals"), latest[1:MAX_EXAMPLES].label("latest")).group_by(*keys)


def _add(
    outcome: DryRunOutcome, rows: Sequence[Any], router: Router, page_owners: Mapping[UUID, PageOwner]
) -> None:
    for row in rows:
        if not row.clear:
            outcome.need_unclear += row.appeals
            continue
        read = PredictedTopic.model_validate(row.uncertain or {})
        facts = routing_facts(
            page_owners.get(row.page_id) if row.page_id else None,
            topic_id=row.topic_id,
            municipality=row.municipality,
            settlement=row.settlement,
            urgency=row.urgency or "normal",
            confidence=read.confidence,
        )
        organisation_id = router.decide(facts, read.top3).organisation_id
        outcome.appeals += row.appeals
        outcome.unrouted += row.appeals if organisation_id is None else 0
        if organisation_id != row.organisation_id:
            pair = row.organisation_id, organisation_id
            outcome.moves[pair] += row.appeals
            examples = outcome.examples.setdefault(pair, [])
            examples += row.latest[: MAX_EXAMPLES - len(examples)]
