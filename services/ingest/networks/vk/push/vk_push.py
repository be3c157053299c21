"""Parse events of the Long Poll and Callback APIs to `IncomingItem`, with one table of event types."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from services.ingest.networks.port import IncomingItem, PageRef, ParsedBatch
from services.ingest.networks.vk import vk_payloads
from services.ingest.networks.vk.vk_payloads import EventObject, ThreadType, int_field_required

UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)
ANNOUNCED_CHANGES = {"edited", "deleted", "restored"}
# Types of the page's own posts that are not published yet; suggested posts, of citizens, are read.
HIDDEN_POSTS = {"postpone"}


def deleted_comment(raw: EventObject, page: PageRef) -> IncomingItem:
    """Return the deletion of a comment; the event contains who deleted it but no text."""
    vk_payloads.check_owner(raw, page)
    name = f"-{page.external_id}_{int_field_required(raw, 'id')}"
    return _deleted(name, f"vk:-{page.external_id}_{int_field_required(raw, 'post_id')}", raw)


def deleted_thread_comment(raw: EventObject, page: PageRef, thread_type: ThreadType) -> IncomingItem:
    """Return the deletion of a comment in a thread other than a post."""
    vk_payloads.check_owner(raw, page, thread_type.owner_field)
    number = int_field_required(raw, thread_type.id_field)
    return _deleted(
        thread_type.comment(page, number, int_field_required(raw, "id")), thread_type.thread(page, number), raw
    )


def _deleted(external_id: str, thread_key: str, raw: EventObject) -> IncomingItem:
    # Real events have `deleter_id`; the schema says `user_id`. If both are present, `user_id` is the author.
    deleter = raw.get("deleter_id", raw.get("user_id"))
    return IncomingItem(
        change="deleted",
        kind="comment",
        external_id=external_id,
        thread_key=thread_key,
        written_at=UNKNOWN_TIME,
        raw=raw,
        deleted_by=vk_payloads.to_author(int(deleter)) if deleter else None,
    )


def _post(raw: EventObject, page: PageRef) -> IncomingItem | None:
    return None if raw.get("post_type") in HIDDEN_POSTS else vk_payloads.parse_post(raw, page)


def _repost(raw: EventObject, page: PageRef) -> IncomingItem | None:
    owner = raw.get("owner_id", raw.get("to_id"))
    # A repost is usually on the wall of the person who shared it and is not a message to this page.
    if owner is not None and int(owner) != -int(page.external_id):
        return None
    return _post(raw, page)


def _new_message(raw: EventObject, page: PageRef) -> IncomingItem | None:
    inner = raw.get("message")
    return vk_payloads.parse_message(inner if isinstance(inner, dict) else raw, page)


_EVENTS: dict[str, Callable[[EventObject, PageRef], IncomingItem | None]] = {
    "wall_post_new": _post,
    "wall_repost": _repost,
    "wall_reply_new": vk_payloads.parse_comment,
    "wall_reply_edit": partial(vk_payloads.parse_comment, happened="edited"),
    "wall_reply_restore": partial(vk_payloads.parse_comment, happened="restored"),
    "wall_reply_delete": deleted_comment,
    "message_new": _new_message,
    "message_reply": vk_payloads.parse_message,
    "message_edit": partial(vk_payloads.parse_message, happened="edited"),
}
for _name, _thread_type in vk_payloads.THREAD_TYPES.items():
    _EVENTS |= {
        f"{_name}_new": partial(vk_payloads.parse_thread_comment, thread_type=_thread_type),
        f"{_name}_edit": partial(vk_payloads.parse_thread_comment, thread_type=_thread_type, happened="edited"),
        f"{_name}_restore": partial(
            vk_payloads.parse_thread_comment, thread_type=_thread_type, happened="restored"
        ),
        f"{_name}_delete": partial(deleted_thread_comment, thread_type=_thread_type),
    }

SUPPORTED_EVENTS = tuple(_EVENTS)


def parse_event(raw: Any, page: PageRef) -> IncomingItem | None:
    """Return the item of an event; None for events without a message to this page."""
    if not isinstance(raw, dict):
        raise TypeError("the event is not an object")
    if "group_id" in raw and int(raw["group_id"]) != int(page.external_id):
        raise ValueError(f"the event belongs to community {raw['group_id']}")
    kind = raw.get("type")
    if not isinstance(kind, str):
        raise KeyError("type")
    read = _EVENTS.get(kind)
    if read is None:
        return None
    content = raw.get("object")
    if not isinstance(content, dict):
        raise TypeError("the event has no object")
    found = read(content, page)
    name = raw.get("event_id")
    return replace(found, push_event_id=name) if found is not None and isinstance(name, str) and name else found


def parse_events(updates: Any, page: PageRef) -> ParsedBatch:
    """Return the parsed and unparsed events of a response as one batch."""
    parsed = ParsedBatch()
    for raw in updates if isinstance(updates, list) else []:
        parsed.parse(parse_event, raw, page)
    return parsed


def threads_to_reread(parsed: ParsedBatch) -> list[str]:
    """Return the threads to read again, because an event announced a change without its result.

    Conversations are left out: events contain the edited message, and long conversations are expensive to read.
    """
    return sorted(
        {item.thread_key for item in parsed.items if item.change in ANNOUNCED_CHANGES and item.kind != "message"}
    )
