"""The columns of an export in the layout of «Инцидент Менеджмент»: its headings and its words, so that tables and
programs made for its exports can read ours. Documented in docs/integrator/incident-layout.md.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.exports.columns import OUTCOMES, STATUSES, Cell, Column, local_moment
from services.appeals.settings import settings
from shared.contracts.erasures import ERASED_TEXT
from shared.masking import mask
from shared.tables.appeals import AppealMessage
from shared.tables.appeals_classification import Classification
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Message

_SOLVABLE = "Решаемый"
_INFORMATION = "Информационный"
# «Не решаемый» is a judgement of the moderators of «Инцидент Менеджмент», which ours do not make.
_TYPES: Mapping[str, str] = {"complaint": _SOLVABLE, "request": _SOLVABLE} | dict.fromkeys(
    ("question", "proposal", "thanks", "spam", "abuse", "chatter"), _INFORMATION
)
_ENDED = dict.fromkeys(("closed", "not_required", "merged"), "Готово")
_STEPS: Mapping[str, str] = (
    {status: word.capitalize() for status, word in STATUSES.items()}
    | _ENDED
    | {"answered": "Оценка удовлетворенности"}
)


async def add_details(session: AsyncSession, rows: Sequence[SimpleNamespace]) -> None:
    """Add to rows of the list what only this layout shows: `first_reply`, the text of the first published reply,
    and `message_type`, the type of the first message; each None if there is none.
    """
    ids = [row.id for row in rows]
    replies = await session.execute(
        select(Reply.appeal_id, Reply.text)
        .ext(distinct_on(Reply.appeal_id))
        .where(Reply.appeal_id.in_(ids), Reply.status == "published")
        .order_by(Reply.appeal_id, Reply.published_at, Reply.id)
    )
    types = await session.execute(
        select(AppealMessage.appeal_id, Classification.type)
        .ext(distinct_on(AppealMessage.appeal_id))
        .join(Message, Message.id == AppealMessage.message_id)
        .join(Classification, Classification.message_id == AppealMessage.message_id)
        .where(AppealMessage.appeal_id.in_(ids))
        .order_by(AppealMessage.appeal_id, Message.written_at, Message.id)
    )
    first_replies = {row.appeal_id: row.text for row in replies}
    message_types = {row.appeal_id: row.type for row in types}
    for row in rows:
        row.first_reply, row.message_type = first_replies.get(row.id), message_types.get(row.id)


def _duration(row: SimpleNamespace) -> str | None:
    """Return the time from the registration to the closing as that system writes it: `11 days 12:10:25`."""
    if row.closed_at is None:
        return None
    lasted: timedelta = row.closed_at - row.opened_at
    hours, seconds = divmod(lasted.seconds, 3600)
    return f"{lasted.days} days {hours:02}:{seconds // 60:02}:{seconds % 60:02}"


def _attribute(name: str) -> Callable[[SimpleNamespace], Any]:
    return lambda row: getattr(row, name)


INCIDENT_COLUMNS = (
    Column("Номер инцидента", 16, _attribute("number")),
    Column("Дата создания", 18, lambda row: local_moment(row.opened_at)),
    Column("Дата закрытия", 18, lambda row: local_moment(row.closed_at)),
    Column("Группа тем", 25, lambda row: row.topic_group or row.topic),
    Column("Тема", 30, lambda row: row.topic if row.topic_group is not None else None),
    Column("Регион", 20, lambda _row: settings().region_name or None),
    Column("Муниципалитет", 25, _attribute("municipality_name")),
    Column("Населённый пункт", 20, _attribute("settlement")),
    Column("Улица", 25, _attribute("street")),
    Column("Дом", 8, _attribute("house")),
    Column("Тип инцидента", 16, lambda row: _TYPES.get(row.message_type or "")),
    Column("Текущий шаг инцидента", 25, lambda row: _STEPS[row.status]),
    Column("Текст инцидента", 80, lambda row: mask(row.text) if row.erased_at is None else ERASED_TEXT),
    Column("Теги", 20, lambda row: ", ".join(row.tags) or None),
    Column("Отдел", 40, _attribute("organisation")),
    Column("Исполнитель", 25, _attribute("assignee")),
    Column("1ый ответ ПИ", 80, lambda row: mask(row.first_reply) or None if row.first_reply else None),
    Column("Время ответа", 18, lambda row: local_moment(row.first_response_at)),
    Column("Время с начала создания инцидента до окончания", 22, _duration),
    Column("Итог", 15, lambda row: OUTCOMES[row.outcome].capitalize() if row.outcome else None),
)
# Cells of an erased appeal.
INCIDENT_ERASED: Mapping[str, Cell] = dict.fromkeys(
    ("Муниципалитет", "Населённый пункт", "Улица", "Дом", "Теги", "1ый ответ ПИ")
) | {"Текст инцидента": ERASED_TEXT}
