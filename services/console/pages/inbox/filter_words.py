"""Russian words for the filters of a list."""

from datetime import datetime, timedelta
from typing import Any

from services.console.choices.appeal_list_query import ListQuery
from services.console.words.formats import dated, dated_day
from services.console.words.labels import label
from shared.clock import REGION_TIME_ZONE

# Labels of boolean filters: for true and for false.
_STATES = {
    "overdue": ("просрочены", "не просрочены"),
    "returned": ("возвращались", "не возвращались"),
    "unanswered": ("ещё без ответа", "уже с ответом"),
    "on_approval": ("ответ на согласовании", "нет ответа на согласовании"),
    "reply_refused": ("ответ с замечаниями", "без замечаний"),
    "reply_failed": ("ответ не опубликован", "публикация без ошибок"),
    "in_incident": ("в инциденте", "не в инциденте"),
    "unread": ("не прочитаны", "прочитаны"),
    "watched": ("вы наблюдаете", "вы не наблюдаете"),
    "possible_other_matter": ("возможно, два вопроса", "вопрос один"),
}
_ASSIGNEE = {"me": "вы", "none": "не назначен"}
_NAMED = {
    "q": "слова",
    "tag": "метка",
    "settlement": "населённый пункт",
    "external_id": "номер в журнале",
    "number": "номер",
    "utility_failure": "неисправность",
}
# Filters whose value is an id: the title, and the label if the name is not known.
_REFERENCES = {
    "organisation_id": ("организация", "выбранная"),
    "topic_id": ("тема", "выбранная"),
    "municipality": ("муниципалитет", "выбранный"),
    "assignee_id": ("исполнитель", "выбранный сотрудник"),
    "incident_id": ("инцидент", "выбранный"),
    "author_key": ("гражданин", "выбранный"),
}


def chips(query: ListQuery, names: dict[str, str]) -> list[dict[str, str]]:
    """Return the active filters in words, each with the address of the list without it.

    `names` are those of organisations, topics, municipalities and people, by id or code.
    """
    return [
        {"text": _words(name, value, names), "address": query.without(name, value).address}
        for name, value in query.filters
    ]


def _words(name: str, value: str, names: dict[str, str]) -> str:
    if name in _STATES:
        return _STATES[name][value != "true"]
    if name in _LISTS:
        title, kind = _LISTS[name]
        return f"{title}: {label(value, kind)}"
    if name == "assignee":
        return f"исполнитель: {_ASSIGNEE.get(value, value)}"
    if name in _REFERENCES:
        title, unknown = _REFERENCES[name]
        return f"{title}: {names.get(value, unknown)}"
    if name in _MOMENTS:
        return _moment(name, value)
    return f"{_NAMED.get(name, 'другой отбор')}: {value}"


# Filters by an enumerated value: the title, and the kind of its labels.
_LISTS = {
    "status": ("статус", "appeal_status"),
    "urgency": ("срочность", "urgency"),
    "network": ("соцсеть", "network"),
    "source": ("поступило", "source"),
    "language": ("язык", "language"),
    "feedback": ("гражданин", "feedback"),
    "triage_reason": ("почему у модератора", "triage_reason"),
}
_MOMENTS = {"opened_from": "с", "opened_to": "до", "due_before": "срок до", "updated_since": "изменены после"}


def _moment(name: str, value: str) -> str:
    try:
        when = datetime.fromisoformat(value).astimezone(REGION_TIME_ZONE)
    except (ValueError, OverflowError):
        return f"{_MOMENTS[name]} {value}"
    if (when.hour, when.minute) != (0, 0):
        return f"{_MOMENTS[name]} {dated(when)}"
    if name == "opened_to":
        return f"по {dated_day(when - timedelta(days=1))}"
    return f"{_MOMENTS[name]} {dated_day(when)}"


def names_of(facets: dict[str, Any]) -> dict[str, str]:
    """Return the names of the values in the facets of a list, by id or code."""
    named = [one["value"] for kind in ("organisation", "topic_group", "municipality") for one in facets[kind]]
    return {one.get("id") or one["oktmo"]: one["name"] for one in named}


def names_in(appeals: list[dict[str, Any]]) -> dict[str, str]:
    """Return the names that the appeals of a list contain, by id or code."""
    names: dict[str, str] = {}
    for appeal in appeals:
        topic, location = appeal["topic"], appeal["location"]
        named = [appeal["assignee"], appeal["organisation"], topic, topic and topic["group"]]
        names |= {one["id"]: one["name"] for one in named if one is not None and one["id"]}
        if location is not None and location["municipality"] is not None:
            names[location["municipality"]["oktmo"]] = location["municipality"]["name"]
    return names
