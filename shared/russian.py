"""Russian texts for numbers and durations."""

from datetime import timedelta

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
