"""Port for page lookup: profiles, posts with their audience, and address resolution, requested by the registry."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from services.ingest.networks.calls import NoValidResponse
from services.ingest.networks.port import Credential, PageRef
from services.ingest.networks.sanitize import without_nul
from shared.contracts.values import ReachCountedBy

PageAvailability = Literal["open", "closed", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostActivity:
    """Time of the community's last own post, and the message ids of its posts of the last seven days."""

    last_post_at: datetime | None
    post_ids: Sequence[str]

    @property
    def posts_7_days(self) -> int:
        """Return the number of posts in the last seven days."""
        return len(self.post_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostReactions:
    """Total reactions to a post, the page's own comments included.

    `views`: how often it was shown, repeated views included; None if the network does not report it.
    """

    likes: int
    comments: int
    reposts: int
    views: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekReach:
    """How many people a page reached in about seven days; None if the network does not report it.

    `counted_by`: `week` if a person counts once in the week, `days` if a person counts once on each day.
    `mean_post_reach`: people per post.
    """

    reach: int | None
    counted_by: ReachCountedBy
    mean_post_reach: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageProfile:
    """A page's profile in a network. None means that the network does not provide the value.

    `availability`: `closed` with the `reason` `deleted`, `banned`, `closed_group` or `private_group`; `gone` if
    the network's response omits the page. `phone`, `address` and `site` come from their own fields, not from
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
    max_posts_per_call: int
    """Maximum number of posts in one `post_reactions` call."""

    async def describe(self, pages: Sequence[PageRef]) -> list[PageProfile]:
        """Return the profile of each of at most `max_pages_per_call` pages, with one call."""

    async def post_activity(self, page: PageRef, since: datetime) -> PostActivity | None:
        """Return the post activity of one page, with one call; None if the network does not show the posts."""

    async def post_reactions(self, post_ids: Sequence[str]) -> dict[str, PostReactions]:
        """Return the reactions to at most `max_posts_per_call` posts of any pages, with one call.

        Posts that the network does not show are left out.
        """

    def statistics_token(self, page: PageRef) -> Credential | None:
        """Return a token that may read statistics: a user token of the page, else one that belongs to no page."""

    async def week_reach(
        self, credential: Credential, page: PageRef, post_ids: Sequence[str], since: datetime, until: datetime
    ) -> WeekReach | None:
        """Return the reach of a page, with one call and no retry; None if the network refuses it to the token."""

    async def resolve(self, external_id: str | None, screen_name: str | None) -> Community:
        """Return the community with this id or short name, of which exactly one is given.

        Raises `CommunityNotFound` besides the errors of a call.
        """


MAX_TEXT, MAX_DESCRIPTION = 1_000, 4_000
# Larger values cannot be dates of posts.
_LAST_SECOND = 4_102_444_800


def extract_groups(answer: Any, network: str, method: str) -> list[dict[str, Any]]:
    """Return the groups of a response, which is a list or an object with the list `groups`.

    Raises `NoValidResponse` for any other response.
    """
    found = answer.get("groups") if isinstance(answer, dict) else answer
    if not isinstance(found, list):
        raise NoValidResponse(network, method, "no groups in the response")
    return [raw for raw in found if isinstance(raw, dict)]


def groups_by_id(
    groups: Iterable[dict[str, Any]], name: str, asked: int, network: str, method: str
) -> dict[str, Any]:
    """Return groups by their id, read from the field `name`.

    Raises `NoValidResponse` if no group has an id, or if none of several requested groups was returned.
    """
    groups = list(groups)
    found = {str(raw[name]): raw for raw in groups if raw.get(name)}
    if not found and (groups or asked > 1):
        raise NoValidResponse(network, method, "no group with an id in the response")
    return found


def clean_text(value: object, longest: int = MAX_TEXT) -> str | None:
    """Return a network's text in a storable form, cut to `longest` characters; None if empty or not a string."""
    return without_nul(value)[:longest].strip() or None if isinstance(value, str) else None


def parse_count(value: object) -> int | None:
    """Return a count of a network, or None if the value is not a valid count."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def post_activity(posts: Iterable[tuple[str, object]], since: datetime) -> PostActivity:
    """Return the post activity from (id, Unix time) of posts; posts with invalid times are ignored."""
    moments = {
        post_id: datetime.fromtimestamp(second, UTC)
        for post_id, second in posts
        if isinstance(second, int | float) and 0 <= second < _LAST_SECOND
    }
    recent = tuple(post_id for post_id, at in moments.items() if at >= since)
    return PostActivity(last_post_at=max(moments.values(), default=None), post_ids=recent)


def reactions_of(likes: object, comments: object, reposts: object, views: object) -> PostReactions | None:
    """Return the reactions from counts of a network; None if likes, comments or reposts are not valid counts."""
    counts = [parse_count(one) for one in (likes, comments, reposts)]
    if None in counts:
        return None
    known = [count for count in counts if count is not None]
    return PostReactions(likes=known[0], comments=known[1], reposts=known[2], views=parse_count(views))


def nested_object(value: object) -> Mapping[str, Any]:
    """Return a nested object of a response; empty if the value is not an object."""
    return value if isinstance(value, dict) else {}
