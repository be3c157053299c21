"""Internal notes on appeals: written by staff for staff, never published.

A note belongs to the organisation that wrote it, or to the centre. The organisation's staff and the centre may
read it while they may read the appeal; an organisation that gets the appeal later may read it only if it is for
everyone who reads the appeal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals import jobs
from services.appeals.lifecycle import appeal_queries, unread_marks
from services.appeals.lifecycle.timeline import event_snapshot
from services.appeals.note_access import is_readable_note
from services.appeals.notes import watchers
from shared import clock
from shared.api.pagination import Paging
from shared.api.preconditions import check_version
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.contracts.appeal_events import AppealNoteAdded
from shared.contracts.values import NoteVisibility
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.http.problems import FieldError, Forbidden, Invalid, NotFound
from shared.tables.appeals_work import AppealNote
from shared.tables.registry import Organisation

MAX_NOTE_LENGTH = 10_000
MAX_MENTIONS = 20

# A note, and the name of its organisation.
NoteRow = Row[AppealNote, str | None]


@dataclass(frozen=True)
class NewNote:
    """The content of a note to be added."""

    text: str
    visibility: NoteVisibility
    mentions: Sequence[UUID]


async def list_notes(session: AsyncSession, caller: Caller, appeal_id: UUID, paging: Paging) -> Sequence[NoteRow]:
    """Return the notes that the caller may read, newest first: one page plus one row."""
    await appeal_queries.require_visible(session, caller, appeal_id)
    query = (
        select(AppealNote, Organisation.name)
        .outerjoin(Organisation, Organisation.id == AppealNote.organisation_id)
        .where(AppealNote.appeal_id == appeal_id, is_readable_note(caller))
        .order_by(AppealNote.created_at.desc(), AppealNote.id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after((AppealNote.created_at, AppealNote.id), (datetime.fromisoformat, UUID))
    return (await session.execute(query if after is None else query.where(after))).all()


async def add_note(session: WriteSession, caller: Caller, appeal_id: UUID, new: NewNote) -> AppealNote:
    """Add a note. The people mentioned in it become watchers and are listed in its event.

    Raises `NotFound`, and `Invalid` naming each mentioned person who may not read the note.
    """
    appeal = await appeal_queries.lock(session, caller, appeal_id, with_clocks=False)
    await _check_mentions(session, caller, appeal.organisation_id, new)
    note = AppealNote(
        appeal_id=appeal_id,
        organisation_id=caller.organisation_id,
        author=caller.actor,
        visibility=new.visibility,
        text=new.text,
        mentions=list(new.mentions),
    )
    session.add(note)
    await session.flush()
    await watchers.add_watchers(session, appeal_id, new.mentions, caller.actor)
    mentioned = [found for found in new.mentions if str(found) != caller.actor]
    await unread_marks.mark_unread(session, [(found, appeal_id, "mention") for found in mentioned])
    added = AppealNoteAdded(
        **event_snapshot(appeal),
        version=appeal.version,
        note_id=note.id,
        visibility=new.visibility,
        mentions=list(new.mentions),
    )
    # Only the centre gets the event of a note for the author's colleagues about another organisation's appeal: the
    # colleagues may lack access to the appeal.
    is_for_owner = new.visibility == "everyone_on_appeal" or note.organisation_id == appeal.organisation_id
    recipient = appeal.organisation_id if is_for_owner else None
    await emit(session, NewEvent(data=added, subject_id=appeal_id, organisation_id=recipient, actor=caller.actor))
    return note


async def _check_mentions(
    session: AsyncSession, caller: Caller, organisation_id: UUID | None, new: NewNote
) -> None:
    readers = await watchers.may_read(session, organisation_id, new.mentions)
    if new.visibility == "organisation":
        readers = await watchers.may_read(session, caller.organisation_id, readers.keys())
    errors = []
    for number, person_id in enumerate(new.mentions):
        if person_id not in readers:
            detail = f"No person with this id may read the note: {person_id}"
            errors.append(FieldError(pointer=f"/mentions/{number}", detail=detail))
        elif person_id in new.mentions[:number]:
            errors.append(FieldError(pointer=f"/mentions/{number}", detail="The person is listed twice"))
    if errors:
        raise Invalid("Invalid: " + ", ".join(error.pointer for error in errors), errors=errors)


async def edit_note(
    session: WriteSession, caller: Caller, appeal_id: UUID, note_id: UUID, version: int | None, *, text: str
) -> AppealNote:
    """Replace the text of the caller's own note. Raises `NotFound`, `Forbidden` for another person's note, and
    `PreconditionFailed`.
    """
    note = await _locked(session, caller, appeal_id, note_id)
    if note.author != caller.actor:
        raise Forbidden("Only the author of a note may edit it")
    check_version(note.version, version)
    note.text, note.edited_at = text, clock.now()
    await _changed(session, note)
    return note


async def delete_note(session: WriteSession, caller: Caller, appeal_id: UUID, note_id: UUID) -> None:
    """Mark a note as deleted: the caller's own, or any note if the caller is a moderator. Raises `NotFound`,
    `Forbidden` for another person's note.
    """
    note = await _locked(session, caller, appeal_id, note_id)
    if note.author != caller.actor and Right.APPEALS_TRIAGE not in caller.rights:
        raise Forbidden("Only the author of a note or a moderator may delete it")
    note.deleted_at = clock.now()
    await _changed(session, note)


async def _changed(session: WriteSession, note: AppealNote) -> None:
    await session.flush()
    await jobs.queue.enqueue(session, jobs.INDEX_APPEAL, {"appeal_id": str(note.appeal_id)})


async def _locked(session: WriteSession, caller: Caller, appeal_id: UUID, note_id: UUID) -> AppealNote:
    await appeal_queries.require_visible(session, caller, appeal_id)
    note = await session.scalar(
        select(AppealNote)
        .where(
            AppealNote.id == note_id,
            AppealNote.appeal_id == appeal_id,
            AppealNote.deleted_at.is_(None),
            is_readable_note(caller),
        )
        .with_for_update()
    )
    if note is None:
        raise NotFound("No such note")
    return note


async def organisation_name(session: AsyncSession, note: AppealNote) -> str | None:
    """Return the name of the note's organisation; None for the centre."""
    if note.organisation_id is None:
        return None
    return await session.scalar(select(Organisation.name).where(Organisation.id == note.organisation_id))
