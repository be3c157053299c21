"""The people who work on the appeals of the person's organisation or, for moderators, of the centre."""

from typing import Any

from services.console.api_calls.client import ApiProblem
from services.console.site.visit import Visit

_WORKING_ROLES = frozenset({"manager", "approver", "executor"})
_OPEN = ("assigned", "in_progress", "interim", "reopened")


async def find_colleagues(visit: Visit) -> list[tuple[str, str]]:
    """Return the ids and names of the colleagues, sorted by name; empty if the API shows the person none.

    For people who may not see accounts, the list is that of the possible assignees of an open appeal.
    """
    if not visit.may("appeals:work"):
        return []
    organisation = visit.me["organisation"]
    if visit.may("people:read") and organisation is not None:
        people = await visit.api.get_all("/people", {"organisation_id": organisation["id"], "active": True})
        found = [(one["id"], _name(one)) for one in people if one["role"] in _WORKING_ROLES]
    else:
        found = [(one["id"], one["name"]) for one in await _of_an_appeal(visit, organisation)]
    return sorted(found, key=lambda one: one[1])


def _name(person: dict[str, Any]) -> str:
    return str(person["full_name"])


async def _of_an_appeal(visit: Visit, organisation: dict[str, Any] | None) -> list[dict[str, Any]]:
    where: dict[str, Any] = {"limit": 1}
    where |= (
        {"status": "triage"} if organisation is None else {"organisation_id": organisation["id"], "status": _OPEN}
    )
    listed = await visit.api.get("/appeals", where)
    if not listed["items"]:
        return []
    try:
        return await visit.api.get_all(f"/appeals/{listed['items'][0]['id']}/possible-assignees")
    except ApiProblem as problem:
        if problem.status not in {404, 409}:
            raise
        return []  # the appeal has left the scope meanwhile
