"""Find the numbers of a report that are missing in a text."""

from collections.abc import Iterable

from services.metrics.rendering import russian_format as russian


def spaced(text: str) -> str:
    """Return the text with each run of white space replaced by one space."""
    return " ".join(text.split())


def missing_numbers(text: str, numbers: Iterable[float]) -> list[float]:
    """Return the numbers that `text`, a result of `spaced`, does not contain in the format of the report."""
    return [number for number in numbers if not any(form in text for form in _forms(number))]


def _forms(number: float) -> set[str]:
    if isinstance(number, int):
        # Numbers of appeals and versions are identifiers: they have no thousands separator.
        return {spaced(russian.count(number)), str(number)}
    return {spaced(russian.decimal(number))}
