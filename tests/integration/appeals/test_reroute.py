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
from services.appeals.classification.classifier_pool import ClassifierPool
from services.appeals.classification.classifier_process import ClassifiedText, ClassifierInput
from services.appeals.routing import dry_run, reroute
from services.appeals.routing.context import RoutingContext
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
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

ROLES = ("municipality_administration", "sphere_body", "page_owner_founder")
UNCLEAR = "Би мүнөөдэр һургуулида ошооб"
WINDOW = {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}


async def _apply(scenario: AppealsScenario, *, untouched: bool = False) -> int:
    return await reroute.reroute_appeals(scenario.appeals.service.database, include_untouched=untouched)


async def _queued(scenario: AppealsScenario) -> list[dict[str, Any]]:
    admin = await scenario.database.connect()
    try:
        rows = await admin.fetch("SELECT payload FROM appeals_jobs.pgqueuer WHERE entrypoint = 'reroute_appeals'")
        return [json.loads(row["payload"]) for row in rows]
    finally:
        await admin.close()


async def _dry_run(scenario: AppealsScenario, rule_set: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = await scenario.post(f"/rule-sets/{rule_set['id']}/dry-run", body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_dry_run_counts_appeals_that_would_move_and_changes_nothing(scenario: AppealsScenario) -> None:
    roads = await topic(scenario, "roads")
    for number in range(7):
        await scenario.citizen_writes(QUESTION, author=f"a{number}", at=WEDNESDAY + timedelta(minutes=number))
    await scenario.citizen_writes(UNCLEAR, author="unclear")
    await scenario.citizen_writes(QUESTION, author="late", at=WEDNESDAY + timedelta(days=60))
    draft = await made(scenario, {"topic_id": roads, "organisation_id": str(scenario.other_organisation)})
    before = await scenario.ingest.fetch("SELECT to_jsonb(a)::text FROM appeals a ORDER BY id")
    found = await _dry_run(scenario, draft, **WINDOW)
    assert before == await scenario.ingest.fetch("SELECT to_jsonb(a)::text FROM appeals a ORDER BY id")
    assert (found["appeals"], found["would_move"], found["unrouted"], found["need_unclear"]) == (7, 7, 0, 1)
    (only,) = found["movements"]
    assert (only["from_organisation"]["name"], only["to_organisation"]["name"]) == (
        "Школа № 1",
        "Комитет по строительству",
    )
    assert only["count"] == 7
    latest = [appeal["id"] for appeal in await scenario.all(status="assigned", opened_to=WINDOW["to"])]
    assert only["examples"] == latest[:5]
    nowhere = await made(scenario, default={"send_to": "moderators"})
    to_nobody = await _dry_run(scenario, nowhere, **WINDOW)
    assert (to_nobody["would_move"], to_nobody["unrouted"]) == (7, 7)
    assert to_nobody["movements"][0]["to_organisation"] is None
    wrong = await scenario.post(f"/rule-sets/{draft['id']}/dry-run", {"from": WINDOW["to"], "to": WINDOW["from"]})
    assert wrong.status_code == 422
    # Without a period, the dry run covers the last thirty days.
    default = await _dry_run(scenario, draft)
    assert default["from"] < default["to"]


def _random_rules(rng: random.Random, topics: list[str], organisations: list[str]) -> list[dict[str, Any]]:
    found: dict[Any, dict[str, Any]] = {}
    for _ in range(rng.randint(1, 14)):
        location = rng.choice([(None, None), (CITY, None), (CITY, "Улан-Удэ"), (DISTRICT, None)])
        rule: dict[str, Any] = {
            "topic_id": rng.choice([None, *topics]),
            "municipality": location[0],
            "settlement": location[1],
            "page_owner_id": rng.choice([None, None, *organisations]),
            "urgency": rng.choice([None, "high", "normal"]),
            "send_to": rng.choice(["organisation", "organisation", "page_owner", "moderators", *ROLES]),
        }
        if rule["send_to"] == "organisation":
            rule["organisation_id"] = rng.choice(organisations)
        if rule["page_owner_id"] is None:
            rule["page_owner_sphere"] = rng.choice([None, None, "same", "other"])
            rule["page_owner_kind"] = rng.choice([None, None, "institution"])
        named = ("municipality", "settlement", "page_owner_sphere", "page_owner_kind", "page_owner_id", "urgency")
        conditions = tuple(rule.get(name) for name in ("topic_id", *named))
        if any(conditions):
            found[conditions] = rule
    return list(found.values())


async def _with_facts(scenario: AppealsScenario, rng: random.Random, topics: list[str], count: int) -> None:
    """Create appeals from messages and give them random topics, locations, urgency and confidence."""
    for number in range(count):
        await scenario.insert_message(
            rng.choice([QUESTION, QUESTION, QUESTION, UNCLEAR]),
            author=f"a{number}",
            page=rng.choice(list(scenario.pages)),
            thread=f"vk:-101_{number}",
            at=WEDNESDAY + timedelta(minutes=number),
        )
    await scenario.process_events()
    appeals = await scenario.database.connect("appeals")
    try:
        for row in await appeals.fetch("SELECT id FROM appeals ORDER BY number"):
            found, sure = rng.choice([None, *topics]), rng.choice([0.1, 0.49, 0.5, 0.9])
            location = rng.choice([(None, None), (CITY, None), (CITY, "Улан-Удэ"), (DISTRICT, "Кабанск")])
            likely = [(one, share) for one, share in zip(rng.sample(topics, 2), (0.4, 0.2), strict=True)]
            read: dict[str, Any] = {"id": found, "confidence": sure, "top3": rng.choice([[], likely])}
            await appeals.execute(
                """UPDATE appeals SET topic_id = $2, municipality = $3, settlement = $4, urgency = $5,
                   route = jsonb_set(route, '{topic}', $6::text::jsonb) WHERE id = $1""",
                row["id"], UUID(found) if found else None, *location, rng.choice(["high", "normal"]),
                json.dumps(read),
            )  # fmt: skip
    finally:
        await appeals.close()


async def _owners(scenario: AppealsScenario) -> dict[UUID, UUID | None]:
    rows = await scenario.ingest.fetch("SELECT id, organisation_id FROM appeals")
    return {row["id"]: row["organisation_id"] for row in rows}


@pytest.mark.parametrize("seed", range(3))
async def test_dry_run_equals_the_later_reroute_for_each_appeal(
    scenario: AppealsScenario, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    city = await insert_organisation(
        scenario.database, name="Администрация города", municipality=CITY, kind="municipality"
    )
    await insert_organisation(scenario.database, name="Служба дорог", kind="regional", sphere="дороги")
    third = await insert_organisation(
        scenario.database, name="Водоканал", municipality=CITY, sphere="дороги", parent=city
    )
    third_page = await insert_page(scenario.database, third, external_id="303")
    scenario.pages[third_page] = third, "vk"
    organisations = [str(one) for one in (scenario.organisation, scenario.other_organisation, third)]
    topics = [
        await topic(scenario, "roads"),
        await topic_of_group(scenario, "roads"),
        await topic(scenario, "education"),
    ]
    await _with_facts(scenario, rng, topics, 60)
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
        answer = await scenario.post(
            "/rule-sets", {"default": default, "rules": _random_rules(rng, topics, organisations)}
        )
        if answer.status_code == 422:
            assert "forwarding loop" in answer.text
            continue
        tried += 1
        draft = answer.json()
        outcome = await _dry_run(scenario, draft, only_untouched=True)
        before = await _owners(scenario)
        await activated(scenario, draft, reroute=True)
        assert await _queued(scenario) != []
        moved = await _apply(scenario, untouched=True)
        after = await _owners(scenario)
        predicted = {
            UUID(appeal): movement["to_organisation"] and UUID(movement["to_organisation"]["id"])
            for movement in outcome["movements"]
            for appeal in movement["examples"]
        }
        happened = {appeal: owner for appeal, owner in after.items() if owner != before[appeal]}
        assert predicted == happened
        assert outcome["would_move"] == moved == len(happened)
        # Repeating the reroute or its dry run moves nothing more.
        assert await _apply(scenario, untouched=True) == 0
        again = await _dry_run(scenario, draft, only_untouched=True)
        assert (again["would_move"], again["appeals"]) == (0, outcome["appeals"])


async def test_new_messages_are_routed_as_the_dry_run_predicts(scenario: AppealsScenario) -> None:
    roads = await topic(scenario, "roads")
    for page in scenario.pages:
        await scenario.citizen_writes(QUESTION, author="before", page=page, thread=f"t:{page}")
    draft = await made(
        scenario,
        {
            "topic_id": roads,
            "page_owner_id": str(scenario.organisation),
            "organisation_id": str(scenario.other_organisation),
        },
        {"topic_id": roads, "urgency": "high", "send_to": "moderators"},
    )
    outcome = await _dry_run(scenario, draft, **WINDOW)
    (movement,) = outcome["movements"]
    moving = {(await scenario.appeal(appeal))["channel"]["page_id"] for appeal in movement["examples"]}
    assert moving == {str(scenario.page)}
    await activated(scenario, draft)
    before = {appeal["id"] for appeal in await scenario.all()}
    for page in scenario.pages:
        await scenario.citizen_writes(QUESTION, author="after", page=page, thread=f"t:{page}")
    for appeal in [one for one in await scenario.all() if one["id"] not in before]:
        page_owner = str(scenario.pages[UUID(appeal["channel"]["page_id"])][0])
        moved = appeal["channel"]["page_id"] in moving
        expected = movement["to_organisation"]["id"] if moved else page_owner
        assert appeal["organisation"]["id"] == expected


async def test_appeals_decided_or_started_by_people_are_not_rerouted(scenario: AppealsScenario) -> None:
    for author in ("routed", "begun", "moved", "answered", "returned"):
        await scenario.citizen_writes(QUESTION, author=author, thread=f"t:{author}")
    appeals = {
        row["author_key"]: str(row["id"])
        for row in await scenario.ingest.fetch("SELECT id, author_key FROM appeals")
    }
    third = await insert_organisation(scenario.database, name="Водоканал")
    await scenario.move(await scenario.appeal(appeals["begun"]), "in_progress")
    await scenario.move(await scenario.appeal(appeals["moved"]), "assigned", organisation_id=str(third))
    await scenario.post(f"/appeals/{appeals['answered']}/replies", {"text": "Починим"})
    await scenario.move(await scenario.appeal(appeals["returned"]), "triage", reason="Уточняем")
    other = {"send_to": "organisation", "organisation_id": str(scenario.other_organisation)}
    draft = await made(scenario, default=other)
    outcome = await _dry_run(scenario, draft, only_untouched=True)
    assert [movement["examples"] for movement in outcome["movements"]] == [[appeals["routed"]]]
    await activated(scenario, draft, reroute=True)
    assert await _queued(scenario) == [{"rule_set_id": draft["id"], "include_untouched": True}]
    assert await _apply(scenario, untouched=True) == 1
    owners = {author: (await scenario.appeal(appeal))["organisation"] for author, appeal in appeals.items()}
    assert owners["routed"]["name"] == "Комитет по строительству"
    assert owners["begun"]["name"] == owners["answered"]["name"] == "Школа № 1"
    assert owners["moved"]["name"] == "Водоканал"
    assert owners["returned"] is None
    appeal = await scenario.appeal(appeals["routed"])
    assert [assignment["kind"] for assignment in appeal["assignments"]] == ["routed", "rerouted"]
    assert "rerouted" in [entry["kind"] for entry in appeal["timeline"]]
    assert appeal["route"]["rule_set"] == draft["number"]
    assert appeal["first_response_due_at"]
    lost = [
        event
        for event in await scenario.events("appeal.moved")
        if json.loads(event["data"]).get("assignment_lost")
    ]
    assert scenario.organisation in {event["organisation_id"] for event in lost}


async def test_appeal_decided_concurrently_is_not_rerouted(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    other = {"send_to": "organisation", "organisation_id": str(scenario.other_organisation)}
    await activated(scenario, await made(scenario, default=other))
    person, watch = await scenario.database.connect("appeals"), await scenario.database.connect()
    try:
        # A person's transaction assigns the appeal and commits before the reroute gets the lock.
        async with person.transaction():
            appeal = await person.fetchval("SELECT id FROM appeals FOR UPDATE")
            applying = asyncio.create_task(_apply(scenario, untouched=True))
            await eventually(lambda: _somebody_waits(watch))
            await person.execute(
                """INSERT INTO assignments (id, appeal_id, at, kind, from_organisation_id, to_organisation_id,
                   actor) VALUES ($1, $2, now(), 'assigned', $3, $3, 'a person')""",
                uuid4(), appeal, scenario.organisation,
            )  # fmt: skip
        assert await applying == 0
    finally:
        await person.close()
        await watch.close()
    assert (await scenario.single_appeal())["organisation"]["name"] == "Школа № 1"


async def test_messages_classified_during_an_activation_are_rerouted_by_the_new_set(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {"send_to": "organisation", "organisation_id": str(scenario.other_organisation)}
    draft = await made(scenario, default=other)
    begun, go_on, classify = asyncio.Event(), asyncio.Event(), ClassifierPool.classify

    async def slow(self: ClassifierPool, items: Sequence[ClassifierInput]) -> list[ClassifiedText]:
        begun.set()
        await go_on.wait()
        return await classify(self, items)

    monkeypatch.setattr(ClassifierPool, "classify", slow)
    await scenario.insert_message(QUESTION)
    watch = await scenario.database.connect()
    try:
        working = asyncio.create_task(scenario.process_events())
        await begun.wait()
        activating = asyncio.create_task(activated(scenario, draft, reroute=True))

        async def done_or_waiting() -> bool:
            return activating.done() or await _somebody_waits(watch)

        await eventually(done_or_waiting)
        if activating.done():
            await _reroute_as_asked(scenario)
            go_on.set()
            await working
        else:
            go_on.set()
            await asyncio.gather(working, activating)
            await _reroute_as_asked(scenario)
    finally:
        await watch.close()
    appeal = await scenario.single_appeal()
    assert appeal["organisation"]["name"] == "Комитет по строительству"
    assert [assignment["kind"] for assignment in appeal["assignments"]] == ["routed", "rerouted"]


async def test_appeals_rerouted_during_an_activation_are_rerouted_by_the_new_set(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, load = asyncio.Event(), asyncio.Event(), RoutingContext.load

    async def slow(*given: Any) -> RoutingContext:
        loaded = await load(*given)
        if not begun.is_set():
            begun.set()
            await go_on.wait()
        return loaded

    await activated(scenario, await made(scenario, default={"send_to": "moderators"}))
    await scenario.citizen_writes(QUESTION)
    assert (await scenario.single_appeal())["status"] == "triage"
    own = {"send_to": "organisation", "organisation_id": str(scenario.organisation)}
    await activated(scenario, await made(scenario, default=own))
    other = {"send_to": "organisation", "organisation_id": str(scenario.other_organisation)}
    draft = await made(scenario, default=other)
    monkeypatch.setattr(RoutingContext, "load", slow)
    watch = await scenario.database.connect()
    try:
        applying = asyncio.create_task(_apply(scenario))
        await begun.wait()
        renewing = asyncio.create_task(_activate_and_reroute(scenario, draft))
        await eventually(lambda: _somebody_waits(watch))
        go_on.set()
        await asyncio.gather(applying, renewing)
    finally:
        await watch.close()
    appeal = await scenario.single_appeal()
    assert appeal["organisation"]["name"] == "Комитет по строительству"


async def _activate_and_reroute(scenario: AppealsScenario, draft: dict[str, Any]) -> None:
    await activated(scenario, draft, reroute=True)
    await _reroute_as_asked(scenario)


async def _reroute_as_asked(scenario: AppealsScenario) -> None:
    for payload in await _queued(scenario):
        await scenario.handle_job(jobs.REROUTE_APPEALS, payload)


async def _somebody_waits(watch: asyncpg.Connection) -> bool:
    """Return whether a transaction of this database waits for a lock."""
    waiting: int = await watch.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return waiting > 0


async def test_new_rule_assigns_an_unassigned_appeal(scenario: AppealsScenario) -> None:
    roads = await topic(scenario, "roads")
    await activated(scenario, await made(scenario, default={"send_to": "moderators"}))
    await scenario.citizen_writes(QUESTION)
    await scenario.citizen_writes(UNCLEAR, author="unclear")
    waiting = next(
        appeal for appeal in await scenario.all(status="triage", expand="route") if appeal["text"] == QUESTION
    )
    assert waiting["route"]["reason"] == "Ни одно правило не подошло; решает модератор"
    assert waiting["route"]["suggestions"] != []
    assert await _apply(scenario) == 0
    rule = {"topic_id": roads, "organisation_id": str(scenario.other_organisation)}
    added = await scenario.post("/routing-rules", rule)
    assert added.status_code == 201, added.text
    assert (await _queued(scenario))[-1]["include_untouched"] is False
    assert await _apply(scenario) == 1
    assert await _apply(scenario) == 0
    appeal = await scenario.appeal(waiting["id"])
    assert (appeal["status"], appeal["organisation"]["id"]) == ("assigned", str(scenario.other_organisation))
    assert [(assignment["kind"], assignment["rule_id"]) for assignment in appeal["assignments"]] == [
        ("rerouted", added.json()["id"])
    ]
    assert appeal["route"]["rule_id"] == added.json()["id"]
    # The deadline counts from the receipt of the message, including the time without an organisation.
    assert appeal["first_response_due_at"] == "2026-03-05T03:01:00Z"
    await scenario.index_texts()
    assert [one["status"] for one in await scenario.all(q="һургуулида")] == ["triage"]


async def test_unassigned_appeals_of_a_page_are_rerouted_when_its_owner_changes(scenario: AppealsScenario) -> None:
    registry = await scenario.database.connect("registry")
    try:
        await registry.execute("UPDATE organisations SET active = false WHERE id = $1", scenario.organisation)
        await scenario.citizen_writes(QUESTION)
        appeal = await scenario.single_appeal()
        assert (appeal["status"], appeal["organisation"]) == ("triage", None)
        assert appeal["route"]["reason"] == "Организация закрыта: Школа № 1; решает модератор"
        # A change that does not affect routing enqueues no job.
        await scenario.emit("page.changed", scenario.page, scenario.organisation, changed=["name"])
        await scenario.emit(
            "organisation.changed", scenario.organisation, scenario.organisation, changed=["phone"]
        )
        await scenario.process_events()
        assert await _queued(scenario) == []
        await registry.execute(
            "UPDATE pages SET organisation_id = $2 WHERE id = $1", scenario.page, scenario.other_organisation
        )
        await scenario.emit(
            "page.changed", scenario.page, scenario.other_organisation, changed=["organisation_id"]
        )
        await scenario.process_events()
        assert await _queued(scenario) == [{"include_untouched": False}]
        assert await _apply(scenario) == 1
        found = await scenario.single_appeal()
        assert found["organisation"]["name"] == "Комитет по строительству"
        assert found["assignments"][0]["reason"] == "Владелец страницы: Комитет по строительству"
    finally:
        await registry.close()


async def test_returned_appeal_is_not_automatically_assigned_again(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    await scenario.post(
        f"/appeals/{appeal['id']}/moves", {"to": "triage", "reason": "Не наше"}, role="executor",
        org=scenario.organisation, If_Match="*",
    )  # fmt: skip
    assert await _apply(scenario, untouched=True) == 0
    assert (await scenario.single_appeal())["organisation"] is None


async def test_reroute_by_a_set_that_is_not_active_changes_nothing(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    database = scenario.appeals.service.database
    draft = await made(scenario, default={"send_to": "moderators"})
    assert await reroute.reroute_appeals(database, include_untouched=True, rule_set_id=UUID(draft["id"])) == 0
    await activated(scenario, draft)
    assert await reroute.reroute_appeals(database, include_untouched=True, rule_set_id=UUID(draft["id"])) == 1
    appeal = await scenario.single_appeal()
    assert (appeal["status"], appeal["organisation"]) == ("triage", None)
    assert [assignment["kind"] for assignment in appeal["assignments"]] == ["routed", "rerouted"]


async def test_job_reroutes_assigned_appeals_only_if_the_activation_requested_it(
    scenario: AppealsScenario,
) -> None:
    await scenario.citizen_writes(QUESTION)
    other = {"send_to": "organisation", "organisation_id": str(scenario.other_organisation)}
    await activated(scenario, await made(scenario, default=other))
    await _reroute_as_asked(scenario)
    assert (await scenario.single_appeal())["organisation"]["name"] == "Школа № 1"
    await activated(scenario, await made(scenario, default=other), reroute=True)
    await _reroute_as_asked(scenario)
    assert (await scenario.single_appeal())["organisation"]["name"] == "Комитет по строительству"


async def test_query_of_unassigned_appeals_uses_an_index(scenario: AppealsScenario) -> None:
    # The planner scans an empty table unless sequential scans are disabled.
    await scenario.ingest.execute("SET enable_seqscan = off")
    plan = await scenario.ingest.fetch(
        """EXPLAIN SELECT opened_at, id FROM appeals WHERE organisation_id IS NULL AND status = 'triage'
           ORDER BY opened_at, id LIMIT 200"""
    )
    plan_text = "\n".join(row[0] for row in plan)
    assert "ix_appeals_unassigned" in plan_text
    assert "Sort" not in plan_text


async def test_reroute_and_dry_run_cover_all_batches(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reroute, "REROUTE_BATCH", 2)
    monkeypatch.setattr(dry_run, "_SLICE", timedelta(minutes=2))
    for number in range(5):
        await scenario.citizen_writes(QUESTION, author=f"a{number}", at=WEDNESDAY + timedelta(minutes=number))
    other = {"send_to": "organisation", "organisation_id": str(scenario.other_organisation)}
    draft = await made(scenario, default=other)
    outcome = await _dry_run(scenario, draft, only_untouched=True)
    assert outcome["movements"][0]["examples"] == [appeal["id"] for appeal in await scenario.all()]
    await activated(scenario, draft)
    assert await _apply(scenario, untouched=True) == outcome["would_move"] == 5
    assert len(await scenario.all(organisation_id=str(scenario.other_organisation))) == 5
