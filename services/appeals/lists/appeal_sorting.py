"""The orders of lists of appeals. Each order is served by indexes, which are read in either direction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Literal

from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute
from typing_extensions import TypeAliasType

from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.sla.breaches import next_due, next_due_at
from shared.contracts.values import Urgency
from shared.http.problems import FieldError, Invalid
from shared.tables.appeals import Appeal

AppealSort = TypeAliasType(
    "AppealSort",
    Literal["-opened_at", "opened_at", "-updated_at", "updated_at", "due", "-due", "urgency", "-urgency"],
)
SORT_HELP = (
    "`-opened_at`: newest first; `-updated_at`: last changed first; `due`: by `next_due_at`, without appeals that "
    "have none; `urgency`: the same, urgent ones first. `opened_at`, `updated_at`, `-due` and `-urgency`: the "
    "reverse. With `q` only `-opened_at` and `opened_at`, by number"
)
# All urgencies, the highest first.
URGENCIES: tuple[Urgency, ...] = ("high", "normal")


@dataclass(frozen=True)
class AppealOrder:
    """An order of appeals: by a column or expression, then by id; with `by_urgency` first by urgency."""

    column: "InstrumentedAttribute[Any] | ColumnElement[Any]"
    descending: bool
    conditions: Sequence[ColumnElement[bool]] = ()
    by_urgency: bool = False


def order_of(sort: AppealSort, *, reverse: bool = False) -> AppealOrder:
    """Return the order that `sort` names, or its reverse."""
    descending = sort.startswith("-") is not reverse
    match sort.removeprefix("-"):
        case "opened_at":
            return AppealOrder(Appeal.opened_at, descending)
        case "updated_at":
            return AppealOrder(Appeal.updated_at, descending)
    due = next_due()
    return AppealOrder(due, descending, [due.is_not(None)], by_urgency=sort.endswith("urgency"))


def check_sort(sort: AppealSort, filters: AppealFilter, *, pointer: str = "query/sort") -> None:
    """Raise `Invalid` naming `pointer` for an order that no index serves with this filter."""
    if filters.q and sort not in {"-opened_at", "opened_at"}:
        detail = "With q appeals are ordered by number: sort takes -opened_at or opened_at"
        raise Invalid(detail, errors=[FieldError(pointer=pointer, detail=detail)])
    if filters.updated_since is not None and sort not in {"-updated_at", "updated_at"}:
        detail = "With updated_since appeals are ordered by change: sort takes updated_at or -updated_at"
        raise Invalid(detail, errors=[FieldError(pointer=pointer, detail=detail)])


def position_of(row: SimpleNamespace, sort: AppealSort, filters: AppealFilter) -> Sequence[Any]:
    """Return the position of an appeal in the list, for its cursor."""
    if filters.q:
        return (row.number,)
    match sort.removeprefix("-"):
        case "opened_at":
            return row.opened_at, row.id
        case "updated_at":
            return row.updated_at, row.id
    due: datetime | None = next_due_at(row)
    return (row.urgency, due, row.id) if sort.endswith("urgency") else (due, row.id)
