"""Checks of a reply against its appeal: the question, official contacts, recent replies and settings."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.conftest import TestDatabase
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario, build_scenario
from tests.integration.appeals.reply_helpers import answer, appeal, publication_jobs, request, send
from tests.support.service_under_test import service_under_test

NUMBER = "8 914 123-45-67"
BLOCKED = f"Здравствуйте! Мастер: {NUMBER}."


async def check(scenario: AppealsScenario, found: dict[str, Any], text: str, **body: Any) -> dict[str, str]:
    """Check a text; return the severity of each hint by its code."""
    answered = await request(scenario, "POST", f"/appeals/{found['id']}/replies/check", {"text": text, **body})
    assert answered.status_code == 200, answered.text
    shown = answered.json()
    hints = {hint["code"]: hint["severity"] for hint in shown["hints"]}
    assert shown["publishable"] is ("blocking" not in hints.values())
    return hints


async def set_contacts(database: TestDatabase, organisation: UUID, **contacts: str) -> None:
    connection = await database.connect("registry")
    try:
        for column, value in contacts.items():
            await connection.execute(f"UPDATE organisations SET {column} = $1 WHERE id = $2", value, organisation)
    finally:
        await connection.close()


async def test_check_returns_hints_and_stores_nothing(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    hints = await check(scenario, found, "Меры принимаются. " + BLOCKED)
    assert hints["personal_phone"] == "blocking"
    assert hints["canned_phrase"] == "hint"
    assert (await scenario.appeal(found["id"]))["replies"] == []
    assert (await check(scenario, found, "Уточним.", kind="interim"))["no_promise"] == "blocking"


async def test_reply_that_does_not_answer_the_question_is_reported_as_off_topic(scenario: AppealsScenario) -> None:
    message = await scenario.citizen_writes("Когда починят дорогу на улице Бабушкина?")
    appeal_id = await scenario.ingest.fetchval(
        "SELECT appeal_id FROM appeal_messages WHERE message_id = $1", message
    )
    found = {"id": str(appeal_id)}
    assert "when_unanswered" in await check(scenario, found, "Здравствуйте! Дорогу починим.")
    answered = await check(scenario, found, "Здравствуйте! Дорогу починим до 5 декабря.")
    assert {"when_unanswered", "off_topic"}.isdisjoint(answered)
    assert "off_topic" in await check(scenario, found, "Здравствуйте! Горячую воду включили вчера.")


async def test_blocked_text_is_not_published_by_any_route(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    where = f"/appeals/{found['id']}/replies"
    refused = await request(scenario, "POST", where, {"text": BLOCKED})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/text")
    assert "personal_phone" in refused.json()["errors"][0]["detail"]
    assert NUMBER not in refused.text, "the response does not repeat the number"
    begun = await request(scenario, "POST", where, {"text": BLOCKED, "status": "draft"})
    assert begun.status_code == 201, "a draft may be unfinished"
    submit = f"{where}/{begun.json()['id']}/submit"
    assert (await request(scenario, "POST", submit, If_Match="*")).status_code == 422
    incident = (await send(scenario, "/incidents", {"appeal_ids": [found["id"]]})).json()
    bulk = await send(scenario, f"/incidents/{incident['id']}/replies", {"text": BLOCKED})
    assert bulk.status_code == 422, bulk.text
    assert await publication_jobs(scenario) == []


async def test_official_contacts_of_the_registry_are_allowed(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    text = "Здравствуйте! Приёмная: 8 (3012) 21-21-21, 8 914 123-45-67, school@mail.ru."
    before = await check(scenario, found, text)
    assert {"unknown_phone", "personal_phone", "personal_mail"} <= before.keys()
    await set_contacts(
        scenario.database,
        scenario.organisation,
        phone="8 (3012) 21-21-21; 8-914-123-45-67",
        email="School@mail.ru",
    )
    after = await check(scenario, found, text)
    assert {"unknown_phone", "personal_phone", "personal_mail"}.isdisjoint(after)


async def test_personal_phone_in_a_private_conversation_is_only_a_warning(scenario: AppealsScenario) -> None:
    message = await scenario.citizen_writes(
        "Когда починят дорогу на улице Бабушкина?", kind="message", thread="vk:dialog:101:5"
    )
    appeal_id = await scenario.ingest.fetchval(
        "SELECT appeal_id FROM appeal_messages WHERE message_id = $1", message
    )
    assert (await check(scenario, {"id": str(appeal_id)}, BLOCKED))["personal_phone"] == "warning"


async def test_near_copy_of_a_recent_reply_of_the_organisation_is_reported(scenario: AppealsScenario) -> None:
    first = await appeal(scenario)
    text = "Здравствуйте! Яму на улице Бабушкина засыплем до 5 декабря, отвечает мастер участка."
    await scenario.emit_published(await answer(scenario, first, text), at=WEDNESDAY)
    second = await appeal(scenario, author="boris", thread="vk:-101_2")
    assert (await check(scenario, second, text + " "))["same_as_recent"] == "warning"
    assert "same_as_recent" not in await check(scenario, first, text), (
        "replies to the appeal itself are not compared"
    )
    # Replies of another organisation are not compared.
    message = await scenario.citizen_writes(
        "Когда починят дорогу на улице Бабушкина?", author="vera", thread="ok:202_1",
        page=next(page for page, owner in scenario.pages.items() if owner[0] == scenario.other_organisation),
    )  # fmt: skip
    other = await scenario.ingest.fetchval("SELECT appeal_id FROM appeal_messages WHERE message_id = $1", message)
    answered = await request(
        scenario, "POST", f"/appeals/{other}/replies/check", {"text": text}, org=scenario.other_organisation
    )
    assert "same_as_recent" not in {hint["code"] for hint in answered.json()["hints"]}


async def test_check_of_a_reply_to_another_organisations_appeal_is_not_found(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    path = f"/appeals/{found['id']}/replies/check"
    hidden = await request(scenario, "POST", path, {"text": "Да"}, org=scenario.other_organisation)
    assert hidden.status_code == 404


@pytest.mark.parametrize("closed", [False, True])
async def test_settings_allow_contacts_and_forbid_links_to_unlisted_hosts(
    database: TestDatabase, keys_dir: Path, closed: bool
) -> None:
    ingest = await database.connect("ingest")
    hosts = "kabansk.example" if closed else ""
    try:
        async with service_under_test(
            "appeals",
            database,
            keys_dir,
            reply_allowed_contacts="8 914 123-45-67, Pr@mail.ru",
            reply_link_hosts=hosts,
        ) as appeals:
            scenario = await build_scenario(database, appeals, ingest)
            await set_contacts(database, scenario.organisation, site="https://school.example/")
            found = await appeal(scenario)
            allowed = "https://school.example/a https://kabansk.example https://pos.gosuslugi.ru"
            text = f"Здравствуйте! {allowed} pr@mail.ru 8 (914) 123 45 67"
            assert {"forbidden_link", "personal_phone", "personal_mail"}.isdisjoint(
                await check(scenario, found, text)
            )
            hints = await check(scenario, found, "https://elsewhere.example/")
            assert ("forbidden_link" in hints) is closed
    finally:
        await ingest.close()
