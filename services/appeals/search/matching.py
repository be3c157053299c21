"""Which appeals have the words that somebody searches for, among those that they may read."""

import math
import re
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Integer, Select, bindparam, func, literal, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import SQLCoreOperations

from services.appeals.search.documents import FOLDED_LETTERS, LOOKED_BEYOND, RUSSIAN
from services.appeals.search.word_forms import alternatives
from shared.auth.callers import Caller
from shared.http.problems import FieldError, Invalid
from shared.tables.appeals import Appeal
from shared.tables.appeals_search import RANGE_SIZE, SearchDocument

# How many times more ranges one query may read than the one before.
GROWTH = 4


# As documents, but for the hyphen: before a word it excludes the word, within one it is a space.
_FOLDED = str.maketrans(FOLDED_LETTERS | dict.fromkeys(LOOKED_BEYOND, " "))
_HYPHEN_IN_WORD = re.compile(r"(?<=\w)-(?=\w)")


def search_terms(q: str) -> ColumnElement[str]:
    """Return the query of a search: words in any form, "an exact phrase", -without, one or another.

    A name of a place with a typo is searched for as it is written and as it is spelt.
    """
    written = _HYPHEN_IN_WORD.sub(" ", q).translate(_FOLDED)
    query: ColumnElement[str] = func.websearch_to_tsquery(RUSSIAN, literal(written))
    for word, others in alternatives(written).items():
        any_of_them = func.to_tsquery(RUSSIAN, literal(" | ".join((word, *others))))
        query = func.ts_rewrite(query, func.to_tsquery(RUSSIAN, literal(word)), any_of_them)
    return query


def found_by(caller: Caller, q: str) -> ColumnElement[bool]:
    """Return the condition that a document has the words, and that the caller may read it."""
    readable = or_(SearchDocument.kind == "appeal", caller.scope(SearchDocument.written_by))
    return (
        SearchDocument.words.bool_op("@@")(search_terms(q))
        & caller.scope(SearchDocument.organisation_id)
        & readable
    )


async def require_words(session: AsyncSession, q: str, *, pointer: str = "query/q") -> None:
    """Raise `Invalid` naming `pointer` unless there is a word to search for, not excluded and not a stop word."""
    _require_words(await session.scalar(select(func.querytree(search_terms(q)))), pointer)


def _require_words(searchable: str | None, pointer: str) -> None:
    # An empty query has no text, and what only excludes words is T, since no index serves it.
    if searchable in ("", "T"):
        detail = "There is no word to search for: short words such as «и» or «на» are not searched"
        raise Invalid(detail, errors=[FieldError(pointer=pointer, detail=detail)])


def found_appeals(caller: Caller, q: str) -> Select[UUID]:
    """Return the query of all appeals with the words, in no order."""
    return select(SearchDocument.appeal_id).where(found_by(caller, q))


async def next_appeals(
    session: AsyncSession,
    caller: Caller,
    q: str,
    conditions: Sequence[ColumnElement[bool]],
    *,
    organisation_id: UUID | None,
    after: int | None,
    limit: int,
    newest_first: bool,
) -> list[UUID]:
    """Return the next appeals with the words that meet the conditions, by number, after the one with this number.

    `organisation_id`: only those of this organisation, for the index; `conditions` must say so too.

    Ranges of numbers are read one after the other, more at a time the longer nothing is found, so that a frequent
    word costs one range and a rare one a few probes of the index. Raises `Invalid` for a search without words.
    """
    greatest = select(func.coalesce(func.max(Appeal.number), 0)).scalar_subquery()
    searchable, last = (await session.execute(select(func.querytree(search_terms(q)), greatest))).one()
    _require_words(searchable, "query/q")
    step = -1 if newest_first else 1
    end = 0 if newest_first else last // RANGE_SIZE
    start = (last if newest_first else 0) if after is None else after
    start //= RANGE_SIZE
    match = found_by(caller, q)
    if organisation_id is not None:
        match = match & (SearchDocument.organisation_id == organisation_id)
    # Making a statement takes longer than its execution.
    query = _in_ranges(match, conditions, after=after, newest_first=newest_first)
    found: list[tuple[int, UUID]] = []
    ranges = 1
    while len(found) < limit and (end - start) * step >= 0:
        ranges = min(ranges, abs(end - start) + 1)
        stop = start + (ranges - 1) * step
        wanted = limit - len(found)
        bounds = {"start": start, "stop": stop, "wanted": wanted}
        rows = [(number, appeal_id) for number, appeal_id in await session.execute(query, bounds)]
        found += rows
        start = stop + step
        ranges = _next_ranges(ranges, len(rows), wanted - len(rows))
    return [appeal_id for _, appeal_id in found]


def _next_ranges(ranges: int, found: int, wanted: int) -> int:
    """Return how many ranges to read next: as many as should have the rest, but not many more than before."""
    expected = math.ceil(wanted * ranges / found) if found else ranges * GROWTH
    return min(expected, ranges * GROWTH)


def _in_ranges(
    match: ColumnElement[bool],
    conditions: Sequence[ColumnElement[bool]],
    *,
    after: int | None,
    newest_first: bool,
) -> Select[int, UUID]:
    """Return the query of the next `wanted` appeals in the ranges from `start` to `stop`, its parameters."""
    step = literal(-1 if newest_first else 1, BigInteger)
    # The index compares 64-bit numbers only.
    start, stop = bindparam("start", type_=BigInteger), bindparam("stop", type_=BigInteger)
    wanted = bindparam("wanted", type_=Integer)
    number_range = func.generate_series(start, stop, step).table_valued("number_range").render_derived()
    # Each range apart, so that the index takes the range with the words. They are sorted before their appeals are
    # read (`OFFSET 0` keeps the planner from joining first): a page reads a page of appeals.
    matched = (
        select(SearchDocument.number, SearchDocument.appeal_id)
        .where(SearchDocument.number_range == number_range.c.number_range, match)
        .distinct()
    )
    if after is not None:
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
