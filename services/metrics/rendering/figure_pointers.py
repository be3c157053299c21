"""Pointers to figures of a report: as JSON pointers, but elements of lists by what identifies them.

The index of an element in its list may change: «/topics/<id of the topic group>/appeals/value».
"""

from collections.abc import Iterator, Mapping
from typing import Any

# The first of these fields that an element has identifies it in its list.
_KEYS = (
    "channel", "code", "topic_group_id", "oktmo", "organisation_id", "network", "axis", "page_id", "number",
    "name",
)  # fmt: skip
# The key of an element that is about appeals without a topic, a location and the like.
NONE = "none"

Figure = int | float | None


def figures(document: Mapping[str, Any], left_out: frozenset[str]) -> Iterator[tuple[str, Figure]]:
    """Yield pointer and value of each figure of a document, except in the sections `left_out`."""
    for name, value in document.items():
        if name not in left_out:
            yield from _figures(value, f"/{_escaped(name)}")


def child(node: Any, step: str) -> Any:
    """Return what a step of a pointer leads to; None if the document has no such element."""
    if isinstance(node, list):
        return next((one for index, one in enumerate(node) if _key(one, index) == step), None)
    return node.get(step) if isinstance(node, Mapping) else None


def steps(pointer: str) -> list[str]:
    """Return the steps of a pointer, unescaped."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _figures(value: Any, pointer: str) -> Iterator[tuple[str, Figure]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _figures(inner, f"{pointer}/{_escaped(name)}")
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from _figures(element, f"{pointer}/{_escaped(_key(element, index))}")
    elif value is None or isinstance(value, int | float):
        yield pointer, value


def _key(element: Any, index: int) -> str:
    """Return what identifies an element of a list; its index if nothing does."""
    if isinstance(element, Mapping):
        for name in _KEYS:
            if name in element:
                return NONE if element[name] is None else str(element[name])
    return str(index)


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
