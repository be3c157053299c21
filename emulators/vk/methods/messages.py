"""Methods `messages.*`: conversations of a community."""

from collections.abc import Iterable
from typing import Any

from emulators.common.errors import RefusedError
from emulators.common.store import Row
from emulators.vk.errors import MESSAGES, vk_error
from emulators.vk.methods.method_table import MethodCall, method

MAX_COUNT = 200
# `+m.id` is not an index term, so SQLite uses the index of the conversation instead of the primary key.
_UNREAD = (
    "EXISTS (SELECT 1 FROM messages m WHERE m.page = d.page AND m.peer_id = d.peer_id"
    " AND m.from_id > 0 AND +m.id > d.in_read AND NOT m.deleted)"
)
_UNANSWERED = (
    "(SELECT m.from_id FROM messages m WHERE m.page = d.page AND m.peer_id = d.peer_id AND NOT m.deleted"
    " ORDER BY m.cmid DESC LIMIT 1) > 0"
)
_FILTERS = {"all": "1", "unread": _UNREAD, "unanswered": _UNANSWERED, "important": "0", "archive": "0"}


@method("messages.getConversations", "UG")
def get_conversations(call: MethodCall) -> dict[str, Any]:
    """Return conversations, the one with the latest message first."""
    page = call.managed_page()
    name = call.text("filter", "all") or "all"
    if name not in _FILTERS:
        raise vk_error(100, "filter is invalid")
    store, views = call.world.store, call.world.views
    count = call.count_of_items("messages.getConversations", 20, MAX_COUNT)
    offset = call.number("offset", 0, least=0)
    start = call.optional("start_message_id")
    where = f"d.page = ? AND {_FILTERS[name]}"
    rows = store.all(
        f"SELECT d.* FROM dialogs d WHERE {where} AND (? IS NULL OR d.last_id <= ?)"  # noqa: S608
        " ORDER BY d.last_id DESC LIMIT ? OFFSET ?",
        (page, start, start, count, offset),
    )
    items = []
    for row in rows:
        item = {"conversation": views.conversation(row)}
        last = store.one(
            "SELECT * FROM messages WHERE page = ? AND peer_id = ? AND NOT deleted ORDER BY cmid DESC LIMIT 1",
            (page, row["peer_id"]),
        )
        items.append(item | ({"last_message": views.message(last)} if last is not None else {}))
    answer: dict[str, Any] = {
        "count": store.value(f"SELECT count(*) FROM dialogs d WHERE {where}", (page,)),  # noqa: S608
        "items": items,
    }
    unread = store.value(f"SELECT count(*) FROM dialogs d WHERE d.page = ? AND {_UNREAD}", (page,))  # noqa: S608
    if unread:
        answer["unread_count"] = unread
    return answer | _extended(call, page, [row["peer_id"] for row in rows])


@method("messages.getHistory", "UG")
def get_history(call: MethodCall) -> dict[str, Any]:
    """Return messages of one conversation, newest first unless `rev`."""
    page = call.managed_page()
    peer = call.optional("peer_id") or call.number("user_id")
    call.world.dialogs.check_peer(page, peer)
    count = call.count_of_items("messages.getHistory", 20, MAX_COUNT)
    start = call.optional("start_message_id")
    offset = call.number("offset", 0, least=None if start else 0)
    rows = call.world.store.all(
        "SELECT * FROM messages WHERE page = ? AND peer_id = ? AND NOT deleted ORDER BY cmid", (page, peer)
    )
    total = len(rows)
    if not call.flag("rev"):
        rows.reverse()
        if start:
            offset += sum(row["id"] > start for row in rows)
    elif start:
        offset += sum(row["id"] < start for row in rows)
    rows = rows[max(offset, 0) :][:count]
    answer: dict[str, Any] = {"count": total, "items": [call.world.views.message(row) for row in rows]}
    if call.flag("extended"):
        dialog = call.world.dialogs.get(page, peer)
        answer["conversations"] = [] if dialog is None else [call.world.views.conversation(dialog)]
    return answer | _extended(call, page, [peer])


@method("messages.getById", "UG")
def get_by_id(call: MethodCall) -> dict[str, Any]:
    """Return messages by their ids, or by their numbers in a conversation."""
    page = call.managed_page()
    store = call.world.store
    cmids = call.integers("cmids") or call.integers("conversation_message_ids")
    found: list[Row | None]
    if cmids:
        peer = call.number("peer_id")
        query = "SELECT * FROM messages WHERE page = ? AND peer_id = ? AND cmid = ? AND NOT deleted"
        found = [store.one(query, (page, peer, cmid)) for cmid in cmids[:100]]
    else:
        numbers = call.integers("message_ids")
        if not numbers:
            raise vk_error(100, "message_ids is undefined")
        found = [call.world.dialogs.message(page, number) for number in numbers[:100]]
    rows = [row for row in found if row is not None]
    answer: dict[str, Any] = {"count": len(rows), "items": [call.world.views.message(row) for row in rows]}
    return answer | _extended(call, page, [row["from_id"] for row in rows])


@method("messages.send", "UG")
def send(call: MethodCall) -> int | list[dict[str, Any]]:
    """Send a message to one person (returns a bare id) or to several (returns a list)."""
    page = call.managed_page()
    random_id = call.number("random_id")
    peers = call.integers("peer_ids") or call.integers("user_ids")
    if not peers:
        peer = call.optional("peer_id") or call.optional("user_id")
        if not peer:
            raise vk_error(100, "you should specify peer_id, user_id, domain, chat_id or user_ids param")
        return int(_send(call, page, peer, random_id)["id"])
    if len(peers) > 100:
        raise vk_error(100, "peer_ids is invalid")
    answers = []
    for peer in peers:
        answer: dict[str, Any] = {"peer_id": peer, "message_id": 0, "conversation_message_id": 0}
        try:
            row = _send(call, page, peer, random_id)
            answer |= {"message_id": row["id"], "conversation_message_id": row["cmid"]}
        except RefusedError as error:
            answer["error"] = {"code": error.code, "description": error.message}
        answers.append(answer)
    return answers


@method("messages.edit", "UG")
def edit(call: MethodCall) -> int:
    """Edit a message of the community; error 909 after the edit window."""
    page, peer = call.managed_page(), call.number("peer_id")
    call.world.dialogs.check_peer(page, peer)
    row = _own_message(call, page, peer, call.optional("cmid"), call.optional("message_id"))
    if row is None:
        raise vk_error(100, "message_id is invalid")
    if call.world.clock.now() - row["at"] > call.world.settings.message_edit_seconds:
        raise vk_error(909)
    if not call.world.settings.changes_take_effect:
        return 0
    given = "attachment" in call.params
    media = call.attachments("attachment") if given else None
    call.world.dialogs.edit(page, row["id"], call.text("message"), media)
    return 1


@method("messages.delete", "UG")
def delete(call: MethodCall) -> list[dict[str, Any]]:
    """Delete messages of the community for everybody; raises error 100 without `delete_for_all`.

    The response has a result per message: error 924 for a message that is not the community's, and after the time
    limit.
    """
    page, peer = call.managed_page(), call.number("peer_id")
    if not call.flag("delete_for_all"):
        raise vk_error(100, "delete_for_all is required: the emulator deletes messages only for everybody")
    call.world.dialogs.check_peer(page, peer)
    answers = []
    for cmid in call.integers("cmids"):
        row = _own_message(call, page, peer, cmid, None)
        answer: dict[str, Any] = {"peer_id": peer, "conversation_message_id": cmid, "response": 0}
        if row is None:
            answer["error"] = {"code": 924, "description": MESSAGES[924]}
        elif call.world.clock.now() - row["at"] > call.world.settings.message_delete_seconds:
            answer |= {"message_id": row["id"], "error": {"code": 924, "description": MESSAGES[924]}}
        elif call.world.settings.changes_take_effect:
            call.world.dialogs.delete(page, row["id"])
            answer |= {"message_id": row["id"], "response": 1}
        answers.append(answer)
    return answers


@method("messages.markAsRead", "UG")
def mark_as_read(call: MethodCall) -> int:
    """Mark a conversation as read by the community."""
    call.world.dialogs.mark_read(call.managed_page(), call.number("peer_id"))
    return 1


@method("messages.isMessagesFromGroupAllowed", "UG")
def is_messages_from_group_allowed(call: MethodCall) -> dict[str, int]:
    """Return whether a person allows messages of the community."""
    page = call.managed_page()
    return {"is_allowed": int(call.world.dialogs.is_allowed(page, call.number("user_id", least=1)))}


def _send(call: MethodCall, page: int, peer: int, random_id: int) -> Row:
    key = f"message:{peer}:{random_id}"
    known = call.world.get_deduplicated(page, key) if random_id else None
    row = None if known is None else call.world.dialogs.message(page, known)
    if row is not None:
        return row
    with call.world.store.transaction():
        row = call.world.dialogs.community_writes(
            page,
            peer,
            call.text("message"),
            random_id=random_id,
            reply_to=call.optional("reply_to") or None,
            attachments=call.attachments("attachment"),
        )
        if random_id:
            call.world.save_deduplicated(page, key, row["id"])
    return row


def _own_message(call: MethodCall, page: int, peer: int, cmid: int | None, number: int | None) -> Row | None:
    """Return an undeleted message of the community, by its number in the conversation or by its id."""
    return call.world.store.one(
        "SELECT * FROM messages WHERE page = ? AND peer_id = ? AND (cmid = ? OR id = ?) AND from_id < 0"
        " AND NOT deleted",
        (page, peer, cmid, number),
    )


def _extended(call: MethodCall, page: int, people: Iterable[int]) -> dict[str, Any]:
    return call.world.views.owners([*people, -page]) if call.flag("extended") else {}
