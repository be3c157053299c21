"""Russian words for closed lists of values of the API. The glossary has the terms."""

from services.console.site.moderation_labels import MODERATION_LABELS
from services.console.site.registry_labels import REGISTRY_LABELS
from services.console.site.system_labels import SYSTEM_LABELS

APPEAL_STATUS = {
    "triage": "у модератора",
    "assigned": "назначено",
    "in_progress": "в работе",
    "interim": "промежуточный ответ",
    "answered": "отвечено",
    "reopened": "возвращено",
    "closed": "закрыто",
    "not_required": "ответ не нужен",
    "merged": "объединено",
}
REPLY_STATUS = {
    "draft": "черновик",
    "on_approval": "на согласовании",
    "queued": "в очереди на публикацию",
    "sending": "публикуется",
    "uncertain": "проверяем, опубликован ли",
    "published": "опубликован",
    "failed": "не опубликован",
}
REPLY_KIND = {"final": "итоговый ответ", "interim": "промежуточный ответ"}
URGENCY = {"normal": "обычное", "high": "срочное"}
NETWORK = {"vk": "ВКонтакте", "ok": "Одноклассники"}
OUTCOME = {"solved": "решено", "explained": "разъяснено", "not_solved": "не решено", "postponed": "отложено"}
# Channels of appeals: a network, or the source of one without; other systems go by their own names.
CHANNEL = NETWORK | {
    "pos": "Госуслуги",
    "phone": "телефон",
    "reception": "личный приём",
    "letter": "письма",
    "manual": "внесены вручную",
}
PROMISE_STATUS = {"open": "ждём", "kept": "выполнено", "moved": "перенесено", "broken": "не выполнено"}

LABELS = {
    "channel": CHANNEL,
    "promise_status": PROMISE_STATUS,
    "appeal_status": APPEAL_STATUS,
    "reply_status": REPLY_STATUS,
    "reply_kind": REPLY_KIND,
    "urgency": URGENCY,
    "network": NETWORK,
    "outcome": OUTCOME,
    **REGISTRY_LABELS,
    **MODERATION_LABELS,
    **SYSTEM_LABELS,
}


def label(value: str | None, kind: str) -> str:
    """Return the Russian word of a value, or the value itself where no word is known yet; a dash for None."""
    return "—" if value is None else LABELS[kind].get(value, value)
