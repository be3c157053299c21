"""Methods `wall.*`: comments."""

from typing import Any

from emulators.common.store import Row
from emulators.vk.errors import vk_error
from emulators.vk.methods.method_table import MethodCall, method
from emulators.vk.methods.shared_steps import extended_fields, mapping_unknown_errors, requested_wall
from emulators.vk.state.permissions import check_can_read_comments

MAX_COUNT = 100
MAX_THREAD_ITEMS = 10


@method("wall.getComments", "US")
def get_comments(call: MethodCall) -> dict[str, Any]:
    """Return comments of a post: its top level, or one thread if `comment_id` is given."""
    wall = requested_wall(call)
    page = wall["id"]
    check_can_read_comments(wall)
    post = call.world.wall.post(page, call.number("post_id", least=1))
    if post is None or (post["post_type"] == "suggest" and not call.token.manages(page)):
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
def get_comment(call: MethodCall) -> dict[str, Any]:
    """Return one comment of a wall."""
    wall = requested_wall(call)
    page = wall["id"]
    row = call.world.wall.comment(page, call.number("comment_id", least=1))
    if row is None or row["deleted"]:
        raise vk_error(211, "comment not found")
    comment = call.world.views.comment(row, likes=True)
    if row["root_id"] is None:
        comment["thread"] = call.world.views.thread(row, 0, closed=False)
    answer = {"items": [comment], "can_post": True, "show_reply_button": True, "groups_can_post": True}
    return answer | extended_fields(call, [row], page)


@method("wall.createComment", "UG")
def create_comment(call: MethodCall) -> dict[str, Any]:
    """Write a comment on a post, as the person or (`from_group`, or any community token) as the community."""
    wall = requested_wall(call)
    page = wall["id"]
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
    known = call.world.get_deduplicated(page, key) if guid else None
    row = None if known is None else call.world.wall.comment(page, known)
    if row is None:
        with call.world.store.transaction():
            row = call.world.wall.add_comment(
                wall,
                post_id,
                author,
                call.text("message"),
                reply_to=call.optional("reply_to_comment") or None,
                attachments=_attachments(call),
                by_api=True,
            )
            if guid:
                call.world.save_deduplicated(page, key, row["id"])
    return {"comment_id": row["id"], "parents_stack": [] if row["root_id"] is None else [row["root_id"]]}


@method("wall.editComment", "U")
def edit_comment(call: MethodCall) -> int:
    """Edit a comment of the person, or of the community that the person manages."""
    row = _own_comment(call)
    if not call.world.settings.changes_take_effect:
        return 0
    given = "attachments" in call.params
    with mapping_unknown_errors():
        call.world.wall.edit(row["page"], row["id"], call.text("message"), _attachments(call) if given else None)
    return 1


@method("wall.deleteComment", "U")
def delete_comment(call: MethodCall) -> int:
    """Delete a comment of the person, or any comment on a wall that the person manages."""
    row = _managed_comment(call)
    if not call.world.settings.changes_take_effect:
        return 0
    with mapping_unknown_errors():
        call.world.wall.delete(row["page"], row["id"], call.token.user_id or 0)
    return 1


@method("wall.restoreComment", "U")
def restore_comment(call: MethodCall) -> int:
    """Restore a deleted comment."""
    row = _managed_comment(call)
    with mapping_unknown_errors():
        call.world.wall.restore(row["page"], row["id"])
    return 1


@method("wall.openComments", "UG")
def open_comments(call: MethodCall) -> int:
    """Allow comments on a post."""
    return _switch(call, closed=False)


@method("wall.closeComments", "UG")
def close_comments(call: MethodCall) -> int:
    """Forbid further comments on a post."""
    return _switch(call, closed=True)


def _attachments(call: MethodCall) -> list[object]:
    found = call.attachments()
    if len(found) > call.world.settings.comment_attachments:
        raise vk_error(100, "too many attachments")
    return found


def _switch(call: MethodCall, *, closed: bool) -> int:
    page = requested_wall(call)["id"]
    if not call.token.manages(page):
        raise vk_error(15, "no access to this wall")
    with mapping_unknown_errors():
        call.world.wall.close_comments(page, call.number("post_id", least=1), closed=closed)
    return 1


def _comment(call: MethodCall) -> Row:
    page = requested_wall(call)["id"]
    row = call.world.wall.comment(page, call.number("comment_id", least=1))
    if row is None:
        raise vk_error(104)
    return row


def _managed_comment(call: MethodCall) -> Row:
    row = _comment(call)
    if row["from_id"] != call.token.user_id and not call.token.manages(row["page"]):
        raise vk_error(211)
    return row


def _own_comment(call: MethodCall) -> Row:
    row = _comment(call)
    as_community = row["from_id"] == -row["page"] and call.token.manages(row["page"])
    if row["from_id"] != call.token.user_id and not as_community:
        raise vk_error(211)
    return row


def _level(call: MethodCall, page: int, post_id: int, root: int | None) -> list[Row]:
    rows = call.world.store.all(
        # `replies` is set only for a deleted comment: it stays visible while it has undeleted replies.
        "SELECT c.*, c.deleted AND EXISTS (SELECT 1 FROM comments r WHERE r.page = c.page"
        " AND r.post_id = c.post_id AND r.root_id = c.id AND NOT r.deleted) AS replies"
        " FROM comments c WHERE c.page = ? AND c.post_id = ? AND c.root_id IS ? ORDER BY c.id",
        (page, post_id, root),
    )
    return rows[::-1] if call.text("sort") == "desc" else rows


def _slice(call: MethodCall, level: list[Row]) -> tuple[list[Row], int | None]:
    """Return the requested part of a level; its offset if requested by a comment's id, else None."""
    count = min(call.number("count", call.world.settings.comments_default_count, least=0), MAX_COUNT)
    start = call.optional("start_comment_id")
    offset = call.number("offset", 0, least=None if start else 0)
    real = None
    if start:
        index = next((index for index, row in enumerate(level) if row["id"] == start), None)
        if index is None:
            raise vk_error(100, "start_comment_id is invalid")
        offset = real = max(index + offset, 0)
    return level[offset : offset + count], real
