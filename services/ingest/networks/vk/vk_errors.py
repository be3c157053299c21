"""Error codes of VK: their treatment, their effect on the token and the message for the reply's author."""

from collections.abc import Mapping
from typing import Any

from services.ingest.networks.calls import TOKEN_STOPPING_EFFECTS, ErrorTreatment, TokenEffect
from services.ingest.networks.error_mapping import UserMessage, user_message_for
from services.ingest.networks.port import TokenKind, TokenState

NETWORK = "vk"
# The token lacks a right, or one conversation is closed to the community: see `VkClient`.
PERMISSION_DENIED = 7

T = ErrorTreatment
TREATMENTS: dict[int, ErrorTreatment] = {
    # Internal errors of the network, and too many calls per second.
    1: T.TRANSIENT, 10: T.TRANSIENT, 36: T.TRANSIENT, 43: T.TRANSIENT,
    6: T.RATE_LIMITED,
    # The method is paused for this token: quota exhausted, or flood control.
    29: T.QUOTA_EXHAUSTED, 103: T.QUOTA_EXHAUSTED,
    9: T.FLOOD_CONTROL, 223: T.FLOOD_CONTROL,
    # A person has to repair or replace the token.
    14: T.CAPTCHA, 17: T.CAPTCHA, 24: T.CAPTCHA, 25: T.CAPTCHA, 703: T.CAPTCHA,
    3300: T.CAPTCHA, 3301: T.CAPTCHA, 3302: T.CAPTCHA, 3303: T.CAPTCHA, 3304: T.CAPTCHA,
    5: T.REVOKED, 27: T.REVOKED, 28: T.REVOKED, 1114: T.REVOKED, 1116: T.REVOKED, 1117: T.REVOKED,
    1118: T.REVOKED, 3609: T.REVOKED,
    2: T.BLOCKED, 37: T.BLOCKED, 42: T.BLOCKED, 3610: T.BLOCKED, 3611: T.BLOCKED,
    # The token is usable, but the content is closed or missing, or the sent content is rejected.
    7: T.DENIED, 15: T.DENIED, 20: T.DENIED, 21: T.DENIED, 30: T.DENIED, 203: T.DENIED, 210: T.DENIED,
    211: T.DENIED, 212: T.DENIED, 19: T.DENIED,
    18: T.NOT_FOUND, 104: T.NOT_FOUND, 113: T.NOT_FOUND, 125: T.NOT_FOUND,
    # One conversation that the community may not read or write, or that does not exist.
    912: T.NOT_FOUND, 917: T.NOT_FOUND, 922: T.NOT_FOUND, 925: T.NOT_FOUND, 927: T.NOT_FOUND, 932: T.NOT_FOUND,
    935: T.NOT_FOUND, 936: T.NOT_FOUND, 945: T.NOT_FOUND, 946: T.NOT_FOUND, 962: T.NOT_FOUND, 1012: T.NOT_FOUND,
    # The sent content, or its recipient, is rejected.
    213: T.CONTENT_REJECTED, 214: T.CONTENT_REJECTED, 222: T.CONTENT_REJECTED, 900: T.CONTENT_REJECTED,
    901: T.CONTENT_REJECTED, 902: T.CONTENT_REJECTED,
    910: T.CONTENT_REJECTED, 914: T.CONTENT_REJECTED, 943: T.CONTENT_REJECTED, 944: T.CONTENT_REJECTED,
    950: T.CONTENT_REJECTED, 985: T.CONTENT_REJECTED, 987: T.CONTENT_REJECTED, 988: T.CONTENT_REJECTED,
    # Edits and deletions: message too old, not editable, pinned, or not deletable for everybody.
    909: T.CONTENT_REJECTED, 920: T.CONTENT_REJECTED, 949: T.CONTENT_REJECTED, 924: T.CONTENT_REJECTED,
    243: T.CONTENT_REJECTED,
    # Uploads: the server or its response has expired (repeat the upload), or the photo is refused.
    118: T.TRANSIENT, 121: T.TRANSIENT, 129: T.CONTENT_REJECTED,
}  # fmt: skip

# Subcodes of "access denied" that concern the token: its scopes and the type of its application.
SUBCODES: dict[tuple[int, int], ErrorTreatment] = {(15, 1133): T.MISSING_SCOPE, (15, 1134): T.MISSING_SCOPE}

# Effects of treatments on a token: those that need a person, and pauses of the method. Users report that error 29
# lasts from half an hour to a day.
EFFECTS: Mapping[ErrorTreatment, TokenEffect] = {
    **TOKEN_STOPPING_EFFECTS,
    T.QUOTA_EXHAUSTED: TokenEffect(TokenState.LIMITED, pause_seconds=1_800, max_pause_seconds=3 * 3_600),
    T.FLOOD_CONTROL: TokenEffect(TokenState.LIMITED, pause_seconds=60, max_pause_seconds=3_600),
    T.MISSING_SCOPE: TokenEffect(TokenState.LIMITED, pause_seconds=3_600, max_pause_seconds=86_400),
}

# Methods that a kind of token may call: for these, errors 27 and 28 mean that the token is invalid. For other
# methods they only mean that this kind of token may not call the method.
_GROUP_MAY = ("messages.", "users.get", "execute")
_GROUP_MAY_TOO = {
    "wall.createComment", "wall.openComments", "wall.closeComments", "board.deleteComment",
    "groups.getById", "groups.getMembers", "groups.isMember", "groups.getTokenPermissions",
    "groups.getLongPollServer", "groups.getLongPollSettings", "groups.setLongPollSettings",
    "groups.addCallbackServer", "groups.editCallbackServer", "groups.deleteCallbackServer",
    "groups.getCallbackServers", "groups.getCallbackSettings", "groups.setCallbackSettings",
    "groups.getCallbackConfirmationCode", "photos.getMessagesUploadServer", "photos.saveMessagesPhoto",
}  # fmt: skip
_SERVICE_MAY = {
    "wall.get", "wall.getById", "wall.getComments", "wall.getReposts", "wall.search", "newsfeed.search",
    "board.getTopics", "board.getComments", "groups.getById", "groups.getMembers", "groups.isMember", "users.get",
}  # fmt: skip


def _token_may_call(kind: TokenKind, method: str) -> bool:
    if kind is TokenKind.GROUP:
        return method.startswith(_GROUP_MAY) or method in _GROUP_MAY_TOO
    return kind is TokenKind.SERVICE and method in _SERVICE_MAY


_INVALID_KEY_TEXT = (
    "Ключ доступа страницы не принимается сетью: сообщите оператору, ответ уйдёт после замены ключа."
)
_CHAT_CLOSED_TEXT = "ВКонтакте не пускает сообщество в эту беседу."
USER_MESSAGES: dict[int, UserMessage] = {
    6: UserMessage("Сеть просит отправлять медленнее, ответ уйдёт чуть позже.", False, 1.0),
    9: UserMessage("ВКонтакте считает ответы слишком частыми, отправка повторится позже.", False, 60.0),
    223: UserMessage("Слишком много комментариев подряд, отправка повторится позже.", False, 60.0),
    29: UserMessage("Суточный лимит вызовов исчерпан, отправка повторится позже.", False, 300.0),
    14: UserMessage("Сеть просит ввести код с картинки: сообщите оператору.", False, 60.0),
    17: UserMessage("Сеть просит подтвердить вход в аккаунт: сообщите оператору.", False, 60.0),
    5: UserMessage(_INVALID_KEY_TEXT, False, 30.0),
    27: UserMessage(_INVALID_KEY_TEXT, False, 30.0),
    28: UserMessage(_INVALID_KEY_TEXT, False, 30.0),
    2: UserMessage("Приложение отключено сетью: сообщите оператору, ответ уйдёт после исправления.", False, 60.0),
    37: UserMessage(
        "Владелец ключа заблокирован сетью: сообщите оператору, ответ уйдёт после замены ключа.", False, 60.0
    ),
    103: UserMessage("Лимит вызовов исчерпан, отправка повторится позже.", False, 300.0),
    7: UserMessage(
        "ВКонтакте не разрешает публиковать: у ключа страницы нет права, или сообщество исключено из беседы."
        " Сообщите оператору.",
        True,
    ),
    15: UserMessage("Доступ закрыт: запись или комментарий удалены либо скрыты.", True),
    19: UserMessage("Сообщество заблокировано сетью.", True),
    30: UserMessage("Профиль пользователя закрыт.", True),
    18: UserMessage("Страница пользователя удалена или заблокирована.", True),
    100: UserMessage("Сеть не приняла запрос: проверьте текст ответа.", True),
    104: UserMessage("Запись или комментарий больше не существуют.", True),
    129: UserMessage("ВКонтакте не приняла фото: загрузите другое и отправьте новый ответ.", True),
    203: UserMessage("Доступ к сообществу закрыт.", True),
    210: UserMessage("Доступ к записи закрыт.", True),
    211: UserMessage("Комментарий, на который вы отвечаете, удалён или скрыт.", True),
    212: UserMessage("Комментарии к этой записи закрыты.", True),
    213: UserMessage("Комментировать эту запись нельзя: комментарии закрыты.", True),
    214: UserMessage("Публикация на этой стене запрещена.", True),
    222: UserMessage("Ссылки в комментариях запрещены: уберите ссылку и отправьте снова.", True),
    900: UserMessage("Пользователь в чёрном списке сообщества, сообщение отправить нельзя.", True),
    901: UserMessage("Пользователь не разрешил сообществу писать ему сообщения.", True),
    902: UserMessage("Настройки приватности пользователя не позволяют написать ему.", True),
    910: UserMessage("Сообщение слишком большое: сократите текст.", True),
    914: UserMessage("Сообщение слишком длинное: сократите текст.", True),
    912: UserMessage(
        "ВКонтакте не пускает сообщество в беседы: включите в его настройках возможности ботов.", True
    ),
    917: UserMessage(_CHAT_CLOSED_TEXT, True),
    922: UserMessage("Сообщество вышло из этой беседы.", True),
    925: UserMessage(_CHAT_CLOSED_TEXT, True),
    927: UserMessage("Такой беседы больше нет.", True),
    932: UserMessage(_CHAT_CLOSED_TEXT, True),
    935: UserMessage(_CHAT_CLOSED_TEXT, True),
    936: UserMessage("ВКонтакте не находит собеседника.", True),
    945: UserMessage("Беседа отключена сетью.", True),
    946: UserMessage(_CHAT_CLOSED_TEXT, True),
    950: UserMessage(
        "Срок ответа истёк: ВКонтакте разрешит написать, когда человек снова напишет сообществу.", True
    ),
    962: UserMessage(_CHAT_CLOSED_TEXT, True),
    1012: UserMessage("Писать в этой беседе запрещено.", True),
}


# Error codes of an edit or a deletion whose reply no longer exists.
GONE = frozenset({104})
# Messages of errors that have a different meaning when a published reply is edited or deleted.
CHANGE_MESSAGES: dict[int, UserMessage] = {
    7: UserMessage(
        "ВКонтакте не разрешает менять опубликованное: у ключа страницы нет права, или сообщество исключено из"
        " беседы. Сообщите оператору.",
        True,
    ),
    15: UserMessage(
        "ВКонтакте не даёт менять этот ответ: запись закрыта, или ключ принадлежит не её администратору.", True
    ),
    104: UserMessage("ВКонтакте не находит этот ответ.", True),
    211: UserMessage("ВКонтакте не даёт менять этот комментарий.", True),
    243: UserMessage("ВКонтакте не удалила комментарий.", True),
    909: UserMessage("Сообщение слишком старое: ВКонтакте больше не даёт его править.", True),
    920: UserMessage("ВКонтакте не даёт править такое сообщение.", True),
    924: UserMessage("ВКонтакте больше не даёт удалить это сообщение у всех: прошло слишком много времени.", True),
    949: UserMessage("Сообщение закреплено: открепите его в сети и повторите правку.", True),
}


def treatment(code: int) -> ErrorTreatment:
    """Return the treatment of a code; `CLIENT_ERROR` for an unknown code."""
    return TREATMENTS.get(code, ErrorTreatment.CLIENT_ERROR)


def call_treatment(error: Mapping[str, Any], method: str, kind: TokenKind, *, own: bool) -> ErrorTreatment:
    """Return the treatment of an error of `method` with a token of `kind`; `own`: it is a page's own token."""
    code, subcode = _number(error.get("error_code")), _number(error.get("error_subcode"))
    if (code, subcode) in SUBCODES:
        return SUBCODES[code, subcode]
    if code == PERMISSION_DENIED and own:
        return T.MISSING_SCOPE  # with a shared token, the error may concern only this page
    if code in {27, 28} and not _token_may_call(kind, method):
        return T.MISSING_SCOPE
    return treatment(code)


def extract_challenge(error: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the challenge for a person, in either of VK's formats; numbers as text: they may exceed 2^53."""
    names = ("redirect_uri", "remixstlid", "captcha_sid", "captcha_img", "confirmation_text")
    found = {name: str(error[name]) for name in names if error.get(name)}
    return found or None


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def change_message(code: int) -> UserMessage:
    """Return the message for the person whose edit or withdrawal of a reply was rejected."""
    return CHANGE_MESSAGES.get(code) or user_message(code)


def user_message(code: int) -> UserMessage:
    """Return the message for the author of a rejected reply."""
    return user_message_for(code, USER_MESSAGES, treatment(code), "ВКонтакте отказала")
