"""Shares and numbers as Russian text: «97 %», «6,2»."""

from shared.russian import plural

_APPEALS = ("обращение", "обращения", "обращений")
_ORGANISATIONS = ("организация", "организации", "организаций")


def percent(share: float) -> str:
    """Return a share as a percentage, with one decimal below 10 % and above 90 %."""
    value = share * 100
    whole = 10 <= value <= 90 or value in {0.0, 100.0}
    return f"{value:.{0 if whole else 1}f}\u00a0%".replace(".", ",").replace(",0\u00a0", "\u00a0")


def decimal(number: float) -> str:
    """Return a number with one decimal, or without decimals if the decimal is zero."""
    return f"{number:.1f}".removesuffix(".0").replace(".", ",")


def appeals(count: int) -> str:
    """Return the number with the noun in its form: «1 обращение», «5 обращений»."""
    return f"{count} {plural(count, _APPEALS)}"


def organisations(count: int) -> str:
    """Return the number with the noun in its form: «1 организация», «5 организаций»."""
    return f"{count} {plural(count, _ORGANISATIONS)}"
