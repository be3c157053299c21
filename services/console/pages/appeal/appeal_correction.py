"""Correct the topic, the location and the urgency of an appeal."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import Form
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.choices_by_name import Choice, chosen_topic, known_choice
from services.console.choices.topic_names import load_topics
from services.console.pages.appeal.appeal_page import Entered, Refusals, refused
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep, together

router = page_router()
_Field = Annotated[str, Form(max_length=1_000)]
_PARTS = ("municipality", "settlement", "street", "house")
_REFUSALS = Refusals(
    conflict="Сейчас исправить нельзя: обращение объединено с другим или уже закрыто.",
    fields={"topic_id": "Выберите тему из списка.", "municipality": "Выберите муниципалитет из списка."},
)


@router.get("/appeals/{appeal_id}/correction")
async def show_correction(visit: VisitDep, appeal_id: UUID) -> HTMLResponse:
    """Show the form, filled with the current values."""
    return await _page(visit, str(appeal_id), None)


@router.post("/appeals/{appeal_id}/correction")
async def correct(
    *,
    visit: VisitDep,
    appeal_id: UUID,
    version: _Field = "",
    topic: _Field = "",
    topic_id: _Field = "",
    municipality: _Field = "",
    settlement: _Field = "",
    street: _Field = "",
    house: _Field = "",
    urgency: _Field = "",
) -> Response:
    """Send the fields that differ from the appeal; `version` is that of the classification or, without a message,
    of the appeal.
    """
    location = {"municipality": municipality, "settlement": settlement.strip(), "street": street.strip()}
    location["house"] = house.strip()
    entered = Entered("correction", {"urgency": urgency, **location})
    appeal, topics = await together(visit.api.get(f"/appeals/{appeal_id}"), load_topics(visit))
    chosen = chosen_topic(topics, {"topic": topic, "topic_id": topic_id}, known=appeal["topic"])
    if chosen.error:
        return await _page(visit, str(appeal_id), entered, 422, chosen)
    body = _corrections(appeal, chosen.id, urgency, location)
    message = deciding_message(appeal)
    target = f"/appeals/{appeal_id}/triage"
    if message is not None:
        target, body = f"/messages/{message['id']}/triage", body | {"needs_answer": True}
    try:
        await visit.api.send("POST", target, body, version=version)
    except ApiProblem as problem:
        if problem.status not in {409, 412, 422}:
            raise
        return await _page(visit, str(appeal_id), refused(entered, problem, _REFUSALS), problem.status, chosen)
    return visit.redirect(f"/appeals/{appeal_id}", note="Разбор исправлен")


def deciding_message(appeal: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the message that a correction applies to: the one that opened the appeal, None if there are no
    messages.
    """
    messages: list[Mapping[str, Any]] = appeal["messages"]
    begun = [message for message in messages if message["written_at"] == appeal["written_at"]]
    return next(iter(begun or messages), None)


def _corrections(
    appeal: Mapping[str, Any], topic_id: str | None, urgency: str, location: Mapping[str, str]
) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if topic_id and topic_id != (appeal["topic"] or {}).get("id"):
        body["topic_id"] = topic_id
    if urgency and urgency != appeal["urgency"]:
        body["urgency"] = urgency
    former = known_location(appeal)
    if location != former:
        named: dict[str, Any] = {part: value for part, value in location.items() if value}
        body |= named or {"no_location": True}
    return body


def known_location(appeal: Mapping[str, Any]) -> dict[str, str]:
    """Return the appeal's location as values of the form's fields."""
    location = appeal["location"] or {}
    parts = {part: location.get(part) or "" for part in _PARTS}
    return parts | {"municipality": (location.get("municipality") or {}).get("oktmo", "")}


async def _page(
    visit: Visit, appeal_id: str, entered: Entered | None, status: int = 200, topic: Choice | None = None
) -> HTMLResponse:
    appeal, municipalities = await together(
        visit.api.get(f"/appeals/{appeal_id}"), visit.api.get("/municipalities", {"limit": 200})
    )
    message = deciding_message(appeal)
    classified = (message or {}).get("classification")
    known = {"urgency": appeal["urgency"], **known_location(appeal)}
    if topic is None:
        topic = known_choice("topic", appeal["topic"])
    elif entered is not None:
        topic.error = topic.error or entered.wrong("correction", "topic_id")
    response = visit.render(
        "appeal/correction.html",
        status=status,
        appeal=appeal,
        path=f"/appeals/{appeal_id}",
        topic=topic,
        municipalities=municipalities["items"],
        version=appeal["version"] if message is None else classified["version"] if classified else 0,
        entered=entered or Entered("correction", known),
    )
    if status >= 400:
        response.headers["HX-Push-Url"] = f"/appeals/{appeal_id}/correction"
    return response
