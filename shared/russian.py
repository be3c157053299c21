"""Russian texts for numbers, durations and periods."""

from datetime import date, timedelta

MONTHS = (
    "января", "февраля", "марта", "апреля", "мая", "июня",
    "июля", "августа", "сентября", "октября", "ноября", "декабря",
)  # fmt: skip
_UNITS: tuple[tuple[int, tuple[str, str, str]], ...] = (
    (86_400, ("день", "дня", "дней")),
    (3_600, ("час", "часа", "часов")),
    (60, ("минута", "минуты", "минут")),
)


def in_words(span: timedelta) -> str:
    """Return a duration as text: «12 минут», «3 часа», «5 дней»."""
    seconds = int(span.total_seconds())
    for unit, forms in _UNITS:
        if seconds >= unit:
            return f"{seconds // unit} {plural(seconds // unit, forms)}"
    return "меньше минуты"


def plural(count: int, forms: tuple[str, str, str]) -> str:
    """Return the form of a noun after a number: 1 час, 2 часа, 5 часов."""
    tens, ones = count % 100, count % 10
    if 10 < tens < 20 or ones == 0 or ones > 4:
        return forms[2]
    return forms[0] if ones == 1 else forms[1]


def grouped(text: str) -> str:
    """Convert a formatted number such as «-1,024» to the Russian form with no-break spaces: «−1 024»."""
    return text.replace(",", "\N{NO-BREAK SPACE}").replace("-", "\N{MINUS SIGN}")


def long_day(value: date) -> str:
    """Return a date for use in a sentence: «22 ноября 2026 г.»."""
    return f"{day_of_month(value)} {value.year}\N{NO-BREAK SPACE}г."


def day_of_month(value: date) -> str:
    """Return a date without its year: «22 ноября»."""
    return f"{value.day}\N{NO-BREAK SPACE}{MONTHS[value.month - 1]}"


def period(first: date, last: date) -> str:
    """Return a period: «16–22 ноября 2026 г.», with both months or years if they differ."""
    if first.year != last.year:
        return f"{long_day(first)} \N{EN DASH} {long_day(last)}"
    if first.month != last.month:
        return f"{day_of_month(first)} \N{EN DASH} {long_day(last)}"
    return f"{first.day}\N{EN DASH}{long_day(last)}"
