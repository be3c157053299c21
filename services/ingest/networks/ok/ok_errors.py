"""What each error code of OK means for the token, the call and the person: one table."""

from collections.abc import Mapping

from services.ingest.networks.calls import ENDS, Effect, Treatment
from services.ingest.networks.error_mapping import Words, words_for
from services.ingest.networks.port import TokenState

NETWORK = "ok"

T = Treatment
TREATMENTS: dict[int, Treatment] = {
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
EFFECTS: Mapping[Treatment, Effect] = {
    **ENDS,
    T.LIMITED: Effect(TokenState.LIMITED, rest=900, longest=3 * 3_600),
    T.FLOOD: Effect(TokenState.LIMITED, rest=5, longest=900),
}


_DEAD_KEY = "Ключ доступа не принимается сетью: сообщите оператору, ответ уйдёт после замены ключа."
WORDS: dict[int, Words] = {
    7: Words("Одноклассники временно запретили это действие, отправка повторится позже.", False, 120.0),
    8: Words("Одноклассники просят отправлять медленнее, отправка повторится.", False, 5.0),
    9: Words("Одноклассники не принимают вызовы с этого адреса: сообщите оператору.", False, 120.0),
    11: Words("Суточный запас вызовов сети исчерпан, отправка повторится позже.", False, 120.0),
    10: Words("У ключа нет права отвечать от имени группы: сообщите оператору.", True),
    50: Words("Владелец ключа не администратор этой группы: сообщите оператору.", True),
    100: Words("Сеть не приняла запрос: проверьте текст ответа.", True),
    101: Words("Сеть не знает приложение ключа: сообщите оператору, ответ уйдёт после исправления.", False, 60.0),
    104: Words("Подпись вызова не принята сетью: сообщите оператору.", True),
    160: Words("Такой группы в Одноклассниках нет: сообщите оператору.", True),
    453: Words("Этот вызов требует ключа пользователя: сообщите оператору.", True),
    455: Words("Настройки пользователя не позволяют этот ответ.", True),
    457: Words(_DEAD_KEY, False, 30.0),
    102: Words(_DEAD_KEY, False, 30.0),
    103: Words(_DEAD_KEY, False, 30.0),
    300: Words("Обсуждение больше не существует.", True),
    106: Words("Обсуждение больше не существует.", True),
    454: Words("Одноклассники отклонили текст: уберите недопустимые слова и отправьте снова.", True),
    456: Words("Правила группы не позволяют этот ответ.", True),
    458: Words("Пользователь не разрешил группе писать ему сообщения.", True),
    511: Words("Одноклассники сочли текст рекламой или спамом: измените его и отправьте снова.", True),
    514: Words("Сеть просит подтвердить аккаунт: сообщите оператору.", False, 60.0),
    700: Words("Комментарий, на который вы отвечаете, не найден.", True),
    702: Words("Комментарий, на который вы отвечаете, удалён.", True),
    705: Words("Переписка с этим человеком больше не существует.", True),
}


def treatment(code: int) -> Treatment:
    """What to do about a code; an unknown one is ours to look at."""
    return TREATMENTS.get(code, Treatment.BUG)


def words(code: int) -> Words:
    """What to tell a person about a refused answer."""
    return words_for(code, WORDS, treatment(code), "Одноклассники отказали")
