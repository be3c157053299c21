"""The request that creates an appeal, built from the form, and its errors."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.console.api_calls.client import Api, ApiProblem
from services.console.choices.choices_by_name import Choice
from services.console.choices.organisation_choice import choose_organisation
from services.console.words.labels import label
from services.console.words.refusals import explained
from shared.clock import REGION_TIME_ZONE

CHANNELS = tuple((source, label(source, "source").capitalize()) for source in ("phone", "reception", "letter"))
_CONTACT = ("name", "phone", "email", "address")
_AS_GIVEN = ("external_id", "municipality", "settlement", "street", "house", "urgency")
_OWN = "own"
_BY_FIELD = {
    "text": "Запишите, о чём обращение: до 20 000 знаков.",
    "written_at": "Время не может быть в будущем.",
    "external_id": "Под этим номером уже заведено другое обращение.",
    "organisation": "Этой организации назначить нельзя: выберите другую.",
    "topic_id": "Выберите другую тему.",
    "contact": "Проверьте контакты: каждое поле до 300 знаков, в одну строку.",
    "location": "Проверьте место: улица и дом — в одну строку.",
}
_LOCATION = frozenset({"municipality", "settlement", "street", "house"})


@dataclass
class WrongSubmission(Exception):  # noqa: N818
    """The errors of the form: by field, for the form as a whole, and the organisations to choose from."""

    fields: dict[str, str] = field(default_factory=dict)
    text: str = ""
    organisations: list[dict[str, Any]] = field(default_factory=list)


def wrong_fields(problem: ApiProblem) -> WrongSubmission:
    """Return why the API refused the appeal."""
    if problem.status == 409 and problem.slug == "duplicate":
        number = problem.document.get("appeal_number")
        return WrongSubmission(text=f"Такое обращение уже заведено{f': № {number}' if number else ''}.")
    found: dict[str, str] = {}
    for pointer in problem.fields:
        name = pointer.lstrip("/").partition("/")[0]
        name = {"organisation_id": "organisation"}.get(name, "location" if name in _LOCATION else name)
        if name in _BY_FIELD:
            found[name] = _BY_FIELD[name]
    return WrongSubmission(found, "" if found else explained(problem))


async def request_of(api: Api, me: dict[str, Any], entered: dict[str, str], topic: Choice) -> dict[str, Any]:
    """Return the body of `POST /appeals`. Raises WrongSubmission for missing or invalid values."""
    if not entered.get("text"):
        raise WrongSubmission({"text": "Запишите, о чём обращение."})
    if topic.error:
        raise WrongSubmission({"topic_id": topic.error})
    body: dict[str, Any] = {"source": entered.get("source", ""), "text": entered["text"]}
    body |= {name: entered[name] for name in _AS_GIVEN if entered.get(name)}
    if topic.id:
        body["topic_id"] = topic.id
    if contact := {name: entered[f"contact_{name}"] for name in _CONTACT if entered.get(f"contact_{name}")}:
        body["contact"] = contact
    if entered.get("written_at"):
        body["written_at"] = _moment(entered["written_at"])
    if organisation := await _organisation(api, me, entered):
        body["organisation_id"] = organisation
    return body


def _moment(text: str) -> str:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=REGION_TIME_ZONE).isoformat()
    except ValueError:
        raise WrongSubmission({"written_at": "Введите дату и время."}) from None


async def _organisation(api: Api, me: dict[str, Any], entered: dict[str, str]) -> str | None:
    if me["organisation"] is not None:
        own: str = me["organisation"]["id"]
        return own if entered.get("whose") == _OWN else None
    name = entered.get("organisation", "")
    if not name:
        return None
    if entered.get("organisation_id") and entered.get("organisation_of") == name:
        return entered["organisation_id"]
    choice = await choose_organisation(api, name)
    if choice.chosen is not None:
        return str(choice.chosen["id"])
    text = "Выберите из похожих." if choice.found else "Такой организации нет."
    raise WrongSubmission({"organisation": text}, organisations=choice.found)
