"""VK's posts, comments, messages and events as `Incoming`. Unknown fields are ignored, old names accepted."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from services.ingest.networks.port import Author, Happened, Incoming, PageRef, Parsed

Names = Mapping[int, str]
Event = dict[str, Any]


def integer(raw: Mapping[str, Any], *names: str) -> int:
    """The first of these fields that is there, as a number. Raises KeyError or ValueError."""
    for name in names:
        if raw.get(name) is not None:
            return int(raw[name])
    raise KeyError(names[0])


def moment(raw: Mapping[str, Any]) -> datetime:
    """When it was written."""
    return datetime.fromtimestamp(integer(raw, "date"), UTC)


def names_of(answer: Mapping[str, Any]) -> dict[int, str]:
    """Names of people and communities in an extended answer; communities are negative."""
    names: dict[int, str] = {}
    for profile in _list(answer, "profiles"):
        full = f"{profile.get('first_name', '')} {profile.get('last_name', '')}".strip()
        if full and "id" in profile:
            names[int(profile["id"])] = full
    for group in _list(answer, "groups"):
        if group.get("name") and "id" in group:
            names[-int(group["id"])] = str(group["name"])
    return names


def _list(answer: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = answer.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def author(number: int, names: Names | None = None) -> Author:
    """Who stands behind an id: a person, or a community when it is negative."""
    url = f"https://vk.com/id{number}" if number > 0 else f"https://vk.com/club{-number}"
    return Author(native_id=str(number), name=(names or {}).get(number), url=url)


def _owner(raw: Mapping[str, Any], page: PageRef) -> None:
    for name in ("owner_id", "post_owner_id", "to_id"):
        if raw.get(name) is not None and int(raw[name]) != -int(page.external_id):
            raise ValueError(f"{name} {raw[name]} is not this page's")


def _text(raw: Mapping[str, Any], *names: str) -> str:
    for name in names:
        if raw.get(name) is not None:
            return str(raw[name])
    return ""


def _attachments(raw: Mapping[str, Any]) -> Sequence[Any]:
    found = raw.get("attachments")
    return found if isinstance(found, list) else ()


def post(raw: Event, page: PageRef, names: Names | None = None, happened: Happened = "new") -> Incoming:
    """A post on the page's wall."""
    _owner(raw, page)
    number, writer = integer(raw, "id"), integer(raw, "from_id")
    wall = f"-{page.external_id}_{number}"
    return Incoming(
        happened=happened,
        kind="wall_post",
        external_id=wall,
        thread_key=f"vk:{wall}",
        written_at=moment(raw),
        raw=raw,
        author=author(writer, names),
        from_community=writer == -int(page.external_id),
        text=_text(raw, "text"),
        attachments=_attachments(raw),
        url=f"https://vk.com/wall{wall}",
    )


def comment(
    raw: Event,
    page: PageRef,
    post_id: int | None = None,
    names: Names | None = None,
    happened: Happened = "new",
) -> Incoming:
    """A comment under a post; a deleted one that keeps its thread has neither author nor text."""
    _owner(raw, page)
    number = integer(raw, "id")
    place = post_id if post_id is not None else integer(raw, "post_id")
    external_id = f"-{page.external_id}_{number}"
    thread = f"vk:-{page.external_id}_{place}"
    if raw.get("deleted"):
        return Incoming(
            happened="deleted",
            kind="comment",
            external_id=external_id,
            thread_key=thread,
            written_at=moment(raw),
            raw=raw,
        )
    writer = integer(raw, "from_id")
    parents = raw.get("parents_stack") or []
    answered = raw.get("reply_to_comment") or (parents[-1] if parents else None)
    reply = f"?reply={number}" + (f"&thread={parents[0]}" if parents else "")
    return Incoming(
        happened=happened,
        kind="comment",
        external_id=external_id,
        thread_key=thread,
        written_at=moment(raw),
        raw={key: value for key, value in raw.items() if key != "thread"},
        author=author(writer, names),
        from_community=writer == -int(page.external_id),
        text=_text(raw, "text"),
        reply_to=f"-{page.external_id}_{int(answered)}" if answered else None,
        attachments=_attachments(raw),
        url=f"https://vk.com/wall-{page.external_id}_{place}{reply}",
    )


def message(raw: Event, page: PageRef, names: Names | None = None, happened: Happened = "new") -> Incoming:
    """A message of a conversation, from either side."""
    group = int(page.external_id)
    out = bool(raw.get("out")) or raw.get("from_id") == -group
    peer = integer(raw, "peer_id", "user_id")
    writer = -group if out else integer(raw, "from_id", "user_id")
    conversation = f"{group}_{peer}"
    reply = raw.get("reply_message")
    answered = reply.get("conversation_message_id") if isinstance(reply, dict) else None
    return Incoming(
        happened=happened,
        kind="message",
        external_id=f"{conversation}_{integer(raw, 'conversation_message_id')}",
        thread_key=f"vk:{conversation}",
        written_at=moment(raw),
        raw=raw,
        author=author(writer, names),
        from_community=out,
        text=_text(raw, "text", "body"),
        reply_to=f"{conversation}_{int(answered)}" if answered else None,
        attachments=_attachments(raw),
        url=f"https://vk.com/gim{group}?sel={peer}",
    )


def deleted_comment(raw: Event, page: PageRef) -> Incoming:
    """The event that a comment was deleted; it names who did it, and no text."""
    _owner(raw, page)
    deleter = raw.get("deleter_id", raw.get("user_id"))
    return Incoming(
        happened="deleted",
        kind="comment",
        external_id=f"-{page.external_id}_{integer(raw, 'id')}",
        thread_key=f"vk:-{page.external_id}_{integer(raw, 'post_id')}",
        written_at=datetime.fromtimestamp(0, UTC),
        raw=raw,
        deleted_by=author(int(deleter)) if deleter else None,
    )


def _new_message(raw: Event, page: PageRef) -> Incoming:
    inner = raw.get("message")
    return message(inner if isinstance(inner, dict) else raw, page)


_EVENTS: dict[str, Any] = {
    "wall_post_new": post,
    "wall_repost": post,
    "wall_reply_new": comment,
    "wall_reply_edit": lambda raw, page: comment(raw, page, happened="edited"),
    "wall_reply_restore": lambda raw, page: comment(raw, page, happened="restored"),
    "wall_reply_delete": deleted_comment,
    "message_new": _new_message,
    "message_reply": message,
    "message_edit": lambda raw, page: message(raw, page, happened="edited"),
}


def event(raw: Any, page: PageRef) -> Incoming | None:
    """An event of Long Poll or Callback API; None for kinds that bring no words."""
    if not isinstance(raw, dict):
        raise TypeError("the event is not an object")
    if "group_id" in raw and int(raw["group_id"]) != int(page.external_id):
        raise ValueError(f"the event belongs to community {raw['group_id']}")
    kind = raw.get("type")
    if not isinstance(kind, str):
        raise KeyError("type")
    parse = _EVENTS.get(kind)
    if parse is None:
        return None
    content = raw.get("object")
    if not isinstance(content, dict):
        raise TypeError("the event has no object")
    found: Incoming = parse(content, page)
    return found


def events(updates: Any, page: PageRef) -> Parsed:
    """All events of an answer; what cannot be read is set aside."""
    parsed = Parsed()
    for raw in updates if isinstance(updates, list) else []:
        parsed.add(event, raw, page)
    return parsed
