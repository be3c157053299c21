"""Converts stored rows to the network's JSON objects."""

import json
from collections.abc import Collection, Iterable
from typing import Any

from emulators.common.audience import PostAudience, post_audience
from emulators.common.store import Row
from emulators.ok import ids
from emulators.ok.settings import EmptyLists
from emulators.ok.state.network_state import OkState

TITLE_LENGTH = 200
GROUP_TOPIC = "GROUP_TOPIC"
# The lists of responses to which the setting `empty_lists` applies.
LISTS = frozenset({"comments", "discussions", "media_topics", "chats", "messages", "subscriptions", "groups"})


def split_ref(ref: str) -> tuple[str, str]:
    """Split `user:1` into (`user`, `1`)."""
    kind, _, ident = ref.partition(":")
    return kind, ident


def with_empty_lists(answer: Any, form: EmptyLists) -> Any:
    """Return a response with its empty list in the form that the setting `empty_lists` selects."""
    empty = {name for name in LISTS if isinstance(answer, dict) and answer.get(name) == []}
    if form == "shown" or not (empty or answer == []):
        return answer
    if form == "null_answer":
        return None
    if form == "null":
        return answer | dict.fromkeys(empty) if empty else answer
    return {name: value for name, value in answer.items() if name not in empty} if empty else answer


def user(world: OkState, uid: str) -> dict[str, Any]:
    """Return a person as in `entities.users`."""
    person = world.person(uid)
    first = person["first_name"] if person else ""
    last = person["last_name"] if person else ""
    return {"uid": uid, "first_name": first, "last_name": last, "name": f"{first} {last}".strip()}


def group(world: OkState, page: str) -> dict[str, Any]:
    """Return a group as in `entities.groups`."""
    row = world.page_row(page)
    return {"uid": page, "name": row["name"] if row else ""}


def group_info(world: OkState, row: Row) -> dict[str, Any]:
    """Return all fields of a group as in `group.getInfo`; fields without a value are left out."""
    rules = world.rules.get(row["uid"])
    picture = f"{world.settings.base_url}/images/group.png"
    optional: dict[str, Any] = {"phone": rules.phone, "address": rules.address, "homepage_url": rules.site}
    if rules.avatar:
        optional |= {"photo_id": row["uid"], "main_photo": {"id": row["uid"], "pic128x128": picture}}
    if rules.cover:
        optional["cover"] = {"id": f"{row['uid']}1", "pic_base": picture}
    return {
        "uid": row["uid"],
        "name": row["name"],
        "description": row["description"],
        "shortname": row["screen_name"],
        "members_count": row["members_count"],
        "gos_org": rules.gos_org,
        "rkn_mark": False,
        "comment_as_official": True,
        "messages_allowed": rules.messages_allowed,
        "who_can_comment": rules.who_can_comment,
        "premium": False,
        "business": False,
        "private": rules.closed,
        "created_ms": row["created_ms"],
        "status": world.settings.deactivated_status if rules.deactivated else "ACTIVE",
        "shop_visible_admin": False,
        "shop_visible_public": False,
        "url": f"https://ok.ru/{row['screen_name']}",
        **{name: value for name, value in optional.items() if value},
    }


def author_name(world: OkState, ref: str) -> str | None:
    """Return the name shown next to a text; None if the account was deleted."""
    kind, ident = split_ref(ref)
    if kind == "group":
        return str(group(world, ident)["name"])
    return None if world.rules.person(ident) == "deleted" else str(user(world, ident)["name"])


def entities(world: OkState, refs: Iterable[str]) -> dict[str, Any]:
    """Return the `entities` object for the authors and groups that a response mentions."""
    users: dict[str, dict[str, Any]] = {}
    groups: dict[str, dict[str, Any]] = {}
    for ref in refs:
        kind, ident = split_ref(ref)
        if kind == "group":
            groups.setdefault(ident, group(world, ident))
        else:
            state = world.rules.person(ident)
            if state != "deleted":
                users[ident] = user(world, ident) | ({"blocked": True} if state == "blocked" else {})
    return {"users": list(users.values()), "groups": list(groups.values())}


def media(row: Row) -> list[dict[str, Any]]:
    """Return the media blocks of a topic."""
    blocks: list[dict[str, Any]] = []
    if row["text"]:
        blocks.append({"type": "text", "text": row["text"], "text_tokens": [{"text": row["text"]}]})
    for number, item in enumerate(json.loads(row["attachments"])):
        url = item["payload"]["url"]
        photo = {"id": f"{row['id']}{number:02d}", "pic640x480": url}
        blocks.append({"type": "photo", "photos": [photo]})
    return blocks


def audience(world: OkState, row: Row) -> PostAudience:
    """Return the audience of a topic until now."""
    page = world.page_row(row["page"])
    members = page["members_count"] if page is not None else 0
    return post_audience(row["page"], row["id"], members, (world.clock.now_ms() - row["created_ms"]) / 1000)


def topic(world: OkState, row: Row, fields: Collection[str] = ()) -> dict[str, Any]:
    """Return a media topic; its summaries only if they are among the requested fields."""
    seen = audience(world, row)
    summaries = {
        "like_summary": {"count": seen.likes},
        "reshare_summary": {"count": seen.reposts},
        "discussion_summary": {
            "discussion_id": str(row["id"]),
            "discussion_type": GROUP_TOPIC,
            "comments_count": row["comments"],
        },
    }
    return {
        "id": str(row["id"]),
        "created_ms": row["created_ms"],
        "author_ref": row["author"],
        "owner_ref": f"group:{row['page']}",
        "media": media(row),
        **{name: value for name, value in summaries.items() if f"media_topic.{name}" in fields},
    }


def discussion(world: OkState, row: Row, uid: str) -> dict[str, Any]:
    """Return the discussion of a topic as one user sees it."""
    state = world.discussions
    _, read_ms = state.read_position(uid, row["id"])
    name = group(world, row["page"])["name"]
    return {
        "object_id": str(row["id"]),
        "object_type": GROUP_TOPIC,
        "title": row["text"][:TITLE_LENGTH],
        "message": f"Тема в группе {{group:{row['page']}}}{name}{{group}}",
        "owner_uid": split_ref(row["author"])[1],
        "ref_objects": [{"id": row["page"], "type": "GROUP"}],
        "creation_date": ids.moscow_time(row["created_ms"]),
        "last_activity_date": ids.moscow_time(row["activity_ms"]),
        "last_user_access_date": ids.moscow_time(read_ms or row["created_ms"]),
        "new_comments_count": state.unread(uid, row["id"]),
        "total_comments_count": row["comments"],
        "like_count": 0,
        "liked_it": False,
        "attrs": {"flags": "c,l,s"},
    }


def comment(world: OkState, row: Row, fields: Collection[str] = ()) -> dict[str, Any]:
    """Return a comment; `date_ms` only if it is among the requested fields."""
    kind, ident = split_ref(row["author"])
    removed, settings = row["deleted_by"] is not None, world.settings
    shown: dict[str, Any] = {
        "id": row["id"],
        "author_id": ident,
        "author_name": author_name(world, row["author"]),
        "author_ref": row["author"],
        "text": row["text"] if settings.removed_text or not removed else "",
        "date": ids.moscow_time(row["created_ms"]),
        "type": settings.removed_type if removed else "ACTIVE_MESSAGE",
        "like_count": 0,
        "liked_it": False,
        "attrs": {"flags": "l,s"},
    }
    if shown["author_name"] is None:
        del shown["author_name"]
    if kind == "group":
        shown["author_type"] = "GROUP"
    if settings.comment_date_ms and "comment.date_ms" in fields:
        shown["date_ms"] = row["created_ms"]
    attachments = json.loads(row["attachments"])
    if attachments and not removed:
        shown["attachments"] = attachments
    if row["reply_to"] is not None:
        shown["reply_to_comment_id"] = row["reply_to"]
        answered = world.discussions.comment_by_id(row["reply_to"])
        if answered is not None:
            shown["reply_to_id"] = split_ref(answered["author"])[1]
            shown["reply_to_name"] = author_name(world, answered["author"])
    return shown


def chat(row: Row) -> dict[str, Any]:
    """Return a chat of the Bot API."""
    return {
        "type": "GROUP_CHAT",
        "status": "ACTIVE",
        "title": row["title"],
        "participants": {f"user:{row['uid']}": row["activity_ms"]},
        "lastEventTime": row["activity_ms"],
        "chat_id": f"chat:{row['id']}",
        "owner_id": f"user:{row['uid']}",
        "group_id": f"group:{row['page']}",
    }


def sender(world: OkState, ref: str) -> dict[str, Any]:
    """Return the sender of a message, without a name if the account was deleted."""
    name = author_name(world, ref)
    return {"user_id": ref} | ({} if name is None else {"name": name})


def chat_event(world: OkState, row: Row, event: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a webhook about a chat event; the network documents no example of this body."""
    return {
        "sender": sender(world, f"user:{row['uid']}"),
        "recipient": {"chat_id": f"chat:{row['id']}"},
        "chat": event,
        "timestamp": world.clock.now_ms(),
    }


def message(world: OkState, row: Row) -> dict[str, Any]:
    """Return a message of the Bot API, in the same shape for lists and webhooks."""
    content: dict[str, Any] = {"text": row["text"], "seq": row["seq"], "mid": row["id"]}
    if not row["text"] and not world.settings.empty_text:
        del content["text"]
    attachments = json.loads(row["attachments"])
    if attachments:
        content["attachments"] = attachments
    if row["reply_to"] is not None:
        content["reply_to"] = row["reply_to"]
    return {
        "sender": sender(world, row["sender"]),
        "recipient": {"chat_id": f"chat:{row['chat']}"},
        "message": content,
        "timestamp": row["created_ms"],
    }
