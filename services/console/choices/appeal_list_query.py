"""The query of an appeal list: filter and order of `GET /appeals`, as the inbox has them in its address."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

from shared.clock import REGION_TIME_ZONE

PATH = "/inbox"
PAGE_SIZE = 30
Pairs = tuple[tuple[str, str], ...]

# Filters of the API that accept several values.
_MULTIPLE = frozenset({"status", "triage_reason"})
# Lists in these orders have only appeals with a deadline. Counts and bulk changes accept no order: a far
# `due_before` restricts them to the same appeals.
_BY_DUE = frozenset({"due", "-due", "urgency", "-urgency"})
_FAR = "2100-01-01T00:00:00+08:00"
_NEWEST_FIRST = "-opened_at"
# A search by words can be sorted only by number.
_SEARCH_ORDERS = frozenset({_NEWEST_FIRST, "opened_at"})


@dataclass(frozen=True)
class ListQuery:
    """An appeal list: the parameters of its filter, its order, and the cursor of one page."""

    filters: Pairs
    sort: str = _NEWEST_FIRST
    cursor: str | None = None

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Self:
        """Return the list that the parameters describe; `from` and `to` are days of the region, both inclusive."""
        given = [(name, value.strip()) for name, value in pairs if value.strip()]
        single = dict(given)
        filters = tuple(
            dict.fromkeys(
                _moments(name, value) for name, value in given if name not in {"sort", "cursor", "limit"}
            )
        )
        sort = single.get("sort", _NEWEST_FIRST)
        if "q" in single and sort not in _SEARCH_ORDERS:
            sort = _NEWEST_FIRST
        return cls(filters, sort, single.get("cursor"))

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Return the list that a query string describes."""
        return cls.of(parse_qsl(text))

    @property
    def is_search(self) -> bool:
        """Return whether the list is a search by words."""
        return self.value("q") is not None

    def value(self, name: str) -> str | None:
        """Return the value of a filter; None if the list is not filtered by it."""
        return next((value for key, value in self.filters if key == name), None)

    def values(self, name: str) -> list[str]:
        """Return all values of a filter."""
        return [value for key, value in self.filters if key == name]

    def has_same_list(self, other: "ListQuery") -> bool:
        """Return whether both queries show the same list, regardless of the page."""
        return (sorted(self.filters), self.sort) == (sorted(other.filters), other.sort)

    def without(self, name: str, value: str | None = None) -> "ListQuery":
        """Return the first page of the list without a filter, or without one of its values."""
        kept = tuple(pair for pair in self.filters if pair[0] != name or value not in {None, pair[1]})
        return ListQuery(kept, self.sort)

    def with_filter(self, name: str, value: str) -> "ListQuery":
        """Return the first page of the list with a filter set to this value."""
        return ListQuery((*self.without(name).filters, (name, value)), self.sort)

    def at(self, cursor: str | None) -> "ListQuery":
        """Return the page of the list that begins at a cursor."""
        return ListQuery(self.filters, self.sort, cursor)

    @property
    def text(self) -> str:
        """Return the query string. It always includes the order: an empty string would show the person's default
        list.
        """
        cursor = (("cursor", self.cursor),) if self.cursor else ()
        return urlencode([*self.filters, ("sort", self.sort), *cursor])

    @property
    def address(self) -> str:
        """Return the address of this page of the list."""
        return f"{PATH}?{self.text}"

    def parameters(self) -> dict[str, list[str]]:
        """Return the parameters of `GET /appeals`."""
        found = {"limit": [str(PAGE_SIZE)], **self.export_parameters()}
        return found | ({"cursor": [self.cursor]} if self.cursor else {})

    def export_parameters(self) -> dict[str, list[str]]:
        """Return the parameters for an export of the whole list."""
        found: dict[str, list[str]] = {}
        for name, value in self.filters:
            found.setdefault(name, []).append(value)
        return found | {"sort": [self.sort]}

    def filter_parameters(self) -> dict[str, list[str]]:
        """Return the parameters of counts and facets of the same appeals: those of the list, without its order."""
        found = self.export_parameters()
        del found["sort"]
        if self.sort in _BY_DUE and "due_before" not in found:
            found["due_before"] = [_FAR]
        return found

    def filter_object(self) -> dict[str, Any]:
        """Return the filter of the list's appeals as an object for a request body."""
        return _object(self.filter_parameters())

    def view_filter(self) -> dict[str, Any]:
        """Return the filter as saved views store it, without the order, which is a separate field."""
        found = self.export_parameters()
        del found["sort"]
        return _object(found)


def _object(parameters: dict[str, list[str]]) -> dict[str, Any]:
    return {name: values if name in _MULTIPLE else values[-1] for name, values in parameters.items()}


def _moments(name: str, value: str) -> tuple[str, str]:
    if name not in {"from", "to"}:
        return name, value
    moved = {"from": "opened_from", "to": "opened_to"}[name]
    try:
        day = date.fromisoformat(value) + timedelta(days=name == "to")
    except (ValueError, OverflowError):
        return moved, value  # the API refuses it
    return moved, datetime.combine(day, time(), REGION_TIME_ZONE).isoformat()


def day_of(value: str | None, *, is_end: bool = False) -> str:
    """Return the day for a period field of the form; empty if the moment is not the start of a day."""
    if value is None:
        return ""
    try:
        moment = datetime.fromisoformat(value).astimezone(REGION_TIME_ZONE)
    except ValueError:
        return ""
    if moment.time() != time():
        return ""
    return (moment.date() - timedelta(days=is_end)).isoformat()
