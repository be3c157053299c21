"""Personal data in a reply: phones, e-mail addresses, documents, home addresses, links to people.

`shared/masking`, which masks personal data elsewhere, defines what is personal. Official contacts are not
personal: contacts of the organisation in the registry, of the allow list, and toll-free numbers. An unknown
landline number, or an address outside public mail services, nearly always belongs to a body, so it is only a
warning.
"""

import re
from collections.abc import Collection, Iterator

from services.appeals.replies.checks.hints import Hint, HintCode, ReplyContext
from shared.masking import identifiers
from shared.masking.identifiers import mask_identifiers

_SHORTEST_PHONE = 5
_BEFORE, _AFTER = 60, 8
_GAP = r"[ \t\u00a0\u2009\u202f\-‐‑–—().№]{0,3}"
_NUMBER = re.compile(rf"(?<![\w])(?:\+ ?)?\(?\d(?:{_GAP}\d){{4,30}}")
_WEB_ADDRESS = re.compile(r"https?://[^\s<>\"«»]{1,2000}|www\.[^\s<>\"«»]{1,2000}", re.IGNORECASE)
_MAIL = re.compile(r"(?<![\w.+-])[\w+-][\w.+-]{0,63}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,6}")
_FREE_MAIL = frozenset(
    {
        "mail.ru", "bk.ru", "list.ru", "inbox.ru", "internet.ru", "yandex.ru", "ya.ru", "yandex.com", "rambler.ru",
        "gmail.com", "icloud.com", "outlook.com", "hotmail.com", "vk.com",
    }
)  # fmt: skip
_PERSON_PAGE = re.compile(
    r"\[id\d{1,20}(?::[^|\]\n]{0,60})?\|[^\]\n]{0,120}\]"
    r"|(?<![\w.])(?:https?://)?(?:m\.|www\.)?"
    r"(?:(?:vk\.(?:com|ru|me)|vkontakte\.ru)/id\d{1,20}|(?:ok|odnoklassniki)\.ru/profile/\d{1,20}"
    r"|wa\.me/\+?\d{10,15}|t\.me/\+\d{10,15})",
    re.IGNORECASE,
)
# «кв. 12» is a flat; «III кв. 2026» is a quarter and «45 кв. м» an area.
_FLAT = re.compile(
    r"(?<![а-яё])(?:кв\.|кв(?= ?\d)|квартир[аеуы])[ \u00a0]{0,3}(?:№ ?)?(?!20\d\d)\d{1,4}(?![\d])", re.IGNORECASE
)
_LIVES = re.compile(r"прожива(?:ющ[а-яё]{2,3}|ете?)[ \u00a0]{1,3}(?:по адресу|на ул(?:\.|ице))", re.IGNORECASE)
_KINDS: dict[str, tuple[HintCode, str]] = {
    identifiers.CARD: ("personal_card", "Номер банковской карты: уберите его, ответ виден всем."),
    identifiers.ACCOUNT: ("personal_account", "Номер банковского счёта: уберите его, ответ виден всем."),
    identifiers.DOCUMENT: (
        "personal_document",
        "Номер документа человека (паспорт, СНИЛС, ИНН, полис): уберите его, ответ виден всем.",
    ),
}
_PRIVATE_NOTE = " В личной переписке ответ видит только собеседник, но лучше обойтись без этого."


def find_personal_data(text: str, context: ReplyContext) -> Iterator[Hint]:
    """Yield a hint for each piece of personal data in the text."""
    for hint in _found(text, context):
        if context.is_private and hint.severity == "blocking":
            message = hint.message.replace(", ответ виден всем", "") + _PRIVATE_NOTE
            yield Hint(hint.code, message, hint.start, hint.end, "warning")
        else:
            yield hint


def _found(text: str, context: ReplyContext) -> Iterator[Hint]:
    # Web addresses are removed: their digits and signs are neither phone numbers nor e-mail addresses.
    read = _WEB_ADDRESS.sub(lambda found: " " * len(found[0]), text)
    yield from _numbers(read, context.phones)
    for match in _MAIL.finditer(read):
        if (hint := _mail(match, context.mails)) is not None:
            yield hint
    for match in _PERSON_PAGE.finditer(text):
        message = "Ссылка на страницу человека: убедитесь, что он не против."
        yield Hint.of("person_link", message, match.span())
    for pattern in (_FLAT, _LIVES):
        for match in pattern.finditer(text):
            message = "Домашний адрес: не называйте квартиру, ответ виден всем."
            yield Hint.of("personal_address", message, match.span())


def _numbers(text: str, official: Collection[str]) -> Iterator[Hint]:
    """Yield hints for numbers that masking would hide. The words before a number help to classify it."""
    former_end = 0
    for match in _NUMBER.finditer(text):
        start, end = match.span()
        window = text[max(former_end, start - _BEFORE) : end + _AFTER]
        former_end = end
        masked = mask_identifiers(window)
        digits = "".join(character for character in match[0] if character.isdigit())
        for token, (code, message) in _KINDS.items():
            if masked.count(token) > window.count(token):
                yield Hint.of(code, message, (start, end))
        if masked.count(identifiers.PHONE) > window.count(identifiers.PHONE):
            number = national_number(digits)
            if number.startswith("800") or _is_official(number, official):
                continue
            # A foreign or a mobile number.
            if number.startswith("9") or (match[0].startswith("+") and not digits.startswith("7")):
                message = (
                    "Номер мобильного телефона: уберите его, ответ виден всем. Если это номер организации, "
                    "внесите его в её карточку."
                )
                yield Hint.of("personal_phone", message, (start, end))
            else:
                message = "Этого номера нет в карточке организации: убедитесь, что он не домашний."
                yield Hint.of("unknown_phone", message, (start, end))


def national_number(digits: str) -> str:
    """Return the digits of a phone number without the country prefix."""
    return digits[1:] if len(digits) == 11 and digits[0] in "78" else digits


def _is_official(number: str, official: Collection[str]) -> bool:
    """Return whether the number is one of these, with or without the area code."""
    return len(number) >= _SHORTEST_PHONE and any(
        known.endswith(number) or (len(known) >= _SHORTEST_PHONE and number.endswith(known)) for known in official
    )


def _mail(match: re.Match[str], official: Collection[str]) -> Hint | None:
    address = match[0].lower()
    domain = address.partition("@")[2]
    domains = {known.rpartition("@")[2] for known in official} - _FREE_MAIL
    if address in official or domain in domains or domain.endswith(".gov.ru"):
        return None
    if domain in _FREE_MAIL:
        message = (
            "Адрес электронной почты: уберите его, ответ виден всем. Если это адрес организации, внесите его в "
            "её карточку."
        )
        return Hint.of("personal_mail", message, match.span())
    message = "Этого адреса нет в карточке организации: убедитесь, что он не личный."
    return Hint.of("unknown_mail", message, match.span())


_SEVERAL = re.compile(r"[,;/\n]|(?<=\d)\s{2,}")


def phone_numbers(written: str) -> frozenset[str]:
    """Return the national digits of the phone numbers in an organisation's card: «8 (3012) 21-21-21, 21-22-23»."""
    found = ("".join(filter(str.isdigit, part)) for part in _SEVERAL.split(written))
    return frozenset(national_number(digits) for digits in found if len(digits) >= _SHORTEST_PHONE)
