"""The values entered in forms, and the API's errors about them."""

import math
import re
from collections.abc import Collection, Mapping
from datetime import date, datetime, time
from uuid import UUID

from fastapi import Request
from starlette.datastructures import UploadFile

from services.console.api_calls.client import ApiProblem
from services.console.words.refusals import explained
from shared.clock import REGION_TIME_ZONE

# Longer numbers fit no column; `int` raises for thousands of digits.
_WHOLE = re.compile(r"[0-9]{1,18}")
_LATIN = re.compile("[A-Za-z]")
_REPEATED = {"duplicate": "Такое значение уже занято.", "idempotency-key-reused": "Форма уже отправлена."}


async def entered(request: Request) -> dict[str, str]:
    """Return the text values of a form, stripped; files are left out."""
    form = await request.form()
    return {name: value.strip() for name, value in form.items() if isinstance(value, str)}


async def entered_with_file(request: Request, name: str) -> tuple[dict[str, str], bytes]:
    """Return the text values of a form, and the content of the file in the field `name`; empty without a file."""
    async with request.form() as form:
        file = form.get(name)
        content = await file.read() if isinstance(file, UploadFile) else b""
        return {field: value.strip() for field, value in form.items() if isinstance(value, str)}, content


def wrong_fields(problem: ApiProblem, texts: Mapping[str, str]) -> dict[str, str]:
    """Return the error of each wrong field by its name.

    `texts` are the form's errors by field. A detail of the API is used only if it is Russian.
    """
    wrong = {}
    for pointer, detail in problem.fields.items():
        name = pointer.removeprefix("query").strip("/").split("/")[0]
        said = problem.texts.get(pointer) or detail
        russian = None if _LATIN.search(said) else said
        wrong[name] = russian or _REPEATED.get(problem.slug) or texts.get(name, "Проверьте это поле.")
    return wrong


def changed_meanwhile(
    current: Mapping[str, str], form: Mapping[str, str], *, chosen: Collection[str] = ()
) -> dict[str, str]:
    """Return a note with the stored value for each field that differs from the form, when the form's version is
    stale.

    `chosen` are fields whose values are codes, not text.
    """
    return {
        name: "Сейчас выбрано другое." if name in chosen else f"Сейчас в записи: {value or 'пусто'}."
        for name, value in current.items()
        if name != "version" and value != form.get(name, "")
    }


def is_correctable(problem: ApiProblem) -> bool:
    """Return whether the person may correct or repeat the request: the form is then shown with the entered
    values.
    """
    return problem.status in {403, 409, 412, 422, 429, 502, 503}


def refusal_of(problem: ApiProblem) -> str:
    """Return the text above a refused form. Raise the problem if the form cannot correct it."""
    if not is_correctable(problem):
        raise problem
    return explained(problem)


def is_id(text: str | None) -> bool:
    """Return whether a text from a form or address is a UUID, and so can be put into the path of an API call."""
    try:
        return str(UUID(text)) == (text or "").lower()
    except (ValueError, TypeError):
        return False


def is_day(text: str) -> bool:
    """Return whether a text that a person entered is a date."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def start_of_day(day: str) -> str | None:
    """Return the moment at which a day begins in the region; None if empty, an invalid text unchanged."""
    try:
        return datetime.combine(date.fromisoformat(day), time(), REGION_TIME_ZONE).isoformat() if day else None
    except ValueError:
        return day


def number(text: str) -> float | None:
    """Return the finite number that a person entered, with a decimal comma or point; None for anything else."""
    try:
        found = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def whole_number(text: str) -> int | None:
    """Return the whole number that a person entered; None for anything but 1 to 18 digits."""
    return int(text) if _WHOLE.fullmatch(text) else None
