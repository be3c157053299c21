"""Presenters of notes and watchers: rows to response models, with the names that they show."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.directory import ActorNames
from services.appeals.notes import notes
from services.appeals.schemas.appeals.notes import NoteOut, WatcherOut
from services.appeals.schemas.common import named_ref
from shared.tables.appeals_work import AppealNote, AppealWatcher


async def notes_out(session: AsyncSession, rows: Sequence[notes.NoteRow]) -> list[NoteOut]:
    """Return notes in the order of the rows; a deleted one without its text."""
    people: list[str | UUID] = [row[0].author for row in rows]
    people += [person_id for row in rows for person_id in row[0].mentions]
    names = await ActorNames.load(session, people)
    return [_note(note, organisation, names) for note, organisation in rows]


async def note_out(session: AsyncSession, note: AppealNote) -> NoteOut:
    """Return a note as the API shows it."""
    names = await ActorNames.load(session, [note.author, *note.mentions])
    return _note(note, await notes.organisation_name(session, note), names)


def _note(note: AppealNote, organisation: str | None, names: ActorNames) -> NoteOut:
    same = ("id", "version", "visibility", "created_at", "edited_at", "deleted_at")
    return NoteOut(
        **{name: getattr(note, name) for name in same},
        author=names.ref(note.author),
        organisation=named_ref(note.organisation_id, organisation),
        text=note.text if note.deleted_at is None else None,
        mentions=[names.ref(person_id) for person_id in note.mentions],
    )


async def watcher_out(session: AsyncSession, watcher: AppealWatcher) -> WatcherOut:
    """Return a watcher as the API shows it."""
    names = await ActorNames.load(session, [watcher.person_id, watcher.added_by])
    return WatcherOut(
        person=names.ref(watcher.person_id),
        added_by=names.ref(watcher.added_by),
        created_at=watcher.created_at,
    )
