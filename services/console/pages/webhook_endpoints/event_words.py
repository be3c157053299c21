"""Russian words for the event types that a system can subscribe to."""

from collections.abc import Iterable
from dataclasses import dataclass

EVENTS = {
    "Обращения": {
        "appeal.opened": "открыто обращение",
        "appeal.message_added": "гражданин написал ещё",
        "appeal.message_split_off": "сообщение выделено в отдельное обращение",
        "appeal.assigned": "назначена организация",
        "appeal.moved": "сменился статус",
        "appeal.reclassified": "изменились тема, место или срочность",
        "appeal.answered": "дан ответ",
        "appeal.overdue": "срок прошёл",
        "appeal.clock_paused": "отсчёт срока приостановлен",
        "appeal.clock_resumed": "отсчёт срока продолжен",
        "appeal.deadline_near": "подходит срок",
        "appeal.escalated": "эскалация",
        "appeal.deadline_changed": "срок сдвинулся",
        "appeal.extension_approved": "срок продлён",
        "appeal.closed": "обращение закрыто",
        "appeal.merged": "обращения объединены",
        "appeal.unmerged": "объединение отменено",
        "appeal.reopened": "обращение снова открыто",
        "appeal.feedback_received": "получен отзыв гражданина",
        "appeal.feedback_corrected": "разбор отзыва исправлен",
    },
    "Ответы и обещания": {
        "reply.failed": "ответ не опубликован",
        "reply.edited": "ответ исправлен",
        "reply.withdrawn": "ответ удалён из соцсети",
        "reply.change_failed": "ответ не удалось исправить или удалить",
        "promise.made": "дано обещание",
        "promise.reminded": "до обещанного дня остался рабочий день",
        "promise.kept": "обещание выполнено",
        "promise.moved": "обещание перенесено",
        "promise.broken": "обещание не выполнено",
    },
    "Инциденты и тревоги": {
        "incident.opened": "открыт инцидент",
        "incident.grown": "инцидент вырос",
        "incident.closed": "инцидент закрыт",
        "alert.raised": "тревога модератору",
    },
    "Сообщения и сбор": {
        "message.deleted": "сообщение удалено в соцсети",
        "author.erased": "персональные данные гражданина удалены",
        "source.gap_found": "сверка нашла пропуск",
        "network_token.state_changed": "изменилось состояние ключа доступа",
    },
    "Страницы и организации": {
        "page.registered": "подключена страница",
        "page.changed": "изменилась запись страницы",
        "page.transferred": "страница передана другой организации",
        "page.step_reached": "пройден шаг",
        "page.step_lost": "шаг утрачен",
        "page.badge_lost": "потеряна отметка",
        "page.closed": "страница закрыта",
        "page.gone": "страницы больше нет в соцсети",
        "page.renamed": "страница переименована",
        "page.takeover_suspected": "похоже на захват страницы",
        "organisation.succession_recorded": "записано правопреемство",
    },
    "Отчёты": {"report.ready": "опубликован недельный отчёт"},
    "Подписки": {"webhook.endpoint_disabled": "другая подписка отключена: получатель не отвечает"},
}
_WORDS = {name: words for group in EVENTS.values() for name, words in group.items()} | {
    "webhook.test": "проверка",
    "webhook.verification": "проверка адреса",
}


def event_words(event_type: str) -> str:
    """Return the Russian label of an event type; its name if it has no label."""
    return _WORDS.get(event_type, event_type)


@dataclass(frozen=True)
class EventGroup:
    """Event types of one kind, as options."""

    title: str
    types: list[tuple[str, str]]


def event_groups(allowed: Iterable[str]) -> list[EventGroup]:
    """Return the allowed event types, grouped by kind; those without a label form the last group."""
    left = dict.fromkeys(allowed)
    groups = []
    for title, types in EVENTS.items():
        found = [(name, words) for name, words in types.items() if name in left]
        if found:
            groups.append(EventGroup(title, found))
    other = [name for name in left if name not in _WORDS]
    return [*groups, *([EventGroup("Другие", [(name, name) for name in other])] if other else [])]
