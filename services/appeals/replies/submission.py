"""Answers: written here, asked of ingest, followed until they stand in the thread."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals import jobs
from services.appeals.inbound.event_consumer import messages_query
from services.appeals.lifecycle.timeline import Journal
from services.appeals.lifecycle.workflow import ENDED, allowed_moves
from services.appeals.replies import published_replies
from services.appeals.routing.context import Reference
from shared import clock
from shared.api.pagination import inline_literal
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Duplicate, FieldError, Invalid, ReplyUnderWay
from shared.ids import new_id
from shared.tables.appeals import UNDER_WAY, Appeal, AppealMessage, Reply, TimelineEntry, Triage
from shared.tables.common import Event
from shared.tables.ingest import Message, Publication

PUBLICATION_TYPES = (
    "publication.published",
    "publication.failed",
    "publication.delayed",
    "publication.uncertain",
)
# What ingest takes at once; it parts what is longer than the network's own limit.
MAX_LENGTH = 20_000
UNAVAILABLE = "ingest_unavailable"
HELD = "job_held"
ASKED_AGAIN_AFTER = timedelta(minutes=2)
# So long the same final text is not sent to the same citizen again, unless the request carries an
# `Idempotency-Key` of its own; as long as keys are kept.
SAME_TEXT_REFUSED_FOR = timedelta(hours=24)


@dataclass(frozen=True)
class Draft:
    """An answer as its author wrote it."""

    text: str
    kind: str
    promised_at: datetime | None
    message_id: UUID | None


async def queue(
    session: WriteSession, appeal: Appeal, draft: Draft, caller: Caller, *, repeats: bool = False
) -> Reply:
    """Keep the reply and have it published in the thread; `appeal` is locked.

    `repeats`: the caller means it where the same final text was sent already. Raises `Conflict` when the appeal
    takes no reply now, `ReplyUnderWay` and `Duplicate` naming the first reply, `Invalid` naming the field that is
    wrong.
    """
    if appeal.status in ENDED or appeal.status == "triage":
        raise Conflict(
            f"A case in status «{appeal.status}» takes no answer",
            allowed_moves=allowed_moves(appeal.status, caller.role),
        )
    return await send(session, appeal, draft, caller.actor, repeats=repeats)


async def send(
    session: WriteSession,
    appeal: Appeal,
    draft: Draft,
    author: str,
    *,
    incident_reply_id: UUID | None = None,
    repeats: bool = False,
) -> Reply:
    """As `queue`, for a locked appeal that is known to take a reply; nothing is written when it raises."""
    message = await answered_message(session, appeal, draft.message_id)
    check(draft)
    await _refuse_second(session, appeal)
    if draft.kind == "final" and not repeats:
        await _refuse_same_text(session, appeal, draft.text)
    # Other machines compare it with their own reading of the time: the database's is the same for all.
    now = await session.scalar(select(func.now()))
    reply = Reply(
        id=new_id(), appeal_id=appeal.id, origin="gospablik", kind=draft.kind, text=draft.text, status="queued",
        author=author, promised_at=draft.promised_at, publication_id=None, in_reply_to=message.id, message_id=None,
        url=None, published_at=None, failure=None, version=1, created_at=now, updated_at=clock.now(),
        incident_reply_id=incident_reply_id,
    )  # fmt: skip
    session.add(reply)
    if appeal.status in {"new", "assigned", "reopened"}:
        appeal.status = "in_progress"
    appeal.reply_failed = None
    appeal.updated_at = clock.now()
    await session.flush()
    journal = Journal()
    journal.note(
        appeal,
        "reply_queued",
        author,
        reply_id=str(reply.id),
        reply_kind=reply.kind,
        message_id=str(message.id),
    )
    journal.tell(appeal, "reply.queued", author, reply_id=str(reply.id))
    await journal.write(session)
    await _request(session, reply)
    return reply


async def _request(session: WriteSession, reply: Reply, *, dedupe_key: str | None = None) -> None:
    """Have ingest asked to publish the reply, to the message that was chosen when it was made."""
    await keep_target(session, reply)
    await jobs.jobs.enqueue(
        session,
        jobs.REQUEST_PUBLICATION,
        {"reply_id": str(reply.id), "message_id": str(reply.in_reply_to)},
        dedupe_key=dedupe_key,
    )


async def keep_target(session: WriteSession, reply: Reply) -> None:
    """Write down which message the reply answers, where the version before made it: it told the timeline alone.

    Where the timeline does not tell it either, it is chosen as for a new reply: one such row must not end the
    schedule for all.
    """
    if reply.in_reply_to is not None:
        return
    entries = await session.scalars(
        select(TimelineEntry.data).where(
            TimelineEntry.appeal_id == reply.appeal_id, TimelineEntry.kind == "reply_queued"
        )
    )
    told = [data["message_id"] for data in entries if data["reply_id"] == str(reply.id) and "message_id" in data]
    if told:
        reply.in_reply_to = UUID(told[0])
    else:
        reply.in_reply_to = (await answered_message(session, await session.get_one(Appeal, reply.appeal_id))).id


async def _refuse_second(session: AsyncSession, appeal: Appeal) -> None:
    """Raise `ReplyUnderWay` while another reply to the locked appeal is under way.

    A failed reply is under way again when its publication was started anew past the appeal.
    """
    resumed = exists().where(
        Publication.reply_id == Reply.id, Publication.status.in_(("queued", "sending", "uncertain"))
    )
    first = await session.scalar(
        select(Reply)
        .where(
            Reply.appeal_id == appeal.id,
            or_(Reply.status.in_(UNDER_WAY), (Reply.status == "failed") & resumed),
        )
        .order_by(Reply.created_at, Reply.id)
        .limit(1)
    )
    if first is not None:
        status = first.status if first.status in UNDER_WAY else "queued"
        raise ReplyUnderWay(
            f"A reply to this appeal is under way («{status}»): wait until it is published or has failed",
            reply=_named(first) | {"status": status},
        )


async def _refuse_same_text(session: AsyncSession, appeal: Appeal, text: str) -> None:
    """Raise `Duplicate` when the same final text was sent to the citizen lately, by the database's time."""
    earlier = await session.scalars(
        select(Reply)
        .where(
            Reply.appeal_id == appeal.id,
            Reply.origin == "gospablik",
            Reply.kind == "final",
            Reply.created_at > func.now() - SAME_TEXT_REFUSED_FOR,
        )
        .order_by(Reply.created_at, Reply.id)
    )
    first = next((reply for reply in earlier if bare(reply.text) == bare(text)), None)
    if first is None:
        return
    what = "has failed: retry it" if first.status == "failed" else "was sent already"
    raise Duplicate(
        f"A reply with this text {what}. To send it once more on purpose, give an Idempotency-Key of its own",
        reply=_named(first),
    )


def _named(reply: Reply) -> dict[str, Any]:
    return {
        "id": str(reply.id),
        "author": reply.author,
        "status": reply.status,
        "kind": reply.kind,
        "created_at": reply.created_at.isoformat(),
    }


def check(draft: Draft) -> None:
    """Raise `Invalid` naming the field where kind and promise do not fit together."""
    errors = []
    if draft.kind == "interim" and draft.promised_at is None:
        errors.append(
            FieldError(pointer="/promised_at", detail="An interim answer promises a moment of the final one")
        )
    if draft.kind == "final" and draft.promised_at is not None:
        errors.append(FieldError(pointer="/promised_at", detail="Only an interim answer promises"))
    if draft.promised_at is not None and draft.promised_at <= clock.now():
        errors.append(FieldError(pointer="/promised_at", detail="The promised moment has passed"))
    if errors:
        names = ", ".join(dict.fromkeys(error.pointer for error in errors))
        raise Invalid(f"Wrong: {names}", errors=errors)


async def answered_message(session: AsyncSession, appeal: Appeal, wanted: UUID | None = None) -> Message:
    """The citizen's message that an answer goes to: the named one, else the latest that asks, else the latest.

    Words that the citizen took back are passed over while others stand.
    """
    query = (
        messages_query()
        .join(AppealMessage, AppealMessage.message_id == Message.id)
        .outerjoin(Triage, Triage.message_id == Message.id)
        .where(AppealMessage.appeal_id == appeal.id)
        .order_by(
            Message.deleted_at.is_not(None),
            func.coalesce(Triage.needs_answer, "no") == "no",
            Message.written_at.desc(),
            Message.id.desc(),
        )
        .limit(1)
    )
    if wanted is not None:
        query = query.where(Message.id == wanted)
    message = await session.scalar(query)
    if message is None and wanted is not None:
        raise Invalid.field("/message_id", "No such message in this case")
    if message is None:
        raise Conflict("The case has no message in a network: there is no thread to publish an answer in")
    return message


async def of_appeal(session: AsyncSession, appeal_id: UUID) -> Sequence[Reply]:
    """Answers of a case, oldest first."""
    return list(
        await session.scalars(
            select(Reply).where(Reply.appeal_id == appeal_id).order_by(Reply.created_at, Reply.id)
        )
    )


async def retry(
    session: WriteSession, appeal: Appeal, reply_id: UUID, caller: Caller, text: str | None = None
) -> Reply | None:
    """Try a failed answer again, in corrected words if `text` gives them; None when the case has no such answer.

    Raises `Conflict` unless it failed, `Invalid` when a part of it stands in the network and `text` does not go on
    from there. The former words stay in the timeline.
    """
    reply = await session.scalar(
        select(Reply).where(Reply.id == reply_id, Reply.appeal_id == appeal.id).with_for_update()
    )
    if reply is None:
        return None
    if reply.status != "failed":
        raise Conflict(f"Only a failed answer can be tried again; this one is «{reply.status}»")
    await _refuse_second(session, appeal)
    journal = Journal()
    if text is not None and text != reply.text:
        await _check_correction(session, reply, text)
        journal.note(appeal, "reply_corrected", caller.actor, reply_id=str(reply.id), former=reply.text)
        reply.text = text
    reply.status, reply.failure = "queued", None
    reply.version += 1
    reply.updated_at = clock.now()
    appeal.reply_failed = None
    await session.flush()
    journal.note(appeal, "reply_queued", caller.actor, reply_id=str(reply.id), again=True)
    journal.tell(appeal, "reply.queued", caller.actor, reply_id=str(reply.id))
    await journal.write(session)
    if reply.publication_id is None:
        await _request(session, reply)
    else:
        await jobs.jobs.enqueue(session, jobs.RETRY_PUBLICATION, {"reply_id": str(reply.id)})
    return reply


async def _check_correction(session: AsyncSession, reply: Reply, text: str) -> None:
    """Words that citizens can read already cannot be changed: a correction goes on from them."""
    parts = await session.scalars(
        select(Publication.text)
        .where(Publication.reply_id == reply.id, Publication.status == "published")
        .order_by(Publication.part)
    )
    standing = bare("".join(parts))
    if not bare(text).startswith(standing):
        detail = "A part of the answer stands in the network: the corrected text must begin with its words"
        raise Invalid.field("/text", detail)
    if standing == bare(text):
        raise Invalid.field("/text", "All these words stand in the network already")


def bare(text: str) -> str:
    """A text without white space: two that differ in nothing else are the same to who reads them."""
    # Networks and the parting of long answers change white space.
    return "".join(text.split())


async def note_requested(session: WriteSession, reply_id: UUID, publication: dict[str, Any]) -> None:
    """Ingest took the request. Its events may have come first: they know better."""
    reply = await session.scalar(select(Reply).where(Reply.id == reply_id).with_for_update())
    if reply is None:
        return
    reply.publication_id = UUID(str(publication["id"]))
    if reply.status == "queued":
        if reply.failure is not None and reply.failure.get("code") == UNAVAILABLE:
            reply.failure = None
        if publication.get("status") in {"sending", "uncertain"}:
            reply.status = publication["status"]


async def note_failure(session: WriteSession, reply_id: UUID, code: str, message: str, *, final: bool) -> None:
    """The request did not get through: shown with the answer; `final` gives up until a person tries again."""
    found = await _locked(session, reply_id)
    if found is None or found[1].status not in {"queued", "sending", "uncertain"}:
        return
    appeal, reply = found
    failure = {"code": code, "message": message, "at": clock.now().isoformat(), "will_retry": not final}
    if not final:
        reply.failure = failure
        return
    journal = Journal()
    _fail(appeal, reply, failure, journal)
    await journal.write(session)


async def note_held(session: WriteSession, reply_id: UUID) -> None:
    """The job that asks ingest was given up: the reply is `failed`, and a person may try it again."""
    message = "Отправка не удалась после нескольких попыток: отправьте ответ снова."
    await note_failure(session, reply_id, HELD, message, final=True)


async def to_ask_again(session: WriteSession) -> int:
    """Ask once more for answers that ingest has not taken for a while; returns how many."""
    waiting = list(
        await session.scalars(
            select(Reply)
            .where(
                Reply.status == inline_literal("queued"),
                Reply.publication_id.is_(None),
                Reply.origin == "gospablik",
                Reply.created_at < func.now() - ASKED_AGAIN_AFTER,
            )
            .limit(100)
        )
    )
    for reply in waiting:
        await _request(session, reply, dedupe_key=f"again:{reply.id}")
    return len(waiting)


async def _locked(session: WriteSession, reply_id: UUID) -> tuple[Appeal, Reply] | None:
    # The case first, then the answer: the order in which everyone locks them.
    appeal = await session.scalar(
        select(Appeal)
        .join(Reply, Reply.appeal_id == Appeal.id)
        .where(Reply.id == reply_id)
        .with_for_update(of=Appeal)
    )
    if appeal is None:
        return None
    reply = await session.scalar(
        select(Reply).where(Reply.id == reply_id).with_for_update().execution_options(populate_existing=True)
    )
    return (appeal, reply) if reply is not None else None


async def follow_publications(session: WriteSession, events: Sequence[Event]) -> None:
    """What ingest tells of our answers, in order; doing it again changes nothing."""
    for event in events:
        found = await _locked(session, UUID(event.data["reply_id"]))
        if found is not None:
            await _follow(session, event, *found)


async def _follow(session: WriteSession, event: Event, appeal: Appeal, reply: Reply) -> None:
    journal = Journal()
    if reply.status == "published":
        return
    reply.publication_id = event.subject_id
    if event.type == "publication.failed":
        if reply.status != "failed" or reply.failure != _told(event, will_retry=False):
            _fail(appeal, reply, _told(event, will_retry=False), journal)
    elif event.type == "publication.published":
        await _publish(session, event, appeal, reply, journal)
    elif reply.status != "failed":
        # A failed reply is under way again when a person says so: another one may have been begun since.
        if event.type == "publication.uncertain":
            reply.status = "uncertain"
            if event.data.get("failure"):
                reply.failure = _told(event, will_retry=True)
        else:
            reply.status, reply.failure = "queued", _told(event, will_retry=True)
    await journal.write(session)


def _told(event: Event, *, will_retry: bool) -> dict[str, Any]:
    failure: dict[str, Any] = event.data.get("failure", {})
    return {
        "code": failure.get("code"),
        "message": failure.get("message"),
        "at": event.occurred_at.isoformat(),
        "will_retry": will_retry,
    }


async def _publish(session: WriteSession, event: Event, appeal: Appeal, reply: Reply, journal: Journal) -> None:
    published_at = datetime.fromisoformat(event.data["published_at"])
    overtaken = reply.status == "failed" and await _overtaken(session, reply)
    reply.status, reply.url, reply.published_at, reply.failure = (
        "published",
        event.data.get("url"),
        published_at,
        None,
    )
    appeal.updated_at = clock.now()
    organisations = {appeal.organisation_id} if appeal.organisation_id else set()
    reference = await Reference.load(session, {appeal.page_id} if appeal.page_id else set(), organisations)
    # Should our own words have been taken for handwriting before ingest knew them, they count once: as ours.
    external_ids = event.data.get("external_ids") or [event.data.get("external_id")]
    taken_twice = list(
        await session.scalars(
            select(Reply.id)
            .join(Message, Message.id == Reply.message_id)
            .where(
                Reply.appeal_id == appeal.id,
                Reply.origin == "network",
                Message.external_id.in_(external_ids),
                Message.network == appeal.network,
            )
        )
    )
    if taken_twice:
        appeal.reply_failed = None
        await session.execute(delete(Reply).where(Reply.id.in_(taken_twice)))
        journal.note(appeal, "reply_recognised", reply_id=str(reply.id))
        return
    published_replies.record(
        appeal, reply, published_at, reference, journal, actor=reply.author, overtaken=overtaken
    )


async def _overtaken(session: AsyncSession, reply: Reply) -> bool:
    """Whether a later reply was published while this one counted as failed."""
    later = exists().where(
        Reply.appeal_id == reply.appeal_id, Reply.status == "published", Reply.created_at > reply.created_at
    )
    return bool(await session.scalar(select(later)))


def _fail(appeal: Appeal, reply: Reply, failure: dict[str, Any], journal: Journal) -> None:
    """The reply reached nobody: a person must look, in the appeal's list and by `reply.failed`."""
    reply.status, reply.failure = "failed", failure
    told = {name: failure[name] for name in ("code", "message", "at")}
    appeal.reply_failed = {"reply_id": str(reply.id), **told}
    appeal.updated_at = clock.now()
    journal.note(appeal, "reply_failed", reply_id=str(reply.id), failure=failure)
    journal.tell(
        appeal,
        "reply.failed",
        reply_id=str(reply.id),
        kind=reply.kind,
        code=told["code"],
        reason=told["message"],
        failed_at=told["at"],
        failure=failure,
    )
