"""Values of forms as the API takes them."""

from datetime import date, datetime, time

from services.console.api_calls.client import ApiProblem
from services.console.site.refusals import explained
from shared import clock

# What people can mend in a form.
REFUSED = frozenset({409, 412, 422, 429})


def midnight(text: str) -> str | None:
    """Return the moment at which a day («2026-11-30») begins in the region; None for anything else."""
    try:
        return datetime.combine(date.fromisoformat(text), time(), clock.REGION_TIME_ZONE).isoformat()
    except ValueError:
        return None


def number(text: str) -> float | None:
    """Return a number that a person wrote, with a comma or a point; None for anything else."""
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None


def refusal_of(problem: ApiProblem) -> str:
    """Return the words for a refusal that belongs beside the form; others are raised again."""
    if problem.status not in REFUSED:
        raise problem
    return explained(problem)
