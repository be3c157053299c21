"""Rules applied to existing appeals: the dry run predicts the result; unassigned appeals are routed again."""

import asyncio
import json
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.appeals import jobs
from services.appeals.classification.classifier_pool import ClassifiedText, ClassifierInput, ClassifierPool
from services.appeals.routing import dry_run, reroute
from tests.integration.appeals.conftest import WEDNESDAY, World
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_rule_sets import (
    CITY,
    DISTRICT,
    activated,
    made,
    topic,
    topic_of_group,
)
from tests.support.eventually import eventually
from tests.support.service_under_test import insert_organisation, insert_page

UNCLEAR = "Би мүнөөдэр һургуулида ошооб"
WINDOW = {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}


async def _apply(world: World, *, untouched: bool = False) -> int:
    return await reroute.reroute_appeals(world.appeals.service.database, include_untouched=untouched)


async def _queued(world: World) -> list[dict[str, Any]]:
    admin = await world.database.connect()
    try:
        rows = await admin.fetch("SELECT payload FROM appeals_jobs.pgqueuer WHERE entrypoint = 'reroute_appeals'")
        return [json.loads(row["payload"]) for row in rows]
    finally:
        await admin.close()


async def _dry_run(world: World, rule_set: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = await world.post(f"/rule-sets/{rule_set['id']}/dry-run", body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_dry_run_counts_movements_and_changes_nothing(world: World) -> None:
    roads = await topic(world, "roads")
    for number in range(7):
        await world.writes(QUESTION, author=f"a{number}", at=WEDNESDAY + timedelta(minutes=number))
    await world.writes(UNCLEAR, author="unclear")
    await world.writes(QUESTION, author="late", at=WEDNESDAY + timedelta(days=60))
    draft = await made(world, {"topic_id": roads, "organisation_id": str(world.other_organisation)})
    before = await world.ingest.fetch("SELECT to_jsonb(a)::text FROM appeals a ORDER BY id")
    found = await _dry_run(world, draft, **WINDOW)
    assert before == await world.ingest.fetch("SELECT to_jsonb(a)::text FROM appeals a ORDER BY id")
    assert (found["appeals"], found["would_move"], found["unrouted"], found["need_unclear"]) == (7, 7, 0, 1)
    (only,) = found["movements"]
    assert (only["from_organisation"]["name"], only["to_organisation"]["name"]) == (
        "Школа № 1",
        "Комитет по строительству",
    )
    assert only["count"] == 7
    latest = [appeal["id"] for appeal in await world.all(status="assigned", opened_to=WINDOW["to"])]
    assert only["examples"] == latest[:5]
    nowhere = await made(world, default={"send_to": "moderators"})
    to_nobody = await _dry_run(world, nowhere, **WINDOW)
    assert (to_nobody["would_move"], to_nobody["unrouted"]) == (7, 7)
    assert to_nobody["movements"][0]["to_organisation"] is None
    wrong = await world.post(f"/rule-sets/{draft['id']}/dry-run", {"from": WINDOW["to"], "to": WINDOW["from"]})
    assert wrong.status_code == 422
    # The last thirty days by default.
    default = await _dry_run(world, draft)
    assert default["from"] < default["to"]


def _random_rules(rng: random.Random, topics: list[str], organisations: list[str]) -> list[dict[str, Any]]:
    found: dict[Any, dict[str, Any]] = {}
    for _ in range(rng.randint(1, 14)):
        place = rng.choice([(None, None), (CITY, None), (CITY, "Улан-Удэ"), (DISTRICT, None)])
        rule: dict[str, Any] = {
            "topic_id": rng.choice([None, *topics]),
            "municipality": place[0],
            "settlement": place[1],
            "page_owner_id": rng.choice([None, None, *organisations]),
            "urgency": rng.choice([None, "high", "normal"]),
            "send_to": rng.choice(["organisation", "organisation", "page_owner", "moderators"]),
        }
        if rule["send_to"] == "organisation":
            rule["organisation_id"] = rng.choice(organisations)
        conditions = tuple(rule[name] for name in list(rule)[:5])
        if any(conditions):
            found[conditions] = rule
    return list(found.values())


async def _with_facts(world: World, rng: random.Random, topics: list[str], count: int) -> None:
    """Create appeals as the consumer does, with all kinds of facts."""
    for number in range(count):
        await world.insert_message(
            rng.choice([QUESTION, QUESTION, QUESTION, UNCLEAR]),
            author=f"a{number}",
            page=rng.choice(list(world.pages)),
            thread=f"vk:-101_{number}",
            at=WEDNESDAY + timedelta(minutes=number),
        )
    await world.work()
    appeals = await world.database.connect("appeals")
    try:
        for row in await appeals.fetch("SELECT id FROM appeals ORDER BY number"):
            found, sure = rng.choice([None, *topics]), rng.choice([0.1, 0.49, 0.5, 0.9])
            place = rng.choice([(None, None), (CITY, None), (CITY, "Улан-Удэ"), (DISTRICT, "Кабанск")])
            read: dict[str, Any] = {"id": found, "confidence": sure, "top3": []}
            await appeals.execute(
                """UPDATE appeals SET topic_id = $2, municipality = $3, settlement = $4, urgency = $5,
                   route = jsonb_set(route, '{topic}', $6::text::jsonb) WHERE id = $1""",
                row["id"], UUID(found) if found else None, *place, rng.choice(["high", "normal"]),
                json.dumps(read),
            )  # fmt: skip
    finally:
        await appeals.close()


async def _owners(world: World) -> dict[UUID, UUID | None]:
    rows = await world.ingest.fetch("SELECT id, organisation_id FROM appeals")
    return {row["id"]: row["organisation_id"] for row in rows}


@pytest.mark.parametrize("seed", range(3))
async def test_dry_run_equals_the_later_reroute_for_each_appeal(
    world: World, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    third = await insert_organisation(world.database, name="Водоканал", municipality=CITY)
    third_page = await insert_page(world.database, third, external_id="303")
    world.pages[third_page] = third, "vk"
    organisations = [str(one) for one in (world.organisation, world.other_organisation, third)]
    topics = [await topic(world, "roads"), await topic_of_group(world, "roads"), await topic(world, "education")]
    await _with_facts(world, rng, topics, 60)
    monkeypatch.setattr(dry_run, "MAX_EXAMPLES", 1_000)
    tried = 0
    while tried < 4:
        default: dict[str, Any] = rng.choice(
            [
                {"send_to": "page_owner"},
                {"send_to": "moderators"},
                {"send_to": "organisation", "organisation_id": rng.choice(organisations)},
            ]
        )
        answer = await world.post(
            "/rule-sets", {"default": default, "rules": _random_rules(rng, topics, organisations)}
        )
        if answer.status_code == 422:
            assert "loop of transfers" in answer.text
            continue
        tried += 1
        draft = answer.json()
        outcome = await _dry_run(world, draft, only_untouched=True)
        before = await _owners(world)
        await activated(world, draft, reroute=True)
        assert await _queued(world) != []
        moved = await _apply(world, untouched=True)
        after = await _owners(world)
        promised = {
            UUID(appeal): movement["to_organisation"] and UUID(movement["to_organisation"]["id"])
            for movement in outcome["movements"]
            for appeal in movement["examples"]
        }
        happened = {appeal: owner for appeal, owner in after.items() if owner != before[appeal]}
        assert promised == happened
        assert outcome["would_move"] == moved == len(happened)
        # Repeating the reroute or its dry run moves nothing more.
        assert await _apply(world, untouched=True) == 0
        again = await _dry_run(world, draft, only_untouched=True)
        assert (again["would_move"], again["appeals"]) == (0, outcome["appeals"])


async def test_new_messages_are_routed_as_the_dry_run_says(world: World) -> None:
    roads = await topic(world, "roads")
    for page in world.pages:
        await world.writes(QUESTION, author="before", page=page, thread=f"t:{page}")
    draft = await made(
        world,
        {
            "topic_id": roads,
            "page_owner_id": str(world.organisation),
            "organisation_id": str(world.other_organisation),
        },
        {"topic_id": roads, "urgency": "high", "send_to": "moderators"},
    )
    outcome = await _dry_run(world, draft, **WINDOW)
    (movement,) = outcome["movements"]
    moving = {(await world.appeal(appeal))["channel"]["page_id"] for appeal in movement["examples"]}
    assert moving == {str(world.page)}
    await activated(world, draft)
    before = {appeal["id"] for appeal in await world.all()}
    for page in world.pages:
        await world.writes(QUESTION, author="after", page=page, thread=f"t:{page}")
    for appeal in [one for one in await world.all() if one["id"] not in before]:
        keeper = str(world.pages[UUID(appeal["channel"]["page_id"])][0])
        moved = appeal["channel"]["page_id"] in moving
        expected = movement["to_organisation"]["id"] if moved else keeper
        assert appeal["organisation"]["id"] == expected


async def test_appeals_decided_or_started_by_people_are_not_rerouted(world: World) -> None:
    for author in ("routed", "begun", "moved", "answered", "returned"):
        await world.writes(QUESTION, author=author, thread=f"t:{author}")
    appeals = {
        row["author_key"]: str(row["id"]) for row in await world.ingest.fetch("SELECT id, author_key FROM appeals")
    }
    third = await insert_organisation(world.database, name="Водоканал")
    await world.move(await world.appeal(appeals["begun"]), "in_progress")
    await world.move(await world.appeal(appeals["moved"]), "assigned", organisation_id=str(third))
    await world.post(f"/appeals/{appeals['answered']}/replies", {"text": "Починим"})
    await world.move(await world.appeal(appeals["returned"]), "triage", reason="Уточняем")
    other = {"send_to": "organisation", "organisation_id": str(world.other_organisation)}
    draft = await made(world, default=other)
    outcome = await _dry_run(world, draft, only_untouched=True)
    assert [movement["examples"] for movement in outcome["movements"]] == [[appeals["routed"]]]
    await activated(world, draft, reroute=True)
    assert await _queued(world) == [{"rule_set_id": draft["id"], "include_untouched": True}]
    assert await _apply(world, untouched=True) == 1
    owners = {author: (await world.appeal(appeal))["organisation"] for author, appeal in appeals.items()}
    assert owners["routed"]["name"] == "Комитет по строительству"
    assert owners["begun"]["name"] == owners["answered"]["name"] == "Школа № 1"
    assert owners["moved"]["name"] == "Водоканал"
    assert owners["returned"] is None
    appeal = await world.appeal(appeals["routed"])
    assert [hand["kind"] for hand in appeal["assignments"]] == ["routed", "rerouted"]
    assert "rerouted" in [entry["kind"] for entry in appeal["timeline"]]
    assert appeal["route"]["rule_set"] == draft["number"]
    assert appeal["first_response_due_at"]
    lost = [
        event for event in await world.events("appeal.moved") if json.loads(event["data"]).get("assignment_lost")
    ]
    assert world.organisation in {event["organisation_id"] for event in lost}


async def test_appeal_decided_concurrently_is_not_rerouted(world: World) -> None:
    await world.writes(QUESTION)
    other = {"send_to": "organisation", "organisation_id": str(world.other_organisation)}
    await activated(world, await made(world, default=other))
    person, watch = await world.database.connect("appeals"), await world.database.connect()
    try:
        # A person assigns the appeal; their transaction commits before the rules reach it.
        async with person.transaction():
            appeal = await person.fetchval("SELECT id FROM appeals FOR UPDATE")
            applying = asyncio.create_task(_apply(world, untouched=True))
            await eventually(lambda: _somebody_waits(watch))
            await person.execute(
                """INSERT INTO assignments (id, appeal_id, at, kind, from_organisation_id, to_organisation_id,
                   actor) VALUES ($1, $2, now(), 'assigned', $3, $3, 'a person')""",
                uuid4(), appeal, world.organisation,
            )  # fmt: skip
        assert await applying == 0
    finally:
        await person.close()
        await watch.close()
    assert (await world.only())["organisation"]["name"] == "Школа № 1"


async def test_batch_in_progress_is_rerouted_by_the_newly_activated_set(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {"send_to": "organisation", "organisation_id": str(world.other_organisation)}
    draft = await made(world, default=other)
    begun, go_on, judge = asyncio.Event(), asyncio.Event(), ClassifierPool.classify

    async def slow(self: ClassifierPool, items: Sequence[ClassifierInput]) -> list[ClassifiedText]:
        begun.set()
        await go_on.wait()
        return await judge(self, items)

    monkeypatch.setattr(ClassifierPool, "classify", slow)
    await world.insert_message(QUESTION)
    watch = await world.database.connect()
    try:
        working = asyncio.create_task(world.work())
        await begun.wait()
        activating = asyncio.create_task(activated(world, draft, reroute=True))

        async def done_or_waiting() -> bool:
            return activating.done() or await _somebody_waits(watch)

        await eventually(done_or_waiting)
        if activating.done():
            await _reroute_as_asked(world)
            go_on.set()
            await working
        else:
            go_on.set()
            await asyncio.gather(working, activating)
            await _reroute_as_asked(world)
    finally:
        await watch.close()
    appeal = await world.only()
    assert appeal["organisation"]["name"] == "Комитет по строительству"
    assert [hand["kind"] for hand in appeal["assignments"]] == ["routed", "rerouted"]


async def _reroute_as_asked(world: World) -> None:
    for payload in await _queued(world):
        await world.handle_job(jobs.REROUTE_APPEALS, payload)


async def _somebody_waits(watch: asyncpg.Connection) -> bool:
    """Return whether a transaction of this database waits for another's lock."""
    waiting: int = await watch.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return waiting > 0


async def test_new_rule_assigns_an_unassigned_appeal(world: World) -> None:
    roads = await topic(world, "roads")
    await activated(world, await made(world, default={"send_to": "moderators"}))
    await world.writes(QUESTION)
    await world.writes(UNCLEAR, author="unclear")
    waiting = next(
        appeal for appeal in await world.all(status="triage", expand="route") if appeal["text"] == QUESTION
    )
    assert waiting["route"]["reason"] == "Ни одно правило не подошло; решает модератор"
    assert waiting["route"]["suggestions"] != []
    assert await _apply(world) == 0
    rule = {"topic_id": roads, "organisation_id": str(world.other_organisation)}
    added = await world.post("/routing-rules", rule)
    assert added.status_code == 201, added.text
    assert (await _queued(world))[-1]["include_untouched"] is False
    assert await _apply(world) == 1
    assert await _apply(world) == 0
    appeal = await world.appeal(waiting["id"])
    assert (appeal["status"], appeal["organisation"]["id"]) == ("assigned", str(world.other_organisation))
    assert [(hand["kind"], hand["rule_id"]) for hand in appeal["assignments"]] == [
        ("rerouted", added.json()["id"])
    ]
    assert appeal["route"]["rule_id"] == added.json()["id"]
    # Counted from the receipt, however long it was unassigned.
    assert appeal["first_response_due_at"] == "2026-03-05T03:01:00Z"
    assert [one["status"] for one in await world.all(q="һургуулида")] == ["triage"]


async def test_page_with_a_new_owner_reroutes_its_unassigned_appeals(world: World) -> None:
    registry = await world.database.connect("registry")
    try:
        await registry.execute("UPDATE organisations SET active = false WHERE id = $1", world.organisation)
        await world.writes(QUESTION)
        appeal = await world.only()
        assert (appeal["status"], appeal["organisation"]) == ("triage", None)
        assert appeal["route"]["reason"] == "Организация закрыта: Школа № 1; решает модератор"
        # A change that does not matter to routing enqueues nothing.
        await world.emit("page.changed", world.page, world.organisation, changed=["name"])
        await world.emit("organisation.changed", world.organisation, world.organisation, changed=["phone"])
        await world.work()
        assert await _queued(world) == []
        await registry.execute(
            "UPDATE pages SET organisation_id = $2 WHERE id = $1", world.page, world.other_organisation
        )
        await world.emit("page.changed", world.page, world.other_organisation, changed=["organisation_id"])
        await world.work()
        assert await _queued(world) == [{"include_untouched": False}]
        assert await _apply(world) == 1
        found = await world.only()
        assert found["organisation"]["name"] == "Комитет по строительству"
        assert found["assignments"][0]["reason"] == "Владелец страницы: Комитет по строительству"
    finally:
        await registry.close()


async def test_returned_appeal_is_not_automatically_assigned_again(world: World) -> None:
    await world.writes(QUESTION)
    appeal = await world.only()
    await world.post(
        f"/appeals/{appeal['id']}/moves", {"to": "triage", "reason": "Не наше"}, role="executor",
        org=world.organisation, If_Match="*",
    )  # fmt: skip
    assert await _apply(world, untouched=True) == 0
    assert (await world.only())["organisation"] is None


async def test_replaced_set_is_not_applied(world: World) -> None:
    await world.writes(QUESTION)
    database = world.appeals.service.database
    draft = await made(world, default={"send_to": "moderators"})
    assert await reroute.reroute_appeals(database, include_untouched=True, rule_set_id=UUID(draft["id"])) == 0
    await activated(world, draft)
    assert await reroute.reroute_appeals(database, include_untouched=True, rule_set_id=UUID(draft["id"])) == 1
    appeal = await world.only()
    assert (appeal["status"], appeal["organisation"]) == ("triage", None)
    assert [hand["kind"] for hand in appeal["assignments"]] == ["routed", "rerouted"]


async def test_job_reroutes_as_the_activation_requested(world: World) -> None:
    await world.writes(QUESTION)
    other = {"send_to": "organisation", "organisation_id": str(world.other_organisation)}
    await activated(world, await made(world, default=other))
    await _reroute_as_asked(world)
    assert (await world.only())["organisation"]["name"] == "Школа № 1"
    await activated(world, await made(world, default=other), reroute=True)
    await _reroute_as_asked(world)
    assert (await world.only())["organisation"]["name"] == "Комитет по строительству"


async def test_unassigned_appeals_are_found_by_index(world: World) -> None:
    # The planner scans an empty table unless sequential scans are disabled.
    await world.ingest.execute("SET enable_seqscan = off")
    plan = await world.ingest.fetch(
        """EXPLAIN SELECT opened_at, id FROM appeals WHERE organisation_id IS NULL AND status = 'triage'
           ORDER BY opened_at, id LIMIT 200"""
    )
    plan_text = "\n".join(row[0] for row in plan)
    assert "ix_appeals_unassigned" in plan_text
    assert "Sort" not in plan_text


async def test_rerouting_continues_over_batches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reroute, "REROUTE_BATCH", 2)
    monkeypatch.setattr(dry_run, "_SLICE", timedelta(minutes=2))
    for number in range(5):
        await world.writes(QUESTION, author=f"a{number}", at=WEDNESDAY + timedelta(minutes=number))
    other = {"send_to": "organisation", "organisation_id": str(world.other_organisation)}
    draft = await made(world, default=other)
    outcome = await _dry_run(world, draft, only_untouched=True)
    assert outcome["movements"][0]["examples"] == [appeal["id"] for appeal in await world.all()]
    await activated(world, draft)
    assert await _apply(world, untouched=True) == outcome["would_move"] == 5
    assert len(await world.all(organisation_id=str(world.other_organisation))) == 5
