"""Mask phones, e-mail addresses, cards, documents and personal pages, found by their format and check digits.

All patterns are bounded, so the time is proportional to the length of any text.
"""

import re
from collections.abc import Callable

PHONE = "[телефон]"
MAIL = "[почта]"
CARD = "[карта]"
ACCOUNT = "[счёт]"
DOCUMENT = "[документ]"
PERSON_LINK = "[ссылка на человека]"

# URLs, UUIDs and timestamps, whose digits are not personal identifiers.
_TECHNICAL = re.compile(
    r"(https?://[^\s<>\"«»]{1,2000}|www\.[^\s<>\"«»]{1,2000}"
    r"|(?<![\w-])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![\w-])"
    r"|(?<![\w-])\d{4}-\d\d-\d\dT[\d:.,]{1,20}(?:Z|[+-]\d\d:?\d\d)?)"
)
_MAIL_SIGN = re.compile(r"@|собака|\((?:at|собака)\)", re.IGNORECASE)
# The shortest identifier has five digits.
_FIVE_DIGITS = re.compile(r"\d(?:[^\d\n]{0,3}\d){4}")
_LINKS = re.compile(r"/|tel:", re.IGNORECASE)
_CANDIDATE = re.compile(r"[\d@\[]|собака", re.IGNORECASE)

_VK_PERSON = re.compile(r"\[id\d{1,20}(?::[^|\]\n]{0,60})?\|[^\]\n]{0,120}\]", re.IGNORECASE)
_VK_LINKED = re.compile(
    r"\[(?:https?://)?(?:m\.|www\.)?(?:vk\.(?:com|ru|me)/id\d{1,20}|ok\.ru/profile/\d{1,20})\|[^\]\n]{0,120}\]",
    re.IGNORECASE,
)
_AT_PERSON = re.compile(
    r"(?<![\w.@+-])@(?!(?:club|public|event)\d|(?:all|online|everyone)\b)[a-z][\w.]{1,60}"
    r"(?: \([^()\n]{1,60}\))?",
    re.IGNORECASE | re.ASCII,
)
_PAGE = re.compile(
    r"(?<![\w.])(?:https?://)?(?:m\.|www\.)?"
    r"(?:(?:vk\.(?:com|ru|me)|vkontakte\.ru)/(?:id|gim|write|im\?sel=)\d{1,20}"
    r"|(?:ok|odnoklassniki)\.ru/profile/\d{1,20})(?:[/?#][^\s<>\"«»]{0,500})?",
    re.IGNORECASE,
)
_CALL_LINK = re.compile(
    r"(?<![\w.])(?:https?://)?(?:wa\.me/|t\.me/\+|api\.whatsapp\.com/send\?phone=|tel:|viber://chat\?number=)"
    r"(?:\+|%2b)?\d{10,15}[^\s<>\"«»]{0,200}",
    re.IGNORECASE,
)

_MAIL = re.compile(r"(?<![\w.+-])[\w+-][\w.+-]{0,63}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,6}")
_MAIL_SPELT = re.compile(
    r"(?<![\w.+-])[\w+-][\w.+-]{0,63} ?(?:@|[(\[](?:at|собака)[)\]]|(?<= )собака(?= )) ?"
    r"(?:mail|gmail|yandex|ya|bk|list|inbox|rambler|icloud|outlook|hotmail|internet)"
    r"(?:\.| точка )(?:ru|com|ру|ком)(?!\w)",
    re.IGNORECASE,
)

_GAP = r"[ \t\u00a0\u2009\u202f\-‐‑–—.()/*_]{0,3}"
_FRONT, _BACK = r"(?<![\dA-Fa-f_])", r"(?![\dA-Fa-f_])"
_RUSSIAN = re.compile(rf"{_FRONT}(?:\+ ?7|8|7){_GAP}\d(?:{_GAP}\d){{9}}{_BACK}")
_TEN = re.compile(rf"{_FRONT}\(?\d(?:{_GAP}\d){{9}}{_BACK}")
_FOREIGN = re.compile(rf"(?<![\d_])\+ ?(?!7)[1-9]\d{{0,2}}{_GAP}\d(?:{_GAP}\d){{6,10}}{_BACK}")
_LOCAL = re.compile(
    r"(?<![а-яё])(?:тел(?:ефон[а-яё]{0,3})?|т|факс|(?:по|до)?звон[а-яё]{1,6}|набир[а-яё]{1,5}|сот(?:овый)?"
    r"|в[ао]тсап[а-яё]{0,2}|whats ?app|viber|вайбер[а-яё]{0,2})(?![а-яё])"
    r"(?:[^\w\n]{0,4}(?:мне|нам|по|на|номеру?|телефону?|дежурн[а-яё]{2,3}|диспетчер[а-яё]{0,3})){0,3}[^\w\n]{1,4}"
    r"(\d{2,3}[ -]?\d{2}[ -]?\d{2}(?:[,; ]{1,2}\d\d-\d\d-\d\d){0,3}|\d\d-\d-\d\d)(?![\dA-Fa-f-]|\.\d)",
    re.IGNORECASE,
)
_DATE = re.compile(r"(?<!\d)\d{1,2}[.\-/]\d{1,2}[.\-/](?:19|20)\d\d(?!\d)")
_NOT_A_PHONE = re.compile(
    r"(?:инн|огрн|кпп|бик|уин|сч[её]т[а-я]{0,2}|л/с|лс|№|заявк[а-я]|заявлени[а-я]|обращени[а-я]|договор[а-я]{0,2}"
    r"|артикул|накладн[а-я]{2}|трек[а-я]{0,3}|код)\W{0,3}(?:номер[а-я]{0,2}\W{0,3})?$",
    re.IGNORECASE,
)

_ACCOUNT = re.compile(r"(?<![\d_])(?:\d{20}|\d{5}[ .]\d{3}[ .]\d[ .]\d{4}[ .]\d{7}|(?:\d{4} ){5})(?![\d_])")
_CARD = re.compile(
    r"(?<![\d_])(?:\d{16}|\d{18,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{2,3})?|\d{8}[ -]\d{10})(?![\d_])"
)
_POLICY_WORD = re.compile(
    r"(?:полис|(?<![а-яё])омс(?![а-яё])|(?<![а-яё])енп(?![а-яё]))[^\d\n]{0,40}$", re.IGNORECASE
)
_CARD_WORD = re.compile(r"(?:карт[аеуы]|карточк[а-я]|сбер[а-я]{0,6}|мир)[^\d\n]{0,20}$", re.IGNORECASE)
_SNILS = re.compile(r"(?<![\d_-])\d{3}-\d{3}-\d{3}[ -]?\d\d(?![\d_-])")
_SNILS_SPACED = re.compile(r"(?<![\d_])(?:\d{11}|\d{3}[ -]\d{3}[ -]\d{3}[ -]?\d\d)(?![\d_])")
_INN = re.compile(r"(?<![\d_])\d{12}(?![\d_])")
_PASSPORT = re.compile(r"(?<![\d_])(?!(?:19|20)\d\d)\d\d ?\d\d(?: | ?№ ?)\d{6}(?![\d_])")
_SERIES = re.compile(r"сери[яию]\W{0,3}\d\d ?\d\d\W{0,3}(?:номер|ном\.?|н\.?|№)?\W{0,3}\d{6}(?!\d)", re.IGNORECASE)
_DOCUMENT = re.compile(
    r"((?<![а-яё])(?:(?:загран)?паспорт[а-яё]{0,3}|водительск[а-яё]{2,3} удостоверени[а-яё]|в/у|снилс|инн"
    r"|свидетельств[а-яё]{1,2}|удостоверени[а-яё]|военн[а-яё]{2,3} билет[а-яё]{0,2}|полис[а-яё]{0,3})(?![а-яё])"
    r"[^\d\n]{0,40}?)"
    r"((?:(?<![а-яёa-z])[IVX]{1,4}-?[А-Я]{2}\W{0,3})?(?:\d[ \t№-]{0,3}){5,19}\d)(?!\d|\.\d)",
    re.IGNORECASE,
)
_TEN_DIGITS = re.compile(r"\d(?:[ \t\u00a0\u2009\u202f\-‐‑–—.()/*_№]{0,3}\d){9}")
_CALL_WORDS = ("т.", "т ", "т:", "тел", "факс", "звон", "набир", "сот", "тсап", "whats", "viber", "вайбер")
_DOCUMENT_WORDS = (
    "паспорт",
    "серия",
    "серии",
    "серию",
    "удостоверени",
    "в/у",
    "снилс",
    "инн",
    "свидетельств",
    "билет",
    "полис",
)
_YEARS = re.compile(r"(?:19|20)\d\d\W{1,3}(?:19|20)\d\d(?!\d)")
_SHORT = re.compile(r"(?<!\d)\d{2,3}[ -]?\d{1,2}[ -]?\d\d(?!\d)")
_MONEY = re.compile(r"\s{0,2}(?:руб|р\.|₽|тыс|млн|коп)", re.IGNORECASE)
_BEFORE = 60


def is_valid_card(digits: str) -> bool:
    """Return whether the check digit of a card number is valid."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + index % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0 and digits.strip("0") != ""


def is_valid_snils(digits: str) -> bool:
    """Return whether the two check digits of a СНИЛС (11 digits) are valid."""
    control = sum(int(digit) * weight for digit, weight in zip(digits[:9], range(9, 0, -1), strict=True)) % 101
    return control % 100 == int(digits[9:]) and digits[:9] != "000000000"


def is_valid_personal_inn(digits: str) -> bool:
    """Return whether the two check digits of a person's ИНН (12 digits) are valid."""
    for size, weights in ((10, (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)), (11, (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8))):
        total = sum(int(digit) * weight for digit, weight in zip(digits[:size], weights, strict=True))
        if total % 11 % 10 != int(digits[size]):
            return False
    return digits.strip("0") != ""


def mask_identifiers(text: str) -> str:
    """Return the text with masked numbers, e-mail addresses and links that identify a person."""
    if not _CANDIDATE.search(text):
        return text
    if "[" in text:
        text = _VK_LINKED.sub(PERSON_LINK, _VK_PERSON.sub(PERSON_LINK, text))
    if _LINKS.search(text):
        text = _CALL_LINK.sub(PHONE, _PAGE.sub(PERSON_LINK, text))
    parts = _TECHNICAL.split(text)
    for index, part in enumerate(parts):
        # `split` returns the matches at odd indexes.
        parts[index] = _mask_in_address(part) if index % 2 else _mask_plain(part)
    return "".join(parts)


def _mask_in_address(address: str) -> str:
    return _MAIL.sub(MAIL, re.sub(r"(?<!\d)(?:\+|%2B)?[78]9\d{9}(?!\d)", PHONE, address))


def _mask_plain(text: str) -> str:
    if _MAIL_SIGN.search(text):
        text = _AT_PERSON.sub(PERSON_LINK, _MAIL_SPELT.sub(MAIL, _MAIL.sub(MAIL, text)))
    if not _FIVE_DIGITS.search(text):
        return text
    long = _TEN_DIGITS.search(text) is not None
    if long:
        text = _CARD.sub(_mask_card, _ACCOUNT.sub(ACCOUNT, text))
    lower = text.lower()
    if any(word in lower for word in _DOCUMENT_WORDS):
        text = _SERIES.sub(DOCUMENT, _DOCUMENT.sub(_mask_document, text))
    if long:
        text = _mask_long(text)
    if "+" in text:
        text = _FOREIGN.sub(PHONE, text)
    if any(word in lower for word in _CALL_WORDS) and _SHORT.search(text):
        text = _LOCAL.sub(lambda found: found[0][: found.start(1) - found.start()] + PHONE, text)
    return text


def _mask_long(text: str) -> str:
    """Mask numbers with at least ten digits that are recognised by their format or check digits."""
    text = _SNILS.sub(DOCUMENT, text)
    text = _INN.sub(lambda found: DOCUMENT if is_valid_personal_inn(found[0]) else found[0], text)
    text = _PASSPORT.sub(_mask_passport, text)
    text = _FOREIGN.sub(PHONE, text)
    text = _replace_phones(_RUSSIAN, text, lambda found: is_russian_phone(found[0]))
    text = _replace_phones(_TEN, text, _is_ten_digit_phone)
    return _SNILS_SPACED.sub(lambda found: DOCUMENT if is_valid_snils(_digits(found[0])) else found[0], text)


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def _replace_phones(pattern: re.Pattern[str], text: str, is_one: Callable[[re.Match[str]], bool]) -> str:
    """Replace matches as `sub` does, but search again from the next character after a rejected match."""
    parts: list[str] = []
    kept = at = 0
    while found := pattern.search(text, at):
        if is_one(found):
            parts += (text[kept : found.start()], PHONE)
            kept = at = found.end()
        else:
            at = found.start() + 1
    if not parts:
        return text
    return "".join((*parts, text[kept:]))


def is_russian_phone(written: str) -> bool:
    """Return whether eleven digits with a Russian prefix are a phone number, not dates, sums or house numbers."""
    groups = re.findall(r"\d+", written)
    plus = written.startswith("+")
    rest = groups[1:] if len(groups[0]) == 1 else [groups[0][1:], *groups[1:]]
    if not plus and rest[0][0] not in "3489":
        return False
    if _DATE.search(written):
        return False
    return plus or _is_grouped(rest, written)


def _is_grouped(rest: list[str], written: str) -> bool:
    """Return whether the ten digits after the prefix are grouped as in phone numbers."""
    if len(rest) == 10:
        return True
    if len(rest[0]) < 3:
        return False
    return all(len(group) >= 2 for group in rest) or len(rest[0]) == 5 or "(" in written


def _is_ten_digit_phone(found: re.Match[str]) -> bool:
    written = found[0]
    groups = re.findall(r"\d+", written)
    code = groups[0]
    if code[0] == "9" and len(code) in {3, 6, 10}:
        shaped = all(len(group) >= 2 for group in groups)
    else:
        in_brackets = written.startswith("(") and ")" in written[:7] and len(code) in {3, 4, 5}
        shaped = in_brackets or (code.startswith("301") and len(code) in {4, 5})
    return (
        shaped
        and not _DATE.search(written)
        and not _MONEY.match(found.string, found.end())
        and not _NOT_A_PHONE.search(_before(found))
    )


def _before(found: re.Match[str]) -> str:
    return found.string[max(found.start() - _BEFORE, 0) : found.start()]


def _mask_card(found: re.Match[str]) -> str:
    digits = _digits(found[0])
    if len(digits) == 16 and _POLICY_WORD.search(_before(found)):
        return DOCUMENT
    return CARD if is_valid_card(digits) or _CARD_WORD.search(_before(found)) else found[0]


def _mask_document(found: re.Match[str]) -> str:
    number = found[2]
    digits = _digits(number)
    word = found[1].lower()
    # An organisation's ИНН has ten digits and is public; a date is not a document.
    if _DATE.search(number) or (word.startswith("инн") and len(digits) != 12):
        return found[0]
    if _YEARS.match(number) or _MONEY.match(found.string, found.end()):
        return found[0]
    return found[1] + DOCUMENT


def _mask_passport(found: re.Match[str]) -> str:
    return found[0] if _MONEY.match(found.string, found.end()) else DOCUMENT
