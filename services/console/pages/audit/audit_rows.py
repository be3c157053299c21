"""Rows of the trail as the page shows them."""

from collections.abc import Iterable
from typing import Any

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
# What the trail keeps instead of texts and of secrets.
_HIDDEN = {"digest": "скрыто", "secret": "секрет"}
_UNKNOWN = "сотрудник, которого вы не видите"


def changed_fields(entry: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return each changed field with its value before and after."""
    before, after = entry["before"] or {}, entry["after"] or {}
    names = dict.fromkeys([*before, *after])
    return [(name, _value(before.get(name)), _value(after.get(name))) for name in names if name != "id"]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "да" if value else "нет"
    if isinstance(value, dict):
        kept = [f"{name}: {_value(held)}" for name, held in value.items() if name not in _HIDDEN]
        return ", ".join([*(_HIDDEN[name] for name in _HIDDEN if name in value), *kept])
    if isinstance(value, list):
        return ", ".join(_value(one) for one in value) or "—"
    return "—" if value in {None, ""} else str(value)


async def actor_names(visit: Visit, actors: Iterable[str | None]) -> dict[str, str]:
    """Return who acted, by the name in the trail."""
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
