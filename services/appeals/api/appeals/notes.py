"""Routes of internal notes and watchers of an appeal."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, Reader, Worker
from services.appeals.api.presenters.notes import note_out, notes_out, watcher_out
from services.appeals.notes import notes, watchers
from services.appeals.schemas.appeals.notes import NoteIn, NoteOut, NoteUpdate, WatcherIn, WatcherOut
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.http import problems
from shared.http.problems import NotFound, PreconditionFailed, PreconditionRequired
from shared.personal_data_reads import note_read
from shared.service import Once, ReadTransaction, WriteTransaction

router = APIRouter(prefix="/appeals/{appeal_id}", tags=["appeals"])


@router.get(
    "/notes", responses=problems.responses(*READ_PROBLEMS, NotFound), summary="List the notes on an appeal"
)
async def list_appeal_notes(
    session: ReadTransaction, caller: Reader, appeal_id: UUID, paging: PagingDep, response: Response
) -> Page[NoteOut]:
    """Return the internal notes that the caller may read, newest first: notes of their organisation, and notes for
    everyone who reads the appeal. The centre reads all. Notes are never published.
    """
    rows, cursor = paging.page(
        await notes.list_notes(session, caller, appeal_id, paging),
        lambda row: (row[0].created_at, row[0].id),
        response,
    )
    if rows:
        note_read(session, caller, "appeal", [appeal_id])
    return Page(items=await notes_out(session, rows), next_cursor=cursor)


@router.post(
    "/notes",
    status_code=201,
    responses=problems.responses(*WRITE_PROBLEMS, NotFound),
    summary="Add a note to an appeal",
)
async def add_appeal_note(
    *,
    session: WriteTransaction,
    caller: Worker,
    appeal_id: UUID,
    body: NoteIn,
    once: Once,
    response: Response,
) -> NoteOut:
    """Add an internal note. It is never published or sent in a webhook; the event `appeal.note_added` in the feed
    has no text. Everybody in `mentions` must be able to read the note; they become watchers of the appeal.
    """

    async def work() -> NoteOut:
        new = notes.NewNote(body.text, body.visibility, body.mentions)
        return await note_out(session, await notes.add_note(session, caller, appeal_id, new))

    made = await once(NoteOut, work)
    set_etag(response, made.version)
    return made


@router.patch(
    "/notes/{note_id}",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired),
    summary="Edit a note",
)
async def edit_appeal_note(
    *,
    session: WriteTransaction,
    caller: Worker,
    appeal_id: UUID,
    note_id: UUID,
    body: NoteUpdate,
    version: RequiredVersion,
    response: Response,
) -> NoteOut:
    """Replace the text of the caller's own note. To mention more people, add another note."""
    note = await note_out(
        session, await notes.edit_note(session, caller, appeal_id, note_id, version, text=body.text)
    )
    set_etag(response, note.version)
    return note


@router.delete(
    "/notes/{note_id}",
    status_code=204,
    responses=problems.responses(*WRITE_PROBLEMS, NotFound),
    summary="Delete a note",
)
async def delete_appeal_note(session: WriteTransaction, caller: Worker, appeal_id: UUID, note_id: UUID) -> None:
    """Delete the caller's own note; moderators may delete any note. The list still shows that there was a note."""
    await notes.delete_note(session, caller, appeal_id, note_id)


@router.post(
    "/watchers",
    status_code=201,
    responses=problems.responses(*WRITE_PROBLEMS, NotFound)
    | {200: {"model": WatcherOut, "description": "The person already watches the appeal"}},
    summary="Watch an appeal",
)
async def watch_appeal(
    session: WriteTransaction,
    caller: Worker,
    appeal_id: UUID,
    response: Response,
    body: WatcherIn | None = None,
) -> WatcherOut:
    """Add the caller, or a colleague who may read the appeal, to its `watchers`."""
    person_id = body.person_id if body is not None else None
    watcher, new = await watchers.add_watcher(session, caller, appeal_id, person_id)
    response.status_code = 201 if new else 200
    return await watcher_out(session, watcher)


@router.delete(
    "/watchers/{person_id}",
    status_code=204,
    responses=problems.responses(*WRITE_PROBLEMS, NotFound),
    summary="Stop watching an appeal",
)
async def unwatch_appeal(session: WriteTransaction, caller: Worker, appeal_id: UUID, person_id: UUID) -> None:
    """Remove the caller or a colleague from the appeal's `watchers`."""
    await watchers.remove_watcher(session, caller, appeal_id, person_id)
