"""Names of official pages, and the pages that cannot be read."""

from collections.abc import AsyncIterator
from typing import Any

from services.console.api_calls.client import ApiProblem
from services.console.site.visit import Visit, together

_BAD_STATES = frozenset({"failing", "no_token"})
# The API has no filter by state, so the whole list is searched; this limits how many pages are read.
_MOST_SOUGHT = 5_000


async def page_names(visit: Visit, ids: set[str]) -> dict[str, str]:
    """Return the names of pages by id; pages hidden from the person are left out."""
    rows = await together(*(_page(visit, one) for one in sorted(ids)))
    return {row["id"]: row["name"] for row in rows if row is not None}


async def _page(visit: Visit, page_id: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = await visit.api.get(f"/pages/{page_id}")
    except ApiProblem as problem:
        if problem.status != 404:
            raise
        return None
    return found


async def page_id_at(visit: Visit, address: str) -> str | None:
    """Return the id of the official page at an address; None if there is none or the address is invalid."""
    try:
        found = await visit.api.get("/pages", {"address": address[:2000], "limit": 1})
    except ApiProblem as problem:
        if "query/address" not in problem.fields:
            raise
        return None
    return next((str(page["id"]) for page in found["items"]), None)


async def pages_with_problems(visit: Visit, network: str | None = None) -> AsyncIterator[dict[str, Any]]:
    """Yield the pages that cannot be read, among the first `_MOST_SOUGHT` pages."""
    cursor, read = None, 0
    while True:
        listed = await visit.api.get("/sources", {"limit": 200, "cursor": cursor, "network": network})
        for page in listed["items"]:
            if page["state"] in _BAD_STATES:
                yield page
        cursor, read = listed["next_cursor"], read + len(listed["items"])
        if cursor is None or read >= _MOST_SOUGHT:
            return
