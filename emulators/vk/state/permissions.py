"""Check what visitors of a community may read and write, depending on its state."""

import re

from emulators.common.store import Row
from emulators.vk.errors import vk_error

WALL_DISABLED, WALL_OPEN, WALL_LIMITED, WALL_CLOSED = 0, 1, 2, 3
OPEN_GROUP, CLOSED_GROUP, PRIVATE_GROUP = 0, 1, 2
_MEMBERS_ONLY = "this wall available only for community members"
_LINK = re.compile(r"https?://|www\.|\b[\w-]+\.(?:ru|com|org|net|su|рф|me|info)\b", re.IGNORECASE)


def check_can_enter(page: Row, *, insider: bool) -> None:
    """Raise errors 15, 18, 19 or 203 if the community is not visible; `insider`: the caller acts for it."""
    check_page_exists(page)
    if page["is_closed"] == PRIVATE_GROUP and not insider:
        raise vk_error(203, "access to this group is denied")
    if page["is_closed"] == CLOSED_GROUP and not insider:
        raise vk_error(15, _MEMBERS_ONLY)


def check_can_read_wall(page: Row, *, insider: bool) -> None:
    """Raise error 15 if the wall is not visible, and the errors of `check_can_enter`."""
    check_can_enter(page, insider=insider)
    if page["wall"] == WALL_DISABLED:
        raise vk_error(15, "wall is disabled")
    if page["hidden"] and not insider:
        raise vk_error(15, _MEMBERS_ONLY)


def check_can_read_comments(page: Row) -> None:
    """Raise error 212 if the community has disabled comments."""
    if page["comments"] == "closed":
        raise vk_error(212)


def check_can_comment(page: Row, post: Row, author: int, text: str, *, by_api: bool) -> None:
    """Raise errors 213 and 222 if a comment on the post is not allowed."""
    check_page_exists(page)
    if page["comments"] == "closed" or post["closed"]:
        raise vk_error(213, "comments are closed")
    if post["post_type"] == "suggest":
        raise vk_error(213, "the post is not published")
    if page["wall"] == WALL_DISABLED or (page["wall"] == WALL_CLOSED and author > 0):
        raise vk_error(213, "the wall is closed")
    check_links(page, text, by_api=by_api)


def check_can_post(page: Row, author: int, text: str, *, by_api: bool) -> None:
    """Raise errors 214 and 222 if the author may not post on the wall."""
    check_page_exists(page)
    if page["wall"] == WALL_DISABLED or (author > 0 and page["wall"] == WALL_CLOSED):
        raise vk_error(214, "wall is closed")
    check_links(page, text, by_api=by_api)


def check_links(page: Row, text: str, *, by_api: bool) -> None:
    """Raise error 222 for a link written by an application if links are forbidden."""
    if by_api and page["links"] == "forbidden" and _LINK.search(text):
        raise vk_error(222)


def check_page_exists(page: Row) -> None:
    """Raise error 18 for a deleted community, 19 for a blocked community."""
    if page["deactivated"] == "deleted":
        raise vk_error(18, "group is deleted")
    if page["deactivated"] == "banned":
        raise vk_error(19, "group is blocked")
