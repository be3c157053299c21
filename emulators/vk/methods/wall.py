"""Section wall: posts and comments."""

from collections.abc import Iterable
from typing import Any

from emulators.common.store import Row
from emulators.vk.errors import vk_error
from emulators.vk.methods.registry import Call, method
from emulators.vk.wall import WALL_OFF

_FILTERS = {
    "all": "post_type = 'post'",
    "owner": "post_type = 'post' AND from_id < 0",
    "others": "post_type = 'post' AND from_id > 0",
    "suggests": "post_type = 'suggest'",
    "postponed": "post_type = 'postpone'",
    "archived": "0",
    "donut": "0",
}
MAX_COUNT = 100
MAX_THREAD_ITEMS = 10


@method("wall.get", "US")
def get(call: Call) -> dict[str, Any]:
    """Posts of a wall, newest first."""
    page = _wall_of(call)
    name = call.text("filter", "all") or "all"
    if name not in _FILTERS:
        raise vk_error(100, "filter is invalid")
    if name in {"suggests", "postponed"} and not call.token.manages(page["id"]):
        raise vk_error(15, "no access to this filter")
    count = min(call.number("count", 20, least=0), MAX_COUNT)
    offset = call.number("offset", 0, least=0)
    where = f"page = ? AND NOT deleted AND {_FILTERS[name]}"
    store = call.world.store
    rows = store.all(
        f"SELECT * FROM posts WHERE {where} ORDER BY id DESC LIMIT ? OFFSET ?",  # noqa: S608
        (page["id"], count, offset),
    )
    answer = {
        "count": store.value(f"SELECT count(*) FROM posts WHERE {where}", (page["id"],)),  # noqa: S608
        "items": [call.world.views.post(row) for row in rows],
    }
    return answer | _extended(call, rows, page["id"])


@method("wall.getById", "US")
def get_by_id(call: Call) -> dict[str, Any]:
    """Named posts; those that are not there are left out."""
    names = call.words("posts")
    if not names:
        raise vk_error(100, "posts is undefined")
    rows = []
    for name in names[:MAX_COUNT]:
        owner, _, number = name.partition("_")
        try:
            row = call.world.wall.post(-int(owner), int(number.partition("_")[0]))
        except ValueError as error:
            raise vk_error(100, "posts is invalid") from error
        if row is not None:
            rows.append(row)
    answer: dict[str, Any] = {"items": [call.world.views.post(row) for row in rows]}
    return answer | _extended(call, rows)


@method("wall.getComments", "US")
def get_comments(call: Call) -> dict[str, Any]:
    """Comments of a post: its top level, or one thread when `comment_id` is given."""
    page = _wall_of(call)["id"]
    post = call.world.wall.post(page, call.number("post_id", least=1))
    if post is None:
        raise vk_error(15, "post or comment deleted")
    items = call.number("thread_items_count", 0, least=0)
    if items > MAX_THREAD_ITEMS:
        raise vk_error(100, f"thread_items_count should be less or equal to {MAX_THREAD_ITEMS}")
    root = call.optional("comment_id") or None
    if root is not None:
        parent = call.world.wall.comment(page, root)
        if parent is None or parent["post_id"] != post["id"]:
            raise vk_error(15, "post or comment deleted")
    level = [row for row in _level(call, page, post["id"], root) if not row["deleted"] or row["replies"]]
    rows, real_offset = _slice(call, level)
    views, closed, likes = call.world.views, bool(post["closed"]), call.flag("need_likes")
    comments, authors = [], [row["from_id"] for row in rows if not row["deleted"]]
    for row in rows:
        comment = views.comment(row, likes=likes)
        if root is None:
            comment["thread"] = thread = views.thread(row, items, closed=closed)
            authors += [reply["from_id"] for reply in thread["items"]]
        comments.append(comment)
    answer: dict[str, Any] = {
        "count": views.comments_count(page, post["id"]),
        "items": comments,
        "current_level_count": len(level),
        "can_post": not closed,
        "show_reply_button": True,
        "groups_can_post": not closed,
    }
    if real_offset is not None:
        answer["real_offset"] = real_offset
    if call.flag("extended"):
        answer |= views.owners([*authors, -page])
        answer["post_author_id"] = post["from_id"]
    return answer


@method("wall.getComment", "U")
def get_comment(call: Call) -> dict[str, Any]:
    """One comment of a wall."""
    page = _wall_of(call)["id"]
    row = call.world.wall.comment(page, call.number("comment_id", least=1))
    if row is None or row["deleted"]:
        raise vk_error(211, "comment not found")
    comment = call.world.views.comment(row, likes=True)
    if row["root_id"] is None:
        comment["thread"] = call.world.views.thread(row, 0, closed=False)
    answer = {"items": [comment], "can_post": True, "show_reply_button": True, "groups_can_post": True}
    return answer | _extended(call, [row], page)


@method("wall.createComment", "UG")
def create_comment(call: Call) -> dict[str, Any]:
    """Comment a post, as the person or (`from_group`, or any community token) as the community."""
    page = _wall_of(call)["id"]
    post_id = call.number("post_id", least=1)
    group = abs(call.number("from_group", 0))
    if call.token.kind == "group":
        group = group or call.token.page or 0
        if not call.token.manages(page):
            raise vk_error(15, "no access to this wall")
    if group and not call.token.manages(group):
        raise vk_error(15, "no access to this group")
    author = -group if group else call.token.user_id or 0
    guid = call.text("guid")
    key = f"comment:{author}:{guid}"
    known = call.world.recall(page, key) if guid else None
    row = None if known is None else call.world.wall.comment(page, known)
    if row is None:
        with call.world.store.transaction():
            row = call.world.wall.add_comment(
                page,
                post_id,
                author,
                call.text("message"),
                reply_to=call.optional("reply_to_comment") or None,
                attachments=call.words("attachments"),
                by_api=True,
            )
            if guid:
                call.world.remember(page, key, row["id"])
    return {"comment_id": row["id"], "parents_stack": [] if row["root_id"] is None else [row["root_id"]]}


@method("wall.post", "U")
def post(call: Call) -> dict[str, Any]:
    """Publish on a community's wall, as the person or (`from_group`) as the community."""
    page = _wall_of(call)
    author = call.token.user_id or 0
    if call.flag("from_group"):
        if not call.token.manages(page["id"]):
            raise vk_error(214, "no access to post as the group")
        author = -page["id"]
    guid = call.text("guid")
    key = f"post:{author}:{guid}"
    known = call.world.recall(page["id"], key) if guid else None
    if known is None:
        with call.world.store.transaction():
            known = call.world.wall.add_post(page, author, call.text("message"), call.words("attachments"))
            if guid:
                call.world.remember(page["id"], key, known)
    return {"post_id": known}


def _wall_of(call: Call) -> Row:
    owner, domain = call.optional("owner_id"), call.text("domain")
    row = None
    if owner is not None:
        row = call.page(-owner)
    elif domain:
        row = call.world.store.one("SELECT * FROM pages WHERE screen_name = ?", (domain,))
        for prefix in ("club", "public"):
            if row is None and domain.removeprefix(prefix).isdecimal():
                row = call.page(int(domain.removeprefix(prefix)[:18]))
    elif call.token.kind == "group" and call.token.page is not None:
        row = call.page(call.token.page)
    else:
        raise vk_error(100, "owner_id is undefined")
    if row is None:
        raise vk_error(100, "owner_id is invalid" if owner is not None else "domain is invalid")
    if row["wall"] == WALL_OFF:
        raise vk_error(15, "wall is disabled")
    if row["hidden"] and not call.token.manages(row["id"]):
        raise vk_error(15, "this wall available only for community members")
    return row


def _level(call: Call, page: int, post_id: int, root: int | None) -> list[Row]:
    rows = call.world.store.all(
        # Replies matter only under a deleted comment, which shows as long as it has some.
        "SELECT c.*, c.deleted AND EXISTS (SELECT 1 FROM comments r WHERE r.page = c.page"
        " AND r.post_id = c.post_id AND r.root_id = c.id AND NOT r.deleted) AS replies"
        " FROM comments c WHERE c.page = ? AND c.post_id = ? AND c.root_id IS ? ORDER BY c.id",
        (page, post_id, root),
    )
    return rows[::-1] if call.text("sort") == "desc" else rows


def _slice(call: Call, level: list[Row]) -> tuple[list[Row], int | None]:
    """The asked piece of a level, and where it starts when it was asked for by a comment's id."""
    count = min(call.number("count", call.world.settings.comments_default_count, least=0), MAX_COUNT)
    start = call.optional("start_comment_id")
    offset = call.number("offset", 0, least=None if start else 0)
    real = None
    if start:
        place = next((place for place, row in enumerate(level) if row["id"] == start), None)
        if place is None:
            raise vk_error(100, "start_comment_id is invalid")
        offset = real = max(place + offset, 0)
    return level[offset : offset + count], real


def _extended(call: Call, rows: Iterable[Row], page: int | None = None) -> dict[str, Any]:
    if not call.flag("extended"):
        return {}
    ids = [row["from_id"] for row in rows]
    return call.world.views.owners([*ids, *([-page] if page is not None else [])])
