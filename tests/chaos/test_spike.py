"""Two hundred messages about a power cut among five thousand other messages, through networks and real services.

The messages about the power cut become one incident, an alert is created within a minute, and one reply is
published once in each thread.
"""

import asyncio
import random
import sys
from collections import Counter
from datetime import datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.chaos.message_feed import feed
from tests.e2e.conftest import RunningDemo
from tests.support import power_cut_messages
from tests.support.eventually import eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(1_500)]

POWER_CUT_MESSAGES, OTHER_MESSAGES, TURNS = 200, 5_000, 20
PRECISION, RECALL = 0.95, 0.90


async def pages_by_municipality(demo: RunningDemo) -> dict[str | None, list[dict[str, Any]]]:
    """Return the pages by the municipality of their organisation."""
    organisations = {one["id"]: one for one in await demo.centre.list_all("/organisations")}
    found: dict[str | None, list[dict[str, Any]]] = {}
    for page in demo.pages:
        place = organisations[page["organisation_id"]]["municipality"]
        found.setdefault(place["oktmo"] if isinstance(place, dict) else place, []).append(page)
    return found


async def write(demo: RunningDemo, texts: list[str], pages: list[dict[str, Any]], rng: random.Random) -> None:
    """Write each text as a different citizen on one of these pages, most texts as comments."""
    for text in texts:
        page = rng.choice(pages)
        kind = rng.choices(("comment", "wall_post", "message"), (8, 1, 1))[0]
        await demo.network(page["network"]).citizen(page["external_id"], kind, text)


async def appeals_by_text(demo: RunningDemo) -> dict[str, tuple[str, str | None]]:
    """Return (appeal id, incident id) by the text of the message."""
    connection = await asyncpg.connect(demo.system.service_database_url("appeals"))
    try:
        rows = await connection.fetch(
            """SELECT messages.text, appeals.id, appeals.incident_id FROM appeals
               JOIN appeal_messages ON appeal_id = appeals.id JOIN messages ON messages.id = message_id"""
        )
    finally:
        await connection.close()
    return {row["text"]: (str(row["id"]), row["incident_id"] and str(row["incident_id"])) for row in rows}


async def count_rows(demo: RunningDemo, query: str) -> int:
    connection = await asyncpg.connect(demo.system.service_database_url("appeals"))
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


async def test_power_cut_messages_become_one_incident_whose_appeals_get_one_reply_each(demo: RunningDemo) -> None:
    rng = random.Random(17)
    places = await pages_by_municipality(demo)
    here = places[power_cut_messages.MUNICIPALITY]
    elsewhere = [
        page for place, pages in places.items() if place != power_cut_messages.MUNICIPALITY for page in pages
    ]
    power_cut_texts = power_cut_messages.power_cut_messages(POWER_CUT_MESSAGES)
    decoys = power_cut_messages.unrelated_power_messages()
    others = power_cut_messages.other_messages(OTHER_MESSAGES - len(decoys))
    about_power = [text for text in others if power_cut_messages.is_about_power(text)]
    plain = [text for text in others if not power_cut_messages.is_about_power(text)]
    for turn in range(TURNS):
        await asyncio.gather(
            feed(demo.vk, plain[turn::TURNS], offset=0, step=2),
            feed(demo.ok, plain[turn::TURNS], offset=1, step=2),
            write(demo, about_power[turn::TURNS], elsewhere, rng),
            write(demo, [*power_cut_texts[turn::TURNS], *decoys[turn::TURNS]], here, rng),
        )

    async def read() -> bool:
        return await count_rows(
            demo,
            "SELECT count(*) FROM messages WHERE NOT from_community AND id NOT IN "
            "(SELECT message_id FROM classifications)",
        ) == 0 and await count_rows(demo, "SELECT count(*) FROM messages WHERE NOT from_community") >= 0.98 * (
            POWER_CUT_MESSAGES + OTHER_MESSAGES
        )

    await eventually(read, "every message is classified", seconds=600, every=2)
    await eventually(
        lambda: all_processed(demo), "the incident consumer has processed all events", seconds=120, every=1
    )

    listed = await demo.centre.list_all("/incidents")
    incident = max(listed, key=lambda one: one["member_count"])
    found = await appeals_by_text(demo)
    members = {appeal for appeal, where in found.values() if where == incident["id"]}
    true = {found[text][0] for text in power_cut_texts if text in found}
    reached = [text for text in power_cut_texts if text in found and found[text][1] == incident["id"]]
    precision, recall = len(members & true) / len(members), len(reached) / len(power_cut_texts)
    wrong_members = [text for text, (appeal, _) in found.items() if appeal in members - true]
    missed = sorted(set(power_cut_texts) - set(reached))
    incidents = [(one["title"], one["member_count"]) for one in listed]
    sys.stdout.write(
        f"precision {precision:.3f}, recall {recall:.3f}; {incidents}\n"
        f"strangers {wrong_members}\nmissed {missed}\n"
    )
    assert precision >= PRECISION
    assert recall >= RECALL
    assert (incident["origin"], incident["utility_failure"]) == ("spike", "power")
    assert [
        one["member_count"]
        for one in listed
        if one["municipality"] == power_cut_messages.MUNICIPALITY and one["utility_failure"] == "power"
    ] == [incident["member_count"]]
    await check_alert(demo, incident)
    await check_answer(demo, incident)


async def all_processed(demo: RunningDemo) -> bool:
    """Return whether the incident consumer has processed all events."""
    return (
        await count_rows(
            demo,
            """SELECT count(*) FROM events WHERE type = 'appeal.opened' AND
           coalesce(position, 9e15) >
           (SELECT position FROM appeals_consumer_offsets WHERE consumer = 'clustering')""",
        )
        == 0
    )


async def check_alert(demo: RunningDemo, incident: dict[str, Any]) -> None:
    """Assert that the alert was created within a minute of the fifth message."""
    alert = next(
        one for one in await demo.centre.list_all("/alerts", kind="spike") if one["incident_id"] == incident["id"]
    )
    connection = await asyncpg.connect(demo.system.service_database_url("appeals"))
    try:
        fifth = await connection.fetchval(
            "SELECT opened_at FROM appeals WHERE incident_id = $1 ORDER BY opened_at OFFSET 4 LIMIT 1",
            incident["id"],
        )
    finally:
        await connection.close()
    took = (datetime.fromisoformat(alert["created_at"]) - fifth).total_seconds()
    sys.stdout.write(f"alert {took:.1f} s after the fifth message was received\n")
    assert took <= 60


async def check_answer(demo: RunningDemo, incident: dict[str, Any]) -> None:
    """Assert that one reply is published once to each appeal of the incident, whether it joined early or late."""
    answer = f"Здравствуйте! Авария на подстанции, свет включат до 22:00. {uuid4().hex[:8]}"
    key = {"Idempotency-Key": uuid4().hex}
    path = f"/incidents/{incident['id']}/replies"
    for _ in range(2):
        await demo.centre.post(path, {"text": answer}, **key)

    async def published() -> int | None:
        (reply,) = (await demo.centre.get(path))["items"]
        members: int = (await demo.centre.get(f"/incidents/{incident['id']}"))["member_count"]
        return (
            members if reply["by_status"].get("published", 0) == members and not reply["pending_count"] else None
        )

    members = await eventually(published, "every member's reply is published", seconds=400, every=2)
    # Ids of threads and comments are unique only within a page.
    published_count: Counter[tuple[str, str, str]] = Counter()
    for page in demo.pages:
        for one in await demo.network(page["network"]).answers(page["external_id"], answer):
            published_count[page["id"], str(one["thread"]), str(one["in_reply_to"])] += 1
    assert published_count.total() == members
    in_threads = Counter(
        {place: count for place, count in published_count.items() if place[2] not in {"None", "0"}}
    )
    assert set(in_threads.values()) <= {1}, "a citizen got a reply twice"
