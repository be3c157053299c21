"""The content of a letter, in Russian: subject, and notices by kind. It has no texts of citizens or staff."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from services.webhooks.notices.relevance import Line
from services.webhooks.schemas.notices import NoticeKind
from shared.russian import MONTHS, plural

# The maximum number of notices shown in a letter, so that it stays readable; the rest are only counted.
MAX_SHOWN = 50
MAX_NAME_LENGTH = 160
KIND_TITLES: dict[NoticeKind, str] = {
    NoticeKind.ESCALATION: "Нужно ваше внимание",
    NoticeKind.ASSIGNMENT: "Назначения",
    NoticeKind.RETURN: "Возвраты",
    NoticeKind.REPLY_FAILED: "Неопубликованные ответы",
    NoticeKind.APPROVAL: "Ждут согласования",
    NoticeKind.MENTION: "Упоминания",
    NoticeKind.WARNING: "Предупреждения о сроке",
    NoticeKind.REPORT: "Еженедельный отчёт",
}
_COUNTED: dict[NoticeKind, tuple[str, str, str]] = {
    NoticeKind.ASSIGNMENT: ("назначение", "назначения", "назначений"),
    NoticeKind.WARNING: ("предупреждение о сроке", "предупреждения о сроке", "предупреждений о сроке"),
    NoticeKind.RETURN: ("возврат", "возврата", "возвратов"),
    NoticeKind.MENTION: ("упоминание", "упоминания", "упоминаний"),
    NoticeKind.ESCALATION: ("эскалация", "эскалации", "эскалаций"),
    NoticeKind.APPROVAL: ("согласование", "согласования", "согласований"),
    NoticeKind.REPLY_FAILED: ("неопубликованный ответ", "неопубликованных ответа", "неопубликованных ответов"),
}
_NOTICES = ("уведомление", "уведомления", "уведомлений")
_WEEKDAYS = ("пн", "вт", "ср", "чт", "пт", "сб", "вс")
_CLOCKS = {
    "first_response": "первого ответа",
    "next_response": "ответа",
    "final_answer": "окончательного ответа",
    "promise": "обещанного ответа",
}
_OF_EVENTS = {
    "appeal.assigned": "Назначено вашей организации",
    "appeal.reopened": "Снова ждёт ответа",
    "appeal.moved": "Организация вернула обращение в центр",
    "reply.refused": "Ответ возвращён на доработку",
    "appeal.note_added": "Вас упомянули в заметке",
    "reply.approval_requested": "Ответ ждёт согласования",
    "appeal.extension_requested": "Организация просит продлить срок",
    "reply.failed": "Ответ не опубликован: исправьте его и отправьте снова",
}
_FAILED_CHANGES = {
    "edit": "Исправить опубликованный ответ не удалось",
    "withdrawal": "Отозвать опубликованный ответ не удалось",
}


@dataclass(frozen=True)
class Item:
    """A notice as the letter shows it."""

    number: int
    what: str
    organisation: str
    topic: str | None
    urgent: bool
    due: str | None
    url: str


@dataclass(frozen=True)
class Group:
    """The notices of one kind: those shown, and how many more there are."""

    title: str
    items: Sequence[Item]
    count: int

    @property
    def more(self) -> str | None:
        """Return how many notices of the group are not shown, in words."""
        left = self.count - len(self.items)
        return f"…и ещё {left} {plural(left, _NOTICES)}" if left else None


@dataclass(frozen=True)
class Letter:
    """A letter with notices, before it is rendered."""

    subject: str
    title: str
    preview: str
    groups: Sequence[Group]
    count: int


def compose(lines: Sequence[Line], *, front_end_url: str, zone: ZoneInfo, now: datetime) -> Letter:
    """Return the letter with these notices, at least one. Times are shown in `zone`."""
    kinds = [kind for kind in KIND_TITLES if any(line.kind is kind for line in lines)]
    shown = 0
    groups = []
    for kind in kinds:
        of_kind = sorted((line for line in lines if line.kind is kind), key=_order)
        taken = of_kind[: max(MAX_SHOWN - shown, 0)]
        shown += len(taken)
        items = [_item(line, front_end_url, zone, now) for line in taken]
        groups.append(Group(KIND_TITLES[kind], items, len(of_kind)))
    total = f"{len(lines)} {plural(len(lines), _NOTICES)}"
    if len(lines) == 1:
        item = groups[0].items[0]
        subject = f"№ {item.number}: {_lower_first(item.what)}"
        preview = f"{item.organisation}. Срок: {item.due}" if item.due else item.organisation
        return Letter(subject, total, preview, groups, 1)
    counts = ", ".join(
        f"{group.count} {plural(group.count, _COUNTED[kind])}" for kind, group in zip(kinds, groups, strict=True)
    )
    subject = f"Госпаблик: {counts}" if len(kinds) == 1 else f"{total}: {counts}"
    return Letter(subject, total, counts, groups, len(lines))


def safe_name(name: str, max_length: int = MAX_NAME_LENGTH) -> str:
    """Return a name shortened to one line, without control characters and marks that reorder text."""
    kept = "".join(
        " " if unicodedata.category(character) in {"Cc", "Zl", "Zp"} else character
        for character in name
        if unicodedata.category(character) not in {"Cf", "Cs", "Co", "Cn"}
    )
    line = " ".join(kept.split())
    return line if len(line) <= max_length else line[: max_length - 1].rstrip() + "…"


def local_time(moment: datetime, zone: ZoneInfo) -> str:
    """Return a moment in local time as Russian text: «вт, 3 марта, 17:40»."""
    local = moment.astimezone(zone)
    return f"{_WEEKDAYS[local.weekday()]}, {local.day} {MONTHS[local.month - 1]}, {local:%H:%M}"


def _order(line: Line) -> tuple[bool, bool, datetime | None, int]:
    """Return the sort key of a line: urgent first, then by deadline, lines without a deadline last."""
    return (not line.urgent, line.due_at is None, line.due_at, line.number)


def _item(line: Line, front_end_url: str, zone: ZoneInfo, now: datetime) -> Item:
    return Item(
        number=line.number,
        what=_what(line, now),
        organisation=safe_name(line.organisation) if line.organisation else "Центр управления регионом",
        topic=safe_name(line.topic) if line.topic else None,
        urgent=line.urgent,
        due=local_time(line.due_at, zone) if line.due_at else None,
        url=f"{front_end_url.rstrip('/')}/appeals/{line.appeal_id}",
    )


def _what(line: Line, now: datetime) -> str:
    match line.event_type:
        case "appeal.assignee_changed":
            return "Назначено вам"
        case "appeal.deadline_near" | "promise.reminded" | "appeal.escalated":
            late = line.due_at is not None and line.due_at <= now
            return f"{'Прошёл' if late else 'Подходит'} срок {_CLOCKS[line.details['clock']]}"
        case "reply.change_failed":
            return _FAILED_CHANGES[line.details["change"]]
    return _OF_EVENTS[line.event_type]


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
