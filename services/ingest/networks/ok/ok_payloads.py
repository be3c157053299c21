"""Parse OK topics, comments and messages to `IncomingItem`. Unknown fields are ignored, old formats accepted.

Ids are strings and are kept as the network returns them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from services.ingest.networks.port import Author, ChangeKind, IncomingItem, PageRef

MOSCOW = ZoneInfo("Europe/Moscow")
GROUP_TOPIC = "GROUP_TOPIC"
GROUP_MOVIE = "GROUP_MOVIE"
# Bot API events about buttons and chats, which contain no message.
IGNORED_EVENTS = {"MESSAGE_CALLBACK", "CHAT_SYSTEM"}
# Types of removed comments; the network publishes no list.
REMOVED_TYPES = ("REMOVED", "DELETED")

Names = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DiscussionRow:
    """A row of the list of discussions.

    `key`: discussion key; `marker`: changes when the discussion changes; `active_at`: time of the last comment.
    """

    key: str
    group_id: str
    marker: str
    count: int
    active_at: datetime | None


def from_milliseconds(ms: Any) -> datetime:
    """Return the time of milliseconds since the epoch. Raises ValueError if the value is not valid."""
    try:
        return datetime.fromtimestamp(int(ms) / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise ValueError(f"{str(ms)[:40]!r} is not a time in milliseconds") from None


def thread_position(_external_id: str, written_at: datetime) -> int:
    """Return an item's order in its discussion or chat: its time in ms, because ids are not ordered."""
    return int(written_at.timestamp() * 1000)


# Clocks of OK's machines may differ by this much.
POSITION_TOLERANCE_MS = 3_600_000


def from_moscow_time(value: str) -> datetime:
    """Return the time of one of OK's dates without a zone, which are in Moscow time."""
    return datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=MOSCOW).astimezone(UTC)


def without_prefix(ref: Any) -> str:
    """Return an id without its prefix `user:` or `group:`."""
    return str(ref).rpartition(":")[2]


def with_prefix(prefix: str, ident: Any) -> str:
    """Return an id with its prefix, whether or not it already has it."""
    text = str(ident)
    return text if text.startswith(f"{prefix}:") else f"{prefix}:{text}"


def discussion_key(kind: str, ident: Any) -> str:
    """Return the discussion key: the id of a topic, `TYPE:id` for other types."""
    return str(ident) if kind == GROUP_TOPIC else f"{kind}:{ident}"


def split_discussion_key(discussion: str) -> tuple[str, str]:
    """Return the type and id of a discussion key; the inverse of `discussion_key`."""
    kind, _, ident = discussion.rpartition(":")
    return kind or GROUP_TOPIC, ident


def discussion_url(page: PageRef, discussion: str) -> str:
    """Return the public URL of a discussion."""
    kind, ident = split_discussion_key(discussion)
    if kind == GROUP_MOVIE:
        return f"https://ok.ru/video/{ident}"
    group = f"https://ok.ru/group/{page.external_id}"
    return f"{group}/topic/{ident}" if kind == GROUP_TOPIC else f"{group}/photos"


def author_names(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return names of users from a response's `entities`, by id."""
    entities = answer.get("entities")
    users = entities.get("users") if isinstance(entities, dict) else None
    names: dict[str, str] = {}
    for user in users if isinstance(users, list) else []:
        if isinstance(user, dict) and user.get("uid"):
            name = user.get("name") or f"{user.get('first_name', '')} {user.get('last_name', '')}".strip()
            if name:
                names[without_prefix(user["uid"])] = str(name)
    return names


def _author(ident: str, *, group: bool, name: Any = None) -> Author:
    path = "group" if group else "profile"
    return Author(
        native_id=f"{'group' if group else 'user'}:{ident}",
        name=str(name) if name else None,
        url=f"https://ok.ru/{path}/{ident}",
    )


def page_author_id(external_id: str) -> str:
    """Return the id of a page as an author."""
    return _author(external_id, group=True).native_id


def parse_topic(
    raw: dict[str, Any], page: PageRef, names: Names | None = None, happened: ChangeKind = "observed"
) -> IncomingItem:
    """Return the item of a media topic: a post of the community or of a citizen."""
    _object(raw, "topic")
    owner = raw.get("owner_ref")
    if owner is not None and without_prefix(owner) != page.external_id:
        raise ValueError(f"the topic belongs to {owner}")
    ref = str(raw["author_ref"])
    writer, group = without_prefix(ref), ref.startswith("group:")
    ident = _ident(raw, "id")
    blocks = [block for block in raw.get("media") or [] if isinstance(block, dict)]
    texts = [str(block.get("text", "")) for block in blocks if block.get("type") == "text"]
    return IncomingItem(
        change=happened,
        kind="wall_post",
        external_id=ident,
        thread_key=f"ok:{ident}",
        written_at=from_milliseconds(raw["created_ms"]),
        raw=raw,
        author=_author(writer, group=group, name=None if group else (names or {}).get(writer)),
        from_community=group and writer == page.external_id,
        text="\n".join(texts),
        attachments=[block for block in blocks if block.get("type") != "text"],
        url=f"https://ok.ru/group/{page.external_id}/topic/{ident}",
    )


def parse_comment(
    raw: dict[str, Any],
    page: PageRef,
    discussion: str,
    names: Names | None = None,
    happened: ChangeKind = "observed",
) -> IncomingItem:
    """Return the item of a comment; a removed comment is a deletion by an unknown person."""
    _object(raw, "comment")
    removed = is_removed(raw)
    group, writer = _who(raw, page)
    answered = raw.get("reply_to_comment_id")
    written_at = (
        from_milliseconds(raw["date_ms"]) if raw.get("date_ms") is not None else from_moscow_time(str(raw["date"]))
    )
    attachments = raw.get("attachments")
    name = raw.get("author_name") or (names or {}).get(writer or "")
    return IncomingItem(
        change="deleted" if removed else happened,
        kind="comment",
        external_id=f"{discussion}/{_ident(raw, 'id')}",
        thread_key=f"ok:{discussion}",
        written_at=written_at,
        raw=raw,
        author=None if writer is None else _author(writer, group=group, name=name),
        from_community=group and writer == page.external_id,
        text=None if removed else str(raw.get("text") or ""),
        reply_to=f"{discussion}/{answered}" if answered else None,
        attachments=attachments if isinstance(attachments, list) else (),
        url=discussion_url(page, discussion),
    )


def is_removed(raw: Mapping[str, Any]) -> bool:
    """Return whether a comment is removed, by its type."""
    return any(word in str(raw.get("type", "")).upper() for word in REMOVED_TYPES)


def _who(raw: dict[str, Any], page: PageRef) -> tuple[bool, str | None]:
    """Return whether a group wrote the comment, and its author; None for a deleted profile (empty author).

    If no field names the type of the author, an author with the id of the page is the page.
    """
    ref, kind = raw.get("author_ref"), raw.get("author_type")
    group = kind == "GROUP" or str(ref or "").startswith("group:")
    writer = without_prefix(ref) if ref else ""
    if not writer:
        writer = without_prefix(raw["author_id"] or "")
    if not kind and ":" not in str(ref or ""):
        group = writer == page.external_id
    return group, writer if writer not in {"", "0"} else None


def _object(raw: Any, what: str) -> None:
    if not isinstance(raw, dict):
        raise TypeError(f"the {what} is not an object")


def _part(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a nested object. Raises `KeyError` if it is missing, `TypeError` if it is not an object."""
    found = raw[name]
    if not isinstance(found, dict):
        raise TypeError(f"the field {name!r} is not an object")
    return found


def _ident(raw: Mapping[str, Any], name: str) -> str:
    """Return an id field as a string. Raises `KeyError` if it is missing, `ValueError` if it is not an id."""
    found = raw[name]
    if isinstance(found, bool) or not isinstance(found, str | int) or not without_prefix(found):
        raise ValueError(f"the field {name!r} is not an id")
    return str(found)


def parse_message(
    raw: dict[str, Any],
    page: PageRef,
    chat: str | None = None,
    happened: ChangeKind = "observed",
    event_id: str | None = None,
) -> IncomingItem:
    """Return the item of a chat message from a list or a webhook. Raises like `parse_webhook` if it is invalid."""
    _object(raw, "message")
    content, sender = _part(raw, "message"), _part(raw, "sender")
    conversation = with_prefix("chat", chat if chat is not None else _ident(_part(raw, "recipient"), "chat_id"))
    ref = _ident(sender, "user_id")
    writer, group = without_prefix(ref), ref.startswith("group:") or without_prefix(ref) == page.external_id
    attachments = content.get("attachments")
    answered = content.get("reply_to")
    return IncomingItem(
        change=happened,
        kind="message",
        external_id=f"{conversation}/{with_prefix('mid', _ident(content, 'mid'))}",
        thread_key=f"ok:{conversation}",
        written_at=from_milliseconds(raw["timestamp"]),
        raw=raw,
        author=_author(writer, group=group, name=None if group else sender.get("name")),
        from_community=group and writer == page.external_id,
        text=str(content.get("text") or ""),
        reply_to=f"{conversation}/{with_prefix('mid', answered)}" if answered else None,
        attachments=attachments if isinstance(attachments, list) else (),
        url=f"https://ok.ru/group/{page.external_id}/messages",
        push_event_id=event_id,
    )


def parse_webhook(raw: Any, page: PageRef) -> IncomingItem | None:
    """Return the item of a pushed Bot API event, with or without its type; None for types without a message.

    Raises KeyError, TypeError or ValueError with the reason for an incomplete or unknown event.
    """
    _object(raw, "event")
    kind = raw.get("webhookType")
    if kind is not None and not isinstance(kind, str):
        raise ValueError("the field 'webhookType' is not a string")
    if kind in IGNORED_EVENTS:
        return None
    if kind not in {None, "MESSAGE_CREATED"}:
        raise ValueError(f"events of type {str(kind)[:40]!r} are unknown")
    if kind is None and "message" not in raw and ("payload" in raw or "chat" in raw):
        return None  # format of 2017: a pressed button, or a change of the chat
    return parse_message(
        raw, page, happened="new", event_id=with_prefix("mid", _ident(_part(raw, "message"), "mid"))
    )


def parse_discussion_row(raw: Any, types: Collection[str]) -> DiscussionRow | None:
    """Return the row of a group's discussion; None if its type is not in `types` or it belongs to no group."""
    kind = raw.get("object_type") if isinstance(raw, dict) else None
    if not isinstance(kind, str) or kind not in types or not raw.get("object_id"):
        return None
    refs = raw.get("ref_objects")
    groups = [
        str(ref["id"])
        for ref in (refs if isinstance(refs, list) else [])
        if isinstance(ref, dict) and ref.get("type") == "GROUP" and ref.get("id")
    ]
    if not groups:
        return None
    total = raw.get("total_comments_count")
    count = total if isinstance(total, int) else 0
    active = raw.get("last_activity_date")
    try:
        active_at = from_moscow_time(str(active))
    except ValueError:
        active_at = None
    discussion = discussion_key(kind, raw["object_id"])
    return DiscussionRow(discussion, without_prefix(groups[0]), f"{active}|{count}", count, active_at)
