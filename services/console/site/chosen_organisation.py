"""Which organisation a person means by what they wrote into a form: a name, or one of several with that name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.console.site.visit import Visit, together

_NOBODY = "Такой организации в реестре нет. Проверьте название."
_SEVERAL = "Таких организаций несколько: выберите нужную."
_SIMILAR = "Точно такой организации нет: выберите из похожих."


@dataclass
class ChosenOrganisation:
    """What was entered in a field, and which organisation it is."""

    name: str
    written: str = ""
    id: str | None = None
    error: str = ""
    candidates: list[dict[str, Any]] = field(default_factory=list)


async def chosen_organisation(visit: Visit, form: Mapping[str, Any], name: str) -> ChosenOrganisation:
    """Return the organisation of a field. `NAME` has its name, `NAME_id` the choice among several.

    Without an error and without an id the field was left empty.
    """
    written = str(form.get(name, "")).strip()
    chosen = ChosenOrganisation(name, written)
    if not written:
        return chosen
    found = await visit.api.get("/organisations/search", {"q": written[:200], "limit": 10, "active": True})
    candidates = found["items"]
    same = [
        one for one in candidates if written.casefold() in {one["name"].casefold(), one["matched_name"].casefold()}
    ]
    picked = [one for one in candidates if one["id"] == form.get(f"{name}_id")]
    only = picked or (same if len(same) == 1 else [])
    if only:
        chosen.id, chosen.written = only[0]["id"], only[0]["name"]
    else:
        chosen.candidates = candidates
        chosen.error = (_SEVERAL if same else _SIMILAR) if candidates else _NOBODY
    return chosen


async def organisation_names(visit: Visit, ids: set[str]) -> dict[str, str]:
    """Return the names of organisations by id."""
    known = sorted(ids)
    rows = await together(*(visit.api.get(f"/organisations/{one}") for one in known))
    return {row["id"]: row["name"] for row in rows}
