"""Highlights of a search: extracts of the texts that have its words, with personal data masked."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    Text,
    Uuid,
    any_,
    bindparam,
    func,
    literal,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import SQLCoreOperations

from services.appeals.note_access import is_readable_note
from services.appeals.search.documents import MAX_TEXT, RUSSIAN, UNSENT, folded, is_opened_by_hand
from services.appeals.search.matching import TERMS, Search
from shared.auth.callers import Caller
from shared.masking import cut_around, mask
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_replies import Reply
from shared.tables.appeals_work import AppealNote
from shared.tables.ingest import Message

# Maximum number of texts of an appeal that are shown.
MAX_HIGHLIGHTS = 3
# Control characters that mark a found word; in the texts themselves they are replaced by spaces.
_START, _STOP = "\x02", "\x03"
_FOUND_WORD = re.compile(f"{_START}[^{_STOP}]*{_STOP}")
_OPTIONS = f"StartSel={_START}, StopSel={_STOP}, HighlightAll=true"


class Fragment(NamedTuple):
    """A part of an extract; `found`: it is a word of the search."""

    text: str
    found: bool


class FoundText(NamedTuple):
    """An extract of a text of an appeal: of a message, a reply or a note."""

    kind: str
    fragments: list[Fragment]


def _marked(text: SQLCoreOperations[str]) -> ColumnElement[str]:
    """Return the SQL expression of the whole text with found words between control characters."""
    plain = func.translate(folded(text), _START + _STOP, "  ")
    return func.ts_headline(RUSSIAN, plain, TERMS, _OPTIONS)


def _texts(readable_note: ColumnElement[bool]) -> CompoundSelect[Any]:
    """Return the query of all texts of `appeal_ids`, including only readable notes."""
    wanted = any_(bindparam("appeal_ids", type_=ARRAY(Uuid)))
    return union_all(
        select(
            AppealMessage.appeal_id,
            literal("message").label("kind"),
            Message.text.label("text"),
            Message.written_at.label("at"),
            Message.id.label("id"),
        )
        .join(Message, Message.id == AppealMessage.message_id)
        .where(AppealMessage.appeal_id == wanted),
        select(Appeal.id, literal("message"), Appeal.text, Appeal.written_at, Appeal.id).where(
            Appeal.id == wanted, is_opened_by_hand()
        ),
        select(Reply.appeal_id, literal("reply"), Reply.text, Reply.created_at, Reply.id).where(
            Reply.appeal_id == wanted, Reply.status.not_in(UNSENT)
        ),
        select(AppealNote.appeal_id, literal("note"), AppealNote.text, AppealNote.created_at, AppealNote.id).where(
            AppealNote.appeal_id == wanted, AppealNote.deleted_at.is_(None), readable_note
        ),
    )


def _having_words(readable_note: ColumnElement[bool]) -> Select[Any]:
    texts = _texts(readable_note).subquery()
    has_words = func.strpos(_marked(func.left(texts.c.text, MAX_TEXT)), _START) > 0
    return select(texts.c.appeal_id, texts.c.kind, texts.c.text).where(has_words).order_by(texts.c.at, texts.c.id)


_given = (
    func.unnest(bindparam("texts", type_=ARRAY(Text)))
    .table_valued("text", with_ordinality="place")
    .render_derived()
)
# Built once: building the statement takes longer than executing it.
_EXTRACTS = select(_marked(_given.c.text)).order_by(_given.c.place)
_HAVING_WORDS_FOR_CENTRE = _having_words(true())


async def found_texts(
    session: AsyncSession, caller: Caller, appeal_ids: Sequence[UUID], search: Search
) -> dict[UUID, list[FoundText]]:
    """Return extracts of the texts of these appeals that have words of the search, at most three per appeal. The
    caller must be allowed to read the appeals; notes that the caller may not read are left out.
    """
    if not appeal_ids:
        return {}
    query = _HAVING_WORDS_FOR_CENTRE if caller.is_region_wide else _having_words(is_readable_note(caller))
    rows = (await session.execute(query, {"appeal_ids": list(appeal_ids), "terms": search.terms})).all()
    chosen: dict[UUID, list[tuple[str, str]]] = {}
    for appeal_id, kind, text in rows:
        if len(kept := chosen.setdefault(appeal_id, [])) < MAX_HIGHLIGHTS:
            kept.append((kind, mask(text)[:MAX_TEXT]))
    texts = [text for kept in chosen.values() for _, text in kept]
    extracts = iter(await extracts_of(session, texts, search))
    return {appeal_id: [FoundText(kind, next(extracts)) for kind, _ in kept] for appeal_id, kept in chosen.items()}


async def extracts_of(session: AsyncSession, texts: Sequence[str], search: Search) -> list[list[Fragment]]:
    """Return an extract of each text around the first found word, at most 300 characters long."""
    if not texts:
        return []
    # Postgres cannot store NUL in a text.
    given = [text.replace("\x00", " ") for text in texts]
    marked = await session.scalars(_EXTRACTS, {"texts": given, "terms": search.terms})
    return [_fragments(text, found) for text, found in zip(texts, marked, strict=True)]


def _fragments(text: str, marked: str) -> list[Fragment]:
    """Return the fragments of the extract. If the marked text without its marks is not as long as the text, no
    word counts as found.
    """
    # Each mark before a position shifts it by one.
    spans = [
        (found.start() - 2 * place, found.end() - 2 * place - 2)
        for place, found in enumerate(_FOUND_WORD.finditer(marked))
    ]
    # The parser drops words of 2,047 bytes or more; after such a word the marks would be too early.
    if len(marked) - 2 * len(spans) != len(text):
        spans = []
    first, last = cut_around(text, spans[0][0] if spans else 0)
    fragments = [Fragment("…", found=False)] if first else []
    at = first
    for start, stop in spans:
        if first <= start and stop <= last:
            fragments += [Fragment(text[at:start], found=False), Fragment(text[start:stop], found=True)]
            at = stop
    fragments.append(Fragment(text[at:last] + ("…" if last < len(text) else ""), found=False))
    return [fragment for fragment in fragments if fragment.text]
