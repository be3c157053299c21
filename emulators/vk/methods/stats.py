"""Methods `stats.*`: the audience of a community and its posts, for its managers."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from emulators.common.audience import joint_reach
from emulators.common.store import Row
from emulators.vk.errors import vk_error
from emulators.vk.methods.method_table import MethodCall, method
from emulators.vk.methods.shared_steps import requested_wall
from emulators.vk.serializers import members_count

MAX_POSTS = 30
MAX_PERIODS = 366
_INTERVALS = ("day", "week", "month", "year", "all")
_GROUPS = ("visitors", "reach", "activity")
_MOSCOW = timezone(timedelta(hours=3))
_SUBSCRIBERS_SHARE, _MOBILE_SHARE, _WOMEN_SHARE = 0.8, 0.7, 0.65


@method("stats.get", "U")
def get(call: MethodCall) -> list[dict[str, Any]]:
    """Return the figures of calendar periods (Moscow time), newest first; error 15 unless the page is managed."""
    page = call.page(call.number("group_id", least=1))
    if page is None:
        raise vk_error(125)
    if not call.token.manages(page["id"]):
        raise vk_error(15, "no access to statistics of this group")
    interval = call.text("interval", "day") or "day"
    if interval not in _INTERVALS:
        raise vk_error(100, "interval should be one of day, week, month, year, all")
    groups = call.list_param("stats_groups") or list(_GROUPS)
    if not set(groups) <= set(_GROUPS):
        raise vk_error(100, "stats_groups is invalid")
    now = int(call.world.clock.now())
    until = call.number("timestamp_to", now, least=0)
    since = call.number("timestamp_from", until, least=0)
    if since > until:
        raise vk_error(100, "timestamp_from is invalid")
    count = call.number("intervals_count", MAX_PERIODS, least=1)
    bare = call.text("extended", "1") in {"0", "false"}
    found: list[dict[str, Any]] = []
    for start, end in _periods(interval, since, until):
        if len(found) == min(count, MAX_PERIODS):
            break
        found.append(_period(call, page, start, end, groups, bare=bare))
    return found


@method("stats.getPostReach", "U")
def get_post_reach(call: MethodCall) -> list[dict[str, Any]]:
    """Return the reach of each post; missing posts are left out. Error 210 unless the caller manages the page."""
    page = requested_wall(call)
    posts = call.integers("post_ids")
    if not posts:
        raise vk_error(100, "post_ids is undefined")
    if len(posts) > MAX_POSTS:
        raise vk_error(100, f"post_ids should contain no more than {MAX_POSTS} items")
    if not call.token.manages(page["id"]):
        raise vk_error(210)
    rows = [row for number in posts if (row := call.world.wall.post(page["id"], number)) is not None]
    return [_post_reach(call, page, row) for row in rows]


def _post_reach(call: MethodCall, page: Row, post: Row) -> dict[str, Any]:
    reach = call.world.views.audience(page, post).reach
    subscribers = int(reach * _SUBSCRIBERS_SHARE)
    return {
        "post_id": post["id"],
        "reach_total": reach,
        "reach_subscribers": subscribers,
        "reach_viral": reach - subscribers,
        "reach_ads": 0,
        "links": 0,
        "to_group": 0,
        "join_group": 0,
        "hide": 0,
        "report": 0,
        "unsubscribe": 0,
    }


def _periods(interval: str, since: int, until: int) -> Iterator[tuple[int, int]]:
    """Yield start and excluded end (Unix seconds) of the periods that the interval touches, newest first."""
    if interval == "all":
        yield since, until + 1
        return
    end = _start_after(interval, until)
    while end > since:
        start = _start_of(interval, end - 1)
        yield start, end
        end = start


def _start_of(interval: str, second: int) -> int:
    day = (
        datetime.fromtimestamp(second, UTC).astimezone(_MOSCOW).replace(hour=0, minute=0, second=0, microsecond=0)
    )
    if interval == "week":
        day -= timedelta(days=day.weekday())
    elif interval == "month":
        day = day.replace(day=1)
    elif interval == "year":
        day = day.replace(month=1, day=1)
    return int(day.timestamp())


def _start_after(interval: str, second: int) -> int:
    # The longest period plus half a day after a start is in the next period, never in a later one.
    days = {"day": 1, "week": 7, "month": 31, "year": 366}[interval]
    return _start_of(interval, _start_of(interval, second) + days * 86_400 + 43_200)


def _period(call: MethodCall, page: Row, start: int, end: int, groups: list[str], *, bare: bool) -> dict[str, Any]:
    posts = call.world.store.all(
        "SELECT * FROM posts WHERE page = ? AND from_id < 0 AND post_type = 'post' AND NOT deleted"
        " AND at >= ? AND at < ?",
        (page["id"], start, end),
    )
    audiences = [call.world.views.audience(page, row) for row in posts]
    comments = call.world.store.value(
        "SELECT count(*) FROM comments WHERE page = ? AND at >= ? AND at < ? AND NOT deleted",
        (page["id"], start, end),
    )
    reach = joint_reach(members_count(page), [one.reach for one in audiences])
    views = sum(one.views for one in audiences)
    counted = {
        "likes": sum(one.likes for one in audiences),
        "copies": sum(one.reposts for one in audiences),
        "comments": comments,
    }
    blocks: dict[str, Any] = {
        "visitors": {
            "views": views // 20,
            "visitors": reach // 10,
            "mobile_views": int(views // 20 * _MOBILE_SHARE),
        },
        "reach": {
            "reach": reach,
            "reach_subscribers": int(reach * _SUBSCRIBERS_SHARE),
            "mobile_reach": int(reach * _MOBILE_SHARE),
        },
        # Without activity the network returns an empty list instead of the object.
        "activity": {name: count for name, count in counted.items() if count} or [],
    }
    if not bare:
        women = int(reach * _WOMEN_SHARE)
        blocks["reach"]["sex"] = [{"value": "f", "count": women}, {"value": "m", "count": reach - women}]
    bounds: list[int | str] = [start, end - 1]
    if call.world.settings.stats_periods_as_text:
        bounds = [str(bound) for bound in bounds]
    return {"period_from": bounds[0], "period_to": bounds[1]} | {
        name: blocks[name] for name in _GROUPS if name in groups
    }
