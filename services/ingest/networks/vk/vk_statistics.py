"""Reach of a VK community and its posts: combine all calls in one `execute`, and parse its response."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from services.ingest.networks.calls import NoValidResponse
from services.ingest.networks.lookup_port import WeekReach, nested_object, parse_count
from services.ingest.networks.vk.reading.wall_reader import id_suffix
from services.ingest.networks.vk.vk_client import EXECUTE_BATCH
from services.ingest.networks.vk.vk_errors import NETWORK

POSTS_PER_CALL = 30


InnerCall = tuple[str, dict[str, Any]]


def reach_calls(group_id: str, post_ids: Sequence[str], since: datetime, until: datetime) -> list[InnerCall]:
    """Return the calls, with parameters, that read the weeks of a period and the reach of these posts.

    At most as many as one execute may contain: further posts are left out.
    """
    week = {
        "group_id": group_id,
        "timestamp_from": int(since.timestamp()),
        "timestamp_to": int(until.timestamp()),
        "interval": "week",
        "stats_groups": "reach",
        "extended": 0,
    }
    calls: list[InnerCall] = [("stats.get", week)]
    for start in range(0, len(post_ids), POSTS_PER_CALL):
        numbers = ",".join(id_suffix(one) for one in post_ids[start : start + POSTS_PER_CALL])
        calls.append(("stats.getPostReach", {"owner_id": f"-{group_id}", "post_ids": numbers}))
    return calls[:EXECUTE_BATCH]


def script(calls: Iterable[InnerCall]) -> str:
    """Return the code of an execute that makes these calls."""
    return f"return [{','.join(f'API.{method}({json.dumps(params)})' for method, params in calls)}];"


def parse_reach(answer: Any, since: datetime, until: datetime) -> WeekReach | None:
    """Return the reach from the script's response; None if all calls in it were refused.

    Raises `NoValidResponse` if the response is not a list or is empty.
    """
    if not isinstance(answer, list) or not answer:
        raise NoValidResponse(NETWORK, "execute", "no list in the response")
    # A refused inner call is `false` or `null`.
    if not any(isinstance(one, list) for one in answer):
        return None
    weeks, *posts = answer
    return WeekReach(
        reach=_reach_of_week(weeks, since, until) if isinstance(weeks, list) else None,
        counted_by="week",
        mean_post_reach=_mean_post_reach(raw for part in posts if isinstance(part, list) for raw in part),
    )


def _reach_of_week(weeks: Iterable[Any], since: datetime, until: datetime) -> int | None:
    """Return the reach of the week that overlaps the period most: VK may return calendar weeks."""

    def overlap(week: dict[str, Any]) -> float:
        start, end = (_second(week.get(name)) for name in ("period_from", "period_to"))
        return min(end, until.timestamp()) - max(start, since.timestamp())

    best = max((week for week in weeks if isinstance(week, dict)), key=overlap, default={})
    return parse_count(nested_object(best.get("reach")).get("reach"))


def _second(value: object) -> int:
    # Some responses contain the bounds of a period as text.
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return parse_count(value) or 0


def _mean_post_reach(posts: Iterable[Any]) -> int | None:
    counts = [count for raw in posts if (count := parse_count(nested_object(raw).get("reach_total"))) is not None]
    # Halves are rounded up.
    return (2 * sum(counts) + len(counts)) // (2 * len(counts)) if counts else None
