"""The audience of pages: values that count as reach, and values that are unknown."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, cast
from uuid import UUID

import pytest
import time_machine

from emulators.vk.vkscript.interpreter import Interpreter, Limits
from emulators.vk.vkscript.parser import parse
from services.ingest.networks.calls import (
    CallError,
    ErrorTreatment,
    NoUsableToken,
    NoValidResponse,
    limit_calls,
    use_call_allowance,
)
from services.ingest.networks.lookup_port import PostActivity, PostReactions, WeekReach, reactions_of
from services.ingest.networks.ok import ok_page_lookup as ok
from services.ingest.networks.port import Credential, PageRef, TokenKind, TokenPool
from services.ingest.networks.vk import vk_page_lookup as vk
from services.ingest.networks.vk.vk_statistics import parse_reach, reach_calls, script
from services.ingest.page_lookup.audience import ReachReader, RefusedStatistics, read_reactions, sum_reactions
from services.ingest.settings import IngestSettings

# Past midnight on a Sunday in the region, and the seven days before.
NOW = datetime(2026, 11, 28, 16, 30, tzinfo=UTC)
SINCE = NOW - timedelta(days=7)
MONDAY = int(datetime(2026, 11, 22, 21, tzinfo=UTC).timestamp())
DAY = 86_400


def week(start: int, reach: object, *, as_text: bool = False) -> dict[str, Any]:
    bounds: list[Any] = [start, start + 7 * DAY - 1]
    if as_text:
        bounds = [str(bound) for bound in bounds]
    return {"period_from": bounds[0], "period_to": bounds[1], "reach": {"reach": reach}, "activity": []}


@pytest.mark.parametrize("as_text", [False, True])
def test_reach_is_that_of_the_week_that_covers_most_of_the_period(as_text: bool) -> None:
    weeks = [week(MONDAY, 700, as_text=as_text), week(MONDAY - 7 * DAY, 900, as_text=as_text)]
    for order in (weeks, weeks[::-1]):
        assert parse_reach([order], SINCE, NOW) == WeekReach(reach=700, counted_by="week")


@pytest.mark.parametrize(
    "weeks", [[], [{}], [week(MONDAY, None)], [week(MONDAY, "много")], [{"reach": []}], [None], False]
)
def test_missing_reach_is_unknown_and_never_zero(weeks: Any) -> None:
    found = parse_reach([weeks, [{"post_id": 1, "reach_total": 10}]], SINCE, NOW)
    assert found == WeekReach(reach=None, counted_by="week", mean_post_reach=10)


def test_mean_reach_of_posts_rounds_halves_up_and_omits_missing_counts() -> None:
    posts: list[Any] = [[{"reach_total": 10}, {"reach_total": 13}], [{"reach_total": None}, {}], False]
    found = parse_reach([[week(MONDAY, 5)], *posts], SINCE, NOW)
    assert found == WeekReach(reach=5, counted_by="week", mean_post_reach=12)


def test_refused_inner_calls_give_no_reach_and_an_unknown_shape_raises_an_error() -> None:
    assert parse_reach([False, False], SINCE, NOW) is None
    assert parse_reach([None], SINCE, NOW) is None
    shapes: list[Any] = [{}, [], 1, None]
    for odd in shapes:
        with pytest.raises(NoValidResponse):
            parse_reach(odd, SINCE, NOW)


def test_script_reads_thirty_posts_per_inner_call_and_at_most_25_calls() -> None:
    calls = reach_calls("7", [f"-7_{number}" for number in range(61)], SINCE, NOW)
    assert [method for method, _ in calls] == ["stats.get", *["stats.getPostReach"] * 3]
    assert (calls[0][1]["group_id"], calls[-1][1]["post_ids"]) == ("7", "60")
    made: list[str] = []
    Interpreter(lambda name, _given: made.append(name), Limits(25, 1_000), {"Args": {}}).run(parse(script(calls)))
    assert made == [method for method, _ in calls]
    assert len(reach_calls("7", [f"-7_{number}" for number in range(5_000)], SINCE, NOW)) == 25


async def test_reach_is_not_read_when_the_daily_limit_of_an_inner_call_is_used_up() -> None:
    class Pool:
        """A pool whose daily limit of stats.getPostReach is used up."""

        asked: ClassVar[list[str]] = []

        async def begin_call(self, _credential: Credential, method: str) -> dict[str, str] | None:
            self.asked.append(method)
            return None if method == "stats.getPostReach" else {}

    pool = Pool()
    http: Any = None
    lookup = vk.VkPageLookup(http, cast("TokenPool", pool), IngestSettings.model_construct())
    credential = Network().token
    assert credential is not None
    with pytest.raises(NoUsableToken):
        await lookup.week_reach(credential, page(7), ["-7_1"], SINCE, NOW)
    assert pool.asked == ["stats.get", "stats.getPostReach"], "nothing was sent"


def test_reach_of_ok_is_the_sum_of_days_from_the_start() -> None:
    days = [{"time": 5, "value": 100}, {"time": 10, "value": 20}, {"time": 11, "value": 3}, {"time": 12}, None]
    assert ok._week_reach({"reach": days}, 10) == WeekReach(reach=23, counted_by="days")
    assert ok._week_reach({"reach": []}, 10).reach is None
    shapes: list[Any] = [{}, [], None, {"reach": 5}]
    for odd in shapes:
        with pytest.raises(NoValidResponse):
            ok._week_reach(odd, 10)


def test_reactions_of_posts_are_read_in_both_networks() -> None:
    counts = {name: {"count": number} for number, name in enumerate(("likes", "comments", "reposts", "views"), 1)}
    assert vk._reactions(counts) == PostReactions(likes=1, comments=2, reposts=3, views=4)
    assert vk._reactions(counts | {"views": None}) == PostReactions(likes=1, comments=2, reposts=3)
    assert vk._reactions(counts | {"likes": []}) is None
    topic = {
        "like_summary": {"count": 4},
        "discussion_summary": {"comments_count": 5},
        "reshare_summary": {"count": 6},
    }
    assert ok._reactions(topic) == PostReactions(likes=4, comments=5, reposts=6)
    assert reactions_of(1, 2, True, None) is None


def test_sums_omit_deleted_posts() -> None:
    known = {"1": PostReactions(likes=1, comments=2, reposts=3, views=9), "2": reactions_of(1, 1, 1, 1)}
    found = {key: one for key, one in known.items() if one is not None}
    assert sum_reactions(activity("1", "2", "3"), found) == PostReactions(likes=2, comments=3, reposts=4, views=10)
    assert sum_reactions(activity("3"), found) is None
    assert sum_reactions(activity(), found) == PostReactions(likes=0, comments=0, reposts=0, views=0)
    without_views = found | {"2": PostReactions(likes=0, comments=0, reposts=0)}
    assert sum_reactions(activity("1", "2"), without_views) == PostReactions(likes=1, comments=2, reposts=3)


def activity(*post_ids: str) -> PostActivity:
    return PostActivity(last_post_at=NOW, post_ids=post_ids)


def page(number: int) -> PageRef:
    return PageRef(
        id=UUID(int=number), organisation_id=UUID(int=1), network="vk", external_id=str(number), go_live_at=NOW
    )


def refusal(treatment: ErrorTreatment) -> CallError:
    return CallError("vk", "execute", 15, "Access denied", treatment)


@dataclass(eq=False)
class Network:
    """A stand-in for a network's lookup that records the requested pages."""

    max_pages_per_call = 100
    max_posts_per_call = 4
    token: Credential | None = field(
        default_factory=lambda: Credential(
            id=UUID(int=9), network="vk", kind=TokenKind.USER, page_id=None, token="t"
        )
    )
    outcome: WeekReach | Exception | None = None
    broken_posts: frozenset[str] = frozenset()
    asked: list[Any] = field(default_factory=list)

    async def post_reactions(self, post_ids: Sequence[str]) -> dict[str, PostReactions]:
        use_call_allowance("vk", "wall.getById")
        self.asked.append(list(post_ids))
        if self.broken_posts & set(post_ids):
            raise refusal(ErrorTreatment.NOT_FOUND)
        return {one: PostReactions(likes=1, comments=0, reposts=0, views=2) for one in post_ids}

    def statistics_token(self, _page: PageRef) -> Credential | None:
        return self.token

    async def week_reach(self, _credential: Credential, asked: PageRef, *_: object) -> WeekReach | None:
        use_call_allowance("vk", "execute")
        self.asked.append(asked.external_id)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


async def test_missing_post_does_not_affect_the_other_posts() -> None:
    network = Network(broken_posts=frozenset({"2"}))
    posts: Any = [(network, ["1", "2", "3"]), (network, ["4", "5"])]
    found, calls = await read_reactions(posts, 100)
    assert sorted(found) == ["1", "3", "4", "5"]
    assert calls == len(network.asked) == 6, "two batches, and four to find the missing post"


async def test_reading_of_reactions_stops_when_the_budget_is_used_up() -> None:
    network = Network()
    posts: Any = [(network, [str(number) for number in range(12)])]
    found, calls = await read_reactions(posts, 2)
    assert (len(found), calls) == (8, 2)
    assert await read_reactions(posts, 0) == ({}, 0)


async def reaches(network: Network, refused: RefusedStatistics, budget: int = 100, **more: Any) -> list[Any]:
    """Return the reach of three pages read in one request."""
    reader = ReachReader(refused, more.get("until", asyncio.get_running_loop().time() + 60))
    lookup: Any = network
    with limit_calls(budget) as allowance:
        return [await reader.reach(page(number), lookup, activity("1"), allowance) for number in (1, 2, 3)]


async def test_reach_of_a_refused_page_is_unknown_and_requested_again_after_a_week() -> None:
    network, refused = Network(), RefusedStatistics()
    for outcome in (None, refusal(ErrorTreatment.DENIED)):
        refused, network.outcome, network.asked = RefusedStatistics(), outcome, []
        with time_machine.travel(NOW, tick=False) as moment:
            assert await reaches(network, refused) == [None] * 3
            moment.move_to(NOW + timedelta(days=6))
            assert await reaches(network, refused) == [None] * 3
            assert network.asked == ["1", "2", "3"], "a refusal costs no second call"
            network.outcome = WeekReach(reach=5, counted_by="week")
            moment.move_to(NOW + timedelta(days=7))
            assert await reaches(network, refused) == [network.outcome] * 3


async def test_another_token_is_tried_after_a_refusal() -> None:
    network, refused = Network(), RefusedStatistics()
    assert await reaches(network, refused) == [None] * 3
    network.token = Credential(id=UUID(int=10), network="vk", kind=TokenKind.USER, page_id=None, token="t")
    network.outcome = WeekReach(reach=5, counted_by="week")
    assert await reaches(network, refused) == [network.outcome] * 3


@pytest.mark.parametrize("error", [NoValidResponse("vk", "execute", "timeout"), refusal(ErrorTreatment.TRANSIENT)])
async def test_network_that_does_not_respond_gets_no_requests_for_further_pages(error: Exception) -> None:
    network, refused = Network(outcome=error), RefusedStatistics()
    assert await reaches(network, refused) == [None] * 3
    assert network.asked == ["1"]
    network.outcome = WeekReach(reach=5, counted_by="week")
    assert await reaches(network, refused) == [network.outcome] * 3, "the next request asks again"


async def test_no_call_is_made_without_token_time_or_budget() -> None:
    network = Network(outcome=WeekReach(reach=5, counted_by="week"))
    assert await reaches(network, RefusedStatistics(), budget=1) == [network.outcome, None, None]
    network.asked = []
    assert await reaches(network, RefusedStatistics(), until=0.0) == [None] * 3
    network.token = None
    assert await reaches(network, RefusedStatistics()) == [None] * 3
    assert network.asked == []
    network.token, network.outcome = Network().token, NoUsableToken("paused")
    assert await reaches(network, RefusedStatistics()) == [None] * 3
