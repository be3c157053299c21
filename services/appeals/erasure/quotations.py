"""Erasure of what other people's appeals contain of an erased person: forwarded words and links."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ScalarSelect, select

from services.appeals.erasure.appeal_rows import ALERT_KINDS, delete_exports, erase_json
from services.appeals.erasure.statements import update_rows
from services.appeals.erasure.stored_values import without_why
from services.appeals.lifecycle.erasure_lock import lock_erasure
from services.appeals.search.documents import index_appeals
from shared import clock
from shared.api.idempotency import delete_responses_about
from shared.audit import recorder
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal, AppealMessage, AppealsIdempotency, TimelineEntry
from shared.tables.appeals_classification import Classification, Review
from shared.tables.appeals_incidents import Alert
from shared.tables.appeals_replies import Reply, ReplyChange
from shared.tables.ingest import Message


async def erase_quotations(session: WriteSession, message_ids: Sequence[UUID]) -> list[UUID]:
    """Take over the texts of these messages, which lost words of an erased person or links to the person; return
    the ids of their appeals.

    Idempotent. All other texts of the appeals stay.
    """
    await lock_erasure(session)
    of_citizens = select(AppealMessage.appeal_id).where(is_one_of(AppealMessage.message_id, message_ids))
    of_staff = select(Reply.appeal_id).where(Reply.message_id.in_(message_ids))
    found = await session.scalars(
        select(Appeal.id)
        .where(Appeal.id.in_(of_citizens.union(of_staff)), Appeal.erased_at.is_(None))
        .order_by(Appeal.id)
        .with_for_update()
    )
    ids = list(found)
    if not ids:
        return []
    now = clock.now()
    await update_rows(session, Appeal, is_one_of(Appeal.id, ids), updated_at=now, version=Appeal.version + 1)
    opened = await session.execute(
        select(Appeal.id, Message.text)
        .join(Message, Message.id == _opening_message())
        .where(is_one_of(Appeal.id, ids), is_one_of(Message.id, message_ids))
    )
    for appeal_id, text in opened.all():
        await update_rows(session, Appeal, Appeal.id == appeal_id, text=text)
    replies = await session.execute(
        select(Reply.id, Message.text)
        .join(Message, Message.id == Reply.message_id)
        .where(is_one_of(Message.id, message_ids), is_one_of(Reply.appeal_id, ids), Reply.text != Message.text)
    )
    for reply_id, text in replies.all():
        await update_rows(
            session, Reply, Reply.id == reply_id, text=text, updated_at=now, version=Reply.version + 1
        )
        changes = ReplyChange.reply_id == reply_id
        await update_rows(session, ReplyChange, changes, former_text="")
        await update_rows(session, ReplyChange, changes & ReplyChange.text.is_not(None), text=text)
    await _erase_reasons(session, message_ids, ids)
    await delete_exports(session, ids)
    await index_appeals(session, ids)
    await delete_responses_about(session, AppealsIdempotency, [*ids, *message_ids])
    await recorder.record_action(session, Appeal.__tablename__, *map(str, ids))
    return ids


def _opening_message() -> ScalarSelect[UUID]:
    """Return the query of the message that opened an appeal, whose text the appeal has.

    Messages of one conversation have the same URL, and two of them may be of the same second.
    """
    return (
        select(AppealMessage.message_id)
        .join(Message, Message.id == AppealMessage.message_id)
        .where(
            AppealMessage.appeal_id == Appeal.id,
            Message.written_at == Appeal.written_at,
            Message.url == Appeal.url,
        )
        .order_by(AppealMessage.created_at, AppealMessage.message_id)
        .limit(1)
        .correlate(Appeal)
        .scalar_subquery()
    )


async def _erase_reasons(session: WriteSession, message_ids: Sequence[UUID], ids: Sequence[UUID]) -> None:
    """Erase the reasons of the system's decisions, which quote the texts. The decisions stay."""
    of_messages = is_one_of(Classification.message_id, message_ids)
    await update_rows(
        session,
        Classification,
        of_messages & (Classification.why != ""),
        why="",
        version=Classification.version + 1,
    )
    await erase_json(
        session, Review, is_one_of(Review.message_id, message_ids), ("predicted", "decided"), without_why
    )
    await erase_json(session, Appeal, is_one_of(Appeal.id, ids), ("route",), without_why)
    await erase_json(session, TimelineEntry, is_one_of(TimelineEntry.appeal_id, ids), ("data",), without_why)
    await update_rows(session, Alert, Alert.kind.in_(ALERT_KINDS), Alert.appeal_id.in_(ids), why="")
    await update_rows(
        session,
        Appeal,
        is_one_of(Appeal.id, ids) & Appeal.possible_other_matters.is_not(None),
        possible_other_matters=None,
    )
