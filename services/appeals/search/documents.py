"""Documents of the search: made from all texts of an appeal, and made again when one of them changes."""

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
from sqlalchemy.sql.elements import SQLCoreOperations

from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_replies import Reply
from shared.tables.appeals_search import SearchDocument
from shared.tables.appeals_work import AppealNote
from shared.tables.ingest import Message
from shared.tables.registry import Municipality, Organisation

# The dictionary that brings Russian words to their base form, and Latin ones to their English base form.
RUSSIAN: ColumnClause[Any] = literal_column("'russian'::regconfig")
# A document takes less than a megabyte: much longer conversations are found by their first words.
MAX_TEXT, MAX_DOCUMENT = 20_000, 200_000
# Drafts change all the time, and what was discarded was never said.
UNSENT = ("draft", "on_approval", "discarded")


def folded(text: SQLCoreOperations[str]) -> ColumnElement[str]:
    """Return the text with е for ё: people write either."""
    return func.translate(text, "Ёё", "Ее")


async def index_appeals(session: WriteSession, appeal_ids: Sequence[UUID]) -> None:
    """Make the documents of these appeals from what is stored now. Idempotent."""
    if not appeal_ids:
        return
    # One at a time: of two at once, the one that read earlier could write later.
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext(SearchDocument.__tablename__))))
    await session.execute(delete(SearchDocument).where(SearchDocument.appeal_id.in_(appeal_ids)))
    columns = ("id", "appeal_id", "kind", "written_by", "organisation_id", "number", "words")
    documents = union_all(_appeal_documents(appeal_ids), _note_documents(appeal_ids))
    await session.execute(insert(SearchDocument).from_select(columns, documents, include_defaults=False))


def _appeal_documents(appeal_ids: Sequence[UUID]) -> Select[Any]:
    texts = union_all(
        _details(appeal_ids),
        select(AppealMessage.appeal_id, Message.text)
        .join(Message, Message.id == AppealMessage.message_id)
        .where(AppealMessage.appeal_id.in_(appeal_ids)),
        select(Reply.appeal_id, Reply.text).where(Reply.appeal_id.in_(appeal_ids), Reply.status.not_in(UNSENT)),
        select(AppealNote.appeal_id, AppealNote.text).where(
            AppealNote.appeal_id.in_(appeal_ids), AppealNote.deleted_at.is_(None), _is_for_everyone()
        ),
    ).subquery()
    appeal_id, text = texts.c
    whole = func.string_agg(func.left(text, MAX_TEXT), literal(" "))
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
    """Return what else people search by, with the text of appeals that were opened by hand."""
    words = func.concat_ws(
        " ",
        Appeal.number,
        Organisation.name,
        Municipality.name,
        Appeal.settlement,
        Appeal.street,
        Appeal.house,
        case((Appeal.source.is_not(None), Appeal.text)),
    )
    return (
        select(Appeal.id.label("appeal_id"), words.label("text"))
        .outerjoin(Organisation, Organisation.id == Appeal.organisation_id)
        .outerjoin(Municipality, Municipality.oktmo == Appeal.municipality)
        .where(Appeal.id.in_(appeal_ids))
    )


def _is_for_everyone() -> ColumnElement[bool]:
    return AppealNote.visibility == "everyone_on_appeal"


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
        .where(AppealNote.appeal_id.in_(appeal_ids), AppealNote.deleted_at.is_(None), ~_is_for_everyone())
    )
