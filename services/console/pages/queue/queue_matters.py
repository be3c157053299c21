"""Messages that may be about another matter than their appeal: a moderator keeps or splits off each."""

from typing import Annotated, Any, Literal

from fastapi import Form
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel

from services.console.api_calls.client import ApiProblem
from services.console.pages.queue.queue_screen import RIGHT
from services.console.pages.queue.queue_state import PATH, QueueState
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep, together
from services.console.words.refusals import explained

MATTERS = f"{PATH}/matters"
router = page_router()


class MatterForm(BaseModel):
    """The decision about a message, and the version of the appeal that the person saw."""

    message_id: str
    version: int
    decision: Literal["keep", "split_off"]
    key: str


@router.get(MATTERS)
async def show_matters(visit: VisitDep) -> HTMLResponse:
    """Show the next appeal that may be about two matters."""
    visit.require(RIGHT)
    return await _shown(visit)


@router.post(PATH + "/{appeal_id}/matter")
async def decide_matter(visit: VisitDep, appeal_id: str, form: Annotated[MatterForm, Form()]) -> Response:
    """Keep the message, or split it off, and show the next one."""
    visit.require(RIGHT)
    state = QueueState.of(visit.request.query_params)
    try:
        answer = await visit.api.send(
            "POST",
            f"/appeals/{appeal_id}/matter-decisions",
            {"message_id": form.message_id, "decision": form.decision},
            version=form.version,
            key=form.key,
        )
    except ApiProblem as problem:
        if problem.status not in {409, 412, 422}:
            raise
        return await _shown(visit, refusal=explained(problem), status=problem.status)
    number = answer.data["number"]
    note = (
        f"Сообщение остаётся в обращении № {number}."
        if form.decision == "keep"
        else f"Из сообщения сделано обращение № {number}."
    )
    return visit.redirect(state.address(MATTERS), note=note)


async def _shown(visit: Visit, *, refusal: str = "", status: int = 200) -> HTMLResponse:
    state = QueueState.of(visit.request.query_params)
    asked: dict[str, Any] = {"possible_other_matter": True}
    listed, counts = await together(
        visit.api.get("/appeals", {**asked, **state.parameters(1)}),
        visit.api.get("/appeals/counts", asked),
    )
    head = next(iter(state.unskipped(listed["items"])), None)
    appeal = await visit.api.get(f"/appeals/{head['id']}") if head else None
    asked_about = (appeal or {"possible_other_matters": []})["possible_other_matters"]
    response = visit.render(
        "queue/matters.html",
        status=status,
        refusal=refusal,
        remaining=counts["total"],
        appeal=appeal,
        question=asked_about[0] if asked_about else None,
        state=state,
        later=state.without(appeal, urgent=False).address(MATTERS) if appeal else None,
    )
    if visit.request.method == "POST":
        response.headers["HX-Replace-Url"] = state.address(MATTERS)
    return response
