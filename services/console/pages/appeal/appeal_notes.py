"""Work between colleagues on an appeal: notes, tags, watchers, and read marks."""

from typing import Annotated
from uuid import UUID

from fastapi import Form
from fastapi.responses import Response

from services.console.pages.appeal.appeal_page import Entered, Refusals, changed
from services.console.site.page import page_router
from services.console.site.visit import VisitDep

router = page_router()
_Field = Annotated[str, Form(max_length=12_000)]
_NOTE = Refusals(
    fields={
        "text": "Напишите заметку, не длиннее 10 000 знаков.",
        "mentions": "Кто-то из упомянутых не может прочитать эту заметку: смените, кому она видна.",
    }
)
_TAGS = Refusals(
    fields={
        "add": "Метка — буквы, цифры, пробел, дефис и точка, до 40 знаков; всего не больше 20 меток.",
        "remove": "Такой метки нет.",
    }
)


@router.post("/appeals/{appeal_id}/notes")
async def add_note(
    *,
    visit: VisitDep,
    appeal_id: UUID,
    text: _Field = "",
    visibility: _Field = "organisation",
    mentions: Annotated[list[UUID] | None, Form()] = None,
    key: _Field = "",
) -> Response:
    """Add a note."""
    named = [str(person) for person in mentions or ()]
    entered = Entered("note", {"text": text, "visibility": visibility, "mentions": " ".join(named)})
    body = {"text": text, "visibility": visibility, "mentions": named}
    call = visit.api.send("POST", f"/appeals/{appeal_id}/notes", body, key=key or None)
    return await changed(visit, str(appeal_id), entered, call, note="Заметка добавлена", refusals=_NOTE)


@router.post("/appeals/{appeal_id}/notes/{note_id}")
async def edit_note(
    *, visit: VisitDep, appeal_id: UUID, note_id: UUID, text: _Field = "", version: _Field = ""
) -> Response:
    """Replace the text of the person's own note."""
    entered = Entered(f"note-{note_id}", {"text": text})
    call = visit.api.send("PATCH", f"/appeals/{appeal_id}/notes/{note_id}", {"text": text}, version=version)
    return await changed(visit, str(appeal_id), entered, call, note="Заметка исправлена", refusals=_NOTE)


@router.post("/appeals/{appeal_id}/notes/{note_id}/delete")
async def delete_note(visit: VisitDep, appeal_id: UUID, note_id: UUID) -> Response:
    """Delete a note."""
    call = visit.api.send("DELETE", f"/appeals/{appeal_id}/notes/{note_id}")
    return await changed(visit, str(appeal_id), Entered("notes"), call, note="Заметка удалена")


@router.post("/appeals/{appeal_id}/tags")
async def change_tags(visit: VisitDep, appeal_id: UUID, add: _Field = "", remove: _Field = "") -> Response:
    """Add tags separated by commas, or remove one tag."""
    entered = Entered("tags", {"add": add, "remove": remove})
    added = [tag.strip() for tag in add.split(",") if tag.strip()]
    removed = [remove] if remove else []
    call = visit.api.send("PATCH", f"/appeals/{appeal_id}/tags", {"add": added, "remove": removed})
    note = f"Метка «{remove}» снята" if remove else "Метки добавлены"
    return await changed(visit, str(appeal_id), entered, call, note=note, refusals=_TAGS)


@router.post("/appeals/{appeal_id}/watchers")
async def watch(visit: VisitDep, appeal_id: UUID, person_id: _Field = "") -> Response:
    """Make the person, or a colleague, a watcher of the appeal."""
    body = {"person_id": person_id} if person_id else {}
    call = visit.api.send("POST", f"/appeals/{appeal_id}/watchers", body)
    note = "Коллега наблюдает за обращением" if person_id else "Вы наблюдаете за обращением"
    refusals = Refusals(fields={"person_id": "Этот сотрудник не видит обращение."})
    return await changed(
        visit, str(appeal_id), Entered("watchers", {"person_id": person_id}), call, note=note, refusals=refusals
    )


@router.post("/appeals/{appeal_id}/watchers/{person_id}/delete")
async def unwatch(visit: VisitDep, appeal_id: UUID, person_id: UUID) -> Response:
    """Remove a person from the watchers of the appeal."""
    call = visit.api.send("DELETE", f"/appeals/{appeal_id}/watchers/{person_id}")
    note = "Вы больше не наблюдаете" if str(person_id) == visit.me["person"]["id"] else "Наблюдатель снят"
    return await changed(visit, str(appeal_id), Entered("watchers"), call, note=note)
