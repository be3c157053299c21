"""group.getStat*: daily audience figures of a group, for its administrators."""

from collections.abc import Iterator
from typing import Any

from emulators.common.audience import joint_reach, post_audience
from emulators.common.store import Row
from emulators.ok.errors import OkError
from emulators.ok.rest_call import RestCall, method
from emulators.ok.state.network_state import OkState

FIELDS = ("reach", "renderings", "engagement", "likes", "comments", "reshares", "members_count")
DAY_MS = 86_400_000
# Days begin at midnight in Moscow.
_SHIFT_MS = 3 * 3_600_000
MAX_DAYS = 92
# Topics older than this many days are left out: they hardly reach anybody.
_TOPIC_DAYS = 5


@method("group.getStatTrends")
def get_stat_trends(call: RestCall) -> dict[str, Any]:
    """Return the values of each day by field; error 50 for a user who does not administer the group."""
    page = call.world.readable_page(call.user, call.text("gid"))
    if not call.world.discussions.administers(call.user, page["uid"]):
        raise OkError(50)
    fields = [name.lower() for name in call.values("fields")] or list(FIELDS)
    if not set(fields) <= set(FIELDS):
        raise OkError(100, "Invalid parameter fields", "fields")
    now = call.world.clock.now_ms()
    until = min(_moment(call, "end_time", now), now)
    since = _moment(call, "start_time", until - 7 * DAY_MS)
    days = list(_days(since, until))
    if len(days) > MAX_DAYS:
        raise OkError(100, "Invalid parameter start_time", "start_time")
    by_day = [(day, _figures(call.world, page, day, min(day + DAY_MS, now))) for day in days]
    return {name: [{"time": day, "value": figures[name]} for day, figures in by_day] for name in fields}


def _moment(call: RestCall, name: str, default: int) -> int:
    value = call.optional(name)
    if value is None:
        return default
    if not value.isascii() or not value.isdigit() or len(value) > 15:
        raise OkError(100, f"Invalid parameter {name}", name)
    return int(value)


def _days(since: int, until: int) -> Iterator[int]:
    day = (since + _SHIFT_MS) // DAY_MS * DAY_MS - _SHIFT_MS
    while day < until:
        yield day
        day += DAY_MS


def _figures(world: OkState, page: Row, start: int, end: int) -> dict[str, int]:
    members = page["members_count"]
    rows = world.store.all(
        "SELECT * FROM topics WHERE page = ? AND author = ? AND deleted_by IS NULL"
        " AND created_ms >= ? AND created_ms < ?",
        (page["uid"], f"group:{page['uid']}", start - _TOPIC_DAYS * DAY_MS, end),
    )
    gained = [
        [
            post_audience(page["uid"], row["id"], members, (moment - row["created_ms"]) / 1000)
            for moment in (start, end)
        ]
        for row in rows
    ]
    comments = int(
        world.store.value(
            "SELECT count(*) FROM comments WHERE page = ? AND created_ms >= ? AND created_ms < ?"
            " AND deleted_by IS NULL",
            (page["uid"], start, end),
        )
    )
    likes = sum(after.likes - before.likes for before, after in gained)
    reshares = sum(after.reposts - before.reposts for before, after in gained)
    return {
        "reach": joint_reach(members, [after.reach - before.reach for before, after in gained]),
        "renderings": sum(after.views - before.views for before, after in gained),
        "engagement": likes + comments + reshares,
        "likes": likes,
        "comments": comments,
        "reshares": reshares,
        "members_count": members,
    }
