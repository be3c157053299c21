"""Check digits of tax identifiers: ИНН and ОГРН."""

_INN_10 = (2, 4, 10, 3, 5, 9, 4, 6, 8)
_INN_11 = (7, *_INN_10)
_INN_12 = (3, *_INN_11)


def _weighed(digits: str, weights: tuple[int, ...]) -> str:
    return str(sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True)) % 11 % 10)


def inn_check_digits(digits: str) -> str:
    """Return the check digits of an ИНН: one for 9 digits (organisation), two for 10 digits (person)."""
    if len(digits) == 9:
        return _weighed(digits, _INN_10)
    first = _weighed(digits, _INN_11)
    return first + _weighed(digits + first, _INN_12)


def ogrn_check_digit(digits: str) -> str:
    """Return the check digit of an ОГРН from its first 12 digits, or of an ОГРНИП from its first 14."""
    return str(int(digits) % (11 if len(digits) == 12 else 13) % 10)


def inn_error(value: str) -> str | None:
    """Return what is wrong with an ИНН, in Russian; None when it is valid."""
    if not (value.isascii() and value.isdigit()) or len(value) not in {10, 12}:
        return "ИНН состоит из 10 или 12 цифр"
    body = value[: 9 if len(value) == 10 else 10]
    if value == "0" * len(value) or body + inn_check_digits(body) != value:
        return "Контрольная цифра ИНН не сходится: в номере опечатка"
    return None


def ogrn_error(value: str) -> str | None:
    """Return what is wrong with an ОГРН, in Russian; None when it is valid."""
    if not (value.isascii() and value.isdigit()) or len(value) not in {13, 15}:
        return "ОГРН состоит из 13 или 15 цифр"
    if value == "0" * len(value) or value[:-1] + ogrn_check_digit(value[:-1]) != value:
        return "Контрольная цифра ОГРН не сходится: в номере опечатка"
    return None
