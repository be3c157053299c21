"""Methods `board.*`: topics of communities and their comments."""

from typing import Any

from emulators.common.store import Row
from emulators.vk.errors import vk_error
from emulators.vk.methods.method_table import MethodCall, method
from emulators.vk.methods.shared_steps import mapping_unknown_errors
from emulators.vk.state.permissions import check_can_enter

MAX_COUNT = 100
_ORDERS = {1: "updated DESC", 2: "id DESC", -1: "updated", -2: "id"}


@method("board.getTopics", "US")
def get_topics(call: MethodCall) -> dict[str, Any]:
    """Return topics of a community, pinned topics first; `topic_ids` selects single topics."""
    page = _community(call)["id"]
    store, board = call.world.store, call.world.board
    order = call.number("order", 1)
    if order not in _ORDERS:
        raise vk_error(100, "order is invalid")
    ids = call.integers("topic_ids")
    if ids:
        rows = [row for row in (board.topic(page, number) for number in ids[:MAX_COUNT]) if row is not None]
        total = len(rows)
    else:
        rows = store.all(
            f"SELECT * FROM topics WHERE page = ? ORDER BY fixed DESC, {_ORDERS[order]} LIMIT ? OFFSET ?",  # noqa: S608
            (page, call.count_of_items("board.getTopics", 40, MAX_COUNT), call.number("offset", 0, least=0)),
        )
        total = store.value("SELECT count(*) FROM topics WHERE page = ?", (page,))
    answer: dict[str, Any] = {
        "count": total,
        "items": [board.topic_view(row) | _previews(call, row) for row in rows],
        "default_order": 1,
        "can_add_topics": int(call.token.manages(page)),
    }
    people = [author for row in rows for author in (row["created_by"], row["updated_by"])]
    return answer | (call.world.views.owners([*people, -page]) if call.flag("extended") else {})


@method("board.getComments", "US")
def get_comments(call: MethodCall) -> dict[str, Any]:
    """Return comments of a topic, oldest first unless `sort` is desc; the oldest is the topic's own text."""
    page, topic = _topic(call)
    rows = call.world.store.all(
        "SELECT * FROM board_comments WHERE page = ? AND topic_id = ? AND NOT deleted ORDER BY id",
        (page, topic["id"]),
    )
    if call.text("sort") == "desc":
        rows.reverse()
    total, start = len(rows), call.optional("start_comment_id")
    offset = call.number("offset", 0, least=None if start else 0)
    answer: dict[str, Any] = {"count": total}
    if start:
        index = next((index for index, row in enumerate(rows) if row["id"] == start), None)
        if index is None:
            raise vk_error(100, "start_comment_id is invalid")
        offset = answer["real_offset"] = max(index + offset, 0)
    rows = rows[offset:][: min(call.number("count", 20, least=0), MAX_COUNT)]
    answer["items"] = [_comment_view(call, row) for row in rows]
    if call.flag("extended"):
        answer |= call.world.views.owners([*(row["from_id"] for row in rows), -page])
    return answer


@method("board.createComment", "U")
def create_comment(call: MethodCall) -> int:
    """Write a comment in a topic, as the person or (`from_group`) as the community; return a bare id."""
    page, topic = _topic(call)
    author = call.token.user_id or 0
    if call.flag("from_group"):
        if not call.token.manages(page):
            raise vk_error(15, "no access to this group")
        author = -page
    guid = call.text("guid")
    key = f"board:{topic['id']}:{author}:{guid}"
    known = call.world.get_deduplicated(page, key) if guid else None
    if known is not None:
        return known
    with call.world.store.transaction():
        row = call.world.board.add_comment(
            _community(call),
            topic["id"],
            author,
            call.text("message"),
            attachments=call.attachments(),
            by_api=True,
        )
        number: int = row["id"]
        if guid:
            call.world.save_deduplicated(page, key, number)
    return number


@method("board.editComment", "U")
def edit_comment(call: MethodCall) -> int:
    """Edit a comment of the person, or of the community that the person manages."""
    row = _comment(call)
    as_community = row["from_id"] == -row["page"] and call.token.manages(row["page"])
    if row["from_id"] != call.token.user_id and not as_community:
        raise vk_error(15, "no access to this comment")
    if not call.world.settings.changes_take_effect:
        return 0
    given = "attachments" in call.params
    with mapping_unknown_errors():
        call.world.board.edit(
            row["page"],
            row["topic_id"],
            row["id"],
            call.text("message"),
            call.attachments() if given else None,
        )
    return 1


@method("board.deleteComment", "UG")
def delete_comment(call: MethodCall) -> int:
    """Delete a comment of the person, or any comment in a community that the person manages."""
    row = _managed(call)
    if not call.world.settings.changes_take_effect:
        return 0
    with mapping_unknown_errors():
        call.world.board.delete(row["page"], row["topic_id"], row["id"])
    return 1


@method("board.restoreComment", "UG")
def restore_comment(call: MethodCall) -> int:
    """Restore a deleted comment."""
    row = _managed(call)
    with mapping_unknown_errors():
        call.world.board.restore(row["page"], row["topic_id"], row["id"])
    return 1


def _community(call: MethodCall) -> Row:
    row = call.page(call.number("group_id", least=1))
    if row is None:
        raise vk_error(125)
    check_can_enter(row, insider=call.token.manages(row["id"]))
    return row


def _topic(call: MethodCall) -> tuple[int, Row]:
    page: int = _community(call)["id"]
    number = call.number("topic_id", least=1)
    call.world.board.check_refused(page, number)
    row = call.world.board.topic(page, number)
    if row is None:
        raise vk_error(104)
    return page, row


def _comment(call: MethodCall) -> Row:
    page, topic = _topic(call)
    row = call.world.board.comment(page, topic["id"], call.number("comment_id", least=1))
    if row is None:
        raise vk_error(104)
    return row


def _managed(call: MethodCall) -> Row:
    row = _comment(call)
    if row["from_id"] != call.token.user_id and not call.token.manages(row["page"]):
        raise vk_error(15, "no access to this comment")
    return row


def _comment_view(call: MethodCall, row: Row) -> dict[str, Any]:
    view = call.world.board.comment_view(row)
    view["can_edit"] = int(row["from_id"] == call.token.user_id)
    if call.flag("need_likes"):
        view["likes"] = {"count": 0, "can_like": 1, "user_likes": 0, "can_publish": 0}
    return view


def _previews(call: MethodCall, row: Row) -> dict[str, str]:
    """Return `first_comment` for bit 1 of `preview`, `last_comment` for bit 2, cut to `preview_length`."""
    wanted, length = call.number("preview", 0), call.number("preview_length", 90, least=0)
    previews = {}
    for bit, name, order in ((1, "first_comment", "id"), (2, "last_comment", "id DESC")):
        if wanted & bit:
            text = call.world.store.value(
                "SELECT text FROM board_comments WHERE page = ? AND topic_id = ? AND NOT deleted"  # noqa: S608
                f" ORDER BY {order} LIMIT 1",
                (row["page"], row["id"]),
            )
            previews[name] = (text or "")[: length or None]
    return previews
