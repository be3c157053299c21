"""The Bot API: direct messages of a group, `/graph/me/…?access_token=`."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from emulators.common.store import Row
from emulators.ok import ids, serializers
from emulators.ok.errors import OkError
from emulators.ok.state.network_state import OkState
from emulators.ok.webhooks import EVENT_TYPES

CHAT_PAGE_MAX = 100
SENDER_ACTIONS = frozenset(["mark_seen", "typing_on", "sending_photo", "sending_video", "sending_audio"])
ATTACHMENT_TYPES = frozenset({"IMAGE", "VIDEO", "AUDIO", "SHARE"})


@dataclass(frozen=True, slots=True)
class BotCall:
    """One call of a group's bot: its group, query, path tail and JSON body."""

    world: OkState
    page: str
    query: dict[str, str]
    chat: str | None
    body: dict[str, Any]

    def number(self, name: str, default: int) -> int:
        """Return a whole number from the query; error 2001 for anything else."""
        value = self.query.get(name, "")
        if not value:
            return default
        if not value.isascii() or not value.isdigit() or len(value) > 18:
            raise OkError(2001, f"Invalid parameter {name}", name)
        return int(value)

    def count(self, default: int) -> int:
        """Return a page size of 1 to 100; error 2001 for any other value."""
        value = self.number("count", default)
        if not 1 <= value <= CHAT_PAGE_MAX:
            raise OkError(2001, "Invalid parameter count", "count")
        return value

    def chat_row(self) -> Row:
        """Return the chat named in the path or in `chat_id`; error 705 if it is not a chat of the group."""
        chat = self.chat or self.query.get("chat_id") or ""
        if not chat:
            raise OkError(2001, "Missing parameter chat_id", "chat_id")
        return self.world.chats.chat(self.page, chat)


def info(call: BotCall) -> dict[str, Any]:
    """Return the group of the token."""
    return {"name": serializers.group(call.world, call.page)["name"], "group_id": f"group:{call.page}"}


def chats(call: BotCall) -> dict[str, Any]:
    """Return chats, most recently active first; the last page has no marker."""
    marker = call.query.get("marker")
    before: tuple[int, int] | None = None
    if marker:
        ms, activity = ids.decode_anchor(marker, 2, "marker")
        before = (-ms, -activity)
    rows, more = call.world.chats.recent(call.page, before, call.count(50))
    answer: dict[str, Any] = {"chats": [serializers.chat(row) for row in rows]}
    if more:
        answer["marker"] = ids.encode_anchor(-rows[-1]["activity_ms"], -rows[-1]["activity"])
    return answer


def chat(call: BotCall) -> dict[str, Any]:
    """Return one chat."""
    return serializers.chat(call.chat_row())


def messages(call: BotCall) -> dict[str, Any]:
    """Return messages of a chat, newest first, from the later time `from` back to the earlier `to` (ms, UTC)."""
    row = call.chat_row()
    newest = call.number("from", 2**62)
    oldest = call.number("to", 0)
    if newest < oldest:
        raise OkError(2001, "Parameter from must be later than to", "from")
    rows = call.world.chats.history(row["id"], newest, oldest, call.count(50))
    return {"messages": [serializers.message(call.world, found) for found in rows]}


def send(call: BotCall) -> dict[str, Any]:
    """Send a message to a chat or to one or several people, show a sender action, or change the chat."""
    recipient = call.body.get("recipient") or {}
    if not isinstance(recipient, dict):
        raise OkError(2001, "Invalid recipient", "recipient")
    if "user_ids" in recipient:
        return _send_to_many(call, recipient["user_ids"])
    row = _recipient(call, recipient)
    if "sender_action" in call.body:
        if call.body["sender_action"] not in SENDER_ACTIONS:
            raise OkError(2001, "Invalid sender_action", "sender_action")
        if call.body["sender_action"] == "mark_seen":
            call.world.chats.mark_seen(row)
        return {"success": True}
    if "chat_control" in call.body:
        return _control(call, row, call.body["chat_control"])
    if not call.world.rules.may_message(call.page, row["uid"]):
        raise OkError(458)
    sent = _write(call, row)
    echo = recipient or {"chat_id": f"chat:{row['id']}"}
    return {"recipient": echo, "message_id": sent["id"]}


def _recipient(call: BotCall, recipient: dict[str, Any]) -> Row:
    """Return the chat of a single recipient; error 458 for a person who never allowed messages."""
    target = call.chat or recipient.get("chat_id") or recipient.get("user_id")
    if not isinstance(target, str) or not target:
        raise OkError(2001, "Missing recipient", "recipient")
    # In the network's own examples `user_id` may contain the id of a chat.
    if target.startswith("chat:") or call.chat or "chat_id" in recipient:
        return call.world.chats.chat(call.page, target)
    row = call.world.chats.chat_of_user(call.page, target.removeprefix("user:"))
    if row is None:
        raise OkError(458)
    return row


def _send_to_many(call: BotCall, users: Any) -> dict[str, Any]:
    if not isinstance(users, list) or not users or not all(isinstance(user, str) for user in users):
        raise OkError(2001, "Invalid user_ids", "user_ids")
    success: list[bool] = []
    chat_ids: list[str | None] = []
    for user in users:
        row = call.world.chats.chat_of_user(call.page, user.removeprefix("user:"))
        if row is not None and not call.world.rules.may_message(call.page, row["uid"]):
            row = None
        success.append(row is not None)
        chat_ids.append(None if row is None else f"chat:{row['id']}")
        if row is not None:
            _write(call, row)
    return {"success": success, "chat_ids": chat_ids}


def _write(call: BotCall, row: Row) -> Row:
    message = call.body.get("message")
    if not isinstance(message, dict):
        raise OkError(2001, "Missing message", "message")
    text, reply_to = message.get("text", ""), message.get("reply_to")
    if not isinstance(text, str) or not isinstance(reply_to, str | None):
        raise OkError(2001, "Invalid message", "message")
    given = message.get("attachments", [message["attachment"]] if message.get("attachment") else [])
    if not isinstance(given, list):
        raise OkError(2001, "Invalid attachment", "attachment")
    for attachment in given:
        if not isinstance(attachment, dict) or attachment.get("type") not in ATTACHMENT_TYPES:
            raise OkError(2001, "Invalid attachment", "attachment")
    return call.world.reply_in_chat(row, text, attachments=given, reply_to=reply_to or None)


def _control(call: BotCall, row: Row, control: Any) -> dict[str, Any]:
    """Rename a chat; raise an error for a change of its members, which the network does not allow."""
    if not isinstance(control, dict) or not isinstance(control.get("title"), str) or not control["title"]:
        raise OkError(10, "A chat of a group with a person cannot be changed in this way", "chat_control")
    world = call.world
    with world.store.transaction():
        world.chats.set_title(row, control["title"])
        event = {"type": "TITLE_CHANGED", "title": control["title"]}
        world.webhooks.publish(call.page, "CHAT_SYSTEM", serializers.chat_event(world, row, event))
    return {"success": True}


def subscribe(call: BotCall) -> dict[str, Any]:
    """Subscribe a URL to events; only to message events unless `types` lists others."""
    url = _url(call)
    types = call.body.get("types", ["MESSAGE_CREATED"])
    if not isinstance(types, list) or not types or not set(map(str, types)) <= EVENT_TYPES:
        raise OkError(2001, "Invalid types", "types")
    call.world.webhooks.subscribe(call.page, url, [str(kind) for kind in types])
    return {"success": True}


def unsubscribe(call: BotCall) -> dict[str, Any]:
    """Unsubscribe a URL from events."""
    return {"success": call.world.webhooks.unsubscribe(call.page, _url(call))}


def subscriptions(call: BotCall) -> dict[str, Any]:
    """Return the subscribed URLs."""
    return {"subscriptions": call.world.webhooks.subscriptions(call.page)}


def _url(call: BotCall) -> str:
    url = call.body.get("url")
    if not isinstance(url, str):
        raise OkError(2001, "Missing url", "url")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise OkError(2001, "Invalid url", "url") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise OkError(2001, "Invalid url", "url")
    return url


def parse_body(raw: bytes, content_type: str) -> dict[str, Any]:
    """Return the JSON object of a POST; error 2001 for another content type or an invalid body."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise OkError(2001, "Content-Type must be application/json;charset=utf-8")
    try:
        body = json.loads(raw)
        json.dumps(body, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise OkError(2001, "Body is not JSON") from None
    if not isinstance(body, dict):
        raise OkError(2001, "Body is not an object")
    return body


BotMethod = Callable[[BotCall], dict[str, Any]]
GET_METHODS: dict[str, BotMethod] = {
    "info": info,
    "chats": chats,
    "chat": chat,
    "messages": messages,
    "subscriptions": subscriptions,
}
POST_METHODS: dict[str, BotMethod] = {"messages": send, "subscribe": subscribe, "unsubscribe": unsubscribe}
