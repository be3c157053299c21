"""Error codes of OK: their treatment, their effect on the token and the message for the reply's author."""

from collections.abc import Mapping

from services.ingest.networks.calls import TOKEN_STOPPING_EFFECTS, ErrorTreatment, TokenEffect
from services.ingest.networks.error_mapping import UserMessage, user_message_for
from services.ingest.networks.port import TokenState

NETWORK = "ok"

T = ErrorTreatment
TREATMENTS: dict[int, ErrorTreatment] = {
    # Internal errors of the network.
    1: T.TRANSIENT, 2: T.TRANSIENT, 30: T.TRANSIENT, 31: T.TRANSIENT, 5000: T.TRANSIENT, 9999: T.TRANSIENT,
    # The method is paused for this token: flood control, blocked address, quota exhausted.
    8: T.FLOOD_CONTROL,
    7: T.QUOTA_EXHAUSTED, 9: T.QUOTA_EXHAUSTED, 11: T.QUOTA_EXHAUSTED,
    # A person has to repair or replace the token.
    101: T.BLOCKED, 210: T.BLOCKED, 900: T.BLOCKED,
    102: T.REVOKED, 103: T.REVOKED, 401: T.REVOKED, 402: T.REVOKED, 403: T.REVOKED, 457: T.REVOKED,
    514: T.CAPTCHA,
    # The token is usable, but the content is closed or missing, or the sent content is rejected.
    10: T.DENIED, 24: T.DENIED, 50: T.DENIED, 455: T.DENIED, 456: T.DENIED, 458: T.DENIED,
    160: T.NOT_FOUND, 106: T.NOT_FOUND, 300: T.NOT_FOUND, 700: T.NOT_FOUND, 702: T.NOT_FOUND, 705: T.NOT_FOUND,
    706: T.NOT_FOUND,
    454: T.CONTENT_REJECTED, 511: T.CONTENT_REJECTED, 701: T.CONTENT_REJECTED, 704: T.CONTENT_REJECTED,
    **dict.fromkeys(range(600, 608), T.CONTENT_REJECTED),
    # The request is invalid; a retry would fail too.
    3: T.CLIENT_ERROR, 4: T.CLIENT_ERROR, 100: T.CLIENT_ERROR, 104: T.CLIENT_ERROR, 105: T.CLIENT_ERROR,
    110: T.CLIENT_ERROR, 140: T.CLIENT_ERROR, 141: T.CLIENT_ERROR, 200: T.CLIENT_ERROR, 220: T.CLIENT_ERROR,
    451: T.CLIENT_ERROR, 453: T.CLIENT_ERROR, 1200: T.CLIENT_ERROR, 2001: T.CLIENT_ERROR,
}  # fmt: skip

# Errors of the request that no object causes: an unknown method, a wrong signature, a missing right of the
# application, an unknown field, a wrong kind of session. They say nothing about what was to be read.
REQUEST_ERRORS = frozenset({3, 4, 104, 105, 200, 220, 451, 453, 1200})
# Errors of a request whose `fields` may be the reason.
FIELD_ERRORS = frozenset({100, 220})
# Error codes for a comment that does not exist, or is removed.
COMMENT_GONE = frozenset({700, 702})

# OK does not publish its limits: pauses begin short and double.
EFFECTS: Mapping[ErrorTreatment, TokenEffect] = {
    **TOKEN_STOPPING_EFFECTS,
    T.QUOTA_EXHAUSTED: TokenEffect(TokenState.LIMITED, pause_seconds=900, max_pause_seconds=3 * 3_600),
    T.FLOOD_CONTROL: TokenEffect(TokenState.LIMITED, pause_seconds=5, max_pause_seconds=900),
}


_INVALID_KEY_TEXT = "Ключ доступа не принимается сетью: сообщите оператору, ответ уйдёт после замены ключа."
USER_MESSAGES: dict[int, UserMessage] = {
    7: UserMessage("Одноклассники временно запретили это действие, отправка повторится позже.", False, 120.0),
    8: UserMessage("Одноклассники просят отправлять медленнее, отправка повторится.", False, 5.0),
    9: UserMessage("Одноклассники не принимают вызовы с этого адреса: сообщите оператору.", False, 120.0),
    11: UserMessage("Суточный лимит вызовов исчерпан, отправка повторится позже.", False, 120.0),
    10: UserMessage("У ключа нет права отвечать от имени группы: сообщите оператору.", True),
    50: UserMessage("Владелец ключа не администратор этой группы: сообщите оператору.", True),
    100: UserMessage("Сеть не приняла запрос: проверьте текст ответа.", True),
    101: UserMessage(
        "Сеть не знает приложение ключа: сообщите оператору, ответ уйдёт после исправления.", False, 60.0
    ),
    104: UserMessage("Подпись вызова не принята сетью: сообщите оператору.", True),
    160: UserMessage("Такой группы в Одноклассниках нет: сообщите оператору.", True),
    200: UserMessage("У приложения нет права на этот вызов: сообщите оператору.", True),
    453: UserMessage("Этот вызов требует ключа пользователя: сообщите оператору.", True),
    455: UserMessage("Настройки пользователя не позволяют этот ответ.", True),
    457: UserMessage(_INVALID_KEY_TEXT, False, 30.0),
    102: UserMessage(_INVALID_KEY_TEXT, False, 30.0),
    103: UserMessage(_INVALID_KEY_TEXT, False, 30.0),
    300: UserMessage("Обсуждение больше не существует.", True),
    106: UserMessage("Обсуждение больше не существует.", True),
    454: UserMessage("Одноклассники отклонили текст: уберите недопустимые слова и отправьте снова.", True),
    456: UserMessage("Правила группы не позволяют этот ответ.", True),
    458: UserMessage("Пользователь не разрешил группе писать ему сообщения.", True),
    511: UserMessage("Одноклассники сочли текст рекламой или спамом: измените его и отправьте снова.", True),
    514: UserMessage("Сеть просит подтвердить аккаунт: сообщите оператору.", False, 60.0),
    700: UserMessage("Комментарий, на который вы отвечаете, не найден.", True),
    702: UserMessage("Комментарий, на который вы отвечаете, удалён.", True),
    705: UserMessage("Переписка с этим человеком больше не существует.", True),
}


# Error codes of an edit or a deletion whose reply, or its discussion, no longer exists.
GONE = frozenset({300, 700, 702})
# Messages of errors that have a different meaning when a published reply is edited or deleted.
CHANGE_MESSAGES: dict[int, UserMessage] = {
    50: UserMessage("Владелец ключа не администратор этой группы и не может менять её ответы.", True),
    700: UserMessage("Одноклассники не находят этот комментарий.", True),
    701: UserMessage("Одноклассники считают комментарий чужим и не дают его менять.", True),
    702: UserMessage("Этот комментарий в Одноклассниках удалён.", True),
    704: UserMessage("Время для правки вышло: Одноклассники больше не дают править этот комментарий.", True),
}


def treatment(code: int) -> ErrorTreatment:
    """Return the treatment of a code; `CLIENT_ERROR` for an unknown code."""
    return TREATMENTS.get(code, ErrorTreatment.CLIENT_ERROR)


def change_message(code: int) -> UserMessage:
    """Return the message for the person whose edit or withdrawal of a reply was rejected."""
    return CHANGE_MESSAGES.get(code) or user_message(code)


def user_message(code: int) -> UserMessage:
    """Return the message for the author of a rejected reply."""
    return user_message_for(code, USER_MESSAGES, treatment(code), "Одноклассники отказали")
