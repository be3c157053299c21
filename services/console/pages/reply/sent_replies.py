"""Replies other than drafts: send a failed one again, or record one given outside the networks."""

from typing import Any

from fastapi import Response
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from services.console.api_calls.client import ApiProblem
from services.console.pages.reply.entered_reply import EnteredReply, from_local
from services.console.pages.reply.reply_screen import page_path, show_reply
from services.console.site.forms import is_id
from services.console.site.visit import Visit

_REFUSED = frozenset({409, 412, 422})


async def retry(visit: Visit, appeal_id: str, entered: EnteredReply, form: FormData) -> Response:
    """Send a failed reply again, with the new text if it was changed."""
    failed_id, text = str(form.get("failed_id", "")), entered.text
    if not is_id(failed_id):
        raise HTTPException(404)
    body = (
        {"text": text} if text is not None and text != str(form.get("former", "")).replace("\r\n", "\n") else None
    )
    try:
        await visit.api.send("POST", f"/appeals/{appeal_id}/replies/{failed_id}/retry", body)
    except ApiProblem as problem:
        if problem.status not in _REFUSED:
            raise
        return await show_reply(visit, appeal_id, problem=problem, recorded={"retried_text": text})
    return visit.redirect(page_path(appeal_id), note="Отправляем ещё раз")


async def record(visit: Visit, appeal_id: str, entered: EnteredReply, form: FormData) -> Response:
    """Record an answer that was given by phone, in person or in writing."""
    answered, channel = str(form.get("answered_at", "")), str(form.get("channel", ""))
    body = {name: value for name, value in entered.body().items() if name in _RECORDED} | {
        "channel": channel or None,
        "answered_at": from_local(answered),
    }
    given: dict[str, Any] = {"answered_at": answered, "channel": channel}
    try:
        await visit.api.send("POST", f"/appeals/{appeal_id}/recorded-answers", body, key=entered.key or None)
    except ApiProblem as problem:
        if problem.status not in _REFUSED:
            raise
        return await show_reply(visit, appeal_id, entered=entered, problem=problem, recorded=given)
    return visit.redirect(page_path(appeal_id), note="Ответ записан")


_RECORDED = frozenset({"text", "kind", "promised_at", "outcome"})
