"""mediatopic.*: topics published in groups."""

from typing import Any

from emulators.common.store import Row
from emulators.ok import ids, serializers
from emulators.ok.errors import OkError
from emulators.ok.field_sets import requested_fields
from emulators.ok.rest_call import RestCall, method

OBJECTS = ("media_topic", "user", "group")
HIDDEN_CODES = frozenset({10, 300, 456})


@method("mediatopic.getTopics")
def get_topics(call: RestCall) -> dict[str, Any]:
    """Return topics of a group and of people in it, newest first; with an anchor if older topics remain.

    Summaries, and the people and groups that topics mention, are returned only if `fields` asks for them.
    """
    world, fields = call.world, requested_fields(call, *OBJECTS)
    page = world.readable_page(call.uid, call.text("gid"))["uid"]
    anchor = call.optional("anchor")
    before: tuple[int, int] | None = None
    if anchor is not None:
        ms, topic = ids.decode_anchor(anchor, 2)
        before = (ms, topic)
    rows, more = world.discussions.topics_of(page, before, call.count(20))
    answer: dict[str, Any] = {
        "media_topics": [serializers.topic(world, row, fields) for row in rows],
        **_entities(call, fields, rows),
        "has_more": more,
    }
    if rows and more:
        answer["anchor"] = ids.encode_anchor(rows[-1]["created_ms"], rows[-1]["id"])
    return answer


@method("mediatopic.getByIds")
def get_by_ids(call: RestCall) -> dict[str, Any]:
    """Return topics by their ids; several ids require `media_limit` of 1 to 3. Missing topics are left out.

    `fields` has the same meaning as in `mediatopic.getTopics`.
    """
    world, fields = call.world, requested_fields(call, *OBJECTS)
    asked = call.values("topic_ids")
    if not asked:
        raise OkError(100, "Missing required parameter topic_ids", "topic_ids")
    limit = call.optional("media_limit")
    if limit is not None and limit not in {"1", "2", "3"}:
        raise OkError(100, "Invalid parameter media_limit", "media_limit")
    if len(asked) > 1 and limit is None:
        raise OkError(100, "Missing required parameter media_limit", "media_limit")
    if len(asked) > world.settings.page_size_max:
        raise OkError(100, "Too many topic_ids", "topic_ids")
    rows = []
    for topic in asked:
        try:
            row = world.discussions.topic(topic)
            world.check_read(call.uid, row["page"])
        except OkError as error:
            if error.code not in HIDDEN_CODES:
                raise
        else:
            rows.append(row)
    topics = [serializers.topic(world, row, fields) for row in rows]
    if limit is not None:
        for topic_view in topics:
            topic_view["media"] = topic_view["media"][: int(limit)]
    return {"media_topics": topics, **_entities(call, fields, rows)}


def _entities(call: RestCall, fields: frozenset[str], rows: list[Row]) -> dict[str, Any]:
    asked = {field.partition(".")[0] for field in fields} & {"user", "group"}
    refs = [ref for row in rows for ref in (f"group:{row['page']}", row["author"])]
    shown = serializers.entities(call.world, refs) if asked else {}
    return {"entities": {f"{name}s": shown[f"{name}s"] for name in sorted(asked)}} if asked else {}
