"""Russian texts for rights: what each allows, and who has it."""

import re
from collections.abc import Mapping

from services.console.words.labels import label
from shared.auth.rights import CENTRE_ROLES, RIGHTS, Right, Role

# These texts follow «нельзя».
RIGHT_WORDS: Mapping[Right, str] = {
    Right.REGISTRY_READ: "смотреть реестр",
    Right.REGISTRY_WRITE: "менять реестр и подключать страницы",
    Right.PAGES_CONFIRM: "подтверждать шаги страницы",
    Right.PEOPLE_READ: "видеть, у кого есть доступ",
    Right.PEOPLE_MANAGE: "давать людям доступ",
    Right.CLIENTS_READ: "видеть клиентов API",
    Right.CLIENTS_MANAGE: "заводить и менять клиентов API",
    Right.MESSAGES_READ: "читать собранные сообщения",
    Right.SOURCES_READ: "видеть, как собираются сообщения",
    Right.SOURCES_INSPECT: "видеть ключи доступа и карантин",
    Right.SOURCES_MANAGE: "вводить ключи доступа и управлять сбором",
    Right.APPEALS_READ: "читать обращения",
    Right.APPEALS_OPEN: "записывать новые обращения",
    Right.APPEALS_TRIAGE: "решать за модератора",
    Right.APPEALS_WORK: "работать с обращениями",
    Right.APPEALS_ANSWER: "писать ответы",
    Right.REPLIES_APPROVE: "согласовывать ответы",
    Right.REPLIES_WITHDRAW: "удалять ответы из соцсети",
    Right.ASSIGNEES_MANAGE: "назначать исполнителей вместо коллег",
    Right.APPEALS_PAUSE: "останавливать срок",
    Right.EXTENSIONS_APPROVE: "продлевать срок",
    Right.CLASSIFICATIONS_READ: "видеть разбор сообщений",
    Right.RULES_MANAGE: "менять правила и нормативы",
    Right.METRICS_READ: "смотреть показатели",
    Right.REPORTS_READ: "читать отчёт за неделю",
    Right.ANSWERS_GRADE: "оценивать ответы",
    Right.GRADES_OBJECT: "возражать против оценок",
    Right.WEBHOOKS_READ: "видеть вебхуки",
    Right.WEBHOOKS_MANAGE: "настраивать вебхуки",
    Right.WEBHOOKS_CONSENT: "разрешать передачу персональных данных",
    Right.EVENTS_READ: "следить за событиями",
    Right.AUDIT_READ: "читать журнал действий",
    Right.PERSONAL_DATA_ERASE: "удалять персональные данные",
}
_NAMED = re.compile(r"right «([a-z_:]+)»")


def holders(right: Right) -> list[str]:
    """Return the roles that have the right, in Russian, roles of the centre first."""
    having = [role for role in Role if right in RIGHTS[role]]
    return [label(role, "role") for role in sorted(having, key=lambda role: role not in CENTRE_ROLES)]


def lacking_right(detail: str) -> str | None:
    """Return which right is missing, who has it and whom to ask; None if the API's detail names no known right."""
    named = _NAMED.search(detail)
    if named is None or named[1] not in RIGHT_WORDS:
        return None
    right = Right(named[1])
    return (
        f"Вам нельзя {RIGHT_WORDS[right]}. Это могут: {', '.join(holders(right))}. Попросите кого-то из них, "
        "а если это ваша работа — попросите доступ: в организации у руководителя, в центре у эксплуатации."
    )
