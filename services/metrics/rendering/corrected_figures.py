"""Names of corrected figures, made from their pointers into the document."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.metrics.rendering import figure_pointers
from services.metrics.rendering import russian_format as russian
from services.metrics.schemas.weekly_report import CorrectedFigure, ReportDocument

_NAMES: Final[Mapping[str, str]] = {
    "totals": "Каналы",
    "outcomes": "Исходы",
    "attention": "Требует внимания",
    "topics": "Темы",
    "municipalities": "Районы и города",
    "cells": "Темы × районы",
    "axes": "Показатели",
    "peer_groups": "Организации",
    "hard_appeals": "Сложные обращения",
    "promises": "Обещания",
    "coverage": "Охват страницами",
    "pages": "Страницы",
    "grades": "Оценки ответов",
    "gaps": "Пробелы в данных",
    "change": "изменение к прошлой неделе",
    "last_week": "прошлая неделя",
    "last_year": "год назад",
    "change_to_last_year": "изменение к прошлому году",
    "mean_of_8_weeks": "среднее за 8 недель",
    "share": "доля",
    "opened": "открыто",
    "answered": "отвечено",
    "waiting": "ждут ответа",
    "overdue": "просрочено",
    "closed_unanswered": "закрыто без ответа",
    "final_answered": "дан окончательный ответ",
    "interim": "промежуточный ответ",
    "solved": "решено",
    "not_required": "ответ не требуется",
    "in_triage": "ждут решения модератора",
    "count": "количество",
    "numerator": "из них",
    "denominator": "всего измерено",
    "low": "нижняя граница интервала",
    "high": "верхняя граница интервала",
    "responses": "ответов дано или ожидалось",
    "on_time": "в срок",
    "unanswered": "без ответа",
    "deleted": "удалено вопросов",
    "final_answers": "окончательных ответов",
    "canned": "повторов текста",
    "not_solved_said": "«не решено» от граждан",
    "score": "сглаженная доля в срок",
    "rank": "место среди сопоставимых",
    "due": "всего",
    "kept": "выполнены",
    "moved": "перенесены",
    "broken": "не выполнены",
    "open": "срок не наступил",
    "required": "должны вести",
    "exempt": "освобождены",
    "covered": "ведут",
    "live": "действуют",
    "percent": "охват",
    "scored": "оценено",
    "green": "зелёные",
    "yellow": "жёлтые",
    "red": "красные",
    "unknown": "мало данных",
    "lights_last_week": "прошлая неделя",
    "light_changes": "изменение к прошлой неделе",
    "number": "версия формулы",
    "green_from": "зелёная от",
    "yellow_from": "жёлтая от",
    "mean_score": "средний балл",
    "audience": "аудитория",
    "posts": "записей",
    "views": "просмотров",
    "interactions": "реакций",
    "engagement": "вовлечённость",
    "reach_pages": "страниц с охватом",
    "reach": "охват",
    "reach_share": "охват в процентах подписчиков",
    "mean_post_reach": "средний охват записи",
    "mean": "средний балл",
    "graded": "оценено ответов",
    "kappa": "согласие экспертов",
    "text": "текст",
    "reason": "причина",
}
# Parts of a pointer that add nothing to the name.
_SILENT: Final = frozenset(
    {"appeals", "measures", "organisations", "subtopics", "locations", "value", "groups", "formulas"}
)
_TITLES: Final = ("label", "title", "name", "text", "code", "network")


def figure_names(figures: Sequence[CorrectedFigure], document: ReportDocument) -> list[str]:
    """Return the names of the figures in words: «Темы: Здравоохранение: прошлая неделя»."""
    names = {definition.code: definition.name for definition in document.definitions}
    root = document.model_dump(mode="json")
    return [_figure_name(figure.pointer, root, names) for figure in figures]


def _figure_name(pointer: str, root: Any, names: Mapping[str, str]) -> str:
    node, words = root, []
    steps = figure_pointers.steps(pointer)
    for number, step in enumerate(steps):
        in_list = isinstance(node, list)
        node = figure_pointers.child(node, step)
        if in_list:
            words.append(_title(node, names) or names.get(step, step))
        elif step == "appeals" and number >= len(steps) - 2 and steps[-1] in {"appeals", "value"}:
            words.append("обращений")
        elif step not in _SILENT:
            words.append(_NAMES.get(step, step))
    return ": ".join(words)


def _title(node: Any, names: Mapping[str, str]) -> str | None:
    if not isinstance(node, dict):
        return None
    found = next((node[key] for key in _TITLES if node.get(key)), None)
    return names.get(str(found), str(found)) if found is not None else None


def figure_value(value: float | str | None) -> str:
    """Return the value of a corrected figure as text."""
    match value:
        case None:
            return russian.NO_DATA
        case str():
            return value
        case int():
            return russian.count(value)
        case _:
            return russian.decimal(value)
