"""mediatopic.*: topics published in groups."""

from typing import Any

from emulators.ok import ids, serializers
from emulators.ok.errors import OkError
from emulators.ok.rest_call import RestCall, method

HIDDEN_CODES = frozenset({10, 300, 456})


@method("mediatopic.getTopics")
def get_topics(call: RestCall) -> dict[str, Any]:
    """Return topics of a group and of people in it, newest first; with an anchor if older topics remain."""
    world = call.world
    page = world.readable_page(call.uid, call.text("gid"))["uid"]
    anchor = call.optional("anchor")
    before: tuple[int, int] | None = None
    if anchor is not None:
        ms, topic = ids.decode_anchor(anchor, 2)
        before = (ms, topic)
    rows, more = world.discussions.topics_of(page, before, call.count(20))
    answer: dict[str, Any] = {
        "media_topics": [serializers.topic(world, row) for row in rows],
        "entities": serializers.entities(world, [f"group:{page}", *(row["author"] for row in rows)]),
        "has_more": more,
    }
    if rows and more:
        answer["anchor"] = ids.encode_anchor(rows[-1]["created_ms"], rows[-1]["id"])
    return answer


@method("mediatopic.getByIds")
def get_by_ids(call: RestCall) -> dict[str, Any]:
    """Return topics by their ids; several ids require `media_limit` of 1 to 3. Missing topics are left out."""
    world = call.world
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
    topics = [serializers.topic(world, row) for row in rows]
    if limit is not None:
        for topic_view in topics:
            topic_view["media"] = topic_view["media"][: int(limit)]
    refs = [ref for row in rows for ref in (f"group:{row['page']}", row["author"])]
    return {"media_topics": topics, "entities": serializers.entities(world, refs)}
