"""How each route is called, and the right it requires; a route without a row fails the matrix test.

For a new route add an entry to the file of its service: the required right, and for a change a valid body.
The names in its path or body must exist in sample_data.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.auth.rights import Right
from tests.integration.access.sample_data import Things

GOOD = frozenset({200, 201, 202, 204})


@dataclass(frozen=True)
class RouteCall:
    """How one route is called, and the statuses of its responses.

    `right`: None means that anyone signed in may call it. `body` makes a valid body from the sample rows of
    one organisation. `hidden` is the status for a caller whose right does not cover these rows: 404; 403 if
    everybody may read the row; 403 or 422 if the body names them or their organisation; 200 for an empty list.
    `answers` are the statuses for a permitted caller. `names` maps path parameters to names of sample rows,
    where they differ; `query` are the required parameters, `headers` and `content` are other parts of a valid
    request; `form` makes the fields of a form. `right_of_centre` is a further right that the request needs
    from a moderator.
    """

    right: Right | None
    body: Callable[[Things], Any] | None = None
    hidden: int = 404
    answers: frozenset[int] = GOOD
    names: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    form: Callable[[Things], Any] | None = None
    right_of_centre: Right | None = None


@dataclass(frozen=True)
class ListRoute(RouteCall):
    """A route that lists or counts.

    `shows` names the row of each organisation that must be among the items, `key` the field with an item's id.
    `counts` reads a number instead, which must equal the number of organisations that the caller sees. `has_text`:
    an item contains a text of its organisation.
    """

    shows: str | None = None
    key: str = "id"
    counts: Callable[[Any], int] | None = None
    has_text: bool = True


@dataclass(frozen=True)
class PublicRoute:
    """A route that requires no access token; `why` says what protects it instead."""

    why: str


Row = RouteCall | PublicRoute


def body(**values: Any) -> Callable[[Things], Any]:
    """Return a function that makes a body; values that are functions are called with the sample rows."""
    return lambda sample_ids: {
        name: value(sample_ids) if callable(value) else value for name, value in values.items()
    }


def sample_ids(*names: str) -> Callable[[Things], Any]:
    """Return a function for `body` that returns the ids of these sample rows."""
    return lambda found: [str(found[name]) for name in names]


def sample_id(name: str) -> Callable[[Things], Any]:
    """Return a function for `body` that returns the id of this sample row."""
    return lambda sample_ids: str(sample_ids[name])
