"""The location that a page implies.

The page of a district, a town or a local institution implies a location; the page of a republic-level body does
not.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from services.appeals.classification.locations.gazetteer import gazetteer
from services.appeals.classification.locations.mention_extraction import LocationMention, extract_mentions
from services.appeals.classification.text.tokenizer import tokenize
from shared.text.normalize import fold_text

_REMEMBERED = 10_000
_CAPITAL = "город Улан-Удэ"
_SHORT_PATTERN = 4


@dataclass(frozen=True, slots=True)
class PageLocation:
    """The location that a page implies; `municipality` and `settlement` are None if it implies none. `owner` is
    the owner's name.
    """

    municipality: str | None
    settlement: str | None
    owner: str


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    found: dict[str, list[str]] = {}
    for pattern, scope in gazetteer().bodies:
        words = r"\W+".join(re.escape(word) for word in tokenize(pattern))
        found.setdefault(scope, []).append(words + (r"\b" if len(pattern) < _SHORT_PATTERN else ""))
    return tuple((re.compile(rf"\b(?:{'|'.join(words)})"), scope) for scope, words in found.items())


def owner_scope(owner: str) -> str | None:
    """Return the first of `republic`, `local` and `region` whose words occur in the owner's name."""
    folded = fold_text(owner)
    scopes = {scope for pattern, scope in _patterns() if pattern.search(folded)}
    return next((scope for scope in ("republic", "local", "region") if scope in scopes), None)


def _canonical(municipality: str | None) -> str | None:
    """Return the gazetteer's name of a municipality given in any spelling."""
    if not municipality:
        return None
    exact = gazetteer().municipalities.get(fold_text(municipality.strip()))
    if exact:
        return exact
    named = [
        mention
        for mention in extract_mentions(municipality, of_page=True).places
        if len(mention.municipalities) == 1
    ]
    return next(iter(named[0].municipalities)) if named else None


def _one(places: list[LocationMention]) -> str | None:
    """Return the municipality that the name of a page's owner implies. If it names the capital and another
    municipality, return the other one.
    """
    # Institutions in the capital, such as theatres and hospitals, serve the whole republic.
    certain = [
        place
        for place in places
        if place.is_certain
        and not all(entry.kind == "landmark" and entry.municipality == _CAPITAL for entry in place.options)
    ]
    found = {next(iter(place.municipalities)) for place in certain if len(place.municipalities) == 1}
    if not found:
        mains = {entry.municipality for place in certain for entry in place.options if entry.is_default}
        return next(iter(mains)) if len(mains) == 1 else None
    if len(found) > 1:
        found.discard(_CAPITAL)
    return next(iter(found)) if len(found) == 1 else None


@lru_cache(maxsize=_REMEMBERED)
def page_location(owner: str | None, municipality: str | None) -> PageLocation:
    """Return the location that a page implies: its registered municipality, else the one in its owner's name; of a
    republic-level or regional body only the name counts.
    """
    given = _canonical(municipality)
    if not owner:
        return PageLocation(given, None, "")
    places = extract_mentions(owner, of_page=True).places
    named = _one(places)
    scope = owner_scope(owner)
    if scope in ("republic", "region"):
        # The district office of a republic-level body serves that district; a seat in the capital implies nothing.
        implied = named if named != _CAPITAL else None
        return PageLocation(implied, None, owner)
    implied = given or named
    settlement = next(
        (
            entry.settlement
            for place in places
            for entry in place.options
            if place.is_certain
            and entry.municipality == implied
            and entry.settlement not in ("", "Улан-Удэ", "Северобайкальск")
        ),
        None,
    )
    return PageLocation(implied, settlement, owner)
