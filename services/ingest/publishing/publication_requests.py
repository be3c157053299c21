"""Create, list and retry publications."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.intake.notice_messages import visible_publications
from services.ingest.intake.own_reply_matching import IN_FLIGHT_STATUSES, lock_threads
from services.ingest.networks.catalogue import max_text_length
from services.ingest.publishing.locked_rows import DATABASE_NOW, lock_parts
from services.ingest.publishing.publisher import PUBLISH_JOB
from services.ingest.publishing.retry_limits import require_retry_allowed
from services.ingest.publishing.text_splitting import remaining_text, split_text
from services.ingest.schemas.publications import PublicationRequest, PublicationStatus
from services.ingest.settings import ingest_settings
from shared.api.pagination import Paging, inline_literal
from shared.api.query_parameters import ListFilter
from shared.audit import recorder
from shared.auth.callers import Caller
from shared.contracts.notice_codes import NOTICES_ACTOR
from shared.contracts.values import MessageKind
from shared.database.bulk_insert import insert_rows
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, FieldError, Invalid, KeyReused, NotFound
from shared.ids import new_id
from shared.jobs import Jobs
from shared.networks import NetworkName
from shared.tables.ingest import Message, Publication

AUTHOR_ERASED = "The personal data of the author was erased, so no reply can be sent"
# Publications beyond this number keep the delays of their own retries.
MAX_REQUEUED = 500


async def _enqueue(
    session: WriteSession, jobs: Jobs, publication_id: UUID, delay: timedelta | None = None
) -> None:
    payload = {"publication_id": str(publication_id)}
    # No dedupe key: this job must not be merged into one that is about to end. Two jobs are harmless.
    await jobs.enqueue(session, PUBLISH_JOB, payload, delay=delay)


async def requeue_waiting(session: WriteSession, jobs: Jobs, network: str, page_id: UUID | None) -> None:
    """Queue waiting publications of a page, or (`page_id` None) of the network, again after a token was added."""
    waiting = select(Publication.id).where(Publication.network == network, Publication.status == "queued")
    if page_id is not None:
        waiting = waiting.where(Publication.page_id == page_id)
    # Delayed until workers have reloaded the tokens.
    delay = timedelta(seconds=ingest_settings().page_refresh_seconds + 1)
    for publication_id in await session.scalars(waiting.order_by(Publication.created_at).limit(MAX_REQUEUED)):
        await _enqueue(session, jobs, publication_id, delay)


async def request_publication(
    session: WriteSession, jobs: Jobs, body: PublicationRequest
) -> tuple[Publication, bool]:
    """Queue a reply to a citizen's message, once per `reply_id`, split into as many parts as the network needs.

    Return the first part and whether it is new. Raises `Invalid` for an unknown or erased message and for a notice
    in public, `KeyReused` if the reply was already requested with a different text, photo or message, `Conflict`
    if a concurrent request removed it.
    """
    message = await session.get(Message, body.message_id)
    if message is None:
        detail = "No such message"
        raise Invalid(detail, errors=[FieldError(pointer="/message_id", detail=detail)])
    if message.erased_at is not None:
        raise Invalid(AUTHOR_ERASED)
    if body.on_behalf_of == NOTICES_ACTOR and message.kind != "message":
        raise Invalid.field("/message_id", "Notices are sent in a conversation, never in public")
    kind: MessageKind = "message" if message.kind == "message" else "comment"
    parts = split_text(body.text, max_text_length(message.network, kind))
    photos = [photo.model_dump(mode="json") for photo in body.attachments]
    # The lock gives replies of one thread increasing creation times across all machines.
    await lock_threads(session, [message.thread_key])
    now = (await session.execute(select(DATABASE_NOW))).scalar_one()
    common = {
        "reply_id": body.reply_id,
        "appeal_id": body.appeal_id,
        "parts": len(parts),
        "page_id": message.page_id,
        "organisation_id": body.organisation_id or message.organisation_id,
        "network": message.network,
        "kind": kind,
        "thread_key": message.thread_key,
        # Networks reject a reply to a deleted comment, so it is posted to the thread.
        "reply_to": message.external_id if message.kind == "comment" and message.deleted_at is None else None,
        "on_behalf_of": body.on_behalf_of,
        "status": "queued",
        "attempts": 0,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    ids = [new_id() for _ in parts]
    rows = [
        {**common, "id": ids[number], "part": number, "text": text, "attachments": [] if number else photos}
        for number, text in enumerate(parts)
    ]
    # Inserting the first part decides which of two concurrent requests wins.
    made = await session.scalar(
        insert(Publication)
        .values(rows[0])
        .on_conflict_do_nothing(index_elements=[Publication.reply_id, Publication.part])
        .returning(Publication.id)
    )
    if made is not None:
        await insert_rows(session, Publication, rows[1:])
        for publication_id in ids:
            await _enqueue(session, jobs, publication_id)
    stored = await lock_parts(session, body.reply_id)
    await recorder.record(session, Publication, (recorder.inserted(row) for row in stored if made is not None))
    if not stored:
        raise Conflict("The publication was removed by a concurrent request; repeat the request")
    same = [row.text for row in stored] == parts and stored[0].attachments == photos
    if not same or stored[0].thread_key != message.thread_key:
        raise KeyReused.field(
            "/reply_id", "The reply was already requested with a different text, photo or message"
        )
    return stored[0], made is not None


async def retry_publication(
    session: WriteSession,
    jobs: Jobs,
    publication_id: UUID,
    *,
    text: str | None = None,
    caller: Caller | None = None,
) -> Publication:
    """Queue the failed parts of a reply again with a new attempt count; return its first part.

    A part that was already sent becomes `uncertain`: it is sent again only if the thread does not contain it.

    `text`: the whole corrected reply. It has to begin with the published parts, which stay unchanged; the rest is
    split again. If the text is unchanged and nothing failed, the call is a repeated request and changes nothing.
    `caller`: who requests it on the public route; appeals checks the callers of its own route itself. Raises
    `NotFound`, `Conflict` if nothing failed, the publication is a message with notices or its appeal takes no
    retry, `Invalid` if the author was erased or the text would change published parts or leave nothing to send.
    """
    query = select(Publication).where(Publication.id == publication_id)
    if caller is not None:
        query = query.where(*visible_publications(caller))
    named = await session.scalar(query)
    if named is None:
        raise NotFound("No such publication")
    if named.on_behalf_of == NOTICES_ACTOR:
        # A retry could notify the person twice.
        raise Conflict("A message with notices is not retried: the notices may have been sent by e-mail meanwhile")
    if named.erased_at is not None:
        raise Invalid(AUTHOR_ERASED)
    await lock_threads(session, [named.thread_key])
    rows = await lock_parts(session, named.reply_id)
    if caller is not None:
        await require_retry_allowed(session, caller, named.reply_id)
    failed = [row for row in rows if row.status == "failed"]
    if not failed:
        if text is not None and _without_whitespace(text) == _without_whitespace(
            "".join(row.text for row in rows)
        ):
            return rows[0]
        status = next((row.status for row in rows if row.status != "published"), "published")
        raise Conflict(f"The publication is «{status}»; only a failed one can be retried")
    if text is not None:
        await _correct(session, rows, failed, text)
        rows = await lock_parts(session, named.reply_id)
        failed = [row for row in rows if row.status == "failed"]
    now = (await session.execute(select(DATABASE_NOW))).scalar_one()
    busy = await _in_flight(session, named.thread_key)
    for row in failed:
        # Only one part per thread may be uncertain at a time; other parts wait in the queue.
        doubt = row.sending_since is not None and not busy
        row.status, row.attempts, row.failure = "uncertain" if doubt else "queued", 0, None
        row.unreachable_since = None
        row.uploaded_media = None  # upload the photos again: the network may have refused the earlier uploads
        row.version += 1
        row.updated_at = now
        busy = busy or doubt
        await _enqueue(session, jobs, row.id)
    await session.flush()
    return rows[0]


def _without_whitespace(text: str) -> str:
    # Splitting a reply drops whitespace between parts.
    return "".join(text.split())


async def _in_flight(session: WriteSession, thread_key: str) -> bool:
    found = await session.scalar(
        select(Publication.id).where(
            Publication.thread_key == thread_key, Publication.status.in_(IN_FLIGHT_STATUSES)
        )
    )
    return found is not None


async def _correct(
    session: WriteSession, rows: Sequence[Publication], failed: Sequence[Publication], text: str
) -> None:
    """Write the corrected text into the failed parts; add or delete parts as needed."""
    published_parts = [row for row in rows if row.status != "failed"]
    rest = remaining_text(text, [row.text for row in published_parts])
    if rest is None:
        detail = "A part of the reply is already published: the corrected text must begin with its text"
        raise Invalid.field("/text", detail)
    if not rest:
        raise Invalid.field("/text", "The whole text is already published")
    first = failed[0]
    texts = split_text(rest, max_text_length(first.network, cast("MessageKind", first.kind)))
    for row, part_text in zip(failed, texts, strict=False):
        if row.sending_since is not None and part_text != row.text:
            row.previous_texts = [*row.previous_texts, row.text]
        row.text = part_text
    for row in failed[len(texts) :]:
        await session.delete(row)
    same = (
        "reply_id",
        "appeal_id",
        "page_id",
        "organisation_id",
        "network",
        "kind",
        "thread_key",
        "reply_to",
        "on_behalf_of",
    )
    common = {name: getattr(first, name) for name in (*same, "created_at", "updated_at")}
    for number, part_text in enumerate(texts[len(failed) :], len(rows)):
        session.add(
            Publication(
                **common, id=new_id(), part=number, parts=0, text=part_text, status="failed", attempts=0, version=1
            )
        )
    await session.flush()
    await session.execute(
        update(Publication)
        .where(Publication.reply_id == first.reply_id)
        .values(parts=len(published_parts) + len(texts))
        .execution_options(synchronize_session=False)
    )
    # The flush has audited added, changed and deleted rows. The new value of `parts` follows from them, so it is
    # not audited.
    await recorder.record(session, Publication)


async def get_publication(session: AsyncSession, caller: Caller, publication_id: UUID) -> Publication:
    """Return a publication that the caller may see. Raises `NotFound` if there is none with this id."""
    row = await session.scalar(
        select(Publication).where(Publication.id == publication_id, *visible_publications(caller))
    )
    if row is None:
        raise NotFound("No such publication")
    return row


class PublicationFilter(ListFilter):
    """Filter of a list of publications."""

    status: PublicationStatus | None = None
    network: NetworkName | None = None
    page_id: UUID | None = None
    organisation_id: UUID | None = None
    reply_id: UUID | None = None


def _conditions(filters: PublicationFilter) -> list[ColumnElement[bool]]:
    few, exact = ("status", "network"), ("page_id", "organisation_id", "reply_id")
    given = {name: value for name in few + exact if (value := getattr(filters, name)) is not None}
    return [
        getattr(Publication, name) == (inline_literal(value) if name in few else value)
        for name, value in given.items()
    ]


async def list_publications(
    session: AsyncSession, caller: Caller, filters: PublicationFilter, paging: Paging
) -> list[Publication]:
    """Return publications, newest first (page size plus one, to see whether another page follows)."""
    query = (
        select(Publication)
        .where(*visible_publications(caller), *_conditions(filters))
        .order_by(Publication.created_at.desc(), Publication.id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after([Publication.created_at, Publication.id], [datetime.fromisoformat, UUID])
    if after is not None:
        query = query.where(after)
    return list(await session.scalars(query))
