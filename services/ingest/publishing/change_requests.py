"""Requests of appeals to edit or withdraw a published reply."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from services.ingest.intake.own_reply_matching import lock_threads
from services.ingest.networks.catalogue import max_text_length
from services.ingest.publishing.change_progress import UNFINISHED_STATUSES, parts_left
from services.ingest.publishing.locked_rows import DATABASE_NOW, lock_parts
from services.ingest.publishing.reply_changer import CHANGE_JOB
from services.ingest.publishing.text_splitting import split_text
from services.ingest.schemas.publications import PublicationChangeRequest
from shared.contracts.values import MessageKind
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Invalid, KeyReused, NotFound
from shared.jobs import Jobs
from shared.networks import NETWORKS
from shared.tables.ingest import Publication, PublicationChange


async def request_change(
    session: WriteSession, jobs: Jobs, publication_id: UUID, body: PublicationChangeRequest
) -> tuple[PublicationChange, bool]:
    """Queue an edit or a withdrawal of a published reply, once per `id`; return it and whether it is new.

    Raises `NotFound`, `KeyReused` if the id belongs to another change, `Invalid` for photos that cannot be changed
    or a text that needs more parts than the reply has, and `Conflict` if the reply is not published, is withdrawn,
    is being changed, is of a kind that its network does not allow to change, or (edits) its author was erased.
    """
    first = await session.get(Publication, publication_id)
    if first is None:
        raise NotFound("No such publication")
    await lock_threads(session, [first.thread_key])
    parts = await lock_parts(session, first.reply_id)
    first = parts[0]
    if (known := await _requested_before(session, first, body)) is not None:
        return known, False
    await _require_changeable(session, first, parts, body)
    now = (await session.execute(select(DATABASE_NOW))).scalar_one()
    change = PublicationChange(
        id=body.id,
        publication_id=first.id,
        kind="withdrawal" if body.text is None else "edit",
        text=body.text,
        part_texts=_part_texts(parts, body.text) if body.text is not None else None,
        attachments=_photos(body) if body.attachments is not None else None,
        on_behalf_of=body.on_behalf_of,
        status="queued",
        parts_done=0,
        attempts=0,
        created_at=now,
        updated_at=now,
    )
    change.parts = len(parts_left(change, parts))
    session.add(change)
    await session.flush()
    await enqueue_change(session, jobs, change.id)
    return change, True


async def _requested_before(
    session: WriteSession, first: Publication, body: PublicationChangeRequest
) -> PublicationChange | None:
    """Return the change with this id, if any. Raises `KeyReused` if its content differs from the request."""
    known = await session.get(PublicationChange, body.id)
    if known is None:
        return None
    photos = None if body.attachments is None else _photos(body)
    if (known.publication_id, known.text, known.attachments) != (first.id, body.text, photos):
        raise KeyReused.field(
            "/id", "The change was already requested with a different text, photo or publication"
        )
    return known


async def enqueue_change(
    session: WriteSession, jobs: Jobs, change_id: UUID, dedupe_key: str | None = None
) -> None:
    """Enqueue the job that carries the change out."""
    await jobs.enqueue(session, CHANGE_JOB, {"change_id": str(change_id)}, dedupe_key=dedupe_key)


async def _require_changeable(
    session: WriteSession, first: Publication, parts: list[Publication], body: PublicationChangeRequest
) -> None:
    if first.kind not in NETWORKS[first.network].changeable:
        raise Conflict("The network does not allow editing or withdrawing this kind of reply")
    if any(part.status != "published" for part in parts):
        raise Conflict("Only a published reply can be edited or withdrawn")
    if all(part.withdrawn_at is not None for part in parts):
        raise Conflict("The reply is already withdrawn")
    unfinished = await session.scalar(
        select(PublicationChange.id).where(
            PublicationChange.publication_id == first.id, PublicationChange.status.in_(UNFINISHED_STATUSES)
        )
    )
    if unfinished is not None:
        raise Conflict("Another change of this reply is unfinished: wait until it is applied or has failed")
    if body.text is not None and first.erased_at is not None:
        raise Conflict("The personal data of the author was erased, so the reply can only be withdrawn")
    if body.attachments is not None and (body.text is None or not NETWORKS[first.network].edits_photos):
        raise Invalid.field(
            "/attachments", "Photos can be changed only by an edit with text, in a network that allows it"
        )


def _part_texts(parts: Sequence[Publication], text: str) -> list[str | None]:
    """Return the new text of each part, in order; None for a part that is withdrawn or no longer needed.

    Raises `Invalid` if the text needs more parts than the reply has: a new part would appear below what people
    have written since.
    """
    published = [part for part in parts if part.withdrawn_at is None]
    texts = split_text(text, max_text_length(published[0].network, _kind(published[0])))
    if len(texts) > len(published):
        raise Invalid.field(
            "/text",
            f"The text needs {len(texts)} comments or messages, but the reply has {len(published)} and more "
            "cannot be inserted: shorten it",
        )
    wanted = dict(zip([part.id for part in published], texts, strict=False))
    return [wanted.get(part.id) for part in parts]


def _photos(body: PublicationChangeRequest) -> list[dict[str, Any]]:
    return [photo.model_dump(mode="json") for photo in body.attachments or ()]


def _kind(publication: Publication) -> MessageKind:
    return "message" if publication.kind == "message" else "comment"
