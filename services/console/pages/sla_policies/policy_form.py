"""The form for an SLA policy: hours, units and shares as text."""

from collections.abc import Mapping
from typing import Any

from services.console.api_calls.client import ApiProblem
from services.console.choices.choices_by_name import Choice
from services.console.site.forms import is_day, number, start_of_day

_CONDITIONS = ("urgency", "organisation_kind", "channel", "legal_regime")
_UNITS = ("first_response_unit", "resolution_unit", "promise_unit", "return_unit")
_HOURS = ("first_response_hours", "resolution_hours")
_OPTIONAL_HOURS = ("ceiling_hours", "promise_hours", "return_hours")
_LATE = ("manager_hours", "centre_hours", "deputy_head_hours")
CLOCKS = ("final_answer", "first_response", "next_response")
NEW_POLICY: dict[str, str] = {
    "first_response_hours": "9",
    "resolution_hours": "56",
    "promise_hours": "56",
    "starts_from": "received",
    "warn_at": "50, 80",
    "executor_share": "80",
    "manager_hours": "0",
    "centre_hours": "4",
    "deputy_head_hours": "9",
    "extend_final_answer_count": "2",
    "extend_final_answer_hours": "40",
    **dict.fromkeys(_UNITS, "working"),
}
_WRONG_NUMBER = "Введите число больше нуля, например 8 или 4,5."
_WRONG_LATE = "Введите число часов, 0 — сразу. Пусто — никогда."
_WRONG_SHARE = "Введите проценты от 1 до 99."
_WRONG_EXTENSION = "Введите и сколько раз, и на сколько часов. Пусто — продлевать нельзя."
_FAULTS = {
    "/name": "Введите название норматива.",
    "/valid_from": "Норматив не может начаться в прошлом.",
    "/resolution_hours": "Итоговый ответ не может быть раньше первого.",
    "/warn_at": "Доли должны расти и не повторяться.",
    "/escalation": "Сначала узнаёт руководитель организации, затем центр, затем заместитель главы.",
    "/channel": "Такого канала нет.",
}
_OTHER_FAULT = "Слишком большое число или неверное значение."


def entered_values(form: Mapping[str, Any]) -> dict[str, str]:
    """Return the entered values as text."""
    return {name: str(value).strip() for name, value in form.items() if name not in {"key", "version"}}


def policy_values(policy: Mapping[str, Any]) -> dict[str, str]:
    """Return a version as the form's values; the start is left empty, because a new version begins now."""
    names = ("name", "starts_from", *_CONDITIONS, *_UNITS)
    values = {name: str(policy[name] or "") for name in names}
    values |= {name: _plain(policy[name]) for name in (*_HOURS, *_OPTIONAL_HOURS)}
    escalation = policy["escalation"]
    values |= {name: _plain(escalation[name]) for name in _LATE}
    values["executor_share"] = _percent(escalation["executor_share"])
    values["warn_at"] = ", ".join(_percent(share) for share in policy["warn_at"])
    for clock, limit in policy["extensions"].items():
        if limit is not None:
            values |= {
                f"extend_{clock}_count": str(limit["count"]),
                f"extend_{clock}_hours": _plain(limit["hours"]),
            }
    return values


def policy_body(values: Mapping[str, str], topic: Choice) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the policy as a request body, and errors by field."""
    faults: dict[str, str] = {}
    body: dict[str, Any] = {name: values[name] for name in (*_CONDITIONS, *_UNITS) if values.get(name)}
    body["topic_id"] = topic.id
    if topic.error:
        faults["topic"] = topic.error
    body["name"] = values.get("name", "")
    body["starts_from"] = values.get("starts_from") or "received"
    if not body["name"]:
        faults["name"] = _FAULTS["/name"]
    for name in (*_HOURS, *_OPTIONAL_HOURS):
        if values.get(name) or name in _HOURS:
            body[name] = number(values.get(name, ""))
            if not body[name] or body[name] <= 0:
                faults[name] = _WRONG_NUMBER
    body["escalation"] = _escalation(values, faults)
    body["warn_at"] = _shares(values.get("warn_at", ""), faults)
    body["extensions"] = {clock: _extension(values, clock, faults) for clock in CLOCKS}
    if values.get("valid_from"):
        body["valid_from"] = start_of_day(values["valid_from"])
        if not is_day(values["valid_from"]):
            faults["valid_from"] = "Выберите день."
    return body, faults


def policy_faults(problem: ApiProblem) -> dict[str, str]:
    """Return texts for the fields that the API refused, by their names in the form."""
    found = {}
    for pointer in problem.fields:
        name = pointer.strip("/").replace("escalation/", "").replace("extensions/", "extend_").replace("/", "_")
        found[name] = _FAULTS.get(pointer, _OTHER_FAULT)
    return found


def _escalation(values: Mapping[str, str], faults: dict[str, str]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in _LATE:
        found[name] = number(values[name]) if values.get(name) else None
        if values.get(name) and (found[name] is None or (found[name] or 0) < 0):
            faults[name] = _WRONG_LATE
    shares = _shares(values.get("executor_share", ""), faults, name="executor_share")
    return found | {"executor_share": shares[0] if shares else None}


def _shares(text: str, faults: dict[str, str], *, name: str = "warn_at") -> list[float]:
    found = [number(part.strip(" %")) for part in text.replace(";", ",").split(",") if part.strip()]
    if any(share is None or not 0 < share < 100 for share in found):
        faults[name] = _WRONG_SHARE
    return [round(share / 100, 4) for share in found if share is not None]


def _extension(values: Mapping[str, str], clock: str, faults: dict[str, str]) -> dict[str, float] | None:
    written = values.get(f"extend_{clock}_count", ""), values.get(f"extend_{clock}_hours", "")
    if not any(written):
        return None
    times, hours = number(written[0]), number(written[1])
    if not times or not hours or times != int(times):
        faults[f"extend_{clock}_hours"] = _WRONG_EXTENSION
        return None
    return {"count": int(times), "hours": hours}


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:g}".replace(".", ",")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:g}"
