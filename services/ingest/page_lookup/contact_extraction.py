"""Find phone numbers and addresses in the free text of a page's description."""

import re

import phonenumbers

REGION = "RU"
MAX_TEXT = 4_000

# A word for street or square with a name and a house number: «ул. Ленина, 54», «пр-т Победы, д. 7а».
_STREET = re.compile(
    r"\b(?:ул(?:ица|\.)|пр(?:оспект|-кт|-т|\.)|пер(?:еулок|\.)|пл(?:ощадь|\.)|б(?:ульвар|-р)|ш(?:оссе|\.)|мкр\.?"
    r"|микрорайон|наб(?:ережная|\.)|проезд|тракт|квартал|кв-л)\s{0,5}[«\"]?[\w.\-\s»\"]{2,60}?"
    r"[,\s]\s{0,5}(?:д(?:ом|\.)\s{0,5})?\d{1,4}(?:\s?[а-яА-Я](?![а-яА-Я]))?(?:\s?/\s?\d{1,4})?",
    re.IGNORECASE,
)


def find_phone(text: str) -> str | None:
    """Return the first phone number of a text in international form, or None; other numbers do not match."""
    for match in phonenumbers.PhoneNumberMatcher(text[:MAX_TEXT], REGION):
        return phonenumbers.format_number(match.number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    return None


def find_address(text: str) -> str | None:
    """Return the first street with a house number, as written in the text, or None."""
    found = _STREET.search(text[:MAX_TEXT])
    return None if found is None else " ".join(found.group().split())
