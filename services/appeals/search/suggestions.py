"""Search suggestions: names of locations and topics that contain the typed words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from typing_extensions import TypeAliasType

from services.appeals.classification.locations.gazetteer import gazetteer
from shared.tables.appeals_classification import Topic
from shared.text.normalize import fold_name

SuggestionKind = TypeAliasType(
    "SuggestionKind", Literal["municipality", "settlement", "locality", "street", "landmark", "topic"]
)
MAX_SUGGESTIONS = 10
# Among names that match equally well, this order of kinds applies.
_KINDS: Sequence[SuggestionKind] = get_args(SuggestionKind.__value__)


@dataclass(frozen=True)
class Suggestion:
    """A suggested name; for a location in only one municipality also the municipality."""

    kind: SuggestionKind
    name: str
    municipality: str | None = None


async def suggest(session: AsyncSession, typed: str) -> list[Suggestion]:
    """Return at most ten suggestions: first names that begin with the typed words, then names that contain
    them.
    """
    words = fold_name(typed).split()
    if not words:
        return []
    topics = [Suggestion("topic", name) for name in await session.scalars(select(Topic.name).where(Topic.active))]
    found = [
        (start, suggestion)
        for name_words, suggestion in (*_locations(), *_with_words(topics))
        if (start := _start(words, name_words)) is not None
    ]
    found.sort(key=lambda one: (one[0], _KINDS.index(one[1].kind), one[1].name))
    return [suggestion for _, suggestion in found[:MAX_SUGGESTIONS]]


def _start(typed: Sequence[str], words: Sequence[str]) -> int | None:
    """Return the index of the word from which the name has the typed words in order, the last one possibly
    incomplete; None if there is none.
    """
    last = len(typed) - 1
    for start in range(len(words) - last):
        if list(words[start : start + last]) == typed[:-1] and words[start + last].startswith(typed[-1]):
            return start
    return None


@lru_cache(maxsize=1)
def _locations() -> Sequence[tuple[tuple[str, ...], Suggestion]]:
    municipalities: dict[tuple[SuggestionKind, str], set[str]] = {}
    for entries in gazetteer().names.values():
        for entry, _ in entries:
            if entry.kind != "region":
                municipalities.setdefault((entry.kind, entry.name), set()).add(entry.municipality)
    return list(
        _with_words(
            Suggestion(kind, name, min(several) if len(several) == 1 else None)
            for (kind, name), several in municipalities.items()
        )
    )


def _with_words(suggestions: Iterable[Suggestion]) -> Iterable[tuple[tuple[str, ...], Suggestion]]:
    return ((tuple(fold_name(one.name).split()), one) for one in suggestions)
