"""Requests of appeals to edit or withdraw a published reply."""

from uuid import UUID

from sqlalchemy import select

from services.ingest.intake.own_reply_matching import lock_threads
from services.ingest.networks.catalogue import max_text_length
from services.ingest.publishing.locked_rows import DATABASE_NOW
from services.ingest.publishing.reply_changer import CHANGE_JOB, UNFINISHED_STATUSES, lock_parts
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

    Raises `NotFound`, `KeyReused` if the id was given to another change, `Invalid` for a text that is too long for
    the network, and `Conflict` if the reply is not published, is withdrawn, is being changed, is edited in several
    parts, or stands in a network that takes no changes.
    """
    first = await session.get(Publication, publication_id)
    if first is None:
        raise NotFound("Publication not found")
    await lock_threads(session, [first.thread_key])
    parts = await lock_parts(session, first.reply_id)
    first = parts[0]
    known = await session.get(PublicationChange, body.id)
    if known is not None:
        if (known.publication_id, known.text) != (first.id, body.text):
            raise KeyReused.field("/id", "This change was requested before with another text or publication")
        return known, False
    await _require_changeable(session, first, parts, body)
    now = (await session.execute(select(DATABASE_NOW))).scalar_one()
    change = PublicationChange(
        id=body.id,
        publication_id=first.id,
        kind="withdrawal" if body.text is None else "edit",
        text=body.text,
        on_behalf_of=body.on_behalf_of,
        status="queued",
        attempts=0,
        created_at=now,
        updated_at=now,
    )
    session.add(change)
    await session.flush()
    await enqueue_change(session, jobs, change.id)
    return change, True


async def enqueue_change(
    session: WriteSession, jobs: Jobs, change_id: UUID, dedupe_key: str | None = None
) -> None:
    """Enqueue the job that carries the change out."""
    await jobs.enqueue(session, CHANGE_JOB, {"change_id": str(change_id)}, dedupe_key=dedupe_key)


async def _require_changeable(
    session: WriteSession, first: Publication, parts: list[Publication], body: PublicationChangeRequest
) -> None:
    if first.kind not in NETWORKS[first.network].changeable:
        raise Conflict("The network does not let this kind of reply be edited or withdrawn")
    if any(part.status != "published" for part in parts):
        raise Conflict("Only a published reply can be edited or withdrawn")
    if all(part.withdrawn_at is not None for part in parts):
        raise Conflict("The reply is withdrawn")
    unfinished = await session.scalar(
        select(PublicationChange.id).where(
            PublicationChange.publication_id == first.id, PublicationChange.status.in_(UNFINISHED_STATUSES)
        )
    )
    if unfinished is not None:
        raise Conflict("Another change of this reply is not finished")
    if body.text is None:
        return
    if first.erased_at is not None:
        raise Conflict("The personal data of the person was erased: the reply can only be withdrawn")
    if len(parts) > 1 or any(part.withdrawn_at is not None for part in parts):
        raise Conflict("A reply that was published in several parts cannot be edited")
    longest = max_text_length(first.network, _kind(first))
    if len(body.text) > longest:
        raise Invalid.field(
            "/text", f"Longer than {longest} characters, the most that the network takes in one part"
        )


def _kind(publication: Publication) -> MessageKind:
    return "message" if publication.kind == "message" else "comment"
