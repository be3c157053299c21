"""Correct the topic, the location and the urgency of an appeal."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import Form
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, Field

from services.console.api_calls.client import ApiProblem
from services.console.choices.choices_by_name import Choice, chosen_topic, known_choice
from services.console.choices.topic_names import load_topics
from services.console.pages.appeal.appeal_page import Entered, Refusals, refused
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep, together

router = page_router()
_Text = Annotated[str, Field(max_length=1_000)]
_PARTS = ("municipality", "settlement", "street", "house")
_CHANGED = (
    "Пока вы исправляли, обращение изменилось. В полях, которых вы не меняли, показаны текущие значения: "
    "проверьте их и сохраните ещё раз."
)
_REFUSALS = Refusals(
    conflict="Сейчас исправить нельзя: обращение объединено с другим или закрыто, либо данные автора уже удалили "
    "или удаляют.",
    fields={"topic_id": "Выберите тему из списка.", "municipality": "Выберите муниципалитет из списка."},
)


class CorrectionForm(BaseModel):
    """The values of the form, the values that it showed at first (`was_…`), and the versions of the appeal and of
    the message's classification that the person saw.
    """

    appeal_version: _Text = ""
    version: _Text = ""
    topic: _Text = ""
    topic_id: _Text = ""
    urgency: _Text = ""
    municipality: _Text = ""
    settlement: _Text = ""
    street: _Text = ""
    house: _Text = ""
    was_topic: str = ""
    was_topic_id: str = ""
    was_urgency: str = ""
    was_municipality: str = ""
    was_settlement: str = ""
    was_street: str = ""
    was_house: str = ""

    @property
    def entered(self) -> dict[str, str]:
        """Return the entered urgency and location."""
        return {name: getattr(self, name).strip() for name in ("urgency", *_PARTS)}

    @property
    def shown(self) -> dict[str, str]:
        """Return the values that the form showed at first."""
        names = ("topic", "topic_id", "urgency", *_PARTS)
        return {name: getattr(self, f"was_{name}").strip() for name in names}

    @property
    def shown_topic(self) -> dict[str, str] | None:
        """Return the topic that the form showed at first; None if there was none."""
        return {"id": self.was_topic_id, "name": self.was_topic} if self.was_topic_id else None


@router.get("/appeals/{appeal_id}/correction")
async def show_correction(visit: VisitDep, appeal_id: UUID) -> HTMLResponse:
    """Show the form, filled with the current values."""
    return await _page(visit, str(appeal_id))


@router.post("/appeals/{appeal_id}/correction")
async def correct(visit: VisitDep, appeal_id: UUID, form: Annotated[CorrectionForm, Form()]) -> Response:
    """Send the fields that the person changed, with the versions of appeal and classification that they saw."""
    appeal, topics = await together(visit.api.get(f"/appeals/{appeal_id}"), load_topics(visit))
    chosen = chosen_topic(topics, {"topic": form.topic, "topic_id": form.topic_id}, known=form.shown_topic)
    entered = Entered("correction", form.entered)
    if chosen.error:
        return await _page(visit, str(appeal_id), form, entered, chosen, status=422)
    body = _corrections(form, chosen.id)
    message = deciding_message(appeal)
    target, version = f"/appeals/{appeal_id}/triage", form.appeal_version
    if message is not None:
        target, version = f"/messages/{message['id']}/triage", form.version
        body |= {"needs_answer": True, "appeal_version": form.appeal_version or None}
    try:
        await visit.api.send("POST", target, body, version=version)
    except ApiProblem as problem:
        if problem.status not in {409, 412, 422}:
            raise
        entered = refused(entered, problem, _REFUSALS)
        return await _page(visit, str(appeal_id), form, entered, chosen, status=problem.status)
    return visit.redirect(f"/appeals/{appeal_id}", note="Разбор исправлен")


def deciding_message(appeal: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the message that a correction applies to: the one that opened the appeal, otherwise the first; None
    if there are no messages.
    """
    messages: list[Mapping[str, Any]] = appeal["messages"]
    begun = [message for message in messages if message["written_at"] == appeal["written_at"]]
    return next(iter(begun or messages), None)


def _corrections(form: CorrectionForm, topic_id: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if topic_id and topic_id != form.was_topic_id:
        body["topic_id"] = topic_id
    entered, shown = form.entered, form.shown
    if entered["urgency"] and entered["urgency"] != shown["urgency"]:
        body["urgency"] = entered["urgency"]
    if any(entered[part] != shown[part] for part in _PARTS):
        named: dict[str, Any] = {part: entered[part] for part in _PARTS if entered[part]}
        body |= named or {"no_location": True}
    return body


def known_location(appeal: Mapping[str, Any]) -> dict[str, str]:
    """Return the appeal's location as values of the form's fields."""
    location = appeal["location"] or {}
    parts = {part: location.get(part) or "" for part in _PARTS}
    return parts | {"municipality": (location.get("municipality") or {}).get("oktmo", "")}


async def _page(
    visit: Visit,
    appeal_id: str,
    form: CorrectionForm | None = None,
    entered: Entered | None = None,
    topic: Choice | None = None,
    *,
    status: int = 200,
) -> HTMLResponse:
    """Return the page. A refused `form` keeps its values and versions. If the appeal has changed since, the
    form gets the present versions, and the present values of the fields that the person did not change.
    """
    appeal, municipalities = await together(
        visit.api.get(f"/appeals/{appeal_id}"), visit.api.get("/municipalities", {"limit": 200})
    )
    present = _form_of(appeal)
    topic = topic or known_choice("topic", appeal["topic"])
    entered = entered or Entered("correction", present.entered)
    topic.error = topic.error or entered.wrong("correction", "topic_id")
    if form is None:
        form = present
    elif status == 412:
        if topic.id == (form.was_topic_id or None):
            topic = known_choice("topic", appeal["topic"])
        kept = {name: value for name, value in form.entered.items() if value != form.shown[name]}
        entered = replace(entered, values=present.entered | kept, error=_CHANGED)
        form = present
    response = visit.render(
        "appeal/correction.html",
        status=status,
        appeal=appeal,
        path=f"/appeals/{appeal_id}",
        topic=topic,
        municipalities=municipalities["items"],
        form=form,
        entered=entered,
    )
    if status >= 400:
        response.headers["HX-Push-Url"] = f"/appeals/{appeal_id}/correction"
    return response


def _form_of(appeal: Mapping[str, Any]) -> CorrectionForm:
    """Return the form as it is shown at first."""
    message, topic = deciding_message(appeal), appeal["topic"] or {"id": "", "name": ""}
    classification = message and message["classification"]
    values = {"urgency": appeal["urgency"], **known_location(appeal)}
    shown = {"topic": topic["name"], "topic_id": topic["id"], **values}
    return CorrectionForm(
        appeal_version=str(appeal["version"]),
        version=str(classification["version"] if classification else 0),
        **values,
        **{f"was_{name}": value for name, value in shown.items()},
    )
