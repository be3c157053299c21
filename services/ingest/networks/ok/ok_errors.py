"""What each error code of OK means for the token, the call and the person: one table."""

from collections.abc import Mapping

from services.ingest.networks.calls import TOKEN_STOPPING_EFFECTS, ErrorTreatment, TokenEffect
from services.ingest.networks.error_mapping import UserMessage, user_message_for
from services.ingest.networks.port import TokenState

NETWORK = "ok"

T = ErrorTreatment
TREATMENTS: dict[int, ErrorTreatment] = {
    # The network's own trouble.
    1: T.AGAIN, 2: T.AGAIN, 30: T.AGAIN, 31: T.AGAIN, 5000: T.AGAIN, 9999: T.AGAIN,
    # The method rests for this token: too much at once; not from here; used up.
    8: T.FLOOD,
    7: T.LIMITED, 9: T.LIMITED, 11: T.LIMITED,
    # The token waits for a person.
    101: T.BLOCKED, 210: T.BLOCKED, 900: T.BLOCKED,
    102: T.REVOKED, 103: T.REVOKED, 401: T.REVOKED, 402: T.REVOKED, 403: T.REVOKED, 457: T.REVOKED,
    514: T.CAPTCHA,
    # The token is well; the content is closed or gone, or what is sent is not accepted.
    10: T.DENIED, 24: T.DENIED, 50: T.DENIED, 200: T.DENIED, 455: T.DENIED, 456: T.DENIED, 458: T.DENIED,
    160: T.GONE, 106: T.GONE, 300: T.GONE, 700: T.GONE, 702: T.GONE, 705: T.GONE, 706: T.GONE,
    454: T.REFUSED, 511: T.REFUSED, 701: T.REFUSED, 704: T.REFUSED,
    **dict.fromkeys(range(600, 608), T.REFUSED),
    # We asked wrongly: another try would be the same.
    3: T.BUG, 4: T.BUG, 100: T.BUG, 104: T.BUG, 105: T.BUG, 110: T.BUG, 140: T.BUG, 141: T.BUG, 220: T.BUG,
    451: T.BUG, 453: T.BUG, 1200: T.BUG, 2001: T.BUG,
}  # fmt: skip

# The network publishes no numbers: a pause begins short and doubles.
EFFECTS: Mapping[ErrorTreatment, TokenEffect] = {
    **TOKEN_STOPPING_EFFECTS,
    T.LIMITED: TokenEffect(TokenState.LIMITED, rest=900, longest=3 * 3_600),
    T.FLOOD: TokenEffect(TokenState.LIMITED, rest=5, longest=900),
}


_INVALID_KEY_TEXT = "Ключ доступа не принимается сетью: сообщите оператору, ответ уйдёт после замены ключа."
USER_MESSAGES: dict[int, UserMessage] = {
    7: UserMessage("Одноклассники временно запретили это действие, отправка повторится позже.", False, 120.0),
    8: UserMessage("Одноклассники просят отправлять медленнее, отправка повторится.", False, 5.0),
    9: UserMessage("Одноклассники не принимают вызовы с этого адреса: сообщите оператору.", False, 120.0),
    11: UserMessage("Суточный запас вызовов сети исчерпан, отправка повторится позже.", False, 120.0),
    10: UserMessage("У ключа нет права отвечать от имени группы: сообщите оператору.", True),
    50: UserMessage("Владелец ключа не администратор этой группы: сообщите оператору.", True),
    100: UserMessage("Сеть не приняла запрос: проверьте текст ответа.", True),
    101: UserMessage(
        "Сеть не знает приложение ключа: сообщите оператору, ответ уйдёт после исправления.", False, 60.0
    ),
    104: UserMessage("Подпись вызова не принята сетью: сообщите оператору.", True),
    160: UserMessage("Такой группы в Одноклассниках нет: сообщите оператору.", True),
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


def treatment(code: int) -> ErrorTreatment:
    """What to do about a code; an unknown one is ours to look at."""
    return TREATMENTS.get(code, ErrorTreatment.BUG)


def user_message(code: int) -> UserMessage:
    """What to tell a person about a refused answer."""
    return user_message_for(code, USER_MESSAGES, treatment(code), "Одноклассники отказали")
