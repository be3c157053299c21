"""A message opens or joins exactly one appeal."""

import json
from collections.abc import Sequence
from datetime import timedelta

import pytest

from services.appeals.inbound.appeal_matching import AppealMatcher
from services.appeals.settings import settings
from shared.tables.appeals import Appeal
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario

QUESTION = "Когда отремонтируют дорогу на ул. Бабушкина?"


async def test_question_opens_an_appeal_with_organisation_and_deadline(scenario: AppealsScenario) -> None:
    text = QUESTION + "\n\u0000 <br> &amp; 😀 e\u0301"
    await scenario.insert_message(text.replace("\u0000", ""), author="anna")
    await scenario.process_events()
    appeal = await scenario.single_appeal()
    assert appeal["status"] == "assigned"
    assert appeal["organisation"] == {"id": str(scenario.organisation), "name": "Школа № 1"}
    assert appeal["topic"]["name"] == "Дороги"
    assert appeal["channel"]["network"] == "vk"
    assert appeal["channel"]["url"].startswith("https://example.invalid/")
    assert appeal["messages"][0]["text"] == text.replace("\u0000", "")
    assert appeal["written_at"] == "2026-03-04T02:00:00Z"
    assert appeal["opened_at"] == "2026-03-04T02:01:00Z"
    # Nine working hours from Wednesday 10:01, excluding lunch, end on Thursday at 11:01.
    assert appeal["first_response_due_at"] == "2026-03-05T03:01:00Z"
    assert appeal["deadline"]["text"].startswith("9 рабочих часов со среды 04.03 10:01")
    assert appeal["overdue"] is True
    assert appeal["route"]["reason"] == "Владелец страницы: Школа № 1"
    assert "assigned" in appeal["allowed_moves"]
    opened, assigned = await scenario.events("appeal.opened", "appeal.assigned")
    assert (opened["type"], assigned["type"]) == ("appeal.opened", "appeal.assigned")
    data = json.loads(opened["data"])
    assert data["number"] == appeal["number"]
    assert data["organisation_id"] == str(scenario.organisation)
    assert data["first_response_due_at"] == "2026-03-05T03:01:00+00:00"


async def test_further_message_joins_the_open_appeal(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    await scenario.citizen_writes("дом 20", at=WEDNESDAY + timedelta(minutes=2))
    await scenario.citizen_writes("И тротуар разбит", at=WEDNESDAY + timedelta(minutes=3))
    appeal = await scenario.single_appeal()
    assert [message["text"] for message in appeal["messages"]] == [QUESTION, "дом 20", "И тротуар разбит"]
    assert len(await scenario.events("appeal.message_added")) == 2


CODE = "ГП 12345 67890"


@pytest.fixture
def notices_page(monkeypatch: pytest.MonkeyPatch, scenario: AppealsScenario) -> None:
    """Let the scenario's page send notices: ten digits in its conversations are then a confirmation code."""
    monkeypatch.setattr(settings(), "notices_pages", (("vk", "101"),))


@pytest.mark.usefixtures("notices_page")
async def test_notice_code_neither_opens_nor_joins_an_appeal(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION, kind="message", thread="vk:-101_9")
    await scenario.citizen_writes(CODE, kind="message", thread="vk:-101_9")
    appeal = await scenario.single_appeal()
    assert [message["text"] for message in appeal["messages"]] == [QUESTION]
    await scenario.citizen_writes("гп-12345-67890", author="boris", kind="message", thread="vk:-101_10")
    await scenario.single_appeal()


@pytest.mark.usefixtures("notices_page")
async def test_edit_to_a_notice_code_and_its_deletion_are_recorded_in_the_appeal(
    scenario: AppealsScenario,
) -> None:
    message_id = await scenario.citizen_writes(QUESTION, kind="message", thread="vk:-101_9")
    await scenario.ingest.execute("UPDATE messages SET text = $2, version = 2 WHERE id = $1", message_id, CODE)
    for event in ("message.edited", "message.deleted"):
        await scenario.emit(event, message_id, scenario.organisation)
    await scenario.process_events()
    types = [entry["kind"] for entry in (await scenario.single_appeal())["timeline"]]
    assert {"message_edited", "message_deleted"} <= set(types)


async def test_message_like_a_notice_code_is_classified_without_notices_or_with_a_photo(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = [{"type": "photo", "url": "https://example.invalid/1.jpg"}]
    for pages, attachments in (((), []), ((("vk", "999"),), []), ((("vk", "101"),), photo)):
        monkeypatch.setattr(settings(), "notices_pages", pages)
        message_id = await scenario.citizen_writes(
            CODE, kind="message", thread=f"vk:-101_{len(pages)}{len(attachments)}", attachments=attachments
        )
        found = await scenario.ingest.fetchval(
            "SELECT count(*) FROM classifications WHERE message_id = $1", message_id
        )
        assert found == 1, pages


async def test_other_authors_and_threads_open_their_own_appeals(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION, author="anna")
    await scenario.citizen_writes(QUESTION, author="boris")
    await scenario.citizen_writes(QUESTION, author="anna", thread="vk:-101_2")
    assert len(await scenario.all()) == 3


async def test_historical_messages_own_messages_and_thanks_open_no_appeal(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes("Спасибо большое!")
    await scenario.citizen_writes(QUESTION, history=True, author="boris")
    await scenario.citizen_writes(QUESTION, from_community=True)
    assert await scenario.all() == []
    judged = await scenario.ingest.fetch("SELECT needs_answer, type, why FROM classifications")
    assert [(row["needs_answer"], row["type"]) for row in judged] == [("no", "thanks")]


async def test_deleted_message_opens_an_appeal_only_if_the_page_removed_it(
    scenario: AppealsScenario,
) -> None:
    for deleted_by in ("author", "community"):
        message = await scenario.insert_message(f"{QUESTION} {deleted_by}", author=deleted_by)
        await scenario.ingest.execute(
            "UPDATE messages SET deleted_at = received_at, deleted_by = $2 WHERE id = $1", message, deleted_by
        )
        await scenario.emit("message.deleted", message, scenario.organisation, deleted_by=deleted_by)
    await scenario.process_events()
    appeal = await scenario.single_appeal()
    assert appeal["messages"][0]["text"] == f"{QUESTION} community"


async def test_earlier_message_does_not_join_the_appeal_of_a_later_one(scenario: AppealsScenario) -> None:
    await scenario.insert_message("Спасибо!", at=WEDNESDAY)
    await scenario.insert_message(QUESTION, at=WEDNESDAY + timedelta(minutes=1))
    await scenario.insert_message("дом 20", at=WEDNESDAY + timedelta(minutes=2))
    await scenario.process_events()
    appeal = await scenario.single_appeal()
    assert [message["text"] for message in appeal["messages"]] == [QUESTION, "дом 20"]


async def test_unclear_message_waits_for_a_moderator_without_a_clock(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes("Би мүнөөдэр һургуулида ошооб")
    appeal = await scenario.single_appeal()
    assert appeal["status"] == "triage"
    assert appeal["organisation"] is None
    assert appeal["first_response_due_at"] is None
    assert appeal["overdue"] is False
    assert appeal["route"]["suggested_organisation_id"] == str(scenario.organisation)
    assert "Бурятский" in appeal["messages"][0]["classification"]["why"]


async def test_repeated_events_change_nothing(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    before = await scenario.single_appeal()
    await scenario.ingest.execute("UPDATE events SET position = NULL WHERE type = 'message.received'")
    await scenario.process_events()
    assert await scenario.single_appeal() == before


async def test_appeal_is_opened_although_its_insert_conflicts_twice(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two inserts conflict with another appeal, which ends before the message can join it; the third succeeds."""
    insert, tries = AppealMatcher._insert, 0

    async def late(self: AppealMatcher, drafts: Sequence[Appeal]) -> list[Appeal]:
        nonlocal tries
        tries += 1
        return await insert(self, drafts) if tries > 2 else []

    monkeypatch.setattr(AppealMatcher, "_insert", late)
    await scenario.citizen_writes(QUESTION)
    assert tries == 3
    assert (await scenario.single_appeal())["status"] == "assigned"
