"""Find municipalities by their typed names."""

from collections.abc import Sequence
from typing import Any

from services.console.site.visit import Visit
from shared.text.normalize import sort_key

Municipalities = Sequence[dict[str, Any]]


async def load_municipalities(visit: Visit) -> Municipalities:
    """Return all municipalities of the region, sorted by name."""
    return await visit.api.get_all("/municipalities")


def find_municipalities(rows: Municipalities, typed: str) -> Municipalities:
    """Return the municipality with this name; otherwise those whose names contain all its words, in any letter
    case.
    """
    exact = [one for one in rows if sort_key(one["name"]) == sort_key(typed)]
    return exact or [one for one in rows if all(word in sort_key(one["name"]) for word in sort_key(typed).split())]


def counted_municipalities(rows: Municipalities, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return all municipalities of `rows`, each with its number of appeals; `found` are the values of a facet."""
    numbers = {one["value"]["oktmo"]: one["count"] for one in found}
    return [{"value": one, "count": numbers.get(one["oktmo"], 0)} for one in rows]
