"""Spikes: appeals about one problem become an incident with one alert, and can be replied to in bulk."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event

from services.appeals import jobs
from services.appeals.incidents import bulk_reply, service
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from shared.events.relay import number_committed_events
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.reply_helpers import make_replies
from tests.support import power_cut_messages
from tests.support.eventually import eventually
from tests.support.service_under_test import insert_organisation, insert_page

ELSEWHERE = ("81701000", "81606000", "81648000", "81654000")


@dataclass
class Region:
    """The pages of each municipality, and the messages written on them."""

    scenario: AppealsScenario
    pages: dict[str, list[UUID]]
    written: dict[UUID, str] = field(default_factory=dict)
    count: int = 0

    async def write(self, text: str, municipality: str, *, minute: float, **more: Any) -> UUID:
        """Insert a message of a new author on a page of the municipality, `minute` minutes after the start."""
        self.count += 1
        page = self.pages[municipality][self.count % len(self.pages[municipality])]
        network = self.scenario.pages[page][1]
        details = {"thread": f"{network}:-{page}_{self.count % 7}", "author": f"{network}:{self.count}"} | more
        at = WEDNESDAY + timedelta(minutes=minute)
        message_id = await self.scenario.insert_message(text, page=page, at=at, **details)
        self.written[message_id] = text
        return message_id

    async def appeals(self, messages: Sequence[UUID]) -> set[str]:
        """Return the ids of the appeals of these messages."""
        rows = await self.scenario.ingest.fetch(
            "SELECT appeal_id FROM appeal_messages WHERE message_id = ANY($1)", list(messages)
        )
        return {str(row["appeal_id"]) for row in rows}

    async def incidents(self) -> list[dict[str, Any]]:
        answer = await self.scenario.get("/incidents")
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def members(self, incident: dict[str, Any]) -> set[str]:
        answer = await self.scenario.get(f"/incidents/{incident['id']}/members", limit=200)
        return {item["appeal_id"] for item in answer.json()["items"]}


@pytest.fixture
async def region(scenario: AppealsScenario) -> Region:
    """Five municipalities, each with a page in both networks."""
    pages: dict[str, list[UUID]] = {}
    for municipality in (power_cut_messages.MUNICIPALITY, *ELSEWHERE):
        organisation = await insert_organisation(
            scenario.database, name=f"Администрация {municipality}", municipality=municipality
        )
        for network in ("vk", "ok"):
            page = await insert_page(scenario.database, organisation, network=network, external_id=municipality)
            scenario.pages[page] = (organisation, network)
            pages.setdefault(municipality, []).append(page)
    return Region(scenario, pages)


async def test_twelve_appeals_among_sixty_become_one_incident_with_an_alert(region: Region) -> None:
    chance = random.Random(3)
    said = [(text, power_cut_messages.MUNICIPALITY, True) for text in power_cut_messages.power_cut_messages(12)]
    for text in power_cut_messages.other_messages(60):
        municipalities = (
            ELSEWHERE if power_cut_messages.is_about_power(text) else (power_cut_messages.MUNICIPALITY, *ELSEWHERE)
        )
        said.append((text, chance.choice(municipalities), False))
    said += [
        (text, power_cut_messages.MUNICIPALITY, False) for text in power_cut_messages.unrelated_power_messages()
    ]
    chance.shuffle(said)
    voices: list[UUID] = []
    others: list[UUID] = []
    for at, (text, municipality, is_voice) in enumerate(said):
        message = await region.write(text, municipality, minute=at / 8)
        (voices if is_voice else others).append(message)
    await region.scenario.process_events()
    (incident,) = await region.incidents()
    assert (incident["origin"], incident["utility_failure"], incident["municipality"]) == (
        "spike",
        "power",
        power_cut_messages.MUNICIPALITY,
    )
    members, true = await region.members(incident), await region.appeals(voices)
    assert len(true) >= 11
    assert len(members & true) >= 0.9 * len(true)
    assert len(members - true) <= 1
    (alert,) = [
        one for one in (await region.scenario.get("/alerts", seen=False)).json()["items"] if one["kind"] == "spike"
    ]
    assert alert["incident_id"] == incident["id"]
    assert alert["why"].startswith("Нет света")
    apart = (await region.scenario.get("/alerts", in_incident=False)).json()["items"]
    inside = (await region.scenario.get("/alerts", in_incident=True)).json()["items"]
    assert alert["id"] in {one["id"] for one in apart}
    assert {one["incident_id"] for one in inside} == {incident["id"]}
    assert {one["kind"] for one in inside} == {"urgent"}
    (event,) = await region.scenario.events("incident.opened")
    assert event["subject_id"] == UUID(incident["id"])


async def incident_from_spike(region: Region, count: int = 8) -> tuple[dict[str, Any], list[UUID]]:
    """Create an incident from a spike and return it with the messages of its members."""
    messages = [
        await region.write(f"Нет света в Селенгинске, {text}", power_cut_messages.MUNICIPALITY, minute=at / 4)
        for at, text in enumerate(power_cut_messages.power_cut_messages(count))
    ]
    await region.scenario.process_events()
    (incident,) = await region.incidents()
    assert await region.members(incident) == await region.appeals(messages)
    return incident, messages


async def test_later_appeal_joins_the_incident_and_removed_appeal_stays_out(region: Region) -> None:
    incident, messages = await incident_from_spike(region)
    out = (await region.appeals(messages[:1])).pop()
    path = f"/api/v1/incidents/{incident['id']}/members/{out}"
    assert (
        await region.scenario.appeals.client.delete(path, headers=region.scenario.appeals.headers("moderator"))
    ).is_success
    row = await region.scenario.ingest.fetchrow(
        "SELECT thread_key, author_key FROM messages WHERE id = $1", messages[0]
    )
    again = {"thread": row["thread_key"], "author": row["author_key"]}
    await region.write("Света в Селенгинске так и нет!", power_cut_messages.MUNICIPALITY, minute=30, **again)
    later = [
        await region.write(text, power_cut_messages.MUNICIPALITY, minute=20 + at)
        for at, text in enumerate(
            ("Когда уже включат? Света нет второй час", "Когда дадут свет в Селенгинске?", "Селенгинск без света")
        )
    ]
    # None of these messages joins: another location, another fault, another municipality, a day later.
    apart = [
        await region.write("Нет света в Каменске, что случилось?", power_cut_messages.MUNICIPALITY, minute=21),
        await region.write("Нет воды в Селенгинске с утра", power_cut_messages.MUNICIPALITY, minute=22),
        await region.write("Нет света в Улан-Удэ, на Левом берегу", ELSEWHERE[0], minute=23),
        await region.write("В Селенгинске нет света", power_cut_messages.MUNICIPALITY, minute=24 * 60),
    ]
    await region.scenario.process_events()
    members = await region.members(incident)
    assert members >= await region.appeals(later)
    assert not members & (await region.appeals(apart) | {out})
    (grown,) = await region.incidents()
    assert grown["member_count"] == len(members) == 10
    assert [row["type"] for row in await region.scenario.events("incident.grown")] == ["incident.grown"]


async def test_city_of_a_ministry_is_not_the_location_of_messages_on_its_page(region: Region) -> None:
    scenario = region.scenario
    ministry = await insert_organisation(
        scenario.database,
        name="Министерство строительства Республики Бурятия",
        municipality=power_cut_messages.MUNICIPALITY,
    )
    page = await insert_page(scenario.database, ministry, external_id="9")
    scenario.pages[page] = (ministry, "vk")
    region.pages["republic"] = [page]
    silent = await region.write("Нет света всей улицей, когда включат?", "republic", minute=1)
    incident, messages = await incident_from_spike(region)
    later = await region.write("Нет света, третий час сидим в темноте", "republic", minute=5)
    named = await region.write("Нет света в Селенгинске, третий час", "republic", minute=6)
    await scenario.process_events()
    members = await region.members(incident)
    assert members == await region.appeals([*messages, named])
    assert len(await region.appeals([silent, later]) - members) == 2


# These texts name the electricity supply but no outage, and differ in wording from the incident's members.
ASKING = (
    "Где можно узнать, когда восстановят электроснабжение?",
    "Подскажите, где узнать, когда восстановят электроснабжение",
    "Когда восстановят электроснабжение, где узнать?",
    "Кто скажет, когда восстановят электроснабжение?",
    "Восстановят ли электроснабжение сегодня, где узнать?",
    "Когда наконец восстановят электроснабжение?",
)


async def ask(region: Region, *, minute: float) -> list[UUID]:
    """Insert messages of six people who name no outage; return the ids of the messages."""
    return [
        await region.write(text, power_cut_messages.MUNICIPALITY, minute=minute + at / 4)
        for at, text in enumerate(ASKING)
    ]


async def test_appeals_that_name_no_fault_join_the_incident_instead_of_opening_another(region: Region) -> None:
    incident, messages = await incident_from_spike(region)
    asking = await ask(region, minute=10)
    await region.scenario.process_events()
    (grown,) = await region.incidents()
    assert (grown["id"], grown["utility_failure"]) == (incident["id"], "power")
    assert await region.members(grown) == await region.appeals([*messages, *asking])
    alerts = (await region.scenario.get("/alerts", kind="spike")).json()["items"]
    assert [one["incident_id"] for one in alerts] == [incident["id"]]


async def test_later_appeals_that_name_the_fault_join_and_set_the_fault_of_the_incident(region: Region) -> None:
    asking = await ask(region, minute=0)
    await region.scenario.process_events()
    (incident,) = await region.incidents()
    assert incident["utility_failure"] is None
    messages = [
        await region.write(text, power_cut_messages.MUNICIPALITY, minute=10 + at / 4)
        for at, text in enumerate(power_cut_messages.power_cut_messages(30))
        if "свет" in text.lower()
    ]
    await region.scenario.process_events()
    (grown,) = await region.incidents()
    assert (grown["id"], grown["utility_failure"]) == (incident["id"], "power")
    assert grown["title"] == "Нет света: Кабанский район"
    assert await region.members(grown) >= await region.appeals([*asking, *messages])


async def test_earlier_appeal_in_other_words_joins_the_spike(region: Region) -> None:
    before = [
        await region.write(text, power_cut_messages.MUNICIPALITY, minute=at)
        for at, text in enumerate(
            ("Почему сняли с маршрута вечерний автобус?", "Отменили утренний рейс, как ехать на работу?")
        )
    ]
    spike = [
        await region.write(text, power_cut_messages.MUNICIPALITY, minute=30 + at)
        for at, text in enumerate(
            (
                "Когда пойдёт автобус 105?",
                "Автобус 105 отменили?",
                "Почему отменили автобус 105",
                "Когда снова пойдёт 105 автобус",
                "Опять отменили автобус 105!",
            )
        )
    ]
    await region.scenario.process_events()
    (incident,) = await region.incidents()
    assert await region.members(incident) == await region.appeals([*before, *spike])


async def test_appeals_of_a_batch_are_locked_in_one_statement(region: Region) -> None:
    """One statement locks the appeals of all incidents; locking in parts could deadlock with another worker."""
    await incident_from_spike(region)
    said = [("Нет света в Селенгинске, третий час", power_cut_messages.MUNICIPALITY)] * 2
    said += [(f"Нет воды в Каменске, дом {house}", power_cut_messages.MUNICIPALITY) for house in range(6)]
    said += [(f"Нет света в Улан-Удэ, дом {house}", ELSEWHERE[0]) for house in range(6)]
    for at, (text, municipality) in enumerate(said):
        await region.write(text, municipality, minute=5 + at)
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        sent.append(statement)

    engine = region.scenario.appeals.service.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    await region.scenario.process_events()
    event.remove(engine, "before_cursor_execute", note)
    assert len(await region.incidents()) == 3
    locks = [one for one in sent if "FROM appeals \n" in one and "FOR NO KEY UPDATE" in one]
    assert len(locks) == 1, locks


async def test_messages_spread_evenly_over_municipalities_are_not_a_spike(region: Region) -> None:
    """Each problem is reported equally often in each municipality."""
    said = (
        "Нет света на нашей улице",
        "Не вывозят мусор",
        "К врачу не записаться",
        "Яма на дороге у школы",
        "Нет воды",
    )
    for at in range(6):
        for municipality in (power_cut_messages.MUNICIPALITY, *ELSEWHERE):
            for text in said:
                for _ in range(1 if text.startswith("Нет") else 5):
                    await region.write(f"{text}, дом {region.count}", municipality, minute=at)
    await region.scenario.process_events()
    assert [one["title"] for one in await region.incidents()] == []


async def test_four_people_in_two_networks_are_not_a_spike(region: Region) -> None:
    said = [text for text in power_cut_messages.power_cut_messages(60) if "Селенгинск" in text and len(text) > 40][
        :4
    ]
    vk, ok = region.pages[power_cut_messages.MUNICIPALITY]
    for at, text in enumerate(said):
        for page, network in ((vk, "vk"), (ok, "ok")):
            await region.scenario.insert_message(
                text,
                page=page,
                thread=f"{network}:1",
                author=f"{network}:{at}",
                at=WEDNESDAY + timedelta(minutes=at),
            )
    await region.scenario.process_events()
    assert await region.incidents() == []


async def test_concurrent_workers_open_one_incident(region: Region) -> None:
    for at, text in enumerate(power_cut_messages.power_cut_messages(16)):
        await region.write(f"В Селенгинске нет света, {text}", power_cut_messages.MUNICIPALITY, minute=at / 4)
    database = region.scenario.appeals.service.database
    consumers = region.scenario.appeals.service.consumers
    first, clustering_consumer = consumers[0], next(one for one in consumers if one.name == "clustering")
    await number_committed_events(database)
    while await first.process_batch(database):
        pass
    await number_committed_events(database)
    events = await region.scenario.ingest.fetch(
        "SELECT id FROM events WHERE type = 'appeal.opened' ORDER BY position"
    )
    # Three workers process new events while jobs handle the same events as dead letters.
    await asyncio.gather(
        *(clustering_consumer.process_batch(database, 4) for _ in range(3)),
        *(clustering_consumer.handle_dead_letter(database, row["id"]) for row in events[:6]),
    )
    while await clustering_consumer.process_batch(database):
        pass
    (incident,) = await region.incidents()
    assert incident["member_count"] == len(await region.members(incident)) >= 15


async def test_bulk_reply_reaches_each_awaiting_and_later_appeal_once(region: Region) -> None:
    incident, messages = await incident_from_spike(region)
    scenario = region.scenario
    joined_manually = (await region.appeals(messages[:1])).pop()
    assert (
        await scenario.post(f"/appeals/{joined_manually}/replies", {"text": "Разбираемся с вашим домом."})
    ).status_code == 201
    body = {"text": "Свет включат до 18:00.", "kind": "final"}
    path = f"/incidents/{incident['id']}/replies"
    answers = [await scenario.post(path, body, Idempotency_Key="one") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert answers[0].json()["pending_count"] == 7
    for _ in range(2):
        await make_replies(scenario)
    (shown,) = (await scenario.get(path)).json()["items"]
    assert (shown["by_status"], shown["pending_count"]) == ({"queued": 7}, 0)
    late = await region.write("В Селенгинске до сих пор нет света", power_cut_messages.MUNICIPALITY, minute=20)
    await scenario.process_events()
    await make_replies(scenario)
    appeal = await scenario.appeal((await region.appeals([late])).pop())
    assert [reply["text"] for reply in appeal["replies"]] == [body["text"]]
    rows = await scenario.ingest.fetch("SELECT appeal_id, count(*) AS replies FROM replies GROUP BY appeal_id")
    assert {row["replies"] for row in rows} == {1}
    assert len(rows) == 9


async def test_appeal_removed_from_the_incident_during_a_bulk_reply_gets_no_reply(region: Region) -> None:
    incident, messages = await incident_from_spike(region)
    scenario, database = region.scenario, region.scenario.appeals.service.database
    out = (await region.appeals(messages[:1])).pop()
    path = f"/incidents/{incident['id']}/replies"
    answer = await scenario.post(path, {"text": "Свет включат до 18:00."})
    moderator = Caller("somebody", "", Role.MODERATOR, None).with_right(Right.APPEALS_WORK)

    async def answers() -> None:
        async with database.write() as session:
            await bulk_reply.create_replies_batch(session, UUID(answer.json()["id"]), joined_from=None, after=None)

    raw_connection = await scenario.database.connect()

    async def waits_for_a_lock() -> bool:
        return bool(
            await raw_connection.fetchval(
                """SELECT count(*) FROM pg_stat_activity
                   WHERE wait_event_type = 'Lock' AND datname = current_database()"""
            )
        )

    async with database.write() as session:
        await service.remove_member(session, moderator, UUID(incident["id"]), UUID(out))
        making = asyncio.create_task(answers())
        await eventually(waits_for_a_lock)
    await making
    await raw_connection.close()
    (shown,) = (await scenario.get(path)).json()["items"]
    assert (shown["by_status"], shown["pending_count"]) == ({"queued": 7}, 0)
    assert (await scenario.appeal(out))["replies"] == []


async def test_staff_bulk_reply_skips_appeals_in_triage_and_of_other_organisations(region: Region) -> None:
    incident, messages = await incident_from_spike(region)
    scenario, (first, *_) = region.scenario, messages
    own = await scenario.ingest.fetchval("SELECT organisation_id FROM messages WHERE id = $1", first)
    # One of the appeals belongs to another organisation, another is in triage.
    foreign, unclear = (UUID(appeal) for appeal in sorted(await region.appeals(messages))[:2])
    owner = await scenario.database.connect("appeals")
    await owner.execute(
        "UPDATE appeals SET organisation_id = $1 WHERE id = $2", scenario.other_organisation, foreign
    )
    await owner.execute("UPDATE appeals SET status = 'triage' WHERE id = $1", unclear)
    await owner.close()
    path = f"/incidents/{incident['id']}/replies"
    answer = await scenario.post(
        path, {"text": "Бригада выехала.", "include_later_members": False}, role="executor", org=own
    )
    assert answer.status_code == 202
    await make_replies(scenario)
    (mine,) = (await scenario.get(path, role="executor", org=own)).json()["items"]
    assert mine["by_status"] == {"queued": 6}
    assert (await scenario.get(path, role="executor", org=scenario.other_organisation)).json()["items"] == []
    assert (await scenario.appeal(str(unclear)))["timeline"][-1]["kind"] == "incident_reply_skipped"
    # A job that was killed runs again from its start.
    await scenario.handle_job(jobs.CREATE_INCIDENT_REPLIES, {"incident_reply_id": answer.json()["id"]})
    kinds = [entry["kind"] for entry in (await scenario.appeal(str(unclear)))["timeline"]]
    assert kinds.count("incident_reply_skipped") == 1
    # The centre replies to the appeals that have no reply; for the appeal in triage, the reply is the decision.
    await scenario.post(path, {"text": "Свет включат до 18:00."})
    await make_replies(scenario)
    for appeal in (str(foreign), str(unclear)):
        found = await scenario.appeal(appeal)
        assert (found["status"], [reply["text"] for reply in found["replies"]]) == (
            "in_progress",
            ["Свет включат до 18:00."],
        )
    late = await region.write("В Селенгинске нет света", power_cut_messages.MUNICIPALITY, minute=20)
    await scenario.process_events()
    await make_replies(scenario)
    found = await scenario.appeal((await region.appeals([late])).pop())
    assert [reply["text"] for reply in found["replies"]] == ["Свет включат до 18:00."]


async def test_interim_bulk_reply_needs_a_promise_and_precedes_the_final_one(region: Region) -> None:
    incident, _ = await incident_from_spike(region)
    path = f"/incidents/{incident['id']}/replies"
    refused = await region.scenario.post(path, {"text": "Работаем.", "kind": "interim"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/promised_at")
    promised = (WEDNESDAY + timedelta(days=3650)).isoformat()
    given = await region.scenario.post(path, {"text": "Работаем.", "kind": "interim", "promised_at": promised})
    assert given.json()["include_later_members"] is False
    await make_replies(region.scenario)
    final = await region.scenario.post(path, {"text": "Свет включили."})
    await make_replies(region.scenario)
    assert final.json()["pending_count"] == 8
    shown = (await region.scenario.get(path)).json()["items"]
    assert [one["by_status"] for one in shown] == [{}, {"queued": 8}]
    # Final replies are created only after the interim replies are published.
    owner = await region.scenario.database.connect("appeals")
    await owner.execute("UPDATE replies SET status = 'published'")
    await owner.close()
    await make_replies(region.scenario)
    shown = (await region.scenario.get(path)).json()["items"]
    assert [one["by_status"] for one in shown] == [{"queued": 8}, {"published": 8}]
