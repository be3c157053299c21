"""Labels of the actors in the audit trail."""

from collections.abc import Iterable

from services.console.api_calls.client import ApiProblem
from services.console.site.forms import is_id
from services.console.site.visit import Visit, together

_SERVICES = {
    "appeals": "обработка обращений",
    "ingest": "сбор сообщений",
    "registry": "реестр",
    "metrics": "показатели",
    "webhooks": "вебхуки",
}
_UNKNOWN = "сотрудник, которого вы не видите"


async def actor_names(visit: Visit, actors: Iterable[str | None]) -> dict[str, str]:
    """Return the labels of actors by their key in the audit trail."""
    found: dict[str, str] = {}
    people = []
    for actor in dict.fromkeys(actor for actor in actors if actor):
        if actor in _SERVICES:
            found[actor] = f"система: {_SERVICES[actor]}"
        elif actor.startswith("operator:"):
            found[actor] = "администратор сервера"
        else:
            people.append(actor)
    names = await together(*(_name(visit, actor) for actor in people))
    return found | dict(zip(people, names, strict=True))


async def _name(visit: Visit, actor: str) -> str:
    from_letter = actor.startswith("link:")
    person = actor.removeprefix("link:")
    if not is_id(person):
        return f"система: {actor}"
    name = await _named(visit, f"/people/{person}", "full_name", "people:read")
    name = name or await _named(visit, f"/clients/{person}", "name", "clients:read") or _UNKNOWN
    return f"{name} (по ссылке из письма)" if from_letter else name


async def _named(visit: Visit, path: str, field: str, right: str) -> str | None:
    if not visit.may(right):
        return None
    try:
        row = await visit.api.get(path)
    except ApiProblem as problem:
        if problem.status not in {403, 404}:
            raise
        return None
    return str(row[field])
