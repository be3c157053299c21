"""Which organisation or topic a person means by what they wrote: a name, or one of several that fit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.console.choices.organisation_choice import search_organisations
from services.console.choices.topic_names import Topics
from services.console.site.visit import Visit, together

_NOBODY = "Такой организации в реестре нет. Проверьте название."
_SEVERAL = "Таких организаций несколько: выберите нужную."
_SIMILAR = "Точно такой организации нет: выберите из похожих."

_NO_TOPIC = "Такой темы нет. Попробуйте другие слова."
_SEVERAL_TOPICS = "Таких тем несколько: выберите нужную."
_SIMILAR_TOPICS = "Точно такой темы нет: выберите из похожих."
_MOST_CANDIDATES = 20


@dataclass
class Choice:
    """What was entered in a field, and what it means."""

    name: str
    written: str = ""
    id: str | None = None
    error: str = ""
    candidates: list[dict[str, Any]] = field(default_factory=list)


async def chosen_organisation(visit: Visit, form: Mapping[str, Any], name: str) -> Choice:
    """Return the organisation of a field. `NAME` has its name, `NAME_id` the choice among several.

    Without an error and without an id the field was left empty.
    """
    written = str(form.get(name, "")).strip()
    chosen = Choice(name, written)
    if not written:
        return chosen
    candidates = await search_organisations(visit.api, written, limit=10)
    same = [
        one for one in candidates if written.casefold() in {one["name"].casefold(), one["matched_name"].casefold()}
    ]
    if only := _meant(candidates, same, form.get(f"{name}_id")):
        chosen.id, chosen.written = only[0]["id"], only[0]["name"]
    else:
        chosen.candidates = candidates
        chosen.error = (_SEVERAL if same else _SIMILAR) if candidates else _NOBODY
    return chosen


def _meant(
    candidates: list[dict[str, Any]], same: list[dict[str, Any]], picked_id: object
) -> list[dict[str, Any]]:
    """Return the one that is meant, or none. The only one of this name wins: the pick may be of a former name."""
    return same if len(same) == 1 else [one for one in candidates if one["id"] == picked_id]


def chosen_topic(
    topics: Topics, form: Mapping[str, Any], name: str = "topic", *, known: Mapping[str, Any] | None = None
) -> Choice:
    """Return the topic or group of a field, as `chosen_organisation` does; `known` is what stood in the field."""
    choice = Choice(name, str(form.get(name, "")).strip())
    if not choice.written:
        return choice
    if known is not None and choice.written == known["name"] and not form.get(f"{name}_id"):
        return known_choice(name, known)
    candidates = topics.found(choice.written)
    same = [one for one in candidates if one["name"].casefold() == choice.written.casefold()]
    if only := _meant(candidates, same, form.get(f"{name}_id")):
        choice.id, choice.written = only[0]["id"], only[0]["name"]
    else:
        choice.candidates = candidates[:_MOST_CANDIDATES]
        choice.error = (_SEVERAL_TOPICS if same else _SIMILAR_TOPICS) if candidates else _NO_TOPIC
    return choice


def known_choice(name: str, known: Mapping[str, Any] | None) -> Choice:
    """Return the field of something that is known, or of nothing."""
    return Choice(name, known["name"], known["id"]) if known else Choice(name)


def topic_choice(topics: Topics, topic_id: str | None, name: str = "topic") -> Choice:
    """Return the field of a topic that is known."""
    return Choice(name, topics.name(topic_id), topic_id) if topic_id else Choice(name)


async def organisation_names(visit: Visit, ids: set[str]) -> dict[str, str]:
    """Return the names of organisations by id."""
    known = sorted(ids)
    rows = await together(*(visit.api.get(f"/organisations/{one}") for one in known))
    return {row["id"]: row["name"] for row in rows}
