"""Find the organisation or topic that a person typed by name; offer candidates if several match."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.console.api_calls.client import Api
from services.console.choices.organisation_choice import choose_organisation
from services.console.choices.topic_names import Topics
from services.console.site.forms import is_id
from services.console.site.visit import Visit, together

_UNNAMED = "Укажите организацию."
_NOBODY = "Такой организации в реестре нет. Проверьте название."
_SEVERAL = "Таких организаций несколько: выберите нужную."
_SIMILAR = "Точно такой организации нет: выберите из похожих."

_NO_TOPIC = "Такой темы нет. Попробуйте другие слова."
_SEVERAL_TOPICS = "Таких тем несколько: выберите нужную."
_SIMILAR_TOPICS = "Точно такой темы нет: выберите из похожих."
_MOST_CANDIDATES = 20
_MOST_ORGANISATIONS = 10


@dataclass
class Choice:
    """The text of a form field, and the organisation or topic that it means."""

    name: str
    written: str = ""
    id: str | None = None
    error: str = ""
    candidates: list[dict[str, Any]] = field(default_factory=list)


async def chosen_organisation(
    api: Api,
    form: Mapping[str, Any],
    name: str,
    *,
    known: Mapping[str, Any] | None = None,
    required: bool = False,
) -> Choice:
    """Return the organisation chosen in a field: `NAME` is the typed text, `NAME_id` the id picked among
    candidates.

    A choice with neither an error nor an id means that the field was left empty. `known` is the organisation
    that the field showed at first: it may have closed since, or share its name with another.
    """
    choice = Choice(name, str(form.get(name, "")).strip())
    if not choice.written:
        choice.error = _UNNAMED if required else ""
        return choice
    picked = form.get(f"{name}_id")
    if known is not None and choice.written == known["name"] and not picked:
        return known_choice(name, known)
    match = await choose_organisation(api, choice.written, limit=_MOST_ORGANISATIONS)
    meant = match.chosen or next((one for one in match.found if one["id"] == picked), None)
    if meant is not None:
        choice.id, choice.written = meant["id"], meant["name"]
    else:
        choice.candidates = match.found
        choice.error = (_SEVERAL if match.is_ambiguous else _SIMILAR) if match.found else _NOBODY
    return choice


async def known_organisation(api: Api, organisation_id: str | None, name: str = "organisation") -> Choice:
    """Return the field filled with an organisation, for a new form; empty without an id."""
    if not is_id(organisation_id):
        return Choice(name)
    return known_choice(name, await api.get(f"/organisations/{organisation_id}"))


def changed_choice(current: Choice, form: Choice) -> str:
    """Return a note with the current value, for a form with an old version; empty if it equals the entered one."""
    return "" if current.id == form.id else f"Сейчас в записи: {current.written or 'пусто'}."


def chosen_topic(
    topics: Topics, form: Mapping[str, Any], name: str = "topic", *, known: Mapping[str, Any] | None = None
) -> Choice:
    """Return the topic or group chosen in a field, as `chosen_organisation` does; `known` is what the field showed
    at first.
    """
    choice = Choice(name, str(form.get(name, "")).strip())
    if not choice.written:
        return choice
    if known is not None and choice.written == known["name"] and not form.get(f"{name}_id"):
        return known_choice(name, known)
    candidates = topics.found(choice.written)
    same = [one for one in candidates if one["name"].casefold() == choice.written.casefold()]
    # A single topic of this name takes precedence: the picked id may belong to the text typed before.
    only = same if len(same) == 1 else [one for one in candidates if one["id"] == form.get(f"{name}_id")]
    if only:
        choice.id, choice.written = only[0]["id"], only[0]["name"]
    else:
        choice.candidates = candidates[:_MOST_CANDIDATES]
        choice.error = (_SEVERAL_TOPICS if same else _SIMILAR_TOPICS) if candidates else _NO_TOPIC
    return choice


def known_choice(name: str, known: Mapping[str, Any] | None) -> Choice:
    """Return the field filled with a known row, empty if it is None."""
    return Choice(name, known["name"], known["id"]) if known else Choice(name)


def topic_choice(topics: Topics, topic_id: str | None, name: str = "topic") -> Choice:
    """Return the field filled with a topic, empty without an id."""
    return Choice(name, topics.name(topic_id), topic_id) if topic_id else Choice(name)


async def organisation_names(visit: Visit, ids: set[str]) -> dict[str, str]:
    """Return the names of organisations by id."""
    known = sorted(ids)
    rows = await together(*(visit.api.get(f"/organisations/{one}") for one in known))
    return {row["id"]: row["name"] for row in rows}
