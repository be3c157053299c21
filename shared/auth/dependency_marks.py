"""Marks of the dependencies that the OpenAPI document describes.

The document finds them by their marks and does not import them: they use the database, which the gateway's service
has not, and whose libraries would take most of its memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar

from shared.auth.rights import Right

F = TypeVar("F", bound=Callable[..., Any])


class Mark(Enum):
    """What a dependency gives to a route."""

    CALLER = auto()
    PAGING = auto()
    IDEMPOTENCY_KEY = auto()


@dataclass(frozen=True)
class RightDependency:
    """Base class of dependencies that require a right."""

    right: Right


_MARKS: dict[Callable[..., Any], Mark] = {}


def marked(mark: Mark) -> Callable[[F], F]:
    """Return the decorator that marks a dependency."""

    def decorate(dependency: F) -> F:
        _MARKS[dependency] = mark
        return dependency

    return decorate


def mark_of(dependency: Callable[..., Any]) -> Mark | None:
    """Return the mark of a dependency, None if it has none."""
    return _MARKS.get(dependency)
