"""The query of a list: filter and order of `GET /appeals`, as the address of the inbox has them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

from shared.clock import REGION_TIME_ZONE

PATH = "/inbox"
PAGE_SIZE = 30
Pairs = tuple[tuple[str, str], ...]

# Filters of the API that take several values.
_MULTIPLE = frozenset({"status", "triage_reason"})
# Orders that list only appeals that owe something; counts and changes in bulk say the same by `due_before`.
_BY_DUE = frozenset({"due", "-due", "urgency", "-urgency"})
_FAR = "2100-01-01T00:00:00+08:00"
_NEWEST_FIRST = "-opened_at"
# With words the API sorts by number only.
_SEARCH_ORDERS = frozenset({_NEWEST_FIRST, "opened_at"})


@dataclass(frozen=True)
class ListQuery:
    """A list: the parameters of its filter, its order, and the cursor of a page of it."""

    filters: Pairs
    sort: str = _NEWEST_FIRST
    cursor: str | None = None

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Self:
        """Return the list that the parameters name; `from` and `to` are days of the region, both included."""
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
        """Return the list of a query string."""
        return cls.of(parse_qsl(text))

    @property
    def is_search(self) -> bool:
        """Return whether the list is found by words."""
        return self.value("q") is not None

    def value(self, name: str) -> str | None:
        """Return the value of a filter; None if the list is not filtered by it."""
        return next((value for key, value in self.filters if key == name), None)

    def values(self, name: str) -> list[str]:
        """Return all values of a filter."""
        return [value for key, value in self.filters if key == name]

    def has_same_list(self, other: "ListQuery") -> bool:
        """Return whether both show the same list, on whatever page."""
        return (sorted(self.filters), self.sort) == (sorted(other.filters), other.sort)

    def without(self, name: str, value: str | None = None) -> "ListQuery":
        """Return the list without a filter, or without one of its values; from its first page."""
        kept = tuple(pair for pair in self.filters if pair[0] != name or value not in {None, pair[1]})
        return ListQuery(kept, self.sort)

    def with_filter(self, name: str, value: str) -> "ListQuery":
        """Return the list with another value of a filter, from its first page."""
        return ListQuery((*self.without(name).filters, (name, value)), self.sort)

    def at(self, cursor: str | None) -> "ListQuery":
        """Return the page of the list at a cursor."""
        return ListQuery(self.filters, self.sort, cursor)

    @property
    def text(self) -> str:
        """Return the query string, which names the order always: an empty one is the first list of the person."""
        cursor = (("cursor", self.cursor),) if self.cursor else ()
        return urlencode([*self.filters, ("sort", self.sort), *cursor])

    @property
    def address(self) -> str:
        """Return the address of the page of the list."""
        return f"{PATH}?{self.text}"

    def parameters(self) -> dict[str, list[str]]:
        """Return the parameters of `GET /appeals`."""
        found = {"limit": [str(PAGE_SIZE)], **self.export_parameters()}
        return found | ({"cursor": [self.cursor]} if self.cursor else {})

    def export_parameters(self) -> dict[str, list[str]]:
        """Return the parameters of the whole list as a file."""
        found: dict[str, list[str]] = {}
        for name, value in self.filters:
            found.setdefault(name, []).append(value)
        return found | {"sort": [self.sort]}

    def filter_parameters(self) -> dict[str, list[str]]:
        """Return the parameters by which counts and facets find the appeals of the list: it takes no order."""
        found = self.export_parameters()
        del found["sort"]
        if self.sort in _BY_DUE and "due_before" not in found:
            found["due_before"] = [_FAR]
        return found

    def filter_object(self) -> dict[str, Any]:
        """Return the filter that finds the appeals of the list, as the API takes it in a body."""
        return _object(self.filter_parameters())

    def view_filter(self) -> dict[str, Any]:
        """Return the filter of a saved view, which has the order beside it."""
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
    """Return the day for a field of the period; empty if the moment is not the start of one."""
    if value is None:
        return ""
    try:
        moment = datetime.fromisoformat(value).astimezone(REGION_TIME_ZONE)
    except ValueError:
        return ""
    if moment.time() != time():
        return ""
    return (moment.date() - timedelta(days=is_end)).isoformat()
