"""The rows that the figures count, as tables of the workbook with Russian headings and names."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.fairness.peer_groups import PeerGroup
from services.metrics.indicators.channels import channel_name
from services.metrics.rendering.counted_rows import RowColumn, RowKind, RowTable, RowValue
from services.metrics.report_populations.catalogue import POPULATIONS
from services.metrics.report_populations.report_rows import read_all_rows
from services.metrics.report_populations.reported_time import ReportedTime
from services.metrics.schemas.weekly_report import ReportPopulation
from services.metrics.weekly_report.printed_names import Labels, read_labels
from shared.clock import REGION_TIME_ZONE

# A workbook with more rows opens slowly; a CSV file may have more.
MAX_ROWS = 20_000
TITLES: Mapping[ReportPopulation, str] = {
    ReportPopulation.OPENED: "Строки – обращения недели",
    ReportPopulation.RESPONSES: "Строки – ответы и сроки",
    ReportPopulation.OVERDUE: "Строки – просрочено",
    ReportPopulation.ANSWERS: "Строки – опубликованные ответы",
    ReportPopulation.PROMISES: "Строки – обещания",
    ReportPopulation.DELETED: "Строки – удалённые вопросы",
    ReportPopulation.CLOSED_UNANSWERED: "Строки – закрыто без ответа",
    ReportPopulation.FEEDBACK: "Строки – отзывы граждан",
    ReportPopulation.PAGES: "Строки – страницы",
}
_COMMON: tuple[tuple[str, str, RowKind], ...] = (
    ("number", "Обращение", "count"),
    ("at", "Когда", "moment"),
    ("channel", "Канал", "text"),
    ("organisation_id", "Организация", "text"),
    ("oktmo", "Муниципалитет", "text"),
    ("topic_group_id", "Группа тем", "text"),
    ("topic_id", "Тема", "text"),
)
# These columns are empty for pages.
_OF_APPEALS = ("number", "topic_group_id", "topic_id")
_OWN: Mapping[str, tuple[str, RowKind]] = {
    "state": ("Состояние на конец недели", "text"),
    "final_answered": ("Есть окончательный ответ", "text"),
    "solved": ("Решено", "text"),
    "first_response_at": ("Первый ответ", "moment"),
    "first_response_due_at": ("Срок первого ответа", "moment"),
    "final_answer_at": ("Окончательный ответ", "moment"),
    "closed_at": ("Закрыто (сейчас)", "moment"),
    "kind": ("Вид", "text"),
    "due_at": ("Срок", "moment"),
    "stopped_at": ("Ответ дан", "moment"),
    "decided": ("Учтён за неделю", "text"),
    "on_time": ("В срок", "text"),
    "answered": ("Отвечен к концу недели", "text"),
    "given": ("Дан за неделю", "text"),
    "closed_before_due": ("Закрыто без ответа до срока", "text"),
    "working_seconds": ("Рабочее время, с", "count"),
    "complaint": ("Жалоба", "text"),
    "origin": ("Откуда ответ", "text"),
    "outcome": ("Итог", "text"),
    "checked": ("Проверен", "text"),
    "without_substance": ("Нет действия или даты", "text"),
    "without_contact": ("Нет контакта", "text"),
    "beside_the_point": ("Не о том", "text"),
    "with_proof": ("С вложением", "text"),
    "comparable": ("Сравнивается с другими текстами", "text"),
    "canned": ("Текст повторяется", "text"),
    "status": ("Обещание", "text"),
    "page": ("Страница", "text"),
    "peer_group": ("Группа сопоставимых организаций", "text"),
    "light": ("Светофор", "text"),
    "score": ("Балл", "decimal"),
    "light_last_week": ("Светофор неделей раньше", "text"),
    "score_last_week": ("Балл неделей раньше", "decimal"),
    "score_change": ("Изменение балла", "decimal"),
    "last_post_at": ("Последняя запись", "moment"),
    "formula": ("Версия формулы", "count"),
    "mark": ("Оценка", "count"),
}
_WORDS: Mapping[str, str] = {
    "answered": "отвечено",
    "waiting": "ждёт ответа",
    "overdue": "просрочено",
    "closed_unanswered": "закрыто без ответа",
    "first_response": "первый ответ",
    "next_response": "ответ на новое сообщение",
    "final_answer": "окончательный ответ",
    "final": "окончательный",
    "interim": "промежуточный",
    "solved": "решено",
    "explained": "разъяснено",
    "not_solved": "не решено",
    "postponed": "отложено",
    "open": "ждёт",
    "kept": "выполнено",
    "moved": "перенесено",
    "broken": "не выполнено",
    "gospablik": "написан здесь",
    "network": "написан в соцсети",
    "recorded": "внесён со слов",
    "thanks": "благодарность",
    "mark": "оценка",
    "green": "зелёный",
    "yellow": "жёлтый",
    "red": "красный",
    "unknown": "мало данных",
}


async def read_row_tables(session: AsyncSession, time: ReportedTime) -> dict[str, RowTable]:
    """Return the rows of each population as a table, at most `MAX_ROWS` per population."""
    labels = await read_labels(session)
    tables = {}
    for population in POPULATIONS:
        names, rows = await read_all_rows(session, population, time, MAX_ROWS)
        tables[str(population)] = _table(population, names, rows, labels)
    return tables


def _table(
    population: ReportPopulation, names: Sequence[str], rows: Sequence[Row[Any]], labels: Labels
) -> RowTable:
    common = [one for one in _COMMON if population is not ReportPopulation.PAGES or one[0] not in _OF_APPEALS]
    own = [name for name in names if name in _OWN]
    columns = [RowColumn(heading, kind) for _, heading, kind in common]
    columns += [RowColumn(*_OWN[name]) for name in own]
    shown = [*(name for name, _, _ in common), *own]
    return RowTable(
        TITLES[population], columns, [[_cell(name, row._mapping[name], labels) for name in shown] for row in rows]
    )


def _cell(name: str, value: Any, labels: Labels) -> RowValue:
    if value is None:
        return None
    if isinstance(value, bool):
        return "да" if value else "нет"
    if isinstance(value, datetime):
        return value.astimezone(REGION_TIME_ZONE)
    named = _NAMED.get(name)
    found: RowValue = value if named is None else named(value, labels)
    return found


def _organisation(organisation_id: UUID, labels: Labels) -> str:
    found = labels.organisations.get(organisation_id)
    return str(organisation_id) if found is None else found.name


def _topic(topic_id: UUID, labels: Labels) -> str:
    return labels.topics.get(topic_id, str(topic_id))


def _word(value: str, _labels: Labels) -> str:
    return _WORDS.get(value, value)


# The formatting of values by column; other values are printed unchanged.
_NAMED: Mapping[str, Callable[[Any, Labels], str]] = {
    "channel": lambda channel, _labels: channel_name(channel),
    "organisation_id": _organisation,
    "topic_group_id": _topic,
    "topic_id": _topic,
    "oktmo": lambda oktmo, labels: labels.municipality(oktmo),
    "peer_group": lambda code, _labels: PeerGroup(code).label,
    **dict.fromkeys(("state", "kind", "origin", "outcome", "status", "light", "light_last_week"), _word),
}
