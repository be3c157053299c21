"""Erasure of the texts of a citizen's appeals, and of everything that was written about them."""

from collections.abc import Callable, Sequence
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import Select, case, func, or_, select

from services.appeals.actors import SYSTEM_ACTOR
from services.appeals.erasure.reply_rows import erase_replies
from services.appeals.erasure.statements import delete_rows, update_rows
from services.appeals.erasure.stored_values import without_words
from services.appeals.lifecycle.erasure_lock import lock_erasure
from services.appeals.moderation.matter_decisions import split_off
from services.appeals.search.documents import index_appeals
from services.appeals.sla.explanation import without_pause_reasons
from shared import clock
from shared.api.idempotency import delete_responses_about
from shared.audit import recorder
from shared.contracts.erasures import ERASED_TEXT, AuthorErasedSoFar, EraseAuthor
from shared.contracts.values import AlertKind
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict
from shared.ids import new_id
from shared.logs import get_logger
from shared.tables import Base
from shared.tables.appeals import (
    Appeal,
    AppealMessage,
    AppealsIdempotency,
    AppealSubmission,
    Assignment,
    TimelineEntry,
)
from shared.tables.appeals_bulk import BulkOperationRow
from shared.tables.appeals_classification import Classification, Review
from shared.tables.appeals_exports import AppealExport, AppealExportPart
from shared.tables.appeals_extensions import ExtensionRequest
from shared.tables.appeals_feedback import FeedbackRound
from shared.tables.appeals_incidents import Alert, Incident, IncidentMember
from shared.tables.appeals_lists import AppealTag
from shared.tables.appeals_merges import AppealMerge
from shared.tables.appeals_replies import Reply
from shared.tables.appeals_sla import SlaClock, SlaClockEvent
from shared.tables.appeals_work import AppealNote, UndoableDecision
from shared.tables.ingest import Message

log = get_logger(__name__)

APPEALS_AT_A_TIME = 50
# All kinds are listed, because the index begins with the kind.
ALERT_KINDS = get_args(AlertKind.__value__)
_JSON_COLUMNS: tuple[tuple[type[Base], tuple[str, ...]], ...] = (
    (TimelineEntry, ("data",)),
    (BulkOperationRow, ("problem", "former")),
)


async def erase_appeals(session: WriteSession, command: EraseAuthor) -> AuthorErasedSoFar:
    """Erase the next appeals of the author; return how many rows of each kind are erased so far. Idempotent."""
    await lock_erasure(session)
    found = await _next_appeals(session, command)
    ids = list(found)
    if ids:
        await _split_off_later_messages(session, command, ids)
        await _erase_appeal_rows(session, command, found)
        await delete_exports(session, ids)
        await erase_replies(session, [id_ for id_ in ids if found[id_] in command.threads], ids)
        await _erase_what_was_said(session, command, ids)
        await index_appeals(session, ids)
        await recorder.record_action(session, Appeal.__tablename__, *map(str, ids))
    own = select(Message.id).where(Message.author_key == command.pseudonym)
    await _erase_readings(session, own)
    if not ids:
        await _delete_stored_responses(session, command.pseudonym, own)
    return AuthorErasedSoFar(is_done=not ids, counts=await _counts(session, command.pseudonym))


async def delete_exports(session: WriteSession, ids: Sequence[UUID]) -> None:
    """Delete the exports that contain these appeals; their authors must request new ones."""
    with_appeals = select(AppealExportPart.export_id).where(AppealExportPart.appeal_ids.overlap(ids))
    # Lock exports before their parts, as the jobs do, to avoid deadlocks.
    exports = (
        select(AppealExport.id)
        .where(AppealExport.id.in_(with_appeals))
        .order_by(AppealExport.id)
        .with_for_update()
    )
    found = set(await session.scalars(exports))
    await delete_rows(session, AppealExportPart, AppealExportPart.export_id.in_(found))
    await delete_rows(session, AppealExport, AppealExport.id.in_(found))


async def _next_appeals(session: WriteSession, command: EraseAuthor) -> dict[UUID, str | None]:
    """Lock the next appeals of the author or with a message of the author; return their threads by appeal id."""
    with_message = (
        select(AppealMessage.appeal_id)
        .join(Message, Message.id == AppealMessage.message_id)
        .where(Message.author_key == command.pseudonym)
    )
    own = select(Appeal.id).where(Appeal.author_key == command.author_key, Appeal.written_at <= command.until)
    # A union and not OR, so that each half uses its index.
    rows = await session.execute(
        select(Appeal.id, Appeal.thread_key)
        .where(Appeal.id.in_(own.union(with_message)), Appeal.erased_at.is_(None))
        .order_by(Appeal.id)
        .limit(APPEALS_AT_A_TIME)
        .with_for_update()
    )
    return {row.id: row.thread_key for row in rows}


async def _split_off_later_messages(session: WriteSession, command: EraseAuthor, ids: Sequence[UUID]) -> None:
    """Move messages that the author wrote after the erasure was requested to new appeals, because nobody can reply
    to an erased appeal. Messages that have a reply or need no answer stay.
    """
    rows = await session.execute(
        select(AppealMessage.appeal_id, AppealMessage.message_id)
        .join(Message, Message.id == AppealMessage.message_id)
        .join(Classification, Classification.message_id == Message.id)
        .where(
            AppealMessage.appeal_id.in_(ids),
            Message.author_key == command.author_key,
            Message.erased_at.is_(None),
            Message.written_at > command.until,
            Classification.needs_answer != "no",
            ~select(Reply.id).where(Reply.in_reply_to == Message.id).exists(),
        )
        .order_by(Message.written_at, Message.id)
    )
    for appeal_id, message_id in rows.all():
        appeal = await session.get_one(Appeal, appeal_id, populate_existing=True)
        try:
            await split_off(session, SYSTEM_ACTOR, appeal, message_id)
        except Conflict as reason:
            log.warning(
                "later message not split off from an erased appeal", appeal_id=str(appeal_id), reason=str(reason)
            )
        await session.flush()


async def _erase_appeal_rows(session: WriteSession, command: EraseAuthor, found: dict[UUID, str | None]) -> None:
    now = clock.now()
    rows = await session.execute(
        select(Appeal.id, Appeal.route, Appeal.reply_failed, Appeal.url).where(Appeal.id.in_(found))
    )
    for appeal_id, route, reply_failed, url in rows.all():
        thread = found[appeal_id]
        is_direct = thread in command.threads
        await update_rows(
            session,
            Appeal,
            Appeal.id == appeal_id,
            text="",
            author_key=command.pseudonym,
            thread_key=command.threads[thread] if thread is not None and is_direct else thread,
            url=None if is_direct else url,
            street=None,
            house=None,
            route=without_words(route),
            reply_failed=without_words(reply_failed),
            possible_other_matters=None,
            erased_at=now,
            updated_at=now,
            version=Appeal.version + 1,
        )


async def _erase_what_was_said(session: WriteSession, command: EraseAuthor, ids: Sequence[UUID]) -> None:
    """Erase what people and the system wrote about these appeals, because it may quote or name the citizen."""
    clocks = select(SlaClock.id).where(SlaClock.appeal_id.in_(ids))
    await _erase_explanations(session, ids)
    await update_rows(session, Assignment, Assignment.appeal_id.in_(ids), reason=None)
    await update_rows(session, SlaClockEvent, SlaClockEvent.clock_id.in_(clocks), reason=None)
    await update_rows(session, ExtensionRequest, ExtensionRequest.appeal_id.in_(ids), ground="", remarks=None)
    await update_rows(session, FeedbackRound, FeedbackRound.appeal_id.in_(ids), reason=None)
    await update_rows(session, AppealNote, AppealNote.appeal_id.in_(ids), text="", version=AppealNote.version + 1)
    await update_rows(session, IncidentMember, IncidentMember.appeal_id.in_(ids), why="")
    await update_rows(session, Alert, Alert.kind.in_(ALERT_KINDS), Alert.appeal_id.in_(ids), why="")
    await update_rows(
        session,
        AppealSubmission,
        AppealSubmission.appeal_id.in_(ids),
        contact=None,
        extra={},
        fingerprint=new_id().hex,
    )
    merges = or_(AppealMerge.appeal_id.in_(ids), AppealMerge.into_id.in_(ids))
    thread: Any = AppealMerge.thread_key
    if command.threads:
        thread = case(command.threads, value=AppealMerge.thread_key, else_=AppealMerge.thread_key)
    await update_rows(session, AppealMerge, merges, reason="", author_key=command.pseudonym, thread_key=thread)
    await delete_rows(session, AppealTag, AppealTag.appeal_id.in_(ids))
    await delete_rows(session, UndoableDecision, UndoableDecision.appeal_id.in_(ids))
    for table, columns in _JSON_COLUMNS:
        await erase_json(session, table, table.appeal_id.in_(ids), columns)  # type: ignore[attr-defined]
    await _erase_incidents(session, ids)


async def _erase_explanations(session: WriteSession, ids: Sequence[UUID]) -> None:
    """Erase the reasons of pauses from the stored explanations of ended clocks, before the events lose them."""
    explained = SlaClock.appeal_id.in_(ids) & SlaClock.explanation.is_not(None)
    reasons: dict[UUID, set[str | None]] = {}
    given = select(SlaClockEvent.clock_id, SlaClockEvent.reason).join(
        SlaClock, SlaClock.id == SlaClockEvent.clock_id
    )
    for clock_id, reason in await session.execute(given.where(explained, SlaClockEvent.reason.is_not(None))):
        reasons.setdefault(clock_id, set()).add(reason)
    rows = await session.execute(select(SlaClock.id, SlaClock.explanation).where(explained))
    for clock_id, before in rows.all():
        after = without_pause_reasons(before, reasons.get(clock_id, ()))
        if after != before:
            await update_rows(session, SlaClock, SlaClock.id == clock_id, explanation=after)


async def _erase_incidents(session: WriteSession, ids: Sequence[UUID]) -> None:
    """Erase the title and street of the incidents of these appeals that have no unerased appeal, and the reasons
    of their alerts, which name the title: all come from the erased texts.
    """
    of_these = select(IncidentMember.incident_id).where(IncidentMember.appeal_id.in_(ids))
    others = (
        select(IncidentMember.id)
        .join(Appeal, Appeal.id == IncidentMember.appeal_id)
        .where(IncidentMember.incident_id == Incident.id, Appeal.erased_at.is_(None))
        .exists()
    )
    emptied = select(Incident.id).where(Incident.id.in_(of_these), ~others)
    await update_rows(
        session, Alert, Alert.kind.in_(ALERT_KINDS), Alert.incident_id.in_(emptied), Alert.why != "", why=""
    )
    await update_rows(
        session,
        Incident,
        Incident.id.in_(emptied),
        title=ERASED_TEXT.capitalize(),
        street=None,
        version=Incident.version + 1,
    )


async def _erase_readings(session: WriteSession, message_ids: Select[UUID]) -> None:
    """Erase quoted words and addresses in the classifications and reviews of the messages."""
    quoting = or_(Classification.why != "", Classification.street.is_not(None), Classification.house.is_not(None))
    await update_rows(
        session,
        Classification,
        Classification.message_id.in_(message_ids) & quoting,
        why="",
        street=None,
        house=None,
        version=Classification.version + 1,
    )
    await erase_json(session, Review, Review.message_id.in_(message_ids), ("predicted", "decided"))


async def erase_json(
    session: WriteSession,
    table: type[Base],
    condition: Any,
    columns: Sequence[str],
    erased: Callable[[Any], Any] = without_words,
) -> None:
    """Replace the JSON values of the matching rows by what `erased` returns for them."""
    keys = [column.name for column in table.__table__.primary_key]
    names = [*keys, *columns]
    rows = await session.execute(select(*(getattr(table, name) for name in names)).where(condition))
    for row in rows.all():
        before = {name: getattr(row, name) for name in columns}
        after = {name: erased(value) for name, value in before.items()}
        if after != before:
            same = [getattr(table, name) == getattr(row, name) for name in keys]
            await update_rows(session, table, *same, **after)


async def _delete_stored_responses(session: WriteSession, pseudonym: str, own: Select[UUID]) -> None:
    """Delete the stored responses to repeated requests about the erased appeals and the author's own messages."""
    erased = select(Appeal.id).where(Appeal.author_key == pseudonym)
    # Responses about notes, replies and incidents do not contain the appeal's id, so their own ids are needed.
    ids = erased.union(
        own,
        select(AppealNote.id).where(AppealNote.appeal_id.in_(erased)),
        select(Reply.id).where(Reply.appeal_id.in_(erased)),
        select(IncidentMember.incident_id).where(IncidentMember.appeal_id.in_(erased)),
    )
    await delete_responses_about(session, AppealsIdempotency, list(await session.scalars(ids)))


async def _counts(session: WriteSession, pseudonym: str) -> dict[str, int]:
    """Return how many rows of each kind are erased. The rows are counted, so a repeated command returns the
    same.
    """
    appeals = select(Appeal.id).where(Appeal.author_key == pseudonym)
    messages = select(Message.id).where(Message.author_key == pseudonym)
    queries = {
        "appeals": select(func.count()).select_from(appeals.subquery()),
        "replies": select(func.count()).where(Reply.appeal_id.in_(appeals)),
        "notes": select(func.count()).where(AppealNote.appeal_id.in_(appeals)),
        "classifications": select(func.count()).where(Classification.message_id.in_(messages)),
    }
    return {name: await session.scalar(query) or 0 for name, query in queries.items()}
