"""Russian texts for refusals of the API, by kind of problem."""

from services.console.api_calls.client import ApiProblem
from services.console.words.right_labels import lacking_right

_BY_SLUG = {
    "reply-under-way": "По этому обращению уже готовится или публикуется другой ответ. Дождитесь его или удалите.",
    "reply-being-written": "Ответ сейчас пишет коллега.",
    "decided-by-another": "Решение уже принял коллега.",
    "idempotency-key-reused": "Эта форма уже отправлена. Проверьте, что получилось, и откройте её заново.",
    "idempotent-request-in-progress": "Эта форма уже отправляется. Подождите и проверьте, что получилось.",
    "duplicate": "Такая запись уже есть.",
    "upstream-failed": "Часть системы отклонила запрос. Если это повторится, сообщите администратору.",
    "query-timeout": "Данных слишком много для одного ответа. Сузьте отбор и повторите.",
}
_BY_STATUS = {
    400: "Запрос составлен неверно.",
    403: "У вас нет права на это действие.",
    404: "Такой записи нет, или она вам не видна.",
    409: "Сейчас это сделать нельзя: состояние записи изменилось.",
    410: "Эти данные уже удалены.",
    412: "Пока вы работали, запись изменил коллега. Проверьте, что получилось, и повторите.",
    413: "Файл или текст слишком большой.",
    422: "Проверьте заполнение полей.",
    428: "Обновите страницу и повторите.",
    429: "Слишком много запросов подряд. Подождите немного и повторите.",
    500: "Произошла внутренняя ошибка. Повторите; если не поможет, сообщите номер запроса администратору.",
    502: "Часть системы не отвечает. Проверьте, выполнено ли действие, и повторите.",
    503: "Часть системы временно недоступна. Повторите через минуту.",
    504: "Часть системы не ответила вовремя. Проверьте, выполнено ли действие, и повторите.",
}
UNAVAILABLE = "Система не ответила. Если вы что-то меняли, проверьте, сохранилось ли это, и повторите."


def explained(problem: ApiProblem) -> str:
    """Return the Russian text for a refusal of the API."""
    refused = lacking_right(str(problem.document.get("detail", ""))) if problem.status == 403 else None
    return refused or _BY_SLUG.get(problem.slug) or explained_status(problem.status)


def explained_status(status: int) -> str:
    """Return the Russian text for an HTTP status."""
    return _BY_STATUS.get(status, "Не получилось выполнить действие.")
