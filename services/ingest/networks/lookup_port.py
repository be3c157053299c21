"""What a network tells of its pages: the side of a network that the registry asks, beside `port.Network`."""

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
    """The community's own posts: when the last one was written, and how many in the last seven days."""

    last_at: datetime | None
    week: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PageProfile:
    """What a network says of a page. None: it does not tell.

    `outcome`: `closed` with the `reason` `deleted`, `banned`, `closed_group` or `private_group`; `gone` when the
    network leaves the page out of its answer. `description` is the whole text, `phone`, `address` and `site` what
    stands in fields of their own. `verified` is the network's own mark.
    """

    external_id: str
    outcome: PageAvailability
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
    """A community by its id, with its name and the short name of its address if it has one."""

    external_id: str
    name: str
    screen_name: str | None


class CommunityNotFound(Exception):  # noqa: N818 — an answer of the network
    """An address stands for no living community; `reason` is a sentence that says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PageLookup(Protocol):
    """What a network tells of its pages. Each method raises what a call raises (see `calls`)."""

    batch: int
    """How many pages one call describes."""

    async def describe(self, pages: Sequence[PageRef]) -> list[PageProfile]:
        """What each of at most `batch` pages says of itself: one call, every page in the answer."""

    async def posts(self, page: PageRef, since: datetime) -> PostActivity | None:
        """The posts of one page, at the price of one call; None: the network does not show them."""

    async def resolve(self, external_id: str | None, screen_name: str | None) -> Community:
        """What an address stands for that names one of the two. Raises `NoCommunity` too."""


MAX_TEXT, MAX_DESCRIPTION = 1_000, 4_000
# Beyond it no date of a post can be meant.
_LAST_SECOND = 4_102_444_800


def extract_groups(answer: Any, network: str, method: str) -> list[dict[str, Any]]:
    """The groups of an answer, in either shape that both networks use. Raises `CallLost` without a list."""
    found = answer.get("groups") if isinstance(answer, dict) else answer
    if not isinstance(found, list):
        raise NoValidResponse(network, method, "no groups in the answer")
    return [raw for raw in found if isinstance(raw, dict)]


def groups_by_id(
    groups: Iterable[dict[str, Any]], name: str, asked: int, network: str, method: str
) -> dict[str, Any]:
    """Groups by their id, which stands under `name`. Raises `CallLost` when the answer is not to be believed.

    So it is when none of many is there, or when groups say not which ones they are.
    """
    groups = list(groups)
    found = {str(raw[name]): raw for raw in groups if raw.get(name)}
    if not found and (groups or asked > 1):
        raise NoValidResponse(network, method, "none of the groups in the answer")
    return found


def clean_text(value: object, longest: int = MAX_TEXT) -> str | None:
    """A text of a network as it can be kept; anything else, and nothing, is None."""
    return without_nul(value)[:longest].strip() or None if isinstance(value, str) else None


def parse_count(value: object) -> int | None:
    """A count of a network; anything else is None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def post_activity(seconds: Iterable[object], since: datetime) -> PostActivity:
    """Posts by the times they were written at, in seconds; what is no time is left out."""
    moments = [
        datetime.fromtimestamp(one, UTC)
        for one in seconds
        if isinstance(one, int | float) and 0 <= one < _LAST_SECOND
    ]
    return PostActivity(last_at=max(moments, default=None), week=sum(at >= since for at in moments))


def nested_object(value: object) -> Mapping[str, Any]:
    """An object inside an answer; anything else counts as empty."""
    return value if isinstance(value, dict) else {}
