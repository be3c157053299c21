"""Moderators' decisions about an appeal: messages about another matter, merges, corrections of feedback."""

from typing import Annotated
from uuid import UUID

from fastapi import Form
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.pages.appeal.appeal_page import Entered, Refusals, changed, refused
from services.console.pages.appeal.appeal_words import WORDS
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep

router = page_router()
_Field = Annotated[str, Form(max_length=4_000)]
_MARKS = frozenset("12345")
# Only appeals in these statuses, which await their first reply, can be merged.
_MERGEABLE = frozenset({"triage", "assigned", "in_progress"})
_MATTER = Refusals(
    conflict="Так решить нельзя: с сообщения началось обращение, оно в нём одно, на него ответили или готовят "
    "ответ, данные автора удалены или решение уже принято.",
    fields={"reason": "Напишите причину.", "message_id": "Этого сообщения в обращении больше нет."},
)
_MERGE = Refusals(
    conflict="Объединить нельзя: на одно из обращений уже ответили или готовят ответ, оно закрыто или начато "
    "позже, с этим уже объединили другое, или его сообщение может быть о другом вопросе.",
    fields={"reason": "Напишите, почему это один вопрос.", "into": "Это обращение другого автора."},
)
_UNMERGE = Refusals(
    conflict="Объединение уже не отменить: после него ответили, готовят ответ или выделили все сообщения.",
    fields={"reason": "Напишите причину."},
)
_FEEDBACK = Refusals(
    conflict="Исправить нельзя: отзыв не о последнем ответе, ответ отозван или отзыв и оценка остались прежними.",
    fields={
        "reason": "Напишите причину.",
        "mark": "Для «вопрос не решён» оценка 1 или 2, для «поставил оценку» — от 3 до 5.",
        "kind": "Выберите, что сказал гражданин.",
    },
)


@router.post("/appeals/{appeal_id}/matter-decisions")
async def decide_matter(
    *,
    visit: VisitDep,
    appeal_id: UUID,
    message_id: UUID,
    decision: _Field = "",
    version: _Field = "",
    seen: _Field = "",
    reason: _Field = "",
    key: _Field = "",
) -> Response:
    """Keep a message in the appeal, or split it off into a separate one; `message_id` is part of the form's
    address.
    """
    entered = Entered(f"matter-{message_id}", {"seen": seen, "reason": reason})
    body = {"message_id": str(message_id), "decision": decision} | (
        {"reason": reason.strip()} if reason.strip() else {}
    )
    call = visit.api.send("POST", f"/appeals/{appeal_id}/matter-decisions", body, version=version, key=key or None)
    note = "Сообщение осталось здесь" if decision == "keep" else "Сообщение выделено в отдельное обращение"
    return await changed(visit, str(appeal_id), entered, call, note=note, refusals=_MATTER)


@router.post("/appeals/{appeal_id}/unmerge")
async def unmerge(
    *,
    visit: VisitDep,
    appeal_id: UUID,
    version: _Field = "",
    seen: _Field = "",
    reason: _Field = "",
    key: _Field = "",
) -> Response:
    """Undo the merge of the appeal."""
    entered = Entered("unmerge", {"seen": seen, "reason": reason})
    call = visit.api.send(
        "POST",
        f"/appeals/{appeal_id}/unmerge",
        {"reason": reason.strip()},
        version=version,
        key=key or None,
    )
    return await changed(visit, str(appeal_id), entered, call, note="Объединение отменено", refusals=_UNMERGE)


@router.post("/appeals/{appeal_id}/feedback/{feedback_id}")
async def correct_feedback(
    *,
    visit: VisitDep,
    appeal_id: UUID,
    feedback_id: UUID,
    version: _Field = "",
    seen: _Field = "",
    kind: _Field = "",
    mark: _Field = "",
    reason: _Field = "",
) -> Response:
    """Correct how the citizen's feedback on the last answer is classified."""
    entered = Entered(f"feedback-{feedback_id}", {"seen": seen, "kind": kind, "mark": mark, "reason": reason})
    body = {"kind": kind or None, "mark": int(mark) if mark in _MARKS else None, "reason": reason.strip()}
    call = visit.api.send("PUT", f"/appeals/{appeal_id}/feedback/{feedback_id}", body, version=version)
    return await changed(visit, str(appeal_id), entered, call, note="Разбор отзыва исправлен", refusals=_FEEDBACK)


@router.get("/appeals/{appeal_id}/author")
async def show_author(visit: VisitDep, appeal_id: UUID) -> HTMLResponse:
    """Show the author's other appeals; moderators can merge them on this page."""
    return await _author_page(visit, str(appeal_id), Entered())


@router.post("/appeals/{appeal_id}/merge")
async def merge(
    *,
    visit: VisitDep,
    appeal_id: UUID,
    into: _Field = "",
    version: _Field = "",
    reason: _Field = "",
    key: _Field = "",
) -> Response:
    """Merge the appeal into an earlier one of the same author."""
    entered = Entered(f"merge-{into}", {"reason": reason, "into": into})
    body = {"into": into, "reason": reason.strip()}
    try:
        await visit.api.send("POST", f"/appeals/{appeal_id}/merge", body, version=version, key=key or None)
    except ApiProblem as problem:
        if problem.status not in {409, 412, 422}:
            raise
        return await _author_page(visit, str(appeal_id), refused(entered, problem, _MERGE), problem.status)
    return visit.redirect(f"/appeals/{into}", note="Обращения объединены: дальше отвечайте здесь")


async def _author_page(visit: Visit, appeal_id: str, entered: Entered, status: int = 200) -> HTMLResponse:
    appeal = await visit.api.get(f"/appeals/{appeal_id}")
    others: list[dict[str, object]] = []
    author_key: str | None = None
    if appeal["messages"]:
        message = await visit.api.get(f"/messages/{appeal['messages'][0]['id']}")
        author_key = message["author_key"]
        found = await visit.api.get("/appeals", {"author_key": author_key, "limit": 50})
        others = [other for other in found["items"] if other["id"] != appeal_id]
    may_merge = visit.may("appeals:triage") and appeal["status"] in _MERGEABLE
    response = visit.render(
        "appeal/author.html",
        status=status,
        appeal=appeal,
        path=f"/appeals/{appeal_id}",
        others=others,
        author_key=author_key,
        targets=[
            other["id"]
            for other in others
            if may_merge and other["status"] in _MERGEABLE and str(other["opened_at"]) <= appeal["opened_at"]
        ],
        entered=entered,
        words=WORDS,
    )
    if status >= 400:
        response.headers["HX-Push-Url"] = f"/appeals/{appeal_id}/author"
    return response
