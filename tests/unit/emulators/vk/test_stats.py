"""Statistics of a community: by calendar periods, only for users who manage it."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
import time_machine

from emulators.common.errors import RefusedError
from emulators.vk.emulated_vk import EmulatedVk
from emulators.vk.methods import METHODS, MethodCall

# A Wednesday.
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MONDAY = int(datetime(2026, 11, 22, 21, tzinfo=UTC).timestamp())
DAY = 86_400


def call(world: EmulatedVk, method: str, *, of: str | None = None, **params: object) -> list[dict[str, object]]:
    """Call a method as the administrator of all pages, or of the page `of`."""
    token = world.token_store.create("user", None if of is None else world.page(of)["id"])
    found: list[dict[str, object]] = METHODS[method].handler(
        MethodCall(world, token, {name: str(value) for name, value in params.items()})
    )
    return found


def test_weeks_begin_on_monday_in_moscow_and_come_newest_first(world: EmulatedVk) -> None:
    page = world.page("school1")["id"]
    with time_machine.travel(NOW, tick=False):
        weeks = call(world, "stats.get", group_id=page, interval="week", timestamp_from=MONDAY - DAY)
        days = call(world, "stats.get", group_id=page, timestamp_from=MONDAY, intervals_count=2)
    assert [(one["period_from"], one["period_to"]) for one in weeks] == [
        (MONDAY, MONDAY + 7 * DAY - 1),
        (MONDAY - 7 * DAY, MONDAY - 1),
    ]
    assert [one["period_from"] for one in days] == [MONDAY + 2 * DAY, MONDAY + DAY]


@pytest.mark.parametrize("start", [datetime(2026, 2, 28, tzinfo=UTC), datetime(2024, 12, 31, tzinfo=UTC)])
def test_months_and_years_are_adjacent_periods(world: EmulatedVk, start: datetime) -> None:
    page = world.page("school1")["id"]
    with time_machine.travel(NOW, tick=False):
        for interval in ("month", "year"):
            found = call(
                world, "stats.get", group_id=page, interval=interval, timestamp_from=int(start.timestamp())
            )
            bounds = [(one["period_from"], one["period_to"]) for one in found]
            assert all(int(str(newer[0])) == int(str(older[1])) + 1 for newer, older in pairwise(bounds))
            assert int(str(bounds[0][1])) > NOW.timestamp()


def test_activity_is_an_empty_list_before_any_activity(world: EmulatedVk) -> None:
    page = world.page("school1")["id"]
    world.change_settings({"stats_periods_as_text": True})
    (day,) = call(world, "stats.get", group_id=page, timestamp_to=MONDAY)
    assert day["activity"] == []
    assert day["reach"] == {"reach": 0, "reach_subscribers": 0, "mobile_reach": 0, "sex": [
        {"value": "f", "count": 0}, {"value": "m", "count": 0}]}  # fmt: skip
    assert isinstance(day["period_from"], str)


def test_reach_of_a_post_is_returned_and_a_missing_post_is_omitted(world: EmulatedVk) -> None:
    page = world.page("school1")["id"]
    post = world.wall.newest_post(page)
    assert post is not None
    at = world.wall.post(page, post)["at"]  # type: ignore[index]
    with time_machine.travel(at + 2 * DAY, tick=False):
        (shown,) = call(world, "stats.getPostReach", owner_id=-page, post_ids=f"{post},99")
        (week,) = call(world, "stats.get", group_id=page, interval="all", timestamp_from=int(at) - 1)
    assert shown["post_id"] == post
    assert 0 < int(str(shown["reach_total"])) == week["reach"]["reach"]  # type: ignore[index]


def test_statistics_of_other_pages_are_refused(world: EmulatedVk) -> None:
    world.create_page(name="Школа № 2", screen_name="school2")
    page = world.page("school1")["id"]
    for method, params, code in (
        ("stats.get", {"group_id": page}, 15),
        ("stats.getPostReach", {"owner_id": -page, "post_ids": "1"}, 210),
    ):
        with pytest.raises(RefusedError) as refusal:
            call(world, method, of="school2", **params)
        assert refusal.value.code == code
