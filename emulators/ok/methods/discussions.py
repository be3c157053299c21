"""discussions.*: discussions of topics and the comments in them."""

import json
from typing import Any

from emulators.common.store import Row
from emulators.ok import ids, serializers
from emulators.ok.errors import OkError
from emulators.ok.field_sets import ALL_TOPIC_FIELDS, requested_fields
from emulators.ok.rest_call import RestCall, method

OBJECTS = ("comment", "user", "group")
CATEGORIES = frozenset({"GROUP", "MY"})
DIRECTIONS = frozenset({"FORWARD", "BACKWARD", "AROUND"})
DISCUSSION_TYPES = frozenset(
    {
        "GROUP_TOPIC",
        "GROUP_PHOTO",
        "GROUP_MOVIE",
        "USER_STATUS",
        "USER_PHOTO",
        "USER_FORUM",
        "USER_ALBUM",
        "USER_2LVL_FORUM",
        "MOVIE",
        "SCHOOL_FORUM",
        "HAPPENING_TOPIC",
        "CITY_NEWS",
        "CHAT",
        "SHARE",
    }
)

# Responses to a change that had no effect, by the setting `changes_answer`.
WITHOUT_EFFECT: dict[str, Any] = {"false": False, "zero": 0, "object": {"success": False}}


def _topic(call: RestCall, id_name: str = "discussionId", type_name: str = "discussionType") -> Row:
    ident = call.text(id_name)
    kind = call.text(type_name)
    if kind not in DISCUSSION_TYPES:
        raise OkError(100, f"Invalid parameter {type_name}", type_name)
    if kind != serializers.GROUP_TOPIC:
        raise OkError(300)
    topic = call.world.discussions.topic(ident)
    call.world.check_read(call.uid, topic["page"])
    return topic


def _administrator(call: RestCall, page: str) -> None:
    if not call.world.discussions.administers(call.user, page):
        raise OkError(50)


@method("discussions.getList")
def get_list(call: RestCall) -> dict[str, Any]:
    """Return discussions, most recently active first.

    From `anchor` the list continues to older (FORWARD) or to more recent discussions (BACKWARD); a page without
    discussions has no anchor.
    """
    world, uid = call.world, call.user
    category = call.choice("category", CATEGORIES, "MY")
    direction = call.choice("direction", DIRECTIONS, "FORWARD")
    types = set(call.values("types"))
    if types - DISCUSSION_TYPES:
        raise OkError(100, "Invalid parameter types", "types")
    count = call.count(20)
    anchor = call.optional("anchor")
    position: tuple[int, int] | None = None
    if anchor is not None:
        ms, activity = ids.decode_anchor(anchor, 2)
        position = (ms, activity)
    if types and serializers.GROUP_TOPIC not in types:
        return {"discussions": []}
    newer = direction == "BACKWARD"
    rows = world.discussions.list_by_activity(uid, category, position, count, newer=newer)
    answer: dict[str, Any] = {"discussions": [serializers.discussion(world, row, uid) for row in rows]}
    if rows:
        edge = rows[0] if newer else rows[-1]
        answer["anchor"] = ids.encode_anchor(edge["activity_ms"], edge["activity"])
        refs = [ref for row in rows for ref in (f"group:{row['page']}", row["author"])]
        answer["entities"] = serializers.entities(world, refs)
    return answer


@method("discussions.get")
def get(call: RestCall) -> dict[str, Any]:
    """Return one discussion with the objects it mentions."""
    row = _topic(call)
    world = call.world
    return {
        "discussion": serializers.discussion(world, row, call.user),
        "entities": {
            **serializers.entities(world, [f"group:{row['page']}", row["author"]]),
            "themes": [{"id": str(row["id"]), "title": row["text"][: serializers.TITLE_LENGTH]}],
            "media_topics": [serializers.topic(world, row, ALL_TOPIC_FIELDS)],
            "polls": [],
        },
    }


@method("discussions.getComments")
def get_comments(call: RestCall) -> dict[str, Any]:
    """Return comments from an anchor on: FORWARD oldest first, BACKWARD newest first, AROUND oldest first.

    The `anchor` of the response refers to the last returned comment, so that the next page follows it even if
    new comments are written meanwhile.
    """
    world, uid = call.world, call.user
    fields = requested_fields(call, *OBJECTS)
    topic = _topic(call)
    anchor = call.optional("anchor")
    backward = "BACKWARD" if anchor == "LAST" else "FORWARD"
    direction = call.choice("direction", DIRECTIONS, backward)
    count = call.count(20)
    removed = _removed_of(call)
    state = world.discussions
    if anchor is None:
        anchor = "LAST" if direction == "BACKWARD" else "FIRST"
    if anchor == "FIRST":
        number = 0
    elif anchor == "LAST":
        number = state.last_number(topic["id"]) + (0 if direction == "FORWARD" else 1)
    elif anchor == "UNREAD":
        number = state.read_position(uid, topic["id"])[0]
    else:
        (number,) = ids.decode_anchor(anchor, 1)
    if direction == "FORWARD":
        rows, more = state.comments_after(topic["id"], number, count, removed=removed)
    elif direction == "BACKWARD":
        rows, more = state.comments_before(topic["id"], number, count, removed=removed)
    else:
        before, _ = state.comments_before(topic["id"], number, count // 2, removed=removed)
        after, more = state.comments_after(topic["id"], number - 1, count - len(before), removed=removed)
        rows = [*before[::-1], *after]
    if call.flag("mark_as_read"):
        state.mark_read(uid, topic["id"])
    position = rows[-1]["number"] if rows else number
    return {
        "comments": [serializers.comment(world, row, fields) for row in rows],
        "has_more": more,
        "anchor": ids.encode_anchor(position),
        "discussionId": str(topic["id"]),
        "discussionType": serializers.GROUP_TOPIC,
        "entities": serializers.entities(world, [f"group:{topic['page']}", *(row["author"] for row in rows)]),
    }


def _removed_of(call: RestCall) -> str:
    """Return whose removed comments the call shows: a user as in `author`, `*` for all, empty for none."""
    shown = call.world.settings.removed_shown if call.flag("includeRemoved") else "none"
    return {"none": "", "own": f"user:{call.user}", "all": "*"}[shown]


@method("discussions.getComment")
def get_comment(call: RestCall) -> dict[str, Any]:
    """Return one comment; error 700 if it never existed, 702 if it was removed."""
    fields = requested_fields(call, *OBJECTS)
    topic = _topic(call)
    row = call.world.discussions.comment(topic, call.text("comment_id"))
    return {
        "comment": serializers.comment(call.world, row, fields),
        "entities": serializers.entities(call.world, [f"group:{topic['page']}", row["author"]]),
    }


@method("discussions.getDiscussionComments")
def get_discussion_comments(call: RestCall) -> list[dict[str, Any]]:
    """Return comments by offset, oldest first: the older form of getComments."""
    fields = requested_fields(call, *OBJECTS)
    topic = _topic(call, "entityId", "entityType")
    offset = call.params.get("offset") or "0"
    if not offset.isascii() or not offset.isdigit() or len(offset) > 9:
        raise OkError(100, "Invalid parameter offset", "offset")
    rows = call.world.discussions.comments_at(topic["id"], int(offset), call.count(20))
    return [serializers.comment(call.world, row, fields) for row in rows]


@method("discussions.getDiscussionCommentsCount")
def get_discussion_comments_count(call: RestCall) -> int:
    """Return the number of comments of a discussion."""
    return int(_topic(call, "entityId", "entityType")["comments"])


@method("discussions.addDiscussionComment")
def add_comment(call: RestCall) -> Any:
    """Write a comment, as the group with `as_admin`.

    The network does not document the response: it is a bare id by default; a setting selects one of two objects.
    """
    topic = _topic(call, "entityId", "entityType")
    as_admin = call.flag("as_admin")
    if as_admin:
        _administrator(call, topic["page"])
    comment = call.world.reply_to_topic(
        topic,
        f"group:{topic['page']}" if as_admin else f"user:{call.user}",
        call.params.get("comment", ""),
        reply_to=call.optional("reply_to_comment_id"),
        attachments=_attachments(call),
    )
    shape = call.world.settings.comment_answer
    if shape == "id":
        return comment
    row = call.world.discussions.comment(topic, comment)
    shown = serializers.comment(call.world, row, {"comment.date_ms"})
    return shown if shape == "comment" else {"comment": shown}


def _attachments(call: RestCall) -> list[Any]:
    given = call.optional("attachments")
    if given is None:
        return []
    try:
        parsed = json.loads(given)
    except ValueError:
        raise OkError(100, "Invalid parameter attachments", "attachments") from None
    if isinstance(parsed, dict):
        parsed = parsed.get("attachments", [])
    if not isinstance(parsed, list):
        raise OkError(100, "Invalid parameter attachments", "attachments")
    return call.world.photos.attach(parsed)


@method("discussions.editDiscussionComment")
def edit_comment(call: RestCall) -> Any:
    """Edit a comment of the user or of a group that the user administers; error 704 after the edit window.

    With `changes_answer`, the response may say that the change had no effect.
    """
    world = call.world
    topic = _topic(call)
    row = world.discussions.comment(topic, call.text("comment_id"))
    kind, ident = serializers.split_ref(row["author"])
    own = ident == call.user if kind == "user" else world.discussions.administers(call.user, ident)
    if not own:
        raise OkError(701)
    if world.clock.now_ms() - row["created_ms"] > world.settings.edit_window_seconds * 1000:
        raise OkError(704)
    if world.settings.changes_answer != "true":
        return WITHOUT_EFFECT[world.settings.changes_answer]
    world.discussions.edit_comment(row, call.params.get("comment", ""))
    return True


@method("discussions.deleteDiscussionComment")
def delete_comment(call: RestCall) -> Any:
    """Remove a comment as the owner of the discussed object; `block_author` also bans the comment's author.

    With `changes_answer`, the response may say that the change had no effect.
    """
    topic = _topic(call)
    _administrator(call, topic["page"])
    row = call.world.discussions.comment(topic, call.text("comment_id"))
    if call.world.settings.changes_answer != "true":
        return WITHOUT_EFFECT[call.world.settings.changes_answer]
    call.world.discussions.delete_comment(row, "community")
    kind, ident = serializers.split_ref(row["author"])
    if kind == "user" and call.flag("block_author"):
        call.world.rules.ban(topic["page"], ident)
    return True


@method("discussions.markAsRead")
def mark_as_read(call: RestCall) -> bool:
    """Mark everything in a discussion as read."""
    call.world.discussions.mark_read(call.user, _topic(call)["id"])
    return True
