"""The screen for writing an answer: its API calls, and the values of its templates."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import HTMLResponse

from services.console.api_calls.client import ApiProblem
from services.console.pages.reply.entered_reply import EnteredReply
from services.console.pages.reply.line_diff import line_diff
from services.console.site.visit import Visit, together
from services.console.words.refusals import explained
from services.console.words.right_labels import holders
from shared.auth.rights import Right

APPROVERS = holders(Right.REPLIES_APPROVE)
UNDER_WAY = frozenset({"draft", "on_approval", "queued", "sending", "uncertain"})
_TAKES_NO_REPLY = frozenset({"triage", "closed", "not_required", "merged"})
_MAY_TAKE_OVER = frozenset({"moderator", "manager"})
FIELD_WORDS = {
    "/text": "Текст нельзя отправить: причины названы в замечаниях.",
    "/promised_at": "Укажите, когда придёт итоговый ответ: день и время в будущем.",
    "/outcome": "Итог указывают только в итоговом ответе.",
    "/ask_mark": "Оценку просят только в итоговом ответе с итогом «решено», если это включено в системе.",
    "/message_id": "Этого сообщения больше нет в обращении: выберите другое.",
    "/attachments": "Столько фото эта соцсеть здесь не принимает. ВКонтакте: 2 в комментарии, "
    "10 в личном сообщении. Одноклассники: 1 в комментарии, в личном сообщении ни одного.",
    "/answered_at": "Ответ не мог быть дан раньше, чем открыто обращение, или в будущем.",
    "/reason": "Напишите причину.",
    "/channel": "Выберите, как был дан ответ.",
}


def page_path(appeal_id: str) -> str:
    """Return the path of the screen."""
    return f"/appeals/{appeal_id}/reply"


async def lease_of(visit: Visit, appeal_id: str) -> dict[str, Any] | None:
    """Return the edit lease of the reply; None if nobody holds it."""
    try:
        lease: dict[str, Any] = await visit.api.get(f"/appeals/{appeal_id}/reply-lease")
    except ApiProblem as problem:
        if problem.status == 404:
            return None
        raise
    return lease


async def hints_for(visit: Visit, appeal_id: str, entered: EnteredReply) -> list[dict[str, Any]]:
    """Return the hints for the entered text, each with the words that it marks; none for an empty text."""
    if entered.is_blank:
        return []
    body = entered.body() | {"attachments": None}
    answer = await visit.api.send("POST", f"/appeals/{appeal_id}/replies/check", body)
    text = entered.text or ""
    return [
        hint | {"words": text[hint["start"] : hint["end"]] if hint["start"] is not None else ""}
        for hint in answer.data["hints"]
    ]


def under_way(appeal: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the appeal's reply that is being written, approved or published; None if there is none."""
    return next((reply for reply in reversed(appeal["replies"]) if reply["status"] in UNDER_WAY), None)


def mode_of(visit: Visit, appeal: Mapping[str, Any], current: Mapping[str, Any] | None) -> str:
    """Return the mode of the screen: `sent`, `reading`, `closed`, `recorded` or `editor`."""
    if current is not None and current["status"] != "draft":
        return "sent"
    if not visit.may("appeals:answer"):
        return "reading"
    if appeal["erased_at"] or appeal["status"] in _TAKES_NO_REPLY:
        return "closed"
    return "editor" if appeal["messages"] else "recorded"


def thread_of(appeal: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the citizen's messages and the published replies, oldest first."""
    messages = appeal["messages"] or [
        {"written_at": appeal["written_at"], "text": appeal["text"], "url": None, "edited_at": None}
        | {"deleted_at": None, "erased_at": appeal["erased_at"], "attachments": []}
    ]
    said = [{"by": "citizen", "at": one["written_at"], "message": one, "reply": None} for one in messages]
    answered = [
        {"by": "organisation", "at": reply["published_at"], "message": None, "reply": reply}
        for reply in appeal["replies"]
        if reply["published_at"]
    ]
    return sorted(said + answered, key=lambda one: str(one["at"]))


async def conflict_with(
    visit: Visit, appeal_id: str, entered: EnteredReply, stored: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the stored draft for comparison with the entered one: who saved it, when, and the differing lines."""
    versions = await visit.api.get(f"/appeals/{appeal_id}/replies/{stored['id']}/versions", {"limit": 1})
    last = next(iter(versions["items"]), None)
    return {
        "reply": stored,
        "by": (last or stored)["author"]["name"],
        "at": last["saved_at"] if last else None,
        "lines": line_diff(entered.text or "", stored["text"]),
        "same_text": (entered.text or "").strip() == stored["text"].strip(),
    }


def field_errors(problem: ApiProblem | None) -> dict[str, str]:
    """Return the error of each wrong field in Russian, by the form's field names."""
    found: dict[str, str] = defaultdict(str)
    for pointer in problem.fields if problem is not None else ():
        name = f"/{pointer.lstrip('/').split('/')[0]}"
        found[name.lstrip("/")] = FIELD_WORDS.get(name, "Проверьте это поле.")
    return found


def refusal_text(problem: ApiProblem | None) -> str:
    """Return why the API refused, with the name of the colleague who is writing."""
    if problem is None or (problem.status == 422 and problem.fields):
        return ""
    if problem.slug == "reply-being-written":
        holder = (problem.document.get("lease") or {}).get("holder_name", "коллега")
        return f"Ответ сейчас пишет {holder}: сохранить ваш текст нельзя. Он остаётся в форме."
    if problem.slug == "duplicate":
        return "Такой ответ по этому обращению уже есть."
    return explained(problem)


async def show_reply(
    visit: Visit,
    appeal_id: str,
    *,
    entered: EnteredReply | None = None,
    problem: ApiProblem | None = None,
    refusal: str = "",
    notice: str = "",
    recorded: Mapping[str, Any] | None = None,
) -> HTMLResponse:
    """Show the screen, with the entered values after a refusal."""
    values = await screen_values(visit, appeal_id, entered=entered, problem=problem)
    values["refusal"] = refusal or values["refusal"]
    status = problem.status if problem is not None else 422 if refusal else 200
    return visit.render(
        "reply/reply.html", status=status, notice=notice, recorded=defaultdict(str, recorded or {}), **values
    )


async def screen_values(
    visit: Visit, appeal_id: str, *, entered: EnteredReply | None = None, problem: ApiProblem | None = None
) -> dict[str, Any]:
    """Return the values for the templates of the screen."""
    may_answer = visit.may("appeals:answer")
    calls = [visit.api.get(f"/appeals/{appeal_id}"), lease_of(visit, appeal_id)]
    if may_answer:
        calls.append(visit.api.get(f"/appeals/{appeal_id}/reply-templates"))
    appeal, lease, *templates = await together(*calls)
    current = under_way(appeal)
    mode = mode_of(visit, appeal, current)
    form = entered or (EnteredReply.of(current) if mode == "editor" and current else EnteredReply(text=""))
    conflict = None
    if mode == "editor" and entered and current and _stale(entered, current):
        conflict = await conflict_with(visit, appeal_id, entered, current)
    return {
        "appeal": appeal,
        "mode": mode,
        "thread": thread_of(appeal),
        "current": current,
        **outcome_of(appeal),
        "approved_by": APPROVERS,
        "following": await following(visit, appeal_id) if current and current["status"] == "on_approval" else None,
        "form": form,
        "target": form.message_id or _target(appeal["messages"]),
        "templates": templates[0] if templates else [],
        "hints": await hints_for(visit, appeal_id, form) if mode == "editor" else [],
        "conflict": conflict,
        "refusal": "" if conflict else refusal_text(problem),
        "duplicate": problem is not None and problem.slug == "duplicate",
        "fields": field_errors(problem),
        **lease_values(visit, lease),
    }


def lease_values(visit: Visit, lease: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the values about the edit lease for the templates."""
    mine = lease is not None and lease["holder"] == visit.me["person"]["id"]
    return {
        "lease": lease,
        "lease_is_mine": mine,
        "locked": lease is not None and not mine,
        "may_take_over": visit.me["person"]["role"] in _MAY_TAKE_OVER,
    }


def _stale(entered: EnteredReply, current: Mapping[str, Any]) -> bool:
    seen = (entered.reply_id, entered.version)
    return seen != (current["id"], str(current["version"])) and not entered.same_content(current)


def outcome_of(appeal: Mapping[str, Any]) -> dict[str, Any]:
    """Return the appeal's last reply if it failed, and the reply that was published last."""
    last = appeal["replies"][-1] if appeal["replies"] else None
    return {
        "failed": last if last and last["status"] == "failed" else None,
        "latest": max(
            (reply for reply in appeal["replies"] if reply["published_at"]),
            key=lambda reply: str(reply["published_at"]),
            default=None,
        ),
    }


async def following(visit: Visit, appeal_id: str) -> dict[str, Any] | None:
    """Return the appeal to answer next: the person's first by deadline, otherwise the first unassigned one."""
    if not visit.may("appeals:work"):
        return None
    for assignee in ("me", "none") if visit.me["organisation"] else ("me",):
        listed = await visit.api.get("/appeals", {"assignee": assignee, "sort": "due", "limit": 2})
        if found := [one for one in listed["items"] if one["id"] != appeal_id]:
            return dict(found[0])
    return None


def _target(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the id of the message answered by default: the latest that needs an answer; empty if none."""
    present = [found for found in messages if found["deleted_at"] is None] or list(messages)
    asking = [found for found in present if (found["classification"] or {}).get("needs_answer", "no") != "no"]
    latest = max(asking or present, key=lambda found: str(found["written_at"]), default=None)
    return str(latest["id"]) if latest is not None else ""
