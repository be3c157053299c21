"""Search organisations by all their names: the trigram index finds candidates, which are ranked word by word."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.organisations.name_normalization import distinctive_words, in_russian_layout, normalize_name
from services.registry.organisations.search_ranking import QueryMatcher
from shared.tables.registry import Organisation, OrganisationName

MAX_CANDIDATES = 200
# Minimum trigram similarity of candidates: first to the distinctive words; if no result is good, to all words with
# the lower threshold.
STRICT_SIMILARITY, LOOSE_SIMILARITY = 0.4, 0.35
GOOD_SCORE = 0.6

NameRow = Row[UUID, str, str, str]


@dataclass(frozen=True)
class SearchHit:
    """A matching organisation, with its best matching name."""

    organisation: Organisation
    matched_name: str
    matched_name_kind: str
    score: float


async def search(session: AsyncSession, query: str, *, limit: int, active: bool | None = None) -> list[SearchHit]:
    """Return organisations whose current or former names match the query, best first; none for an empty query."""
    ranked = await _ranked(session, query, active)
    if (meant := in_russian_layout(query)) is not None:
        other = await _ranked(session, meant, active)
        ranked = max(ranked, other, key=lambda rows: rows[0][0] if rows else 0.0)
    top = ranked[:limit]
    ids = [row.organisation_id for _, row in top]
    rows = await session.scalars(select(Organisation).where(Organisation.id.in_(ids)))
    by_id = {organisation.id: organisation for organisation in rows}
    return [SearchHit(by_id[row.organisation_id], row.name, row.kind, round(score, 3)) for score, row in top]


async def _ranked(session: AsyncSession, query: str, active: bool | None) -> list[tuple[float, NameRow]]:
    normalized = normalize_name(query)
    if not normalized:
        return []
    matcher = QueryMatcher(normalized)
    ranked = _best_of_each(matcher, await _near(session, distinctive_words(normalized), STRICT_SIMILARITY, active))
    if not ranked or ranked[0][0] < GOOD_SCORE:
        ranked = _best_of_each(matcher, await _near(session, normalized, LOOSE_SIMILARITY, active)) or ranked
    return ranked


def similar_names_query(key: str, active: bool | None) -> Select[UUID, str, str, str]:
    """Return the query for names that contain text similar to the key, most similar first.

    Call `set_similarity_threshold` first in the same transaction.
    """
    query = (
        select(
            OrganisationName.organisation_id,
            OrganisationName.kind,
            OrganisationName.name,
            OrganisationName.normalized_name,
        )
        .where(OrganisationName.normalized_name.op("%>")(key))
        .order_by(func.word_similarity(key, OrganisationName.normalized_name).desc(), OrganisationName.id)
        .limit(MAX_CANDIDATES)
    )
    if active is not None:
        query = query.where(
            OrganisationName.organisation_id.in_(select(Organisation.id).where(Organisation.active == active))
        )
    return query


async def set_similarity_threshold(session: AsyncSession, threshold: float) -> None:
    """Set the similarity threshold of this transaction and force the use of the index.

    The planner underestimates the cost of a comparison, and would scan the whole table because it is small.
    """
    await session.execute(
        select(
            func.set_config("pg_trgm.word_similarity_threshold", str(threshold), True),
            func.set_config("enable_seqscan", "off", True),
        )
    )


async def _near(session: AsyncSession, key: str, threshold: float, active: bool | None) -> Sequence[NameRow]:
    await set_similarity_threshold(session, threshold)
    return (await session.execute(similar_names_query(key, active))).all()


def _best_of_each(matcher: QueryMatcher, names: Sequence[NameRow]) -> list[tuple[float, NameRow]]:
    best: dict[UUID, tuple[float, NameRow]] = {}
    for row in names:
        score = matcher.score(row.normalized_name)
        best_so_far = best.get(row.organisation_id)
        if best_so_far is None or score > best_so_far[0]:
            best[row.organisation_id] = (score, row)
    # The sort is stable: equal scores keep the database's order by similarity.
    return sorted(best.values(), key=lambda match: -match[0])
