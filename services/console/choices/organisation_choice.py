"""Find organisations by their typed names: the one that is meant, or candidates."""

from dataclasses import dataclass
from typing import Any

from services.console.api_calls.client import Api, ApiProblem

_MAX_FOUND = 8


@dataclass(frozen=True)
class OrganisationChoice:
    """The organisation that a name means, if it is certain, and the candidates to choose from.

    `is_ambiguous`: several candidates have exactly this name.
    """

    chosen: dict[str, Any] | None
    found: list[dict[str, Any]]
    is_ambiguous: bool = False


async def search_organisations(api: Api, name: str, *, limit: int = _MAX_FOUND) -> list[dict[str, Any]]:
    """Return active organisations with names similar to this one, best match first; none for an empty name.

    A name without searchable characters, such as «!», finds none.
    """
    if not name.strip():
        return []
    try:
        answer = await api.get("/organisations/search", {"q": name.strip()[:200], "limit": limit, "active": True})
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        return []  # the name has no searchable characters
    items: list[dict[str, Any]] = answer["items"]
    return items


async def choose_organisation(api: Api, name: str, *, limit: int = _MAX_FOUND) -> OrganisationChoice:
    """Return the organisation that has this name, also as a short or former name; otherwise those with similar
    names.
    """
    found = await search_organisations(api, name, limit=limit)
    wanted = name.strip().casefold()
    for part in ("name", "matched_name"):
        same = [one for one in found if one[part].casefold() == wanted]
        if len(same) == 1:
            return OrganisationChoice(same[0], found)
        if same:
            return OrganisationChoice(None, found, is_ambiguous=True)
    return OrganisationChoice(None, found)
