"""Patterns of event types: `appeal.*` stands for all types of a subject, also types that a later version adds."""

from collections.abc import Collection, Iterable

_ALL = ".*"


def expand_types(requested: Iterable[str], known: Collection[str]) -> list[str]:
    """Return the types in order, each once, with every pattern replaced by the known types that it matches.

    A pattern that matches no known type is returned unchanged, so that the caller can refuse it.
    """
    expanded: dict[str, None] = {}
    for wanted in requested:
        named = [wanted]
        if wanted.endswith(_ALL):
            named = [kind for kind in known if kind.startswith(wanted.removesuffix("*"))] or named
        expanded |= dict.fromkeys(named)
    return list(expanded)
