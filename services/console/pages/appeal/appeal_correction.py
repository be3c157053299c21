"""Correct the topic, the location and the urgency of an appeal."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import Form
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
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
    """Show the form, filled with what is known."""
    return await _page(visit, str(appeal_id), None)


@router.post("/appeals/{appeal_id}/correction")
async def correct(
    *,
    visit: VisitDep,
    appeal_id: UUID,
    version: _Field = "",
    topic_id: _Field = "",
    municipality: _Field = "",
    settlement: _Field = "",
    street: _Field = "",
    house: _Field = "",
    urgency: _Field = "",
) -> Response:
    """Send what differs from the appeal as it is; `version` is that of the classification, or of the appeal."""
    location = {"municipality": municipality, "settlement": settlement.strip(), "street": street.strip()}
    location["house"] = house.strip()
    entered = Entered("correction", {"topic_id": topic_id, "urgency": urgency, **location})
    appeal = await visit.api.get(f"/appeals/{appeal_id}")
    body = _corrections(appeal, topic_id, urgency, location)
    message = deciding_message(appeal)
    target = f"/appeals/{appeal_id}/triage"
    if message is not None:
        target, body = f"/messages/{message['id']}/triage", body | {"needs_answer": True}
    try:
        await visit.api.send("POST", target, body, version=f'"{version}"' if version.isdigit() else None)
    except ApiProblem as problem:
        if problem.status not in {409, 412, 422}:
            raise
        return await _page(visit, str(appeal_id), refused(entered, problem, _REFUSALS), problem.status)
    return visit.redirect(f"/appeals/{appeal_id}", note="Разбор исправлен")


def deciding_message(appeal: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the message that a correction is about: the one that the appeal began with."""
    messages: list[Mapping[str, Any]] = appeal["messages"]
    begun = [message for message in messages if message["written_at"] == appeal["written_at"]]
    return next(iter(begun or messages), None)


def _corrections(
    appeal: Mapping[str, Any], topic_id: str, urgency: str, location: Mapping[str, str]
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
    """Return the parts of the appeal's location as the form has them."""
    location = appeal["location"] or {}
    parts = {part: location.get(part) or "" for part in _PARTS}
    return parts | {"municipality": (location.get("municipality") or {}).get("oktmo", "")}


async def _page(visit: Visit, appeal_id: str, entered: Entered | None, status: int = 200) -> HTMLResponse:
    appeal, groups, topics, municipalities = await together(
        visit.api.get(f"/appeals/{appeal_id}"),
        visit.api.get("/topics", {"level": "group", "limit": 200}),
        visit.api.get("/topics", {"level": "topic", "limit": 200}),
        visit.api.get("/municipalities", {"limit": 200}),
    )
    items = list(topics["items"])
    cursor = topics["next_cursor"]
    while cursor:
        more = await visit.api.get("/topics", {"level": "topic", "limit": 200, "cursor": cursor})
        items, cursor = items + more["items"], more["next_cursor"]
    by_group: dict[str, list[Any]] = {group["id"]: [] for group in groups["items"]}
    for topic in items:
        by_group.setdefault(topic["group"]["id"], []).append(topic)
    message = deciding_message(appeal)
    classified = (message or {}).get("classification")
    known = {
        "topic_id": (appeal["topic"] or {}).get("id", ""),
        "urgency": appeal["urgency"],
        **known_location(appeal),
    }
    response = visit.render(
        "appeal/correction.html",
        status=status,
        appeal=appeal,
        path=f"/appeals/{appeal_id}",
        groups=[(group, by_group[group["id"]]) for group in groups["items"]],
        municipalities=municipalities["items"],
        version=appeal["version"] if message is None else classified["version"] if classified else 0,
        entered=entered or Entered("correction", known),
    )
    if status >= 400:
        response.headers["HX-Push-Url"] = f"/appeals/{appeal_id}/correction"
    return response
