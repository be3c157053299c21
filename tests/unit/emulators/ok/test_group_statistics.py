"""Statistics of a group by days in Moscow time, only for users who administer it."""

import time
from typing import Any

import time_machine

from emulators.ok.methods.group_statistics import DAY_MS
from tests.unit.emulators.ok.signed_client import Network


async def test_each_day_has_a_value_for_each_field(network: Network) -> None:
    with time_machine.travel(time.time() + 2 * 86_400):
        now = int(time.time() * 1000)
        found = await network.call(
            "group.getStatTrends",
            gid=network.page,
            start_time=now - 6 * DAY_MS,
            end_time=now,
            fields="REACH,likes",
        )
        topics = await network.call("mediatopic.getByIds", topic_ids=network.topic, fields="media_topic.*")
    assert set(found) == {"reach", "likes"}
    assert {len(rows) for rows in found.values()} == {7}
    days = [row["time"] for row in found["reach"]]
    assert days == list(range(days[0], days[0] + 7 * DAY_MS, DAY_MS))
    assert sum(row["value"] for row in found["reach"]) > 0
    likes = topics["media_topics"][0]["like_summary"]["count"]
    assert abs(sum(row["value"] for row in found["likes"]) - likes) <= 1


async def test_other_users_and_unknown_fields_are_refused(network: Network) -> None:
    other = (await network.control("pages", {"name": "Школа № 2", "screen_name": "school2"}))["id"]
    user: dict[str, Any] = await network.control("tokens", {"kind": "user", "page": other})
    refused = await network.call("group.getStatTrends", user, gid=network.page, fields="reach")
    assert refused["error_code"] == 50
    wrong = await network.call("group.getStatTrends", gid=network.page, fields="reach,smiles")
    assert (wrong["error_code"], wrong["error_data"]) == (100, "fields")
