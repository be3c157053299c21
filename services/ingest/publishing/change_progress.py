"""Progress of a change to a published reply: which parts have the wanted text, and how the change ends.

The rows passed to these functions must be locked.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from services.ingest.intake.edits import apply_own_change
from services.ingest.intake.own_reply_matching import ACTOR
from services.ingest.networks.sanitize import same_text
from services.ingest.publishing.locked_rows import DATABASE_NOW, set_values
from shared.contracts.ingest_events import (
    PublicationChangeFailed,
    PublicationChangeResult,
    PublicationEdited,
    PublicationFailure,
    PublicationWithdrawn,
)
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.logs import get_logger
from shared.tables.ingest import Publication, PublicationChange

log = get_logger(__name__)

UNFINISHED_STATUSES = ("queued", "sending", "uncertain")
# Short: a person waits for the outcome and may request the change again.
RETRY_PERIOD = timedelta(hours=1)
# Long: a half-edited reply is visible to the citizen, which is worse than a late edit.
HALF_DONE_RETRY_PERIOD = timedelta(days=1)
REPLY_GONE = {
    "code": "reply_gone",
    "message": "В сети этого ответа уже нет: его удалили там. Править нечего, напишите новый ответ.",
}
PART_GONE = {
    "code": "reply_gone",
    "message": "Части этого ответа в сети уже нет: её удалили там. Удалите ответ целиком и напишите новый.",
}


def wanted_texts(change: PublicationChange, parts: Sequence[Publication]) -> list[str | None]:
    """Return the text that each part is to have after the change; None: the part is to be deleted."""
    return list(change.part_texts) if change.part_texts is not None else [change.text] * len(parts)


def first_published_part(parts: Sequence[Publication]) -> Publication | None:
    """Return the first part that is not withdrawn, which has the photos; None if all are withdrawn."""
    return next((part for part in parts if part.withdrawn_at is None), None)


def wants_other_photos(change: PublicationChange, part: Publication, parts: Sequence[Publication]) -> bool:
    """Return whether the change gives this part photos that it does not have yet."""
    return (
        change.attachments is not None
        and part is first_published_part(parts)
        and part.attachments != change.attachments
    )


def parts_left(change: PublicationChange, parts: Sequence[Publication]) -> list[tuple[Publication, str | None]]:
    """Return the parts that the change still has to edit or delete, in order, each with its wanted text."""
    return [
        (part, wanted)
        for part, wanted in zip(parts, wanted_texts(change, parts), strict=True)
        if part.withdrawn_at is None
        and (wanted is None or part.text != wanted or wants_other_photos(change, part, parts))
    ]


def retry_period(change: PublicationChange) -> timedelta:
    """Return for how long the change is retried after temporary refusals."""
    return HALF_DONE_RETRY_PERIOD if change.parts_done else RETRY_PERIOD


async def finish_part(
    session: WriteSession, change: PublicationChange, parts: Sequence[Publication], part: Publication
) -> None:
    """Record that a part is changed; finish the change if it was the last part, else queue it again."""
    wanted = dict(parts_left(change, parts))[part]
    if wanted is None:
        values: dict[str, Any] = {"withdrawn_at": DATABASE_NOW}
    elif wants_other_photos(change, part, parts):
        values = {"text": wanted, "attachments": change.attachments, "uploaded_media": change.uploaded_media}
    else:
        values = {"text": wanted}
    await set_values(session, part, **values, version=part.version + 1, updated_at=DATABASE_NOW)
    done = {"status": "queued", "failure": None, "parts_done": change.parts_done + 1}
    await set_values(session, change, **done, updated_at=DATABASE_NOW)
    await emit(session, *await apply_own_change(session, part, wanted))
    await finish_if_done(session, change, parts)


async def finish_if_done(session: WriteSession, change: PublicationChange, parts: Sequence[Publication]) -> None:
    """End the change if all parts have the wanted text."""
    if parts_left(change, parts):
        return
    await set_values(session, change, status="done", failure=None, updated_at=DATABASE_NOW)
    await emit(session, _event(change, parts, PublicationWithdrawn if change.text is None else PublicationEdited))


async def adopt_network_state(
    session: WriteSession,
    change: PublicationChange,
    parts: Sequence[Publication],
    texts: Mapping[str | None, str],
) -> None:
    """Apply what a complete read of the network shows; `texts` are by external id.

    The change fails if a part to be edited is missing.
    """
    for part, wanted in parts_left(change, parts):
        text = texts.get(part.external_id)
        # The text does not show which photos the part has: an edit of photos is made again.
        as_wanted = wanted is not None and text is not None and same_text(text, wanted)
        is_deleted = wanted is None and text is None
        if is_deleted or (as_wanted and not wants_other_photos(change, part, parts)):
            await finish_part(session, change, parts, part)
        elif wanted is not None and text is None:
            await fail_change(session, change, parts, REPLY_GONE if len(parts) == 1 else PART_GONE)
            return


async def fail_change(
    session: WriteSession, change: PublicationChange, parts: Sequence[Publication], reason: Mapping[str, Any]
) -> None:
    """Fail the change for a reason, {"code", "message"}; the stored message says how many parts are changed."""
    message = str(reason["message"])
    if change.parts_done:
        what = "Удалено" if change.text is None else "Исправлено"
        message = f"{message} {what} частей ответа: {change.parts_done} из {change.parts}."
    failure = PublicationFailure(code=reason["code"], message=message, final=True)
    await set_values(session, change, status="failed", failure=failure.model_dump(), updated_at=DATABASE_NOW)
    await emit(session, _event(change, parts, PublicationChangeFailed, failure=failure))
    log.info("change failed", change_id=str(change.id), code=failure.code, parts_done=change.parts_done)


def _event(
    change: PublicationChange, parts: Sequence[Publication], model: type[PublicationChangeResult], **more: Any
) -> NewEvent:
    first = parts[0]
    return NewEvent(
        data=model(reply_id=first.reply_id, change_id=change.id, **more),
        subject_id=first.id,
        organisation_id=first.organisation_id,
        actor=ACTOR,
    )
