"""Pointers to figures of a report: like JSON pointers, but list elements are identified by a key, not an index.

The index of an element may change; its key does not: «/topics/<id of the topic group>/appeals/value».
"""

from collections.abc import Iterator, Mapping
from typing import Any

# A list element is identified by the first of these fields that it has.
_KEYS = (
    "channel", "code", "topic_group_id", "oktmo", "organisation_id", "network", "axis", "page_id", "number",
    "name",
)  # fmt: skip
# The key of an element for appeals without a topic, a location and so on.
NONE = "none"

Figure = int | float | None


def figures(document: Mapping[str, Any], left_out: frozenset[str]) -> Iterator[tuple[str, Figure]]:
    """Yield the pointer and value of each figure of a document, except in the sections `left_out`."""
    for name, value in document.items():
        if name not in left_out:
            yield from _figures(value, f"/{_escaped(name)}")


def child(node: Any, step: str) -> Any:
    """Return the part of the document to which one step of a pointer leads; None if there is no such element."""
    if isinstance(node, list):
        return next((one for index, one in enumerate(node) if _key(one, index) == step), None)
    return node.get(step) if isinstance(node, Mapping) else None


def steps(pointer: str) -> list[str]:
    """Return the unescaped steps of a pointer."""
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
    """Return the key of a list element; its index if it has no key field."""
    if isinstance(element, Mapping):
        for name in _KEYS:
            if name in element:
                return NONE if element[name] is None else str(element[name])
    return str(index)


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
