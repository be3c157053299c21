"""A single reply: its text and versions, and its edit or withdrawal in the network."""

from dataclasses import replace
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import FormData

from services.console.api_calls.client import ApiProblem
from services.console.pages.reply.entered_reply import EnteredReply, chosen_file, from_local, to_local
from services.console.pages.reply.line_diff import line_diff
from services.console.pages.reply.reply_changes import PHOTO_REFUSED, upload_photo
from services.console.pages.reply.reply_screen import field_errors, hints_for, refusal_text
from services.console.site.kept_form import KeptForm
from services.console.site.page import page_router
from services.console.site.visit import OptionalVisitDep, Visit, VisitDep, together

PATH = "/appeals/{appeal_id}/replies/{reply_id}"
router = page_router()
_KEPT_EDIT = KeptForm(
    "Ответ в соцсети не изменён",
    "Отправить ещё раз",
    {"text": "Новый текст", "reason": "Почему исправляете"},
    {"photo": "Фото"},
)
_KEPT_WITHDRAWAL = KeptForm("Ответ не удалён из соцсети", "Удалить ответ из соцсети", {"reason": "Что не так"})
_SAME = "Текст не отличается от опубликованного."
_REFUSED = frozenset({409, 412, 422})


@router.get(PATH)
async def show_published(visit: VisitDep, appeal_id: str, reply_id: str) -> HTMLResponse:
    """Show the reply, its changes and its versions."""
    return await _show(visit, appeal_id, reply_id)


@router.post(PATH)
async def change_published(request: Request, visit: OptionalVisitDep, appeal_id: str, reply_id: str) -> Response:
    """Edit the reply in the network, or withdraw it."""
    async with request.form(max_files=1) as form:
        kept = _KEPT_WITHDRAWAL if form.get("do") == "withdraw" else _KEPT_EDIT
        return await kept.or_result(
            request, visit, lambda signed_in: _changed(signed_in, appeal_id, reply_id, form)
        )


async def _changed(visit: Visit, appeal_id: str, reply_id: str, form: FormData) -> Response:
    entered: dict[str, Any] = {
        name: str(form.get(name, "")).replace("\r\n", "\n") for name in ("text", "reason", "ground", "promised")
    }
    entered["kept"] = None
    if form.get("chooses_photos"):
        entered["kept"] = {
            name.removeprefix("keep_"): str(value) for name, value in form.items() if name.startswith("keep_")
        }
    withdraws = form.get("do") == "withdraw"
    names, route = (("ground", "reason"), "withdrawal") if withdraws else (("text", "reason"), "edits")
    body: dict[str, Any] = {name: entered[name] or None for name in names}
    if not withdraws:
        if (file := chosen_file(form)) is not None:
            try:
                photo = await upload_photo(visit, file)
            except ApiProblem as problem:
                if problem.status not in PHOTO_REFUSED:
                    raise
                refusal = PHOTO_REFUSED[problem.status]
                return await _show(visit, appeal_id, reply_id, entered=entered, refusal=refusal)
            entered["kept"] = (entered["kept"] or {}) | {photo.id: photo.name}
        kept = None if entered["kept"] is None else list(entered["kept"])
        body |= {"promised_at": from_local(entered["promised"]), "attachments": kept}
    try:
        await visit.api.send(
            "POST",
            f"/appeals/{appeal_id}/replies/{reply_id}/{route}",
            body,
            version=str(form.get("version", "")),
            key=str(form.get("key", "")) or None,
        )
    except ApiProblem as problem:
        if problem.status not in _REFUSED:
            raise
        return await _show(visit, appeal_id, reply_id, entered=entered, problem=problem, withdraws=withdraws)
    note = "Удаляем ответ из соцсети" if withdraws else "Исправляем ответ в соцсети"
    return visit.redirect(PATH.format(appeal_id=appeal_id, reply_id=reply_id), note=note)


async def _show(
    visit: Visit,
    appeal_id: str,
    reply_id: str,
    *,
    entered: dict[str, Any] | None = None,
    problem: ApiProblem | None = None,
    refusal: str = "",
    withdraws: bool = False,
) -> HTMLResponse:
    path = f"/appeals/{appeal_id}"
    appeal, replies, versions = await together(
        visit.api.get(path),
        visit.api.get(f"{path}/replies"),
        visit.api.get(f"{path}/replies/{reply_id}/versions", {"limit": 20}),
    )
    reply = next((found for found in replies if found["id"] == reply_id), None)
    fields, hints = field_errors(problem), []
    if fields["text"] and entered and reply:
        if entered["text"].strip() == reply["text"].strip():
            fields["text"] = _SAME
        else:
            hints = await hints_for(visit, appeal_id, replace(EnteredReply.of(reply), text=entered["text"]))
    return visit.render(
        "reply/published.html",
        status=problem.status if problem is not None else 422 if refusal else 200,
        appeal=appeal,
        reply=reply,
        versions=_with_diffs(versions["items"]),
        changing=reply is not None and any(change["status"] == "queued" for change in reply["changes"]),
        entered=entered or _shown_now(reply),
        refusal=refusal or refusal_text(problem),
        refused=problem is not None or bool(refusal),
        fields=fields,
        hints=hints,
        withdraws=withdraws,
    )


def _shown_now(reply: dict[str, Any] | None) -> dict[str, Any]:
    """Return the values that the forms show at first."""
    shown = {"text": reply["text"], "promised": to_local(reply["promised_at"])} if reply else {}
    return {"text": "", "promised": "", "reason": "", "ground": "", "kept": None} | shown


def _with_diffs(versions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the versions, newest first, each with the `lines` changed since the previous one; None for the
    first version, or if the texts differ too much.
    """
    former = [*versions[1:], None]
    return [
        version | {"lines": line_diff(before["text"], version["text"]) if before else None}
        for version, before in zip(versions, former, strict=False)
    ]
