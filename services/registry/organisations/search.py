"""Finding a body by any of its names, whatever the spelling: near ones by the trigram index, ranked by words."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.organisations.name_normalization import fold, retyped, telling
from services.registry.organisations.search_ranking import Asked
from shared.tables.registry import Organisation, OrganisationName

CANDIDATES = 200
# How alike a name must be to be looked at: first by the words that tell bodies apart, then, where nothing fits
# well, by all words and more loosely.
NEAR, FAR = 0.4, 0.35
FITS_WELL = 0.6

Named = Row[UUID, str, str, str]


@dataclass(frozen=True)
class Hit:
    """An organisation found, by the name of it that fits best."""

    organisation: Organisation
    name: str
    name_kind: str
    score: float


async def search(session: AsyncSession, asked: str, *, limit: int, active: bool | None = None) -> list[Hit]:
    """Organisations whose names, present or past, fit what was asked for; the best first, none for no words."""
    ranked = await _ranked(session, asked, active)
    if (meant := retyped(asked)) is not None:
        other = await _ranked(session, meant, active)
        ranked = max(ranked, other, key=lambda found: found[0][0] if found else 0.0)
    top = ranked[:limit]
    ids = [row.organisation_id for _, row in top]
    found = await session.scalars(select(Organisation).where(Organisation.id.in_(ids)))
    by_id = {organisation.id: organisation for organisation in found}
    return [Hit(by_id[row.organisation_id], row.name, row.kind, round(score, 3)) for score, row in top]


async def _ranked(session: AsyncSession, asked: str, active: bool | None) -> list[tuple[float, Named]]:
    folded = fold(asked)
    if not folded:
        return []
    words = Asked(folded)
    ranked = _best_of_each(words, await _near(session, telling(folded), NEAR, active))
    if not ranked or ranked[0][0] < FITS_WELL:
        ranked = _best_of_each(words, await _near(session, folded, FAR, active)) or ranked
    return ranked


def near(key: str, active: bool | None) -> Select[UUID, str, str, str]:
    """Names that hold a stretch like the key, the likest first; how alike is set for the transaction."""
    query = (
        select(
            OrganisationName.organisation_id,
            OrganisationName.kind,
            OrganisationName.name,
            OrganisationName.folded,
        )
        .where(OrganisationName.folded.op("%>")(key))
        .order_by(func.word_similarity(key, OrganisationName.folded).desc(), OrganisationName.id)
        .limit(CANDIDATES)
    )
    if active is not None:
        query = query.where(
            OrganisationName.organisation_id.in_(select(Organisation.id).where(Organisation.active == active))
        )
    return query


async def prepare(session: AsyncSession, alike: float) -> None:
    """How alike names must be in this transaction, and that the index is asked.

    The planner takes comparing for as cheap as reading, and would read all names of a table as small as this.
    """
    await session.execute(
        select(
            func.set_config("pg_trgm.word_similarity_threshold", str(alike), True),
            func.set_config("enable_seqscan", "off", True),
        )
    )


async def _near(session: AsyncSession, key: str, alike: float, active: bool | None) -> Sequence[Named]:
    await prepare(session, alike)
    return (await session.execute(near(key, active))).all()


def _best_of_each(asked: Asked, names: Sequence[Named]) -> list[tuple[float, Named]]:
    best: dict[UUID, tuple[float, Named]] = {}
    for row in names:
        score = asked.score(row.folded)
        known = best.get(row.organisation_id)
        if known is None or score > known[0]:
            best[row.organisation_id] = (score, row)
    # Python's sort is stable: of equals the one that the database found more alike stays first.
    return sorted(best.values(), key=lambda found: -found[0])
