"""How each route is called, and under which right: the matrix has a row for every route and fails for others.

For a new route add an entry to the file of its service: the right that it asks for, and for a change a body that
is good. What its path or body names must stand in sample_data.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.auth.rights import Right
from tests.integration.access.sample_data import Things

GOOD = frozenset({200, 201, 202, 204})


@dataclass(frozen=True)
class Call:
    """One route.

    `right`: null means that whoever is signed in may call it. `body` makes a good body from the things of one
    organisation. `hidden` answers a caller who has the right, but not to this organisation's things: 404, and 403
    where everybody may read the thing, or where the organisation is named in the body. `answers` are those of a
    caller who may. `names` maps path parameters to the names of things, where they differ; `query` is what the
    route cannot do without, `headers` and `content` what else belongs to a good request.
    """

    right: Right | None
    body: Callable[[Things], Any] | None = None
    hidden: int = 404
    answers: frozenset[int] = GOOD
    names: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None


@dataclass(frozen=True)
class Listing(Call):
    """A route that lists or counts.

    `shows` names the thing of each organisation that must stand among the items, `key` what identifies an item.
    `counts` reads a number instead: one for each organisation that the caller sees.
    """

    shows: str | None = None
    key: str = "id"
    counts: Callable[[Any], int] | None = None


@dataclass(frozen=True)
class Open:
    """A route that asks for no token of ours; `why` says what guards it."""

    why: str


Row = Call | Open


def body(**values: Any) -> Callable[[Things], Any]:
    """A body that is the same for all; a value that is a function takes the things."""
    return lambda things: {name: value(things) if callable(value) else value for name, value in values.items()}


def things(*names: str) -> Callable[[Things], Any]:
    """A value of a body: a list of the ids of these things."""
    return lambda found: [str(found[name]) for name in names]


def thing(name: str) -> Callable[[Things], Any]:
    """A value of a body: the id of this thing."""
    return lambda things: str(things[name])
