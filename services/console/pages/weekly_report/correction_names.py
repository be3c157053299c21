"""Russian names for figures that changed after publication; the API gives their pointers into the document."""

from typing import Any

from services.console.pages.weekly_report.measure_texts import NO_DATA
from services.console.words.formats import count, decimal

_NAMES = {
    "totals": "Каналы", "outcomes": "Итоги", "attention": "Требует внимания", "topics": "Темы",
    "municipalities": "Муниципалитеты", "cells": "Темы по муниципалитетам", "axes": "Показатели",
    "peer_groups": "Организации", "promises": "Обещания", "coverage": "Охват страницами", "pages": "Страницы",
    "grades": "Оценки ответов", "gaps": "Пробелы в данных", "change": "изменение к прошлой неделе",
    "last_week": "прошлая неделя", "last_year": "год назад", "change_to_last_year": "изменение к прошлому году",
    "mean_of_8_weeks": "среднее за 8 недель", "share": "доля", "opened": "открыто", "answered": "отвечено",
    "waiting": "ждут ответа", "overdue": "просрочено", "closed_unanswered": "закрыто без ответа",
    "final_answered": "дан итоговый ответ", "interim": "промежуточный ответ", "solved": "решено",
    "not_required": "ответ не нужен", "in_triage": "ждут решения модератора", "count": "количество",
    "numerator": "из них", "denominator": "всего измерено", "low": "нижняя граница интервала",
    "high": "верхняя граница интервала", "responses": "ответов дано или ожидалось", "on_time": "в срок",
    "unanswered": "без ответа", "deleted": "удалено вопросов", "final_answers": "итоговых ответов",
    "canned": "повторов текста", "not_solved_said": "«не решено» от граждан", "score": "сглаженная доля в срок",
    "rank": "место среди сопоставимых", "due": "всего", "kept": "выполнены", "moved": "перенесены",
    "broken": "не выполнены", "open": "срок не наступил", "required": "должны вести", "exempt": "освобождены",
    "covered": "ведут", "live": "действуют", "percent": "охват", "scored": "оценено", "green": "зелёные",
    "yellow": "жёлтые", "red": "красные", "unknown": "мало данных", "lights_last_week": "прошлая неделя",
    "light_changes": "изменение к прошлой неделе", "number": "версия формулы", "green_from": "зелёная от",
    "yellow_from": "жёлтая от", "mean_score": "средний балл", "mean": "средний балл",
    "audience": "аудитория", "posts": "записей", "views": "просмотров", "interactions": "реакций",
    "engagement": "вовлечённость", "engagement_of": "на сто", "reach_pages": "страниц с охватом",
    "reach": "охват", "reach_share": "охват в процентах подписчиков", "mean_post_reach": "средний охват записи",
    "graded": "оценено ответов", "kappa": "согласие экспертов", "text": "текст", "reason": "причина",
}  # fmt: skip
# Parts of a pointer that add nothing to the name.
_SILENT = frozenset({"measures", "organisations", "subtopics", "locations", "value", "groups", "formulas"})
# An element of a list is identified by the first of these fields that it has.
_KEYS = (
    "channel", "code", "topic_group_id", "oktmo", "organisation_id", "network", "axis", "page_id", "number",
    "name",
)  # fmt: skip
_TITLES = ("label", "title", "name", "text", "code")


def correction_rows(answer: dict[str, Any]) -> list[dict[str, str]]:
    """Return the corrections of a report: the figure's name, its published value, and its value from today's
    data.
    """
    report = answer["report"]
    names = {definition["code"]: definition["name"] for definition in report["definitions"]}
    return [
        {
            "name": _name(figure["pointer"], report, names),
            "published": _figure(figure["published"]),
            "now": _figure(figure["now"]),
        }
        for figure in answer["corrections"]
    ]


def _name(pointer: str, node: Any, names: dict[str, str]) -> str:
    words = []
    for step in (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]):
        if isinstance(node, list):
            node = next((one for index, one in enumerate(node) if _key(one, index) == step), None)
            words.append(names.get(step) or _title(node) or _NAMES.get(step, "запись, которой больше нет"))
            continue
        node = node.get(step) if isinstance(node, dict) else None
        if step == "appeals":
            words.append("обращений")
        elif step not in _SILENT:
            words.append(_NAMES.get(step, "показатель"))
    return ": ".join(words)


def _key(element: Any, index: int) -> str:
    if isinstance(element, dict):
        for name in _KEYS:
            if name in element:
                return "none" if element[name] is None else str(element[name])
    return str(index)


def _title(node: Any) -> str | None:
    return next((str(node[name]) for name in _TITLES if node.get(name)), None) if isinstance(node, dict) else None


def _figure(value: float | str | None) -> str:
    if value is None:
        return NO_DATA
    if isinstance(value, str):
        return value
    return count(value) if isinstance(value, int) else decimal(value)
