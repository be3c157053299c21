"""Search: finds the appeals with given words among those that the caller may read."""

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import SQLCoreOperations

from services.appeals.search.documents import FOLDED_LETTERS, LOOKED_BEYOND, RUSSIAN
from services.appeals.search.word_forms import alternatives
from shared.auth.callers import Caller
from shared.http.problems import FieldError, Invalid
from shared.tables.appeals import Appeal
from shared.tables.appeals_search import RANGE_SIZE, SearchDocument

# Maximum factor by which the number of ranges grows from one query to the next.
GROWTH = 4
# The parameter of search statements that takes `Search.terms`.
TERMS = cast(bindparam("terms", type_=TSQUERY), TSQUERY)


# Folding as in documents, except for hyphens: before a word a hyphen excludes it, within a word it becomes a
# space.
_FOLDED = str.maketrans(FOLDED_LETTERS | dict.fromkeys(LOOKED_BEYOND, " "))
_HYPHEN_IN_WORD = re.compile(r"(?<=\w)-(?=\w)")


class Search(NamedTuple):
    """A search that the database has parsed: its tsquery as text, and the greatest appeal number. It is parsed
    once, because parsing the words in each statement takes longer than the statement.
    """

    terms: str
    last_number: int


def _search_terms(q: str) -> ColumnElement[str]:
    """Return the SQL expression of the tsquery: words in any form, "an exact phrase", -excluded words, `or`. A
    location's name with a typo is searched for as written and as spelt correctly.
    """
    written = _HYPHEN_IN_WORD.sub(" ", q).translate(_FOLDED)
    query: ColumnElement[str] = func.websearch_to_tsquery(RUSSIAN, literal(written))
    for word, others in alternatives(written).items():
        any_of_them = func.to_tsquery(RUSSIAN, literal(" | ".join((word, *others))))
        query = func.ts_rewrite(query, func.to_tsquery(RUSSIAN, literal(word)), any_of_them)
    return query


def _found_by(caller: Caller, terms: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the SQL condition that a document has the words, and that the caller may read it."""
    readable = or_(SearchDocument.kind == "appeal", caller.scope(SearchDocument.written_by))
    return SearchDocument.words.bool_op("@@")(terms) & caller.scope(SearchDocument.organisation_id) & readable


async def require_words(session: AsyncSession, q: str, *, pointer: str = "query/q") -> None:
    """Raise `Invalid` naming `pointer` unless `q` has a word that is neither excluded nor a stop word."""
    _require_words(await session.scalar(select(func.querytree(_search_terms(q)))), pointer)


def _require_words(searchable: str | None, pointer: str) -> None:
    # querytree returns an empty text for an empty query, and T for a query that only excludes words.
    if searchable in ("", "T"):
        detail = "There is no word to search for: short words such as «и» or «на» are not searched"
        raise Invalid(detail, errors=[FieldError(pointer=pointer, detail=detail)])


def found_appeals(caller: Caller, q: str) -> Select[UUID]:
    """Return the query of the ids of appeals in which the caller may find the words, unordered and repeated."""
    return select(SearchDocument.appeal_id).where(_found_by(caller, _search_terms(q)))


async def parse_search(session: AsyncSession, q: str) -> Search:
    """Parse the words of a search. Raises `Invalid` for a search without words."""
    terms = _search_terms(q)
    last_number = select(func.coalesce(func.max(Appeal.number), 0)).scalar_subquery()
    row = (await session.execute(select(cast(terms, Text), func.querytree(terms), last_number))).one()
    _require_words(row[1], "query/q")
    return Search(row[0], row[2])


async def next_appeals(
    session: AsyncSession,
    caller: Caller,
    search: Search,
    conditions: Sequence[ColumnElement[bool]],
    *,
    organisation_id: UUID | None,
    after: int | None,
    limit: int,
    newest_first: bool,
) -> list[UUID]:
    """Return the ids of the next appeals that have the words and meet the conditions, ordered by number, after the
    number `after`. `organisation_id` limits the index scan to this organisation; `conditions` must limit the
    result likewise. Ranges of numbers are read one after another, and more at a time while little is found, so
    that a frequent word costs one range and a rare word a few index probes.
    """
    step = -1 if newest_first else 1
    end = 0 if newest_first else search.last_number // RANGE_SIZE
    start = (search.last_number if newest_first else 0) if after is None else after
    start //= RANGE_SIZE
    continued = after is not None
    # Cached: building the statement takes longer than executing it.
    if caller.is_region_wide and all(condition is true() for condition in conditions):
        query = _in_region(continued=continued, newest_first=newest_first)
    else:
        match = _found_by(caller, TERMS)
        if organisation_id is not None:
            match = match & (SearchDocument.organisation_id == organisation_id)
        query = _in_ranges(match, conditions, continued=continued, newest_first=newest_first)
    found: list[tuple[int, UUID]] = []
    ranges = 1
    while len(found) < limit and (end - start) * step >= 0:
        ranges = min(ranges, abs(end - start) + 1)
        stop = start + (ranges - 1) * step
        wanted = limit - len(found)
        values = {"terms": search.terms, "after": after, "start": start, "stop": stop, "wanted": wanted}
        rows = [(number, appeal_id) for number, appeal_id in await session.execute(query, values)]
        found += rows
        start = stop + step
        ranges = _next_ranges(ranges, len(rows), wanted - len(rows))
    return [appeal_id for _, appeal_id in found]


def _next_ranges(ranges: int, found: int, wanted: int) -> int:
    """Return how many ranges to read next: as many as should contain the rest, but at most `GROWTH` times as many
    as before.
    """
    expected = math.ceil(wanted * ranges / found) if found else ranges * GROWTH
    return min(expected, ranges * GROWTH)


@lru_cache
def _in_region(*, continued: bool, newest_first: bool) -> Select[int, UUID]:
    """Return the query of a search without a filter in the whole region."""
    match = SearchDocument.words.bool_op("@@")(TERMS)
    return _in_ranges(match, (), continued=continued, newest_first=newest_first)


def _in_ranges(
    match: ColumnElement[bool],
    conditions: Sequence[ColumnElement[bool]],
    *,
    continued: bool,
    newest_first: bool,
) -> Select[int, UUID]:
    """Return the query of the next appeals. Its parameters: `start` and `stop`, the range numbers; `wanted`, the
    limit; if `continued` also `after`, a number.
    """
    step = literal(-1 if newest_first else 1, BigInteger)
    # The index is used only if the compared numbers have 64 bits.
    start, stop = bindparam("start", type_=BigInteger), bindparam("stop", type_=BigInteger)
    wanted = bindparam("wanted", type_=Integer)
    number_range = func.generate_series(start, stop, step).table_valued("number_range").render_derived()
    # Ranges are read separately, so that the index is used for range and words together. Documents are sorted
    # before their appeals are read (`OFFSET 0` keeps the planner from joining first), so that no more
    # appeals are read than a page needs.
    matched = (
        select(SearchDocument.number, SearchDocument.appeal_id)
        .where(SearchDocument.number_range == number_range.c.number_range, match)
        .distinct()
    )
    if continued:
        after = bindparam("after", type_=BigInteger)
        matched = matched.where(SearchDocument.number < after if newest_first else SearchDocument.number > after)
    sorted_documents = matched.order_by(_order(SearchDocument.number, newest_first)).offset(0)
    in_order = sorted_documents.correlate(number_range).lateral("matched")
    found = (
        select(in_order.c.number, in_order.c.appeal_id)
        .join(Appeal, Appeal.id == in_order.c.appeal_id)
        .where(*conditions)
        .order_by(_order(in_order.c.number, newest_first))
        .limit(wanted)
        .lateral("found")
    )
    return (
        select(found.c.number, found.c.appeal_id)
        .select_from(number_range)
        .join(found, true())
        .order_by(_order(found.c.number, newest_first))
        .limit(wanted)
    )


def _order(number: SQLCoreOperations[int], newest_first: bool) -> ColumnElement[int]:
    return number.desc() if newest_first else number.asc()
