"""The actions of the reply form: save, send, take over, discard, insert a template, add and remove photos."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import aiohttp
from fastapi import Response
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from services.console.api_calls.client import ApiProblem
from services.console.pages.reply.entered_reply import EnteredReply, Photo, chosen_file, from_local
from services.console.pages.reply.reply_screen import page_path, show_reply, under_way
from services.console.pages.reply.sent_replies import record, retry
from services.console.site.forms import is_id
from services.console.site.visit import Visit

_EMPTY = "Напишите ответ: пустой текст не сохраняется."
_NO_FILE = "Выберите фото: JPEG, PNG или WebP до 20 МБ."
PHOTO_REFUSED = {
    409: "Слишком много загруженных и неиспользованных фото. Отправьте ответы с ними или подождите.",
    413: "Файл больше 20 МБ. Уменьшите фото и добавьте снова.",
    422: "Это не фото, или файл повреждён. Подходят JPEG, PNG и WebP до 20 МБ.",
}


async def store(visit: Visit, appeal_id: str, entered: EnteredReply) -> dict[str, Any]:
    """Save or create the draft and return it; a stored draft with the same content counts as saved.

    Raises `ApiProblem` if the API refuses the draft.
    """
    path = f"/appeals/{appeal_id}/replies"
    try:
        if entered.reply_id:
            saved = await visit.api.send(
                "PUT", f"{path}/{entered.reply_id}", entered.body(), version=entered.version
            )
        else:
            saved = await visit.api.send("POST", path, entered.body() | {"status": "draft"})
    except ApiProblem as problem:
        if problem.status != 412 and problem.slug != "reply-under-way":
            raise
        current = under_way(await visit.api.get(f"/appeals/{appeal_id}"))
        if current is None or current["status"] != "draft" or not entered.same_content(current):
            raise
        return current
    stored: dict[str, Any] = saved.data
    return stored


async def save(visit: Visit, appeal_id: str, entered: EnteredReply, form: FormData) -> Response:
    """Save the draft and stay on the page."""
    if entered.is_blank:
        return await show_reply(visit, appeal_id, entered=entered, refusal=_EMPTY)
    await store(visit, appeal_id, entered)
    return visit.redirect(page_path(appeal_id), note="Черновик сохранён")


async def save_and_leave(visit: Visit, appeal_id: str, entered: EnteredReply, form: FormData) -> Response:
    """Save the draft, release the edit lease, and redirect to the appeal."""
    if not entered.is_blank:
        await store(visit, appeal_id, entered)
    await visit.api.send("DELETE", f"/appeals/{appeal_id}/reply-lease")
    note = "Черновик сохранён" if not entered.is_blank else None
    return visit.redirect(f"/appeals/{appeal_id}", note=note)


async def submit(visit: Visit, appeal_id: str, entered: EnteredReply, form: FormData) -> Response:
    """Save the draft and send it; a text that was already sent is sent again only by `submit_again`."""
    if entered.is_blank:
        return await show_reply(visit, appeal_id, entered=entered, refusal=_EMPTY)
    if entered.kind == "interim" and from_local(entered.promised) is None:
        return await show_reply(visit, appeal_id, entered=entered, refusal="Промежуточному ответу нужна дата.")
    saved = await store(visit, appeal_id, entered)
    entered = entered.stored_as(saved)
    try:
        sent = await visit.api.send(
            "POST",
            f"/appeals/{appeal_id}/replies/{saved['id']}/submit",
            version=entered.version,
            key=entered.key if form.get("do") == "submit_again" else None,
        )
    except ApiProblem as problem:
        if problem.status not in {409, 412, 422}:
            raise
        return await show_reply(visit, appeal_id, entered=entered, problem=problem)
    waits = sent.data["status"] == "on_approval"
    return visit.redirect(page_path(appeal_id), note="Ответ ждёт согласования" if waits else "Ответ отправлен")


async def take_over(visit: Visit, appeal_id: str, entered: EnteredReply, form: FormData) -> Response:
    """Take over the edit lease; the form keeps the entered text, beside the colleague's version."""
    await visit.api.send("PUT", f"/appeals/{appeal_id}/reply-lease", {"take_over": True})
    if entered.text is None:
        return visit.redirect(page_path(appeal_id), note="Теперь пишете вы")
    return await show_reply(visit, appeal_id, entered=entered, notice="Теперь пишете вы.")


async def keep_mine(visit: Visit, appeal_id: str, entered: EnteredReply, form: FormData) -> Response:
    """Save the entered text over the colleague's version that was shown."""
    stored_id = str(form.get("stored_id", ""))
    shown = {"id": stored_id, "version": form.get("stored_version", "")}
    if not is_id(stored_id):
        raise HTTPException(404)
    return await save(visit, appeal_id, entered.stored_as(shown), form)


async def take_theirs(visit: Visit, appeal_id: str, entered: EnteredReply, form: FormData) -> Response:
    """Put the colleague's version into the form; the entered text stays below it for copying."""
    current = under_way(await visit.api.get(f"/appeals/{appeal_id}"))
    if current is None or current["status"] != "draft":
        return await show_reply(visit, appeal_id, entered=entered)
    taken = replace(EnteredReply.of(current), kept=entered.text or entered.kept)
    return await show_reply(visit, appeal_id, entered=taken, notice="В форме версия коллеги, ваш текст — под ней.")


async def discard(visit: Visit, appeal_id: str, entered: EnteredReply, form: FormData) -> Response:
    """Delete the draft, or the reply that awaits approval."""
    if not entered.reply_id:
        raise HTTPException(404)
    path = f"/appeals/{appeal_id}/replies/{entered.reply_id}"
    await visit.api.send("DELETE", path, version=entered.version)
    return visit.redirect(page_path(appeal_id), note="Черновик удалён")


async def insert_template(visit: Visit, appeal_id: str, entered: EnteredReply, form: FormData) -> Response:
    """Append the text of a template, filled with the appeal's values."""
    templates = await visit.api.get(f"/appeals/{appeal_id}/reply-templates")
    chosen = next((found for found in templates if found["id"] == form.get("template")), None)
    if chosen is None:
        return await show_reply(visit, appeal_id, entered=entered, refusal="Выберите шаблон.")
    text = f"{(entered.text or '').rstrip()}\n\n{chosen['text']}".strip()
    fields = ", ".join(f"{{{name}}}" for name in chosen["missing_fields"])
    notice = f"Шаблон вставлен. Впишите вместо полей: {fields}." if fields else "Шаблон вставлен."
    kind = chosen["kind"] if entered.is_blank else entered.kind
    return await show_reply(visit, appeal_id, entered=replace(entered, text=text, kind=kind), notice=notice)


async def upload_photo(visit: Visit, file: UploadFile) -> Photo:
    """Upload a photo that belongs to no reply yet. `PHOTO_REFUSED` has the texts of refusals by status."""
    # aiohttp would percent-encode the name, and it would be stored and shown in that form.
    upload = aiohttp.FormData(quote_fields=False)
    content = BytesIO(await file.read())
    upload.add_field("file", content, filename=file.filename, content_type="application/octet-stream")
    answer = await visit.api.send("POST", "/attachments", form=upload)
    return Photo(answer.data["id"], answer.data["name"])


async def add_photo(visit: Visit, appeal_id: str, entered: EnteredReply, form: FormData) -> Response:
    """Upload the chosen photo, and save it with the draft if the draft has a text."""
    if (file := chosen_file(form)) is None:
        return await show_reply(visit, appeal_id, entered=entered, refusal=_NO_FILE)
    try:
        photo = await upload_photo(visit, file)
    except ApiProblem as problem:
        if problem.status not in PHOTO_REFUSED:
            raise
        return await show_reply(visit, appeal_id, entered=entered, refusal=PHOTO_REFUSED[problem.status])
    return await _with_photos(visit, appeal_id, entered, (*entered.photos, photo), "Фото добавлено.")


async def remove_photo(visit: Visit, appeal_id: str, entered: EnteredReply, form: FormData) -> Response:
    """Remove a photo from the reply."""
    left = tuple(photo for photo in entered.photos if photo.id != form.get("photo_removed"))
    return await _with_photos(visit, appeal_id, entered, left, "Фото убрано.")


async def _with_photos(
    visit: Visit, appeal_id: str, entered: EnteredReply, photos: tuple[Photo, ...], notice: str
) -> Response:
    """Save the draft with these photos; without a text, only the form keeps them."""
    changed = replace(entered, photos=photos)
    if not changed.is_blank:
        try:
            changed = changed.stored_as(await store(visit, appeal_id, changed))
        except ApiProblem as problem:
            if "/attachments" not in problem.fields:
                raise
            return await show_reply(visit, appeal_id, entered=entered, problem=problem)
    return await show_reply(visit, appeal_id, entered=changed, notice=notice)


async def check(visit: Visit, appeal_id: str, entered: EnteredReply, form: FormData) -> Response:
    """Show the hints for the text without saving it."""
    return await show_reply(visit, appeal_id, entered=entered)


CHANGES = {
    "save": save,
    "leave": save_and_leave,
    "submit": submit,
    "submit_again": submit,
    "take_over": take_over,
    "keep_mine": keep_mine,
    "take_theirs": take_theirs,
    "discard": discard,
    "template": insert_template,
    "add_photo": add_photo,
    "remove_photo": remove_photo,
    "check": check,
    "retry": retry,
    "record": record,
}
