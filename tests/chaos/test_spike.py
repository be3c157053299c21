"""Two hundred people without light among five thousand others, through both networks and the real services.

They become one incident, an alert goes out within a minute, and one answer stands in each thread once.
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
from tests.e2e.conftest import World
from tests.support import power_cut_messages
from tests.support.eventually import eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(1_500)]

VOICES, OTHERS, TURNS = 200, 5_000, 20
PRECISION, RECALL = 0.95, 0.90


async def by_place(world: World) -> dict[str | None, list[dict[str, Any]]]:
    """Pages by the municipality of who keeps them."""
    organisations = {one["id"]: one for one in await world.centre.every("/organisations")}
    found: dict[str | None, list[dict[str, Any]]] = {}
    for page in world.pages:
        place = organisations[page["organisation_id"]]["municipality"]
        found.setdefault(place["oktmo"] if isinstance(place, dict) else place, []).append(page)
    return found


async def write(world: World, texts: list[str], pages: list[dict[str, Any]], chance: random.Random) -> None:
    """Each text by somebody else, under some of these pages; most are comments."""
    for text in texts:
        page = chance.choice(pages)
        kind = chance.choices(("comment", "wall_post", "message"), (8, 1, 1))[0]
        await world.network(page["network"]).citizen(page["external_id"], kind, text)


async def cases(world: World) -> dict[str, tuple[str, str | None]]:
    """Text of a message → its case and the incident that this is in."""
    connection = await asyncpg.connect(world.stack.service_database_url("appeals"))
    try:
        rows = await connection.fetch(
            """SELECT messages.text, appeals.id, appeals.incident_id FROM appeals
               JOIN appeal_messages ON appeal_id = appeals.id JOIN messages ON messages.id = message_id"""
        )
    finally:
        await connection.close()
    return {row["text"]: (str(row["id"]), row["incident_id"] and str(row["incident_id"])) for row in rows}


async def counted(world: World, query: str) -> int:
    connection = await asyncpg.connect(world.stack.service_database_url("appeals"))
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


async def test_two_hundred_voices_among_five_thousand_others(world: World) -> None:
    chance = random.Random(17)
    places = await by_place(world)
    here = places[power_cut_messages.MUNICIPALITY]
    elsewhere = [
        page for place, pages in places.items() if place != power_cut_messages.MUNICIPALITY for page in pages
    ]
    voices = power_cut_messages.voices(VOICES)
    decoys = power_cut_messages.decoys()
    others = power_cut_messages.others(OTHERS - len(decoys))
    of_light = [text for text in others if power_cut_messages.is_of_light(text)]
    plain = [text for text in others if not power_cut_messages.is_of_light(text)]
    for turn in range(TURNS):
        await asyncio.gather(
            feed(world.vk, plain[turn::TURNS], offset=0, step=2),
            feed(world.ok, plain[turn::TURNS], offset=1, step=2),
            write(world, of_light[turn::TURNS], elsewhere, chance),
            write(world, [*voices[turn::TURNS], *decoys[turn::TURNS]], here, chance),
        )

    async def read() -> bool:
        return await counted(
            world,
            "SELECT count(*) FROM messages WHERE NOT from_community AND id NOT IN (SELECT message_id FROM triage)",
        ) == 0 and await counted(world, "SELECT count(*) FROM messages WHERE NOT from_community") >= 0.98 * (
            VOICES + OTHERS
        )

    await eventually(read, "every message is judged", seconds=600, every=2)
    await eventually(lambda: settled(world), "the gathering has read all", seconds=120, every=1)

    listed = await world.centre.every("/incidents")
    incident = max(listed, key=lambda one: one["members"])
    found = await cases(world)
    members = {case for case, where in found.values() if where == incident["id"]}
    true = {found[text][0] for text in voices if text in found}
    reached = [text for text in voices if text in found and found[text][1] == incident["id"]]
    precision, recall = len(members & true) / len(members), len(reached) / len(voices)
    strangers = [text for text, (case, _) in found.items() if case in members - true]
    missed = sorted(set(voices) - set(reached))
    told = [(one["title"], one["members"]) for one in listed]
    sys.stdout.write(
        f"precision {precision:.3f}, recall {recall:.3f}; {told}\nstrangers {strangers}\nmissed {missed}\n"
    )
    assert precision >= PRECISION
    assert recall >= RECALL
    assert (incident["origin"], incident["fault"]) == ("burst", "power")
    assert [
        one["members"]
        for one in listed
        if one["municipality"] == power_cut_messages.MUNICIPALITY and one["fault"] == "power"
    ] == [incident["members"]]
    await check_alert(world, incident)
    await check_answer(world, incident)


async def settled(world: World) -> bool:
    """Whether the gathering has read the last event."""
    return (
        await counted(
            world,
            """SELECT count(*) FROM events WHERE type = 'appeal.opened' AND
           coalesce(position, 9e15) > (SELECT position FROM appeals_cursors WHERE consumer = 'gathering')""",
        )
        == 0
    )


async def check_alert(world: World, incident: dict[str, Any]) -> None:
    """The alert went out within a minute of the fifth voice."""
    alert = next(
        one for one in await world.centre.every("/alerts", kind="burst") if one["incident_id"] == incident["id"]
    )
    connection = await asyncpg.connect(world.stack.service_database_url("appeals"))
    try:
        fifth = await connection.fetchval(
            "SELECT opened_at FROM appeals WHERE incident_id = $1 ORDER BY opened_at OFFSET 4 LIMIT 1",
            incident["id"],
        )
    finally:
        await connection.close()
    took = (datetime.fromisoformat(alert["created_at"]) - fifth).total_seconds()
    sys.stdout.write(f"alert {took:.1f} s after the fifth voice was received\n")
    assert took <= 60


async def check_answer(world: World, incident: dict[str, Any]) -> None:
    """One answer to all stands in each member's thread once, also of those who were heard after it was given."""
    answer = f"Здравствуйте! Авария на подстанции, свет включат до 22:00. {uuid4().hex[:8]}"
    key = {"Idempotency-Key": uuid4().hex}
    path = f"/incidents/{incident['id']}/replies"
    for _ in range(2):
        await world.centre.post(path, {"text": answer}, **key)

    async def published() -> int | None:
        (reply,) = (await world.centre.get(path))["items"]
        members: int = (await world.centre.get(f"/incidents/{incident['id']}"))["members"]
        return members if reply["by_status"].get("published", 0) == members and not reply["to_come"] else None

    members = await eventually(published, "every member's reply is published", seconds=400, every=2)
    # Numbers of threads and comments are each page's own.
    stand: Counter[tuple[str, str, str]] = Counter()
    for page in world.pages:
        for one in await world.network(page["network"]).answers(page["external_id"], answer):
            stand[page["id"], str(one["thread"]), str(one["in_reply_to"])] += 1
    assert stand.total() == members
    in_threads = Counter({place: count for place, count in stand.items() if place[2] not in {"None", "0"}})
    assert set(in_threads.values()) <= {1}, "a citizen was answered twice"
