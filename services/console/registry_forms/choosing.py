"""Choosing an organisation in a form: by words, then one of those found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.console.api_calls.client import Api
from services.console.choices.organisation_choice import search_organisations
from services.console.site.forms import is_id

# From this score on the words are the whole name, as the search reads names.
_EXACT = 0.999


@dataclass(frozen=True)
class Choice:
    """What a person entered, and the organisation that it names, if it names one."""

    words: str = ""
    chosen: dict[str, Any] | None = None
    found: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""

    @property
    def organisation_id(self) -> str | None:
        """Return the id of the organisation that was chosen."""
        return str(self.chosen["id"]) if self.chosen else None


async def known_organisation(api: Api, organisation_id: str | None) -> Choice:
    """Return the choice that a form begins with."""
    if not is_id(organisation_id):
        return Choice()
    return Choice(chosen=await api.get(f"/organisations/{organisation_id}"))


async def choose(api: Api, form: Mapping[str, str], name: str, *, required: bool = True) -> Choice:
    """Return the organisation that the fields of `components/choice.html` name.

    Without one, `error` says what to do, unless nothing was entered and nothing is required.
    """
    words, ticked = form.get(f"{name}_words", ""), form.get(f"{name}_id", "")
    known = await known_organisation(api, ticked)
    if form.get("find") == name:
        return Choice(words, known.chosen, await search_organisations(api, words))
    # Words beside the organisation that the form began with mean another one.
    if known.chosen and not (words and ticked == form.get(f"{name}_was")):
        return known
    if not words:
        return Choice(error="Найдите организацию по названию." if required else "")
    found = await search_organisations(api, words)
    if found and found[0]["score"] >= _EXACT and (len(found) == 1 or found[1]["score"] < _EXACT):
        return Choice(words, chosen=found[0], found=found)
    error = "Отметьте нужную организацию." if found else "Ничего не нашлось. Проверьте название."
    if known.chosen:
        error = f"{error} Чтобы оставить прежнюю, очистите поле."
    return Choice(words, known.chosen, found, error)


def changed_choice(current: Choice, form: Choice) -> str:
    """Return which organisation stands now, for a form whose version was stale; empty if it is the one entered."""
    if current.organisation_id == form.organisation_id:
        return ""
    return f"Сейчас в записи: {current.chosen['name'] if current.chosen else 'пусто'}."
