"""Facets of a list of appeals: how many of its newest appeals have each value of a filter."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Text, cast, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.functions import grouping_sets

from services.appeals.lists import appeal_list
from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.lists.appeal_sorting import AppealSort
from shared.auth.callers import Caller
from shared.database.id_conditions import is_one_of
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Topic
from shared.tables.registry import Municipality, Organisation

# Maximum number of appeals that are counted: the newest ones, or with `updated_since` the last changed ones.
MAX_COUNTED = 1_000
# Maximum number of values returned per facet, the most frequent ones.
MAX_VALUES = 50

# Values of a facet, as text, with their counts, highest count first.
Counted = Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Facets:
    """Counts by facet and value; `complete`: all appeals of the list were counted. `names` are the names of
    organisations, topic groups and municipalities, by id or OKTMO.
    """

    counted: int
    complete: bool
    values: Mapping[str, Counted]
    names: Mapping[str, str]


async def count_facets(session: AsyncSession, caller: Caller, filters: AppealFilter) -> Facets:
    """Return the facets of the list's newest appeals, or with `updated_since` of the last changed ones. Raises
    `Invalid` as the list does.
    """
    sort: AppealSort = "-opened_at" if filters.updated_since is None else "-updated_at"
    ids = await appeal_list.find_ids(session, caller, filters, sort, MAX_COUNTED + 1)
    values = await _counts(session, caller, ids[:MAX_COUNTED])
    return Facets(
        counted=min(len(ids), MAX_COUNTED),
        complete=len(ids) <= MAX_COUNTED,
        values=values,
        names=await _names(session, values),
    )


async def _counts(session: AsyncSession, caller: Caller, ids: Sequence[UUID]) -> dict[str, Counted]:
    # A topic counts as its group, because the filter `topic_id` includes all topics of a group.
    columns = {
        "status": Appeal.status,
        "urgency": Appeal.urgency,
        "network": Appeal.network,
        "organisation": cast(Appeal.organisation_id, Text),
        "topic_group": cast(func.coalesce(Topic.group_id, Topic.id), Text),
        "municipality": Appeal.municipality,
    }
    listed = (
        select(*(column.label(name) for name, column in columns.items()))
        .select_from(Appeal)
        .outerjoin(Topic, Topic.id == Appeal.topic_id)
        .where(is_one_of(Appeal.id, ids), caller.scope(Appeal.organisation_id))
        .subquery()
    )
    grouped = [listed.c[name] for name in columns]
    query = select(*grouped, func.count()).group_by(grouping_sets(*(tuple_(column) for column in grouped)))
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for *key, count in await session.execute(query):
        # In a row of a grouping set only the set's own column can have a value. NULL there counts appeals without
        # a value, which are left out.
        for name, value in zip(columns, key, strict=True):
            if value is not None:
                counts[name][value] = count
    return {
        name: sorted(counts[name].items(), key=lambda found: (-found[1], found[0]))[:MAX_VALUES]
        for name in columns
    }


async def _names(session: AsyncSession, values: Mapping[str, Counted]) -> dict[str, str]:
    keys = {name: [key for key, _ in counted] for name, counted in values.items()}
    found: dict[str, str] = {}
    for key, shown, name in (
        (Organisation.id, Organisation.name, "organisation"),
        (Topic.id, Topic.name, "topic_group"),
        (Municipality.oktmo, Municipality.name, "municipality"),
    ):
        if keys[name]:
            rows = await session.execute(select(cast(key, Text), shown).where(key.in_(keys[name])))
            found |= {row[0]: row[1] for row in rows}
    return found
