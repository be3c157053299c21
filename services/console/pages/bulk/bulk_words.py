"""Russian words for bulk operations, for the outcomes of their appeals, and for refusals."""

from typing import Any

from services.console.api_calls.client import ApiProblem
from services.console.words.refusals import explained

OPERATIONS = {
    "assign": "Назначение исполнителя",
    "transfer": "Передача в другую организацию",
    "close": "Закрытие обращений",
    "triage": "Решение модератора",
    "undo": "Отмена операции",
}
OUTCOMES = {"done": "изменено", "refused": "не изменено", "unchanged": "уже было так", "pending": "в очереди"}
_BY_SLUG = {
    "not-found": "Обращения нет, или оно вам больше не видно.",
    "forbidden": "Это обращение у коллеги: передать его может руководитель или модератор.",
    "precondition-failed": "После операции обращение изменили: верните его вручную.",
    "conflict": "В нынешнем статусе обращения так сделать нельзя.",
    "internal": "Внутренняя ошибка. Повторите для этого обращения.",
}
_BY_FIELD = {
    "/assignee_id": "Сотрудник не работает с обращениями этой организации.",
    "/organisation_id": "Этой организации обращение передать нельзя: она уже занималась им или закрыта.",
    "/reason": "Нужна причина.",
    "/topic_id": "Эту тему указать нельзя.",
    "/list_version": "После того как вы открыли форму, в обращение пришло сообщение: прочитайте его.",
}


def refused_words(problem: dict[str, Any] | None) -> str:
    """Return why an appeal was not changed; empty if it was changed."""
    if problem is None:
        return ""
    for error in problem["errors"] or ():
        if error["pointer"] in _BY_FIELD:
            return _BY_FIELD[error["pointer"]]
    refusal = ApiProblem(problem["status"], problem, {})
    return _BY_SLUG.get(refusal.slug) or explained(refusal)
