"""Port for page lookup: profiles, post activity and address resolution, requested by the registry."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from services.ingest.networks.calls import NoValidResponse
from services.ingest.networks.port import PageRef
from services.ingest.networks.sanitize import without_nul

PageAvailability = Literal["open", "closed", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostActivity:
    """Time of the community's last own post, and the number of its posts in the last seven days."""

    last_post_at: datetime | None
    posts_7_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PageProfile:
    """A page's profile in a network. None means that the network does not provide the value.

    `availability`: `closed` with the `reason` `deleted`, `banned`, `closed_group` or `private_group`; `gone` if
    the network's response omits the page. `phone`, `address` and `site` come from fields of their own, not from
    `description`. `verified` is the network's own verification mark.
    """

    external_id: str
    availability: PageAvailability
    reason: str | None = None
    name: str | None = None
    screen_name: str | None = None
    verified: bool | None = None
    avatar: bool | None = None
    cover: bool | None = None
    description: str | None = None
    phone: str | None = None
    address: str | None = None
    site: str | None = None
    comments_open: bool | None = None
    members: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Community:
    """A community's id, name, and the short name of its URL if it has one."""

    external_id: str
    name: str
    screen_name: str | None


class CommunityNotFound(Exception):  # noqa: N818 — a result of the lookup
    """An address refers to no active community; `reason` is a sentence that says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PageLookup(Protocol):
    """Page lookup of one network. Each method raises the errors of a call (see `calls`)."""

    max_pages_per_call: int
    """Maximum number of pages in one `describe` call."""

    async def describe(self, pages: Sequence[PageRef]) -> list[PageProfile]:
        """Return the profile of each of at most `max_pages_per_call` pages, with one call."""

    async def post_activity(self, page: PageRef, since: datetime) -> PostActivity | None:
        """Return the post activity of one page, with one call; None if the network does not show the posts."""

    async def resolve(self, external_id: str | None, screen_name: str | None) -> Community:
        """Return the community with this id or short name.

        Exactly one is given. Also raises `CommunityNotFound`.
        """


MAX_TEXT, MAX_DESCRIPTION = 1_000, 4_000
# Larger values cannot be dates of posts.
_LAST_SECOND = 4_102_444_800


def extract_groups(answer: Any, network: str, method: str) -> list[dict[str, Any]]:
    """Return the groups of a response, in either of the two shapes in use.

    Raises `NoValidResponse` without a list.
    """
    found = answer.get("groups") if isinstance(answer, dict) else answer
    if not isinstance(found, list):
        raise NoValidResponse(network, method, "no groups in the response")
    return [raw for raw in found if isinstance(raw, dict)]


def groups_by_id(
    groups: Iterable[dict[str, Any]], name: str, asked: int, network: str, method: str
) -> dict[str, Any]:
    """Return groups by their id, read from the field `name`.

    Raises `NoValidResponse` if no group has an id, or if none of several requested groups is there.
    """
    groups = list(groups)
    found = {str(raw[name]): raw for raw in groups if raw.get(name)}
    if not found and (groups or asked > 1):
        raise NoValidResponse(network, method, "none of the groups in the response")
    return found


def clean_text(value: object, longest: int = MAX_TEXT) -> str | None:
    """Return a network's text in a form that can be stored, cut to `longest`; None if empty or not a text."""
    return without_nul(value)[:longest].strip() or None if isinstance(value, str) else None


def parse_count(value: object) -> int | None:
    """Return a count of a network, or None if the value is not a valid count."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def post_activity(seconds: Iterable[object], since: datetime) -> PostActivity:
    """Return the post activity from post times in seconds; invalid times are ignored."""
    moments = [
        datetime.fromtimestamp(one, UTC)
        for one in seconds
        if isinstance(one, int | float) and 0 <= one < _LAST_SECOND
    ]
    return PostActivity(last_post_at=max(moments, default=None), posts_7_days=sum(at >= since for at in moments))


def nested_object(value: object) -> Mapping[str, Any]:
    """Return a nested object of a response; empty if the value is not an object."""
    return value if isinstance(value, dict) else {}
