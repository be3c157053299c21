"""Names of the organisations, topics and locations that an appeal contains as ids."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]


def organisation_names(appeal: Document) -> dict[str, str]:
    """Return the names of the appeal's organisations by id."""
    return {ref["id"]: ref["name"] for ref in _organisations(appeal) if ref}


def _organisations(appeal: Document) -> Iterator[Document | None]:
    yield appeal["organisation"]
    for suggestion in appeal["route"]["suggestions"]:
        yield suggestion["organisation"]
    for assignment in appeal["assignments"]:
        yield assignment["from_organisation"]
        yield assignment["to_organisation"]
    yield (appeal["submission"] or {}).get("organisation")


def topic_names(appeal: Document) -> dict[str, str]:
    """Return the names of the topics of the appeal and its messages by id."""
    found = [appeal["topic"]]
    for message in appeal["messages"]:
        if (classified := message["classification"]) is not None:
            found += [classified["topic"], *(candidate["topic"] for candidate in classified["top3"])]
    return {ref["id"]: ref["name"] for ref in found if ref}


def location_words(location: Document | None, municipalities: Mapping[str, str] | None = None) -> str:
    """Return a location as text, general parts first: «Улан-Удэ, улица Бабушкина, 20»; empty without a
    location.
    """
    if not location:
        return ""
    municipality = location.get("municipality")
    if isinstance(municipality, str):
        municipality = (municipalities or {}).get(municipality)
    elif municipality:
        municipality = municipality["name"]
    settlement = location.get("settlement")
    if municipality and settlement and _names(municipality, settlement):
        settlement = None
    return ", ".join(
        str(part) for part in (municipality, settlement, location.get("street"), location.get("house")) if part
    )


def _names(municipality: str, settlement: str) -> bool:
    """Return whether a municipality is the settlement itself, as «город Улан-Удэ» is."""
    return re.search(rf"(?<![\w-]){re.escape(settlement)}(?![\w-])", municipality) is not None


def municipality_names(appeal: Document) -> dict[str, str]:
    """Return the names of the municipalities of the appeal and its messages by OKTMO code."""
    locations = [
        appeal["location"],
        *((message["classification"] or {}).get("location") for message in appeal["messages"]),
    ]
    known = [location["municipality"] for location in locations if location and location["municipality"]]
    return {one["oktmo"]: one["name"] for one in known}
