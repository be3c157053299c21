"""Messages that need no answer according to the classifier: a moderator confirms this or opens an appeal."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Form
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel

from services.console.api_calls.client import ApiProblem
from services.console.pages.queue.queue_screen import RIGHT
from services.console.pages.queue.queue_state import PATH
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep
from services.console.words.marked_words import marked
from services.console.words.refusals import explained

REVIEWS = f"{PATH}/reviews"
router = page_router()
_ROWS = 15


class ReviewForm(BaseModel):
    """Whether the message needs an answer, and the version of the classification that the person saw."""

    version: int
    needs_answer: bool


@router.get(REVIEWS)
async def show_reviews(visit: VisitDep, cursor: str = "") -> HTMLResponse:
    """Show messages that nobody has reviewed yet, newest first."""
    visit.require(RIGHT)
    return await _shown(visit, cursor)


@router.post(REVIEWS + "/{message_id}")
async def review(
    visit: VisitDep, message_id: str, form: Annotated[ReviewForm, Form()], cursor: str = ""
) -> Response:
    """Confirm that no answer is needed, or open an appeal."""
    visit.require(RIGHT)
    body = {"needs_answer": form.needs_answer, "confirm": not form.needs_answer}
    try:
        answer = await visit.api.send("POST", f"/messages/{message_id}/triage", body, version=form.version)
    except ApiProblem as problem:
        if problem.status not in {409, 412, 422}:
            raise
        return await _shown(visit, cursor, refusal=explained(problem), status=problem.status)
    return visit.redirect(_address(cursor), note=_note(answer.data, needs_answer=form.needs_answer))


def _note(decided: dict[str, Any], *, needs_answer: bool) -> str:
    if not needs_answer:
        return "Проверено: ответ не нужен."
    owner = decided["organisation"]["name"] if decided["organisation"] else "решит модератор"
    return f"Ответ нужен: обращение № {decided['appeal_number']}, {owner}."


def _address(cursor: str | None) -> str:
    return f"{REVIEWS}?{urlencode({'cursor': cursor})}" if cursor else REVIEWS


async def _shown(visit: Visit, cursor: str, *, refusal: str = "", status: int = 200) -> HTMLResponse:
    listed = await visit.api.get(
        "/classifications",
        {"needs_answer": "no", "classified_by": "automatic", "limit": _ROWS, "cursor": cursor},
    )
    rows = [(item, marked(item["text"], item["classification"]["why"])) for item in listed["items"]]
    response = visit.render(
        "queue/reviews.html",
        status=status,
        refusal=refusal,
        rows=rows,
        here_query=urlencode({"cursor": cursor}) if cursor else "",
        first=REVIEWS if cursor else None,
        after=_address(listed["next_cursor"]) if listed["next_cursor"] else None,
    )
    if visit.request.method == "POST":
        response.headers["HX-Replace-Url"] = _address(cursor)
    return response
