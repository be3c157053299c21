"""The moves available to a person, as forms with the fields that each move needs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.console.pages.appeal.appeal_locations import Document
from services.console.words import formats


@dataclass(frozen=True)
class MoveForm:
    """A move: its button, keyboard key and fields. `is_direct`: the button sends it at once, without fields."""

    to: str
    title: str
    key: str
    submit: str
    done: str
    asks_organisation: bool = False
    asks_reason: bool = True
    asks_outcome: bool = False
    needs_reason: bool = False
    is_direct: bool = False
    reason_title: str = "Причина"


_WORK = MoveForm(
    "in_progress", "Взять в работу", "w", "Взять в работу", "Обращение в работе", asks_reason=False, is_direct=True
)
_ASSIGN = MoveForm(
    "assigned", "Назначить организации", "o", "Назначить", "Обращение назначено", asks_organisation=True
)
_TRANSFER = replace(_ASSIGN, title="Передать в другую организацию", submit="Передать", done="Обращение передано")
_RETURN = MoveForm(
    "triage", "Вернуть модераторам", "t", "Вернуть", "Обращение возвращено модераторам",
    needs_reason=True, reason_title="Почему отвечать должны не вы",
)  # fmt: skip
_NOT_REQUIRED = MoveForm(
    "not_required", "Ответ не нужен", "x", "Ответ не нужен", "Решено: ответ не нужен", needs_reason=True,
    reason_title="Почему ответ не нужен",
)  # fmt: skip
_CLOSE = MoveForm(
    "closed", "Закрыть", "f", "Закрыть обращение", "Обращение закрыто", asks_outcome=True, needs_reason=True
)
_REOPEN = MoveForm("reopened", "Возобновить", "h", "Возобновить", "Обращение возобновлено", needs_reason=True)
# In these statuses the appeal can be assigned to its current organisation.
_MAY_STAY = frozenset({"triage", "not_required", "interim"})
_LIKELY = 0.5
# In the order of the buttons.
_FORMS = (_WORK, _ASSIGN, _RETURN, _CLOSE, _NOT_REQUIRED, _REOPEN)


def move_forms(appeal: Document, *, of_centre: bool) -> list[MoveForm]:
    """Return the forms of the moves that the API allows, in the order of their buttons."""
    allowed = set(appeal["allowed_moves"])
    return [_fitted(form, appeal["status"], of_centre=of_centre) for form in _FORMS if form.to in allowed]


def done_words(to: str) -> str:
    """Return the confirmation that the page shows after a move."""
    return next((form.done for form in _FORMS if form.to == to), "Обращение изменено")


def _fitted(form: MoveForm, status: str, *, of_centre: bool) -> MoveForm:
    if form.to == "assigned" and status not in {"triage", "not_required"}:
        return replace(_TRANSFER, needs_reason=not of_centre)
    if form.to == "closed" and status == "answered":
        return replace(form, needs_reason=False)
    return form


@dataclass(frozen=True)
class Choice:
    """An organisation to choose; `why` says why it is offered, `likely` preselects it."""

    id: str
    name: str
    why: str = ""
    likely: bool = False


def proposed_organisations(appeal: Document, found: Sequence[Choice]) -> list[Choice]:
    """Return the organisations to choose from: search results, then routing suggestions, then the present
    organisation.

    A suggestion is preselected only if the appeal is in triage, nothing was searched for, and its confidence is
    over 0.5.
    """
    present = appeal["organisation"]
    proposed = {one.id: one for one in found}
    for suggestion in appeal["route"]["suggestions"]:
        ref, share = suggestion["organisation"], suggestion["confidence"]
        likely = share > _LIKELY and appeal["status"] == "triage" and not found
        why = f"{formats.percent(share)}: {suggestion['why']}"
        proposed.setdefault(ref["id"], Choice(ref["id"], ref["name"], why, likely))
    if present is not None and appeal["status"] in _MAY_STAY:
        proposed.setdefault(present["id"], Choice(present["id"], present["name"], "отвечала до сих пор"))
    elif present is not None:
        proposed.pop(present["id"], None)
    return list(proposed.values())
