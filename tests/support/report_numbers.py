"""Which numbers of a report a text does not show."""

from collections.abc import Iterable

from services.metrics.rendering import russian_format as russian


def spaced(text: str) -> str:
    """Return the text with single spaces in place of all white space."""
    return " ".join(text.split())


def missing_numbers(text: str, numbers: Iterable[float]) -> list[float]:
    """Return the numbers that are not in the text as the report writes them; `text` has single spaces."""
    return [number for number in numbers if not any(form in text for form in _forms(number))]


def _forms(number: float) -> set[str]:
    if isinstance(number, int):
        # Numbers of appeals and versions are names: they have no separator.
        return {spaced(russian.count(number)), str(number)}
    return {spaced(russian.decimal(number))}
