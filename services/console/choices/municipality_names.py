"""Municipalities that people name by typing."""

from collections.abc import Sequence
from typing import Any

from services.console.site.visit import Visit

Municipalities = Sequence[dict[str, Any]]


async def load_municipalities(visit: Visit) -> Municipalities:
    """Return all municipalities of the region by name."""
    return await visit.api.get_all("/municipalities")


def find_municipalities(rows: Municipalities, typed: str) -> Municipalities:
    """Return the municipality of this name, or all whose names have each of the words, in any letter case."""
    exact = [one for one in rows if _folded(one["name"]) == _folded(typed)]
    return exact or [one for one in rows if all(word in _folded(one["name"]) for word in _folded(typed).split())]


def counted_municipalities(rows: Municipalities, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return all municipalities by name, with the number that each has in a facet of the API."""
    numbers = {one["value"]["oktmo"]: one["count"] for one in found}
    return [{"value": one, "count": numbers.get(one["oktmo"], 0)} for one in rows]


def _folded(text: str) -> str:
    return " ".join(text.casefold().replace("ё", "е").split())
