"""Search documents: built from all texts of an appeal, and rebuilt when one of the texts changes."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Select,
    case,
    delete,
    func,
    insert,
    literal,
    literal_column,
    null,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.sql.elements import SQLCoreOperations

from services.appeals.note_access import is_for_everyone
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_replies import Reply
from shared.tables.appeals_search import SearchDocument
from shared.tables.appeals_work import AppealNote
from shared.tables.ingest import Message
from shared.tables.registry import Municipality, Organisation

# The text search configuration that reduces Russian words, and Latin words by English rules, to their stems.
RUSSIAN: ColumnClause[Any] = literal_column("'russian'::regconfig")
# Postgres refuses a document of more than a megabyte: longer conversations are found only by their first words.
MAX_TEXT, MAX_DOCUMENT = 20_000, 100_000
# Replies with these statuses are not indexed, because they were not sent.
UNSENT = ("draft", "on_approval", "discarded")
FOLDED_LETTERS = {"Ё": "Е", "ё": "е"}
# From each of these characters the parser of Postgres reads the text again, looking for a tag, a path or a host:
# the time grows with the square of their number.
LOOKED_BEYOND = "<>_/~"
# Each of them, and each hyphen, is replaced by a space: «Улан-Удэ» and «Улан Удэ» are then equal, and the parser
# does not read a negative number in «12-3».
_SPACES = f"{LOOKED_BEYOND}-"


def folded(text: SQLCoreOperations[str]) -> ColumnElement[str]:
    """Return the SQL expression of the text as the parser gets it: with е for ё, and spaces for the characters of
    `_SPACES`. The length does not change.
    """
    letters, folded_letters = "".join(FOLDED_LETTERS), "".join(FOLDED_LETTERS.values())
    return func.translate(text, letters + _SPACES, folded_letters + " " * len(_SPACES))


async def index_appeals(session: WriteSession, appeal_ids: Sequence[UUID]) -> None:
    """Rebuild the search documents of these appeals from the stored data. Idempotent."""
    if not appeal_ids:
        return
    # One transaction at a time: of two concurrent transactions, the one that read earlier could write later and
    # leave a stale document.
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext(SearchDocument.__tablename__))))
    await session.execute(delete(SearchDocument).where(SearchDocument.appeal_id.in_(appeal_ids)))
    columns = ("id", "appeal_id", "kind", "written_by", "organisation_id", "number", "words")
    documents = union_all(_appeal_documents(appeal_ids), _note_documents(appeal_ids))
    await session.execute(insert(SearchDocument).from_select(columns, documents, include_defaults=False))


def _appeal_documents(appeal_ids: Sequence[UUID]) -> Select[Any]:
    texts = union_all(
        _details(appeal_ids),
        select(AppealMessage.appeal_id, Message.text, literal(1), Message.written_at)
        .join(Message, Message.id == AppealMessage.message_id)
        .where(AppealMessage.appeal_id.in_(appeal_ids)),
        select(Reply.appeal_id, Reply.text, literal(2), Reply.created_at).where(
            Reply.appeal_id.in_(appeal_ids), Reply.status.not_in(UNSENT)
        ),
        select(AppealNote.appeal_id, AppealNote.text, literal(3), AppealNote.created_at).where(
            AppealNote.appeal_id.in_(appeal_ids), AppealNote.deleted_at.is_(None), is_for_everyone()
        ),
    ).subquery()
    appeal_id, text, place, moment = texts.c
    in_order = aggregate_order_by(literal(" "), place, moment)
    whole = func.string_agg(func.left(text, MAX_TEXT), in_order)
    return (
        select(
            Appeal.id,
            Appeal.id.label("appeal_id"),
            literal("appeal"),
            null(),
            Appeal.organisation_id,
            Appeal.number,
            func.to_tsvector(RUSSIAN, folded(func.left(whole, MAX_DOCUMENT))),
        )
        .join(texts, appeal_id == Appeal.id)
        .group_by(Appeal.id)
    )


def _details(appeal_ids: Sequence[UUID]) -> Select[Any]:
    """Return the query of other searched data, such as names, and of the text of appeals that were opened
    manually.
    """
    words = func.concat_ws(
        " ",
        Appeal.number,
        Organisation.name,
        Municipality.name,
        Appeal.settlement,
        Appeal.street,
        Appeal.house,
        case((is_opened_by_hand(), Appeal.text)),
    )
    return (
        select(
            Appeal.id.label("appeal_id"),
            words.label("text"),
            literal(0).label("place"),
            Appeal.opened_at.label("moment"),
        )
        .outerjoin(Organisation, Organisation.id == Appeal.organisation_id)
        .outerjoin(Municipality, Municipality.oktmo == Appeal.municipality)
        .where(Appeal.id.in_(appeal_ids))
    )


def is_opened_by_hand() -> ColumnElement[bool]:
    """Return the SQL condition that an appeal has no messages, so that its text is only stored in the appeal."""
    return Appeal.network.is_(None)


def _note_documents(appeal_ids: Sequence[UUID]) -> Select[Any]:
    return (
        select(
            AppealNote.id,
            AppealNote.appeal_id,
            literal("note"),
            AppealNote.organisation_id,
            Appeal.organisation_id,
            Appeal.number,
            func.to_tsvector(RUSSIAN, folded(AppealNote.text)),
        )
        .join(Appeal, Appeal.id == AppealNote.appeal_id)
        .where(AppealNote.appeal_id.in_(appeal_ids), AppealNote.deleted_at.is_(None), ~is_for_everyone())
    )
