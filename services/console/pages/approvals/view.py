"""Replies that await an approver's decision, shown one at a time; after a decision the next one is shown."""

from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from services.console.api_calls.client import ApiProblem
from services.console.site.forms import is_id
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep, together
from services.console.words.refusals import explained

PATH = "/approvals"
router = page_router()
PAGE = Page(
    router,
    (NavigationLink(Section.WORK, 40, "Согласование", PATH, rights=frozenset({"replies:approve"}), key="a"),),
)
_SHOWN = frozenset({403, 404, 409, 412, 422})
_GONE = "Этот ответ уже рассмотрен или снят с согласования."
_NO_REMARKS = "Напишите, что исправить: автор увидит это в своём черновике."
_REFUSED = {
    403: "Согласовать собственный ответ нельзя: это делает другой сотрудник.",
    409: "Согласовать нельзя: обещанная дата прошла, обращение закрыто, или ответ снят с согласования.",
}


@router.get(PATH)
async def show_approvals(visit: VisitDep, reply: str = "", appeal: str = "", cursor: str = "") -> HTMLResponse:
    """Show the list of replies on approval, and the chosen or the oldest one in full; `appeal` is the chosen
    reply's appeal.
    """
    return await _show(visit, reply, appeal, cursor=cursor)


@router.post(PATH)
async def decide(request: Request, visit: VisitDep) -> Response:
    """Approve or refuse the version of the reply that was shown, and redirect to the next reply."""
    form = {name: str(value) for name, value in (await request.form()).items()}
    refuses, chosen, cursor = form.get("do") == "refuse", form.get("reply_id", ""), form.get("cursor", "")
    appeal_id = form.get("appeal_id", "")
    if not (is_id(chosen) and is_id(appeal_id)):
        raise HTTPException(404)
    remarks = form.get("remarks", "").strip()
    if refuses and not remarks:
        return await _show(visit, chosen, appeal_id, cursor=cursor, refusal=_NO_REMARKS, status=422)
    try:
        await visit.api.send(
            "POST",
            f"/appeals/{appeal_id}/replies/{chosen}/{'refuse' if refuses else 'approve'}",
            {"remarks": remarks} if refuses else None,
            version=form.get("version"),
            key=form.get("key") or None,
        )
    except ApiProblem as problem:
        if problem.status not in _SHOWN:
            raise
        refusal = _REFUSED.get(problem.status) or explained(problem)
        return await _show(
            visit, chosen, appeal_id, cursor=cursor, refusal=refusal, remarks=remarks, status=problem.status
        )
    following = form.get("next", "")
    note = "Ответ возвращён автору" if refuses else "Ответ согласован и публикуется"
    return visit.redirect(_address(following, cursor) if following else PATH, note=note)


async def _show(
    visit: Visit,
    chosen: str,
    appeal_id: str,
    *,
    cursor: str = "",
    refusal: str = "",
    remarks: str = "",
    status: int = 200,
) -> HTMLResponse:
    listed = await visit.api.get("/reply-approvals", {"cursor": cursor})
    waiting = listed["items"]
    if cursor and not waiting:  # all replies of this page of the list are decided
        return await _show(visit, chosen, appeal_id, refusal=refusal, remarks=remarks, status=status)
    one, following = await _shown_of(visit, waiting, chosen, appeal_id)
    is_gone = bool(chosen) and one is None
    return visit.render(
        "approvals/approvals.html",
        status=status,
        waiting=waiting,
        current=None if one is None else await _in_full(visit, one),
        following=following["reply"]["id"] if following else "",
        refusal="" if is_gone else refusal,
        remarks=remarks,
        gone=_GONE if is_gone else "",
        address=lambda reply_id: _address(reply_id, cursor),
        cursor=cursor,
        first=PATH if cursor else None,
        after=_address("", listed["next_cursor"]) if listed["next_cursor"] else None,
    )


def _address(reply_id: str, cursor: str) -> str:
    pairs = {"reply": reply_id, "cursor": cursor}
    return f"{PATH}?{urlencode({name: value for name, value in pairs.items() if value})}"


async def _shown_of(
    visit: Visit, waiting: list[dict[str, Any]], chosen: str, appeal_id: str
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the chosen or the oldest reply, and the one after it.

    A chosen reply is never replaced by another: it is None if it no longer awaits a decision.
    """
    at = next((number for number, one in enumerate(waiting) if one["reply"]["id"] == chosen or not chosen), None)
    if at is None:
        return await _not_listed(visit, chosen, appeal_id), next(iter(waiting), None)
    rest = waiting[at + 1 :] or waiting[:at]
    return waiting[at], next(iter(rest), None)


async def _not_listed(visit: Visit, chosen: str, appeal_id: str) -> dict[str, Any] | None:
    """Return the chosen reply from its appeal, since the list is paged; None if it no longer awaits a decision."""
    if not (is_id(chosen) and is_id(appeal_id)):
        return None
    try:
        appeal = await visit.api.get(f"/appeals/{appeal_id}")
    except ApiProblem as problem:
        if problem.status != 404:
            raise
        return None
    waiting = (reply for reply in appeal["replies"] if reply["status"] == "on_approval")
    reply = next((reply for reply in waiting if reply["id"] == chosen), None)
    return None if reply is None else {"appeal_id": appeal_id, "reply": reply}


async def _in_full(visit: Visit, one: dict[str, Any]) -> dict[str, Any]:
    """Return the unmasked reply, its appeal, the hints, and whether the reply is the person's own."""
    masked = one["reply"]
    appeal, hints = await together(visit.api.get(f"/appeals/{one['appeal_id']}"), _hints(visit, one))
    reply = next((found for found in appeal["replies"] if found["id"] == masked["id"]), masked)
    me = visit.me["person"]["id"]
    return {
        "appeal": appeal,
        "reply": reply,
        "hints": hints,
        "question": next((found for found in appeal["messages"] if found["id"] == reply["in_reply_to"]), None),
        "is_mine": me in {reply["author"]["id"], (reply["approval"] or {}).get("requested_by", {}).get("id")},
    }


async def _hints(visit: Visit, one: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the hints for the last stored version of the text, each with the words that it marks."""
    path = f"/appeals/{one['appeal_id']}/replies"
    versions = await visit.api.get(f"{path}/{one['reply']['id']}/versions", {"limit": 1})
    last = next(iter(versions["items"]), None)
    if last is None or not visit.may("appeals:answer"):
        return []
    reply = one["reply"]
    body = {name: last[name] for name in ("text", "kind", "promised_at")} | {"message_id": reply["in_reply_to"]}
    answer = await visit.api.send("POST", f"{path}/check", body | {"outcome": reply["outcome"]})
    text = last["text"]
    return [
        hint | {"words": text[hint["start"] : hint["end"]] if hint["start"] is not None else ""}
        for hint in answer.data["hints"]
    ]
