"""Detection of a problem's location: municipality, settlement, street and house.

The algorithm, and how to add names: `docs/developer/classification.md`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from services.appeals.classification.locations.gazetteer import GazetteerEntry
from services.appeals.classification.locations.location_lexicon import (
    AWAY_FOR_A_TIME,
    COMPARISON_WORDS,
    HERE,
    REPUBLIC,
)
from services.appeals.classification.locations.location_roles import LocationRole
from services.appeals.classification.locations.mention_extraction import (
    LocationMention,
    LocationMentions,
    extract_mentions,
)
from services.appeals.classification.locations.page_locations import PageLocation, page_location
from services.appeals.classification.locations.street_addresses import StreetMention
from services.appeals.classification.locations.tokenized_text import matches_stem
from services.appeals.classification.text.tokenizer import CleanText, clean_post

_REMEMBERED = 1_000
# Cities that are both municipality and settlement: only a part of such a city is more precise than the
# municipality.
_CITIES = frozenset(("Улан-Удэ", "Северобайкальск"))
_CAPITAL = "город Улан-Удэ"


@dataclass(frozen=True, slots=True)
class DetectedLocation:
    """The location of a problem.

    `municipality` is spelt as in `data/municipalities.csv`; `settlement` may also be a part of a city, `street` a
    numbered quarter. `source`: whether the municipality comes from the text (of the message or of the post above)
    or from the page; `matched_words`: the words that name it. `other_region`: the problem is outside the republic,
    and no municipality is set. `error`: the type of the error that prevented the detection.
    """

    municipality: str | None = None
    settlement: str | None = None
    street: str | None = None
    house: str | None = None
    source: Literal["text", "page"] | None = None
    matched_words: str = ""
    other_region: str | None = None
    error: str | None = None


def find_location(
    text: str | CleanText, *, page_owner: str | None, page_municipality: str | None, post: str | None = None
) -> DetectedLocation:
    """Return the location of a message's problem: from its text, else from the post above, else from the page.

    Nothing is guessed: a text without a location, on the page of a republic-level body, gives an empty
    `DetectedLocation`.
    """
    page = page_location(page_owner, page_municipality)
    reading = extract_mentions(text)
    if not (reading.places or reading.streets or reading.regions):
        return _by_surroundings(reading, page, post)
    above = _of_post(post) if post else None
    chosen = _choose(reading.places, above, page)
    if chosen and chosen[1].role >= LocationRole.TOWARDS:
        return _by_text(reading, *chosen)
    street = _decided_by_street(reading.streets)
    if street and not above and not page.municipality:
        return _with_address(reading, street.municipality, _settlement_of(street), "text", [])
    outside = _other_region(reading)
    if outside:
        return DetectedLocation(
            other_region=outside.options[0].name,
            matched_words=f"«{reading.text.quote(outside.start, outside.end)}»",
        )
    if above or page.municipality or not chosen or chosen[1].role < LocationRole.HOME:
        return _by_surroundings(reading, page, post)
    return _by_text(reading, *chosen)


def _by_surroundings(reading: LocationMentions, page: PageLocation, post: str | None) -> DetectedLocation:
    above = _of_post(post) if post else None
    if above:
        return _with_address(reading, above[0], above[1], "text", [f"запись выше: «{above[2]}»"])
    if page.municipality:
        return _with_address(
            reading, page.municipality, page.settlement, "page", [f"страница: {page.owner or page.municipality}"]
        )
    return DetectedLocation()


@lru_cache(maxsize=_REMEMBERED)
def _of_post(post: str) -> tuple[str, str | None, str] | None:
    """Return the municipality, settlement and matched words of a post that names one municipality, else None."""
    reading = extract_mentions(clean_post(post))
    empty = PageLocation(None, None, "")
    named = [place for place in reading.places if place.is_certain and place.role >= LocationRole.TOWARDS]
    chosen = _choose(named, None, empty)
    if chosen:
        municipality, mention = chosen
        if len({_resolved(place, {municipality}, None, empty) for place in named}) > 1:
            return None
        settlement = _settlement(named, municipality)
        return municipality, settlement, reading.text.quote(mention.start, mention.end)
    street = _decided_by_street(reading.streets)
    if street and not named:
        first = reading.streets[0]
        return street.municipality, _settlement_of(street), reading.text.quote(first.start, first.end)
    return None


def _resolved(
    mention: LocationMention, named: set[str], above: tuple[str, str | None, str] | None, page: PageLocation
) -> str | None:
    """Return the municipality of a mention. If it is ambiguous: the one named in the text, else in the post, else
    the page's, else the default.
    """
    options = mention.municipalities
    if len(options) == 1:
        return next(iter(options))
    for hints in (named, {above[0]} if above else set(), {page.municipality} if page.municipality else set()):
        fitting = options & hints
        if len(fitting) == 1:
            return next(iter(fitting))
    mains = {entry.municipality for entry in mention.options if entry.is_default}
    return next(iter(mains)) if len(mains) == 1 else None


def _choose(
    places: list[LocationMention], above: tuple[str, str | None, str] | None, page: PageLocation
) -> tuple[str, LocationMention] | None:
    """Return the municipality that the text names, with its mention.

    If it names several, return the first with the highest role (`LocationRole`), preferably not the capital.
    """
    firm = [place for place in places if place.is_certain and place.role > LocationRole.COMPARED]
    named = {next(iter(place.municipalities)) for place in firm if len(place.municipalities) == 1}
    best: tuple[str, LocationMention] | None = None
    for place in firm:
        municipality = _resolved(place, named, above, page)
        if municipality is None or _is_namesake(place, municipality, page):
            continue
        if best is None or place.role > best[1].role:
            best = municipality, place
        elif place.role == best[1].role and _only_capital(best) and municipality != _CAPITAL:
            # The capital is often named as the seat of officials, so beside another location it is rarely the
            # problem's location.
            best = municipality, place
    return best


def _is_namesake(place: LocationMention, municipality: str, page: PageLocation) -> bool:
    """Return whether a name recognised by its type only («посёлок Северный») is likely an unlisted namesake in the
    page's district.
    """
    return (
        page.municipality is not None
        and page.municipality != municipality
        and all(entry.required_evidence == "type" for entry in place.options)
    )


def _only_capital(named: tuple[str, LocationMention]) -> bool:
    return named[0] == _CAPITAL and all(entry.kind in ("settlement", "municipality") for entry in named[1].options)


def _decided_by_street(streets: Iterable[StreetMention]) -> GazetteerEntry | None:
    """Return the first street that is a default entry in exactly one municipality."""
    for street in streets:
        known = {entry.municipality: entry for entry in street.options if entry.is_default}
        if len(known) == 1:
            return next(iter(known.values()))
    return None


def _by_text(reading: LocationMentions, municipality: str, mention: LocationMention) -> DetectedLocation:
    why = [f"«{reading.text.quote(mention.start, mention.end)}»"]
    return _with_address(reading, municipality, _settlement(reading.places, municipality), "text", why)


def _settlement(places: Iterable[LocationMention], municipality: str) -> str | None:
    """Return the most likely settlement of the problem, or a named part of a city; None if there is none."""
    best: tuple[tuple[bool, LocationRole], str] | None = None
    for place in places:
        if place.role <= LocationRole.AWAY:
            continue
        for entry in place.options:
            name = _settlement_of(entry)
            rank = place.is_certain, place.role
            if name and entry.municipality == municipality and (best is None or rank > best[0]):
                best = rank, name
    return best[1] if best else None


def _settlement_of(entry: GazetteerEntry) -> str | None:
    if entry.settlement not in _CITIES:
        return entry.settlement or None
    return entry.name if entry.kind == "locality" and entry.required_evidence != "number" else None


def _quarter(places: Iterable[LocationMention], municipality: str) -> tuple[str | None, str | None]:
    """Return a numbered quarter or a part of a town instead of a street, with the house."""
    for place in places:
        for entry in place.options:
            if (
                (place.is_certain or entry.required_evidence == "number")
                and entry.kind == "locality"
                and entry.municipality == municipality
            ):
                named_city = entry.settlement in _CITIES and entry.required_evidence != "number"
                return (None if named_city and not place.house else entry.name), place.house
    return None, None


def _with_address(
    reading: LocationMentions,
    municipality: str,
    settlement: str | None,
    source: Literal["text", "page"],
    why: list[str],
) -> DetectedLocation:
    street = next((street for street in reading.streets if street.house), next(iter(reading.streets), None))
    if settlement is None:
        settlement = _settlement(reading.places, municipality)
    if street:
        named = next((entry.name for entry in street.options if entry.municipality == municipality), street.name)
        why.append(f"«{reading.text.quote(street.start, street.end)}»")
        return DetectedLocation(municipality, settlement, named, street.house, source, "; ".join(why))
    quarter, house = _quarter(reading.places, municipality)
    return DetectedLocation(municipality, settlement, quarter, house, source, "; ".join(why))


def _other_region(reading: LocationMentions) -> LocationMention | None:  # noqa: PLR0911 — one return per reason against it
    """Return the named location outside the republic («в чите»). None if there is none, or if the text also points
    to the republic, compares the two regions, or tells of a stay there (study, work, treatment).
    """
    words = reading.text.words
    if reading.places:
        return None
    for region in reading.regions:
        if words[max(0, region.start - 2) : region.start] == ["у", "нас"]:
            return region
    if any(word in HERE or word.startswith(REPUBLIC) for word in words):
        return None
    if any(word.startswith(COMPARISON_WORDS) for word in words):
        return None
    if any(matches_stem(word, AWAY_FOR_A_TIME) for word in words):
        return None
    for region in reading.regions:
        if words[max(0, region.start - 1)] == "а":
            continue
        if region.role == LocationRole.AT and words[region.start] in ("в", "во"):
            return region
    return None
