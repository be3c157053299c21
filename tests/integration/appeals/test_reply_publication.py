"""Publication of replies through ingest and replies written in the network; each answer stops the clock once."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import web

from services.appeals import jobs
from shared.auth import tokens
from shared.events.relay import number_committed_events
from tests.conftest import TestDatabase
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario, build_scenario
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.support.eventually import eventually
from tests.support.service_under_test import service_under_test

HOUR = timedelta(hours=1)


async def _answer(
    scenario: AppealsScenario, appeal: dict[str, Any], text: str = "Начнём в понедельник.", **body: Any
) -> dict[str, Any]:
    answer = await scenario.post(f"/appeals/{appeal['id']}/replies", {"text": text, **body})
    assert answer.status_code == 201, answer.text
    reply: dict[str, Any] = answer.json()
    return reply


async def test_published_reply_stops_the_clock_once(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    reply = await _answer(scenario, appeal)
    assert reply["status"] == "queued"
    assert (await scenario.single_appeal())["status"] == "in_progress"
    assert (await scenario.single_appeal())["first_response_at"] is None
    await scenario.emit_published(reply, at=WEDNESDAY + 2 * HOUR)
    appeal = await scenario.single_appeal()
    assert appeal["status"] == "answered"
    assert appeal["first_response_at"] == "2026-03-04T04:00:00Z"
    assert appeal["first_response_working_seconds"] == 2 * 3600 - 60
    assert appeal["overdue"] is False
    assert appeal["replies"][0]["status"] == "published"
    assert appeal["replies"][0]["url"] == "https://example.invalid/answer"
    (event,) = await scenario.events("appeal.answered")
    data = json.loads(event["data"])
    assert (data["reply_id"], data["origin"], data["on_time"]) == (reply["id"], "gospablik", True)
    assert data["kind"] == "final"  # the value in the webhook catalogue
    # A repeated event and a second reply do not change the time of the first response.
    await scenario.emit_published(reply, at=WEDNESDAY + 5 * HOUR)
    second = await _answer(scenario, appeal, "И ещё одно.")
    await scenario.emit_published(second, at=WEDNESDAY + 6 * HOUR, external_id="-101_78")
    assert (await scenario.single_appeal())["first_response_at"] == "2026-03-04T04:00:00Z"
    on_time = [json.loads(event["data"])["on_time"] for event in await scenario.events("appeal.answered")]
    assert on_time == [True, None]


async def test_late_reply_is_recorded_as_late(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    reply = await _answer(scenario, await scenario.single_appeal())
    await scenario.emit_published(reply, at=WEDNESDAY + 72 * HOUR)
    (event,) = await scenario.events("appeal.answered")
    assert json.loads(event["data"])["on_time"] is False


async def test_interim_reply_stops_the_first_clock_and_records_the_promised_date(
    scenario: AppealsScenario,
) -> None:
    await scenario.citizen_writes(QUESTION)
    promised = datetime.fromisoformat("2099-01-01T00:00:00+08:00")
    reply = await _answer(
        scenario, await scenario.single_appeal(), "Уточним.", kind="interim", promised_at=promised.isoformat()
    )
    await scenario.emit_published(reply, at=WEDNESDAY + HOUR)
    appeal = await scenario.single_appeal()
    assert appeal["status"] == "interim"
    assert datetime.fromisoformat(appeal["promised_at"]) == promised
    assert appeal["first_response_at"] is not None
    shown = (await scenario.get(f"/appeals/{appeal['id']}/deadlines")).json()["clocks"]
    assert {one["kind"]: one["state"] for one in shown if one["kind"] != "promise"} == {
        "first_response": "stopped",
        "final_answer": "running",
    }


async def test_staff_reply_to_a_message_answers_its_appeal(scenario: AppealsScenario) -> None:
    question = await scenario.citizen_writes(QUESTION)
    await scenario.citizen_writes(QUESTION, author="boris")
    await scenario.citizen_writes(
        "Ремонт в мае",
        from_community=True,
        reply_to=await scenario.external_id(question),
        at=WEDNESDAY + HOUR,
    )
    appeals = {
        tuple(m["id"] for m in appeal["messages"]): appeal
        for appeal in [await scenario.appeal(c["id"]) for c in await scenario.all()]
    }
    answered = appeals[(str(question),)]
    assert answered["status"] == "answered"
    assert [(reply["origin"], reply["status"], reply["text"]) for reply in answered["replies"]] == [
        ("network", "published", "Ремонт в мае")
    ]
    assert answered["first_response_at"] == "2026-03-04T03:00:00Z"
    assert sorted(appeal["status"] for appeal in appeals.values()) == ["answered", "assigned"]


async def test_staff_reply_in_a_dialogue_or_under_a_wall_post_answers_the_appeal(
    scenario: AppealsScenario,
) -> None:
    await scenario.citizen_writes(QUESTION, kind="message", thread="vk:101_5", author="anna")
    await scenario.citizen_writes(
        "Ремонт в мае", kind="message", thread="vk:101_5", from_community=True, at=WEDNESDAY + HOUR
    )
    await scenario.citizen_writes(QUESTION, kind="wall_post", thread="vk:-101_9", author="boris")
    await scenario.citizen_writes("А у нас нет воды", thread="vk:-101_9", author="vera")
    await scenario.citizen_writes("Ремонт в мае", thread="vk:-101_9", from_community=True, at=WEDNESDAY + HOUR)
    found = {
        appeal["messages"][0]["text"]: appeal["status"]
        for appeal in [await scenario.appeal(c["id"]) for c in await scenario.all()]
    }
    assert found["А у нас нет воды"] == "assigned"
    assert sorted(appeal["status"] for appeal in await scenario.all()) == ["answered", "answered", "assigned"]


async def test_staff_reply_without_addressee_answers_the_only_waiting_appeal(
    scenario: AppealsScenario,
) -> None:
    """With one waiting appeal the reply answers it; with two it is ambiguous and answers neither."""
    await scenario.citizen_writes("Подробности позже", from_community=True, at=WEDNESDAY - HOUR)
    await scenario.citizen_writes(QUESTION, author="anna")
    assert (await scenario.single_appeal())["status"] == "assigned"
    await scenario.citizen_writes("Ремонт в мае", from_community=True, at=WEDNESDAY + HOUR)
    assert (await scenario.single_appeal())["status"] == "answered"
    for author in ("boris", "vera"):
        await scenario.citizen_writes(QUESTION, author=author)
    await scenario.citizen_writes("Ремонт в мае", from_community=True, at=WEDNESDAY + 2 * HOUR)
    assert sorted(appeal["status"] for appeal in await scenario.all()) == ["answered", "assigned", "assigned"]


async def test_staff_reply_received_before_the_question_answers_it(scenario: AppealsScenario) -> None:
    """The network does not guarantee the order: a reply may be received before the question."""
    await scenario.citizen_writes("Ремонт в мае", from_community=True, at=WEDNESDAY + HOUR, reply_to="vk:-101_1/2")
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    assert (appeal["status"], appeal["first_response_at"]) == ("answered", "2026-03-04T03:00:00Z")
    assert len(await scenario.events("appeal.answered")) == 1


async def test_own_reply_received_from_the_network_counts_once(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    reply = await _answer(scenario, await scenario.single_appeal())
    # The network pushes our reply before ingest has linked it: a message with the same text in the thread.
    echo = await scenario.citizen_writes(reply["text"], from_community=True, at=WEDNESDAY + HOUR)
    assert (await scenario.single_appeal())["first_response_at"] is None
    await scenario.emit_published(reply, at=WEDNESDAY + HOUR, external_id=await scenario.external_id(echo))
    appeal = await scenario.single_appeal()
    assert [found["origin"] for found in appeal["replies"]] == ["gospablik"]
    # Received again, now linked to its publication by ingest.
    await scenario.citizen_writes(reply["text"], from_community=True, at=WEDNESDAY + HOUR, publication_id=uuid4())
    assert len(await scenario.events("appeal.answered")) == 1


async def test_message_after_the_reply_reopens_the_appeal_with_a_separate_clock(
    scenario: AppealsScenario,
) -> None:
    await scenario.citizen_writes(QUESTION)
    await scenario.emit_published(await _answer(scenario, await scenario.single_appeal()), at=WEDNESDAY + HOUR)
    await scenario.citizen_writes("Спасибо!", at=WEDNESDAY + 2 * HOUR)
    assert (await scenario.single_appeal())["status"] == "answered"
    await scenario.citizen_writes("Ничего не сделано, ямы на месте", at=WEDNESDAY + 24 * HOUR)
    appeal = await scenario.single_appeal()
    assert appeal["status"] == "reopened"
    assert appeal["first_response_at"] == "2026-03-04T03:00:00Z"
    assert appeal["next_response_due_at"] == "2026-03-06T03:01:00Z"
    assert appeal["overdue"] is True
    await scenario.emit_published(
        await _answer(scenario, appeal, "Завтра."), at=WEDNESDAY + 25 * HOUR, external_id="-101_80"
    )
    appeal = await scenario.single_appeal()
    assert (appeal["status"], appeal["next_response_due_at"], appeal["overdue"]) == ("answered", None, False)
    assert appeal["first_response_working_seconds"] == 3600 - 60
    (earlier,) = appeal["deadline"]["previous_responses"]
    assert (earlier["working_seconds"], earlier["on_time"]) == (3600 - 60, True)
    assert len(appeal["messages"]) == 3


async def test_unclear_message_after_the_reply_goes_to_triage(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    await scenario.emit_published(await _answer(scenario, await scenario.single_appeal()), at=WEDNESDAY + HOUR)
    photo = await scenario.citizen_writes("", at=WEDNESDAY + 2 * HOUR, attachments=[{"type": "photo"}])
    appeal = await scenario.single_appeal()
    assert (appeal["status"], appeal["next_response_due_at"]) == ("triage", None)
    decision = await scenario.post(f"/messages/{photo}/triage", {"needs_answer": True})
    assert decision.json()["appeal_status"] == "reopened"
    assert (await scenario.single_appeal())["next_response_due_at"] is not None


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        # The classifier is sure of the topic (a school): the message opens a separate appeal.
        ("Би мүнөөдэр һургуулида ошооб", ["answered", "triage"]),
        # The classifier is sure of no topic: the message joins the answered appeal.
        ("Мүнөө хүрэтэр үгы", ["triage"]),
    ],
)
async def test_buryat_message_after_the_reply_goes_to_triage(
    scenario: AppealsScenario, text: str, statuses: list[str]
) -> None:
    await scenario.citizen_writes(QUESTION)
    await scenario.emit_published(await _answer(scenario, await scenario.single_appeal()), at=WEDNESDAY + HOUR)
    await scenario.citizen_writes(text, at=WEDNESDAY + 2 * HOUR)
    appeals = sorted(await scenario.all(), key=lambda one: int(one["number"]))
    assert [one["status"] for one in appeals] == statuses
    assert appeals[-1]["triage_reason"] == "buryat_text"


async def test_deletion_of_a_message_is_recorded_and_the_appeal_stays_open(scenario: AppealsScenario) -> None:
    question = await scenario.citizen_writes(QUESTION)
    await scenario.ingest.execute(
        "UPDATE messages SET deleted_at = now(), deleted_by = 'author' WHERE id = $1", question
    )
    await scenario.emit("message.deleted", question, scenario.organisation, deleted_by="author")
    await scenario.process_events()
    appeal = await scenario.single_appeal()
    assert appeal["status"] == "assigned"
    assert appeal["messages"][0]["text"] == QUESTION
    (note,) = [entry for entry in appeal["timeline"] if entry["kind"] == "message_deleted"]
    assert note["data"]["deleted_by"] == "author"


async def test_message_edited_into_a_question_opens_an_appeal(scenario: AppealsScenario) -> None:
    message = await scenario.citizen_writes("Спасибо")
    assert await scenario.all() == []
    await scenario.ingest.execute("UPDATE messages SET text = $2, version = 2 WHERE id = $1", message, QUESTION)
    await scenario.emit("message.edited", message, scenario.organisation)
    await scenario.process_events()
    assert (await scenario.single_appeal())["messages"][0]["text"] == QUESTION


async def test_failed_publication_is_shown_and_can_be_retried(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    reply = await _answer(scenario, appeal)
    path = f"/appeals/{appeal['id']}/replies/{reply['id']}/retry"
    assert (await scenario.post(path, None)).status_code == 409
    failure = {"code": "15", "message": "Access denied", "final": True}
    await scenario.emit(
        "publication.failed", uuid4(), scenario.organisation, reply_id=reply["id"], failure=failure
    )
    await scenario.process_events()
    (shown,) = (await scenario.single_appeal())["replies"]
    assert shown["status"] == "failed"
    assert shown["failure"]["message"] == "Access denied"
    assert len(await scenario.events("reply.failed")) == 1
    again = await scenario.post(path, None)
    assert (again.status_code, again.json()["status"]) == (202, "queued")


async def _failed(scenario: AppealsScenario, text: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Create an appeal whose reply the network refused; return the appeal, the reply and the path of its retry."""
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    reply = await _answer(scenario, appeal, text)
    failure = {"code": "vk:222", "message": "Ссылки запрещены.", "final": True}
    await scenario.emit(
        "publication.failed", uuid4(), scenario.organisation, reply_id=reply["id"], failure=failure
    )
    await scenario.process_events()
    return appeal, reply, f"/appeals/{appeal['id']}/replies/{reply['id']}/retry"


async def _insert_published_part(
    scenario: AppealsScenario, reply: dict[str, Any], text: str, *, part: int, parts: int
) -> None:
    """Insert a published part of the reply."""
    await scenario.ingest.execute(
        """INSERT INTO publications (id, reply_id, part, parts, page_id, organisation_id, network, kind,
           thread_key, text, on_behalf_of, status, attempts, version, created_at, updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, 'vk', 'comment', 'vk:-101_1', $7, 'x', 'published', 1, 1,
           now(), now())""",
        uuid4(), UUID(reply["id"]), part, parts, scenario.page, scenario.organisation, text,
    )  # fmt: skip


async def test_failed_reply_is_corrected_and_retried(scenario: AppealsScenario) -> None:
    _, reply, path = await _failed(scenario, "Смотрите spam.example")
    blank = await scenario.post(path, {"text": "  "})
    assert blank.status_code == 422
    again = await scenario.post(path, {"text": "Смотрите на сайте"})
    assert (again.status_code, again.json()["text"], again.json()["failure"]) == (202, "Смотрите на сайте", None)
    appeal = await scenario.single_appeal()
    (shown,) = appeal["replies"]
    assert (shown["status"], shown["text"]) == ("queued", "Смотрите на сайте")
    (note,) = [entry for entry in appeal["timeline"] if entry["kind"] == "reply_corrected"]
    assert note["data"] == {"reply_id": reply["id"], "former": "Смотрите spam.example"}
    assert note["actor"] == again.json()["author"]
    assert (await scenario.post(path, {"text": "Ещё раз"})).status_code == 409


async def test_correction_that_changes_a_published_part_is_refused(scenario: AppealsScenario) -> None:
    _, reply, path = await _failed(scenario, "Раз. Два. Три.")
    await _insert_published_part(scenario, reply, "Раз.", part=0, parts=2)
    for wrong in ("Иначе. Два.", "Раз."):
        refused = await scenario.post(path, {"text": wrong})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "/text"
    assert (await scenario.single_appeal())["replies"][0]["text"] == "Раз. Два. Три."
    assert (await scenario.post(path, {"text": "Раз.\n\nЧетыре."})).status_code == 202


async def test_former_text_found_in_the_thread_replaces_the_corrected_text_but_is_editable(
    scenario: AppealsScenario,
) -> None:
    appeal, reply, path = await _failed(scenario, "Раз. Два.")
    assert (await scenario.post(path, {"text": "Раз. Два, исправлено."})).status_code == 202
    for part, text in enumerate(("Раз.", "Два.")):
        await _insert_published_part(scenario, reply, text, part=part, parts=2)
    await scenario.emit_published(reply, at=WEDNESDAY + HOUR)
    details = await scenario.single_appeal()
    (shown,) = details["replies"]
    assert (shown["status"], shown["text"]) == ("published", "Раз.\n\nДва.")
    (entry,) = [entry for entry in details["timeline"] if entry["kind"] == "reply_recognised"]
    assert entry["data"] == {"reply_id": reply["id"], "unpublished": "Раз. Два, исправлено."}
    replies = f"/appeals/{appeal['id']}/replies/{reply['id']}"
    versions = (await scenario.get(f"{replies}/versions")).json()["items"]
    assert versions[0]["text"] == "Раз.\n\nДва."
    edit = {"text": "Раз. Два, исправлено.", "reason": "Опечатка"}
    edited = await scenario.post(f"{replies}/edits", edit, If_Match=f'"{shown["version"]}"')
    assert edited.status_code == 202, edited.text


async def test_reply_published_in_parts_keeps_its_text(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    reply = await _answer(scenario, await scenario.single_appeal(), "Раз. Два.")
    for part, text in enumerate(("Раз.", "Два.")):
        await _insert_published_part(scenario, reply, text, part=part, parts=2)
    await scenario.emit_published(reply, at=WEDNESDAY + HOUR)
    details = await scenario.single_appeal()
    assert details["replies"][0]["text"] == "Раз. Два."
    assert "reply_recognised" not in [entry["kind"] for entry in details["timeline"]]


@pytest.mark.parametrize(("outcome", "status"), [("retry_scheduled", "queued"), ("uncertain", "uncertain")])
async def test_delay_is_shown_until_the_reply_is_published(
    scenario: AppealsScenario, outcome: str, status: str
) -> None:
    await scenario.citizen_writes(QUESTION)
    reply = await _answer(scenario, await scenario.single_appeal())
    failure = {"code": "no_usable_token", "message": "У страницы нет ключа.", "final": False}
    await scenario.emit(
        f"publication.{outcome}", uuid4(), scenario.organisation, reply_id=reply["id"], failure=failure
    )
    await scenario.process_events()
    (shown,) = (await scenario.single_appeal())["replies"]
    assert shown["status"] == status
    assert (shown["failure"]["message"], shown["failure"]["will_retry"]) == ("У страницы нет ключа.", True)
    await scenario.emit_published(reply, at=WEDNESDAY + HOUR)
    (shown,) = (await scenario.single_appeal())["replies"]
    assert (shown["status"], shown["failure"]) == ("published", None)


async def test_parts_of_a_reply_mistaken_for_staff_replies_count_once(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    reply = await _answer(scenario, await scenario.single_appeal(), "Первая часть. Вторая часть.")
    parts = [
        await scenario.citizen_writes(text, from_community=True, at=WEDNESDAY + minutes * timedelta(minutes=1))
        for minutes, text in ((10, "Первая часть…"), (11, "Вторая часть…"))
    ]
    assert [one["origin"] for one in (await scenario.single_appeal())["replies"]] == ["gospablik", "network"]
    await scenario.emit(
        "publication.published",
        uuid4(),
        scenario.organisation,
        reply_id=reply["id"],
        external_ids=[await scenario.external_id(part) for part in parts],
        url="https://example.invalid/answer",
        published_at=(WEDNESDAY + timedelta(minutes=11)).isoformat(),
    )
    await scenario.process_events()
    (shown,) = (await scenario.single_appeal())["replies"]
    assert (shown["origin"], shown["status"]) == ("gospablik", "published")


class FakeIngest:
    """A fake ingest that accepts publication requests after `failures` responses with 503."""

    def __init__(self, keys_dir: Path, failures: int) -> None:
        self.keys = tokens.read_key_set(keys_dir / "services.jwks")
        self.failures = failures
        self.publication_jobs: list[dict[str, Any]] = []

    async def publish(self, request: web.Request) -> web.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        claims = tokens.verify(token, self.keys, audience="ingest")
        if self.failures:
            self.failures -= 1
            return web.Response(status=503)
        body = await request.json()
        self.publication_jobs.append(
            {"path": request.path, "body": body, "act": claims["act"], "key": request.headers["Idempotency-Key"]}
        )
        return web.json_response({"id": str(uuid4()), "status": "queued"}, status=201)


@pytest.fixture
async def fake_ingest(keys_dir: Path) -> AsyncIterator[tuple[FakeIngest, str]]:
    fake = FakeIngest(keys_dir, failures=1)
    app = web.Application()
    app.router.add_post("/{tail:.*}", fake.publish)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield fake, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_publication_is_requested_once_on_behalf_of_the_author_of_the_reply(
    database: TestDatabase, keys_dir: Path, fake_ingest: tuple[FakeIngest, str]
) -> None:
    fake, url = fake_ingest
    ingest = await database.connect("ingest")
    try:
        async with service_under_test("appeals", database, keys_dir, process="all", ingest_url=url) as appeals:
            scenario = await build_scenario(database, appeals, ingest)
            question = await scenario.insert_message(QUESTION)

            async def opened() -> bool:
                return len(await scenario.all()) == 1

            await eventually(opened)
            reply = await _answer(scenario, await scenario.single_appeal())

            async def asked() -> bool:
                return (await scenario.single_appeal())["replies"][0]["publication_id"] is not None

            await eventually(asked)
            (request,) = fake.publication_jobs
            assert request["path"] == "/internal/publications"
            assert request["body"]["reply_id"] == request["key"] == reply["id"]
            assert request["body"]["message_id"] == str(question)
            assert request["body"]["text"] == reply["text"]
            assert request["body"]["appeal_id"] == (await scenario.single_appeal())["id"]
            assert UUID(request["act"]) == UUID(int=1)
    finally:
        await ingest.close()


async def test_reply_is_published_for_the_organisation_that_gave_it(
    database: TestDatabase, keys_dir: Path, fake_ingest: tuple[FakeIngest, str]
) -> None:
    fake, url = fake_ingest
    fake.failures = 0
    ingest = await database.connect("ingest")
    try:
        async with service_under_test("appeals", database, keys_dir, ingest_url=url) as appeals:
            scenario = await build_scenario(database, appeals, ingest)
            await scenario.citizen_writes(QUESTION)
            reply = await _answer(scenario, await scenario.single_appeal())
            # The publication is requested only after the appeal was transferred.
            new_owner = str(scenario.other_organisation)
            moved = await scenario.move(await scenario.single_appeal(), "assigned", organisation_id=new_owner)
            assert (moved.status_code, moved.json()["organisation"]["id"]) == (200, new_owner), moved.text
            await scenario.handle_job(jobs.REQUEST_PUBLICATION, {"reply_id": reply["id"]})
            (request,) = fake.publication_jobs
            assert request["body"]["organisation_id"] == str(scenario.organisation)
    finally:
        await ingest.close()


async def test_retry_request_contains_the_corrected_text(
    database: TestDatabase, keys_dir: Path, fake_ingest: tuple[FakeIngest, str]
) -> None:
    fake, url = fake_ingest
    ingest = await database.connect("ingest")
    try:
        async with service_under_test("appeals", database, keys_dir, process="all", ingest_url=url) as appeals:
            scenario = await build_scenario(database, appeals, ingest)
            await scenario.insert_message(QUESTION)

            async def opened() -> bool:
                return len(await scenario.all()) == 1

            await eventually(opened)
            reply = await _answer(scenario, await scenario.single_appeal())

            async def requested() -> bool:
                asked_for = "SELECT publication_id FROM replies WHERE id = $1"
                return await ingest.fetchval(asked_for, UUID(reply["id"])) is not None

            # Ingest emits the failure only after it has returned the id of the publication.
            await eventually(requested)
            publication = uuid4()
            failure = {"code": "vk:222", "message": "Ссылки запрещены.", "final": True}
            await scenario.emit(
                "publication.failed", publication, scenario.organisation, reply_id=reply["id"], failure=failure
            )
            await number_committed_events(appeals.service.database)

            async def failed() -> bool:
                return bool((await scenario.single_appeal())["replies"][0]["status"] == "failed")

            await eventually(failed)
            appeal = await scenario.single_appeal()
            path = f"/appeals/{appeal['id']}/replies/{reply['id']}/retry"
            assert (await scenario.post(path, {"text": "Иначе."})).status_code == 202

            async def asked() -> bool:
                return any(one["path"].endswith("/retry") for one in fake.publication_jobs)

            await eventually(asked)
            (request,) = [one for one in fake.publication_jobs if one["path"].endswith("/retry")]
            assert request["path"] == f"/internal/publications/{publication}/retry"
            assert request["body"] == {"text": "Иначе."}
    finally:
        await ingest.close()
