"""The parameters that each action needs, as a request body."""

from dataclasses import dataclass, field
from typing import Any

from services.console.api_calls.client import Api, ApiProblem
from services.console.choices.organisation_choice import choose_organisation
from services.console.words.refusals import explained

ACTIONS = {
    "assign": "Назначить исполнителя",
    "transfer": "Передать в другую организацию",
    "close": "Закрыть обращения",
    "triage": "Решить, нужен ли ответ",
    "tags": "Изменить метки",
}
_BY_FIELD = {
    "/assignee_id": "Этому сотруднику назначить нельзя: выберите другого.",
    "/organisation_id": "Этой организации передать нельзя: она закрыта или не найдена.",
    "/reason": "Напишите причину одной строкой.",
    "/outcome": "Выберите итог.",
    "/topic_id": "Выберите другую тему.",
}
_TOO_MANY = "Обращений больше 5 000: столько за раз изменить нельзя. Сузьте отбор."
LIST_CHANGED = (
    "Пока вы заполняли форму, список изменился. Посмотрите, сколько в нём обращений теперь, и отправьте ещё раз."
)
TWO_UNFINISHED = "Две ваши операции ещё не закончены. Дождитесь одной из них и повторите."
_MAY_NOT = "У вас нет права на это действие с обращениями."


@dataclass
class WrongFields(Exception):  # noqa: N818
    """The errors of the form: by field, for the form as a whole, and the organisations to choose from."""

    fields: dict[str, str] = field(default_factory=dict)
    text: str = ""
    organisations: list[dict[str, Any]] = field(default_factory=list)


def reason_words(problem: ApiProblem) -> WrongFields:
    """Return why the API refused the operation."""
    fields = {pointer.lstrip("/"): _BY_FIELD[pointer] for pointer in problem.fields if pointer in _BY_FIELD}
    if "/filter" in problem.fields:
        return WrongFields(text=_TOO_MANY)
    if "/list_version" in problem.fields:
        return WrongFields(text=LIST_CHANGED)
    by_status = {403: _MAY_NOT, 412: LIST_CHANGED, 429: TWO_UNFINISHED}
    text = by_status.get(problem.status) or ("" if fields else explained(problem))
    return WrongFields(fields, text)


async def body_of(api: Api, action: str, fields: dict[str, str]) -> dict[str, Any]:
    """Return the parameters of the action. Raises `WrongFields` for missing or invalid values."""
    if action == "assign":
        return _assignment(fields)
    if action == "transfer":
        return await _organisation(api, fields) | _given(fields, "reason")
    if action == "close":
        return _given(fields, "reason", "outcome")
    return await _decision(api, fields)


def _given(fields: dict[str, str], *names: str) -> dict[str, Any]:
    return {name: fields[name] for name in names if fields.get(name)}


def _assignment(fields: dict[str, str]) -> dict[str, Any]:
    person = fields.get("assignee_id")
    if not person:
        raise WrongFields({"assignee_id": "Выберите сотрудника."})
    return {"assignee_id": None if person == "nobody" else person}


async def _organisation(api: Api, fields: dict[str, str], *, required: bool = True) -> dict[str, Any]:
    """Return the chosen organisation, or the only one that the typed name matches."""
    name, chosen = fields.get("organisation", ""), fields.get("organisation_id", "")
    if chosen and fields.get("organisation_of", "") == name:
        return {"organisation_id": chosen}
    if not name:
        if required:
            raise WrongFields({"organisation": "Укажите организацию."})
        return {}
    choice = await choose_organisation(api, name)
    if choice.chosen is not None:
        return {"organisation_id": choice.chosen["id"]}
    text = "Выберите из похожих." if choice.found else "Такой организации нет."
    raise WrongFields({"organisation": text}, organisations=choice.found)


async def _decision(api: Api, fields: dict[str, str]) -> dict[str, Any]:
    needed = fields.get("needs_answer")
    if needed not in {"yes", "no"}:
        raise WrongFields({"needs_answer": "Выберите, нужен ли ответ."})
    if needed == "no":
        return {"needs_answer": False}
    organisation = await _organisation(api, fields, required=False)
    found = {"needs_answer": True} | organisation | _given(fields, "topic_id", "urgency")
    return found | ({"confirm": True} if fields.get("confirm") else {})
