"""One reply to all appeals of an incident: write it, review it with its recipients, and send it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Form, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel

from services.console.api_calls.client import ApiProblem
from services.console.pages.incidents.incident_details import (
    MEMBERS_AT_ONCE,
    PATH,
    Document,
    recipients,
)
from services.console.site.kept_form import KeptForm
from services.console.site.page import page_router
from services.console.site.visit import OptionalVisitDep, Visit, VisitDep, together
from services.console.words.refusals import explained
from shared import clock

REPLY = PATH + "/{incident_id}/reply"
router = page_router()
_KEPT = KeptForm("Ответ не отправлен", "Продолжить", {"text": "Текст ответа"})


class ReplyForm(BaseModel):
    """The entered reply. `step` is the button that was pressed; `exclude` is an appeal to remove from the incident
    first.
    """

    text: str = ""
    kind: Literal["final", "interim"] = "final"
    promised_at: str = ""
    include_later_members: bool = False
    step: Literal["edit", "preview", "send"] = "preview"
    exclude: str = ""
    key: str

    @property
    def body(self) -> dict[str, Any]:
        """Return the reply as the API expects it. Raises ValueError for an invalid `promised_at`."""
        promised = None
        if self.kind == "interim" and self.promised_at:
            promised = datetime.fromisoformat(self.promised_at).replace(tzinfo=clock.REGION_TIME_ZONE).isoformat()
        return {"text": self.text, "kind": self.kind, "promised_at": promised}


@router.get(REPLY)
async def write_reply(visit: VisitDep, incident_id: str) -> HTMLResponse:
    """Show the empty form."""
    return await _form(visit, incident_id, None)


@router.post(REPLY)
async def reply_to_all(
    request: Request, visit: OptionalVisitDep, incident_id: str, form: Annotated[ReplyForm, Form()]
) -> Response:
    """Show the recipients of the reply, or send it."""
    return await _KEPT.or_result(request, visit, lambda signed_in: _replied(signed_in, incident_id, form))


async def _replied(visit: Visit, incident_id: str, form: ReplyForm) -> Response:
    if form.exclude:
        await _exclude(visit, incident_id, form.exclude)
        return await _form(visit, incident_id, form, preview=True)
    if form.step == "edit":
        return await _form(visit, incident_id, form)
    if (missing := _missing(form)) is not None:
        return await _form(visit, incident_id, form, refusal=missing, status=422)
    if form.step == "preview":
        return await _form(visit, incident_id, form, preview=True)
    body = form.body | {"include_later_members": form.include_later_members}
    try:
        await visit.api.send("POST", f"{PATH}/{incident_id}/replies", body, key=form.key)
    except ApiProblem as problem:
        if problem.status not in {409, 422}:
            raise
        return await _form(visit, incident_id, form, refusal=_refusal(problem), status=problem.status)
    note = "Ответ отправляется. Ход публикации виден в разделе «Ответы всем»"
    return visit.redirect(f"{PATH}/{incident_id}", note=note)


def _missing(form: ReplyForm) -> str | None:
    if not form.text.strip():
        return "Напишите текст ответа."
    if form.kind == "interim" and not form.promised_at:
        return "Для промежуточного ответа укажите, когда будет итоговый."
    try:
        promised = form.body["promised_at"]
    except ValueError:
        return "Дата и время обещания записаны неверно."
    if promised is not None and datetime.fromisoformat(promised) <= clock.now():
        return "Обещанный срок уже прошёл: укажите будущий."
    return None


def _refusal(problem: ApiProblem) -> str:
    if problem.slug == "duplicate":
        return "Этот же текст уже отправлен в последние сутки."
    if "/text" in problem.fields:
        return "Такой текст публиковать нельзя: посмотрите подсказки к нему."
    return explained(problem)


async def _exclude(visit: Visit, incident_id: str, appeal_id: str) -> None:
    try:
        await visit.api.send("DELETE", f"{PATH}/{incident_id}/members/{appeal_id}")
    except ApiProblem as problem:
        # The appeal is no longer a member, which is what was requested.
        if problem.status != 404:
            raise


async def _form(
    visit: Visit,
    incident_id: str,
    form: ReplyForm | None,
    *,
    preview: bool = False,
    refusal: str = "",
    status: int = 200,
) -> HTMLResponse:
    visit.require("appeals:answer")
    path = f"{PATH}/{incident_id}"
    incident, members = await together(
        visit.api.get(path), visit.api.get(f"{path}/members", {"limit": MEMBERS_AT_ONCE})
    )
    found = recipients(members["items"])
    hints = await _hints(visit, found.waiting, form) if form is not None and (preview or refusal) else []
    return visit.render(
        "incidents/reply_preview.html" if preview else "incidents/reply_form.html",
        status=status,
        incident=incident,
        recipients=found,
        is_complete=members["next_cursor"] is None,
        hints=hints,
        blocked=any(hint["severity"] == "blocking" for hint in hints),
        entered=form,
        refusal=refusal,
    )


async def _hints(visit: Visit, waiting: list[Document], form: ReplyForm) -> list[Document]:
    """Return the hints that the check of replies gives for the text, checked as a reply to the first recipient."""
    if not waiting or _missing(form) is not None:
        return []
    checked = await visit.api.send("POST", f"/appeals/{waiting[0]['appeal_id']}/replies/check", form.body)
    hints: list[Document] = checked.data["hints"]
    return hints
