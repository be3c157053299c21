"""The columns of an exported list of appeals, in Russian, for people who work with spreadsheets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any, get_args

from services.appeals.sla import breaches
from shared import clock
from shared.contracts.erasures import ERASED_TEXT
from shared.contracts.values import AppealOutcome, AppealStatus, FeedbackKind, Urgency
from shared.masking import mask

STATUSES: Mapping[str, str] = {
    "triage": "у модераторов",
    "assigned": "назначено",
    "in_progress": "в работе",
    "interim": "дан промежуточный ответ",
    "answered": "отвечено",
    "reopened": "открыто снова",
    "closed": "закрыто",
    "not_required": "ответ не требуется",
    "merged": "объединено с другим",
}
URGENCIES: Mapping[str, str] = {"normal": "обычная", "high": "высокая"}
OUTCOMES: Mapping[str, str] = {
    "solved": "решено",
    "explained": "разъяснено",
    "not_solved": "не решено",
    "postponed": "отложено",
}
FEEDBACK: Mapping[str, str] = {
    "thanks": "благодарит",
    "not_solved": "не решено",
    "mark": "поставил оценку",
    "silence": "промолчал",
}
# Every value must have a Russian word: without one, the service does not start.
for _words, _values in (
    (STATUSES, AppealStatus),
    (URGENCIES, Urgency),
    (OUTCOMES, AppealOutcome),
    (FEEDBACK, FeedbackKind),
):
    if missing := set(get_args(_values.__value__)) - _words.keys():
        raise RuntimeError(f"add a Russian word for {sorted(missing)}")

Cell = str | int | datetime | None


@dataclass(frozen=True)
class Column:
    """A column: heading, width in a spreadsheet in characters, and the function that returns a row's cell."""

    heading: str
    width: int
    cell: Callable[[SimpleNamespace], Cell]


def _address(row: SimpleNamespace) -> str | None:
    parts = (row.municipality_name, row.settlement, row.street, row.house)
    return ", ".join(part for part in parts if part) or None


def local_moment(moment: datetime | None) -> datetime | None:
    """Return the region's local time without an offset, which spreadsheets do not support; None for None."""
    return None if moment is None else moment.astimezone(clock.REGION_TIME_ZONE).replace(tzinfo=None)


def _attribute(name: str) -> Callable[[SimpleNamespace], Any]:
    return lambda row: getattr(row, name)


def _moment(name: str) -> Callable[[SimpleNamespace], datetime | None]:
    return lambda row: local_moment(getattr(row, name))


def _word(name: str, words: Mapping[str, str]) -> Callable[[SimpleNamespace], str | None]:
    return lambda row: words.get(getattr(row, name) or "")


COLUMNS = (
    Column("№", 10, _attribute("number")),
    Column("Статус", 22, _word("status", STATUSES)),
    Column("Срочность", 11, _word("urgency", URGENCIES)),
    Column("Просрочено", 11, lambda row: "да" if breaches.is_overdue(row, clock.now()) else None),
    Column("Следующий ответ до", 18, lambda row: local_moment(breaches.next_due_at(row))),
    Column("Организация", 40, _attribute("organisation")),
    Column("Исполнитель", 25, _attribute("assignee")),
    Column("Группа тем", 25, _attribute("topic_group")),
    Column("Тема", 30, _attribute("topic")),
    Column("Место", 40, _address),
    Column("Сеть или источник", 18, lambda row: row.network or row.source),
    Column("Написано", 18, _moment("written_at")),
    Column("Зарегистрировано", 18, _moment("opened_at")),
    Column("Первый ответ", 18, _moment("first_response_at")),
    Column("Окончательный ответ", 18, _moment("final_answer_at")),
    Column("Закрыто", 18, _moment("closed_at")),
    Column("Итог", 15, _word("outcome", OUTCOMES)),
    Column("Отклик гражданина", 18, _word("feedback_kind", FEEDBACK)),
    Column("Передач", 9, _attribute("transfers")),
    Column("Метки", 20, lambda row: ", ".join(row.tags) or None),
    Column("Текст", 80, lambda row: mask(row.text) if row.erased_at is None else ERASED_TEXT),
    Column("Ссылка", 40, _attribute("url")),
)
HEADINGS = [column.heading for column in COLUMNS]
# Cells of an erased appeal.
ERASED: Mapping[str, Cell] = dict.fromkeys(("Место", "Метки", "Ссылка")) | {"Текст": ERASED_TEXT}
