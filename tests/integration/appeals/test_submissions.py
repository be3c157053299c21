"""Appeals without a thread, entered by staff or another system: external ids and encrypted contacts."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography.fernet import Fernet
from structlog.testing import capture_logs

from services.appeals.moderation import contacts
from services.appeals.settings import ContactSettings, contact_settings
from shared import clock
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.people_helpers import Colleague, register
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_appeals_api import _is_problem

PHONE = "+7 900 123-45-67"
CONTACT = {"name": "Бадмаева Ирина Цыреновна", "phone": PHONE}


def _call(scenario: AppealsScenario, **body: Any) -> dict[str, Any]:
    return {
        "text": "На улице Гагарина не горят фонари",
        "source": "phone",
        "organisation_id": str(scenario.organisation),
        **body,
    }


async def _opened(caller: Colleague, body: dict[str, Any], status: int = 201) -> dict[str, Any]:
    answer = await caller.post("/appeals", body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def _count(scenario: AppealsScenario) -> int:
    return int(await scenario.ingest.fetchval("SELECT count(*) FROM appeals"))


async def test_staff_enter_a_call_for_their_organisation(scenario: AppealsScenario) -> None:
    executor = await register(scenario, "Борис")
    called = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    body = _call(scenario, written_at=called.isoformat(), contact=CONTACT, metadata={"line": "112", "rank": 2})
    found = await _opened(executor, body)
    assert (found["source"], found["status"]) == ("phone", "assigned")
    assert found["organisation"]["id"] == str(scenario.organisation)
    assert (found["channel"]["network"], found["messages"]) == (None, [])
    assert datetime.fromisoformat(found["written_at"]) == called
    assert datetime.fromisoformat(found["opened_at"]) > called
    assert found["first_response_due_at"] is not None
    read = (await executor.get(f"/appeals/{found['id']}")).json()
    assert read["submission"] == {
        "source": "phone",
        "external_id": None,
        "organisation": {"id": str(scenario.organisation), "name": "Школа № 1"},
        "contact": {**CONTACT, "email": None, "address": None},
        "metadata": {"line": "112", "rank": 2},
    }
    (item,) = (await executor.get("/appeals?source=phone")).json()["items"]
    assert item["source"] == "phone"
    assert (await executor.get("/appeals?source=letter")).json()["items"] == []
    (event,) = await scenario.events("appeal.opened")
    assert json.loads(event["data"])["network"] is None


async def test_contact_is_encrypted_and_shown_only_to_those_who_work_on_the_appeal(
    scenario: AppealsScenario,
) -> None:
    executor, head = await register(scenario, "Борис"), await register(scenario, "Глава", "head")
    with capture_logs() as lines:
        made = await executor.post("/appeals", _call(scenario, contact=CONTACT), Idempotency_Key="call-1")
        assert made.status_code == 201, made.text
    # The response has no contact, because responses are stored unencrypted for repeated requests.
    assert made.json()["submission"]["contact"] is None
    path = f"/appeals/{made.json()['id']}"
    assert (await executor.get(path)).json()["submission"]["contact"]["phone"] == PHONE
    assert (await head.get(path)).json()["submission"]["contact"] is None
    # The response to a later change shows no contact either.
    decided = await scenario.post(f"{path}/triage", {"urgency": "high"})
    assert (decided.status_code, decided.json()["submission"]["contact"]) == (200, None), decided.text
    admin = await scenario.database.connect()
    for table in ("appeals", "appeal_submissions", "appeals_idempotency", "events", "audit", "timeline"):
        rows = await admin.fetch(f"SELECT to_jsonb(t)::text AS row FROM {table} t")
        stored = " ".join(row["row"] for row in rows)
        assert "900 123" not in stored, table
        assert "Бадмаева" not in stored, table
    await admin.close()
    assert "900 123" not in str(lines)
    for item in (await executor.get("/appeals")).json()["items"]:
        assert "submission" not in item


async def test_contacts_are_reencrypted_with_the_newest_key(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = await register(scenario, "Борис")
    found = await _opened(executor, _call(scenario, contact=CONTACT))
    old, new = contact_settings().encryption_keys.get_secret_value(), Fernet.generate_key().decode()
    database = scenario.appeals.service.database

    def use(keys: str) -> None:
        made = ContactSettings.model_validate({"encryption_keys": keys})
        monkeypatch.setattr(contacts, "contact_settings", lambda: made)

    use(f"{new},{old}")
    assert await contacts.reencrypt_contacts(database) == 1
    assert await contacts.reencrypt_contacts(database) == 0
    use(new)
    read = (await executor.get(f"/appeals/{found['id']}")).json()
    assert read["submission"]["contact"]["phone"] == PHONE
    # A contact whose key is missing is not shown, but the appeal is.
    use(old)
    assert (await executor.get(f"/appeals/{found['id']}")).json()["submission"]["contact"] is None
    assert await contacts.reencrypt_contacts(database) == 0


async def test_repeated_submission_returns_the_first_appeal_even_years_later(scenario: AppealsScenario) -> None:
    executor = await register(scenario, "Борис")
    body = _call(scenario, source="pos", external_id="17-204", contact=CONTACT, metadata={"stage": "new"})
    first = await _opened(executor, body)
    # An external id does not expire.
    registry = await scenario.database.connect()
    await registry.execute("UPDATE appeals SET opened_at = opened_at - interval '2 years'")
    await registry.close()
    again = await _opened(executor, body, 200)
    assert (again["id"], again["number"]) == (first["id"], first["number"])
    for change in (
        {"text": "Другой текст"},
        {"contact": {"phone": "+7 900 000-00-00"}},
        {"metadata": {"stage": "second"}},
        {"written_at": "2026-01-01T00:00:00Z"},
    ):
        _is_problem(await executor.post("/appeals", {**body, **change}), 422, "/external_id")
    assert await _count(scenario) == 1
    (item,) = (await executor.get("/appeals?source=pos&external_id=17-204")).json()["items"]
    assert item["id"] == first["id"]
    # The same external id from another source opens another appeal.
    assert (await _opened(executor, {**body, "source": "edds"}))["id"] != first["id"]


async def test_same_external_id_in_another_organisation_opens_another_appeal(scenario: AppealsScenario) -> None:
    executor = await register(scenario, "Борис")
    foreign = await register(scenario, "Чужой", organisation=scenario.other_organisation)
    body = _call(scenario, external_id="12")
    own = await _opened(executor, body)
    other = await _opened(foreign, {**body, "organisation_id": str(scenario.other_organisation)})
    assert other["id"] != own["id"]
    assert (await foreign.get("/appeals?external_id=12")).json()["items"][0]["id"] == other["id"]
    moderator = await register(scenario, "Модератор", "moderator")
    assert (await _opened(moderator, body))["id"] not in {own["id"], other["id"]}


async def test_repetition_after_a_transfer_is_refused_naming_the_appeal(scenario: AppealsScenario) -> None:
    executor = await register(scenario, "Борис")
    body = _call(scenario, source="pos", external_id="17-204")
    first = await _opened(executor, body)
    target = {"organisation_id": str(scenario.other_organisation), "reason": "Их улица"}
    assert (await executor.move(first, to="assigned", **target)).status_code == 200
    refused = _is_problem(await executor.post("/appeals", body), 409)
    assert (refused["type"], refused["appeal_id"]) == ("/problems/duplicate", first["id"])
    assert refused["appeal_number"] == first["number"]
    assert "text" not in refused


async def test_concurrent_equal_submissions_open_one_appeal(scenario: AppealsScenario) -> None:
    executor = await register(scenario, "Борис")
    body = _call(scenario, source="pos", external_id="17-204")
    answers = await asyncio.gather(*(executor.post("/appeals", body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await _count(scenario) == 1
    assert len(await scenario.events("appeal.opened")) == 1


async def test_submission_without_an_organisation_opens_an_appeal_in_triage(scenario: AppealsScenario) -> None:
    executor = await register(scenario, "Борис")
    body = _call(scenario)
    del body["organisation_id"]
    found = await _opened(executor, body)
    assert (found["status"], found["organisation"]) == ("triage", None)
    # The appeal belongs to no organisation, so its opener cannot read it after this response.
    assert (found["allowed_moves"], found["watchers"], found["assignee"]) == ([], [], None)
    _is_problem(await executor.get(f"/appeals/{found['id']}"), 404)
    assert (await scenario.appeal(found["id"]))["source"] == "phone"


async def test_opener_does_not_see_the_assignee_in_another_organisation(scenario: AppealsScenario) -> None:
    manager = await register(scenario, "Анна", "manager", scenario.other_organisation)
    foreign = await register(scenario, "Чужая Фамилия", organisation=scenario.other_organisation)
    assert (await manager.post("/assignee-rules", {"person_ids": [foreign.ref]})).status_code == 201
    executor = await register(scenario, "Борис")
    found = await _opened(executor, _call(scenario))
    moved = await executor.move(
        found, to="assigned", organisation_id=str(scenario.other_organisation), reason="Их улица"
    )
    assert moved.status_code == 200, moved.text
    assert "Чужая Фамилия" not in moved.text
    assert (await scenario.appeal(found["id"]))["assignee"]["name"] == "Чужая Фамилия"


async def test_opening_without_the_right_or_for_another_organisation_is_refused(scenario: AppealsScenario) -> None:
    executor, head = await register(scenario, "Борис"), await register(scenario, "Глава", "head")
    manager = await register(scenario, "Анна", "manager")
    body = _call(scenario)
    assert (await _opened(manager, body))["source"] == "phone"
    _is_problem(await head.post("/appeals", body), 403)
    assert (await scenario.appeals.client.post("/api/v1/appeals", json=body)).status_code == 401
    foreign = {**body, "organisation_id": str(scenario.other_organisation)}
    _is_problem(await executor.post("/appeals", foreign), 403)
    message = await scenario.insert_message(QUESTION)
    _is_problem(await executor.post("/appeals", {"message_id": str(message)}), 403)
    # Only moderators may omit the source.
    _is_problem(await executor.post("/appeals", {"text": "Фонари"}), 422, "/source")
    assert (await scenario.post("/appeals", {"text": "Фонари не горят"})).status_code == 201


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"source": "vk"}, "/source"),
        ({"source": "Телефон"}, "/source"),
        ({"source": "pos"}, "/external_id"),
        ({"source": None, "external_id": "1"}, "/external_id"),
        ({"source": None, "contact": CONTACT}, "/contact"),
        ({"written_at": "2099-01-01T00:00:00Z"}, "/written_at"),
        ({"written_at": "2026-01-01T00:00:00"}, "/written_at"),
        ({"contact": {}}, "/contact"),
        ({"contact": {"phone": "1" * 301}}, "/contact/phone"),
        ({"contact": {"fax": "1"}}, "/contact/fax"),
        ({"metadata": {f"field {number}": 1 for number in range(51)}}, "/metadata"),
        ({"external_id": "1" * 201}, "/external_id"),
        ({"message_id": str(UUID(int=1))}, "/message_id"),
    ],
)
async def test_invalid_submission_opens_nothing(
    scenario: AppealsScenario, change: dict[str, Any], pointer: str
) -> None:
    answer = await scenario.post("/appeals", _call(scenario, **change))
    _is_problem(answer, 422, pointer)
    assert await _count(scenario) == 0


@pytest.mark.parametrize("value", ["a\u0000b", "я" * 1_001, {"nested": 1}, [1]])
async def test_metadata_with_a_control_character_or_a_long_or_nested_value_is_refused(
    scenario: AppealsScenario, value: Any
) -> None:
    answer = await scenario.post("/appeals", _call(scenario, metadata={"field": value}))
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith("/metadata/field")


async def test_written_at_slightly_in_the_future_is_accepted(scenario: AppealsScenario) -> None:
    executor = await register(scenario, "Борис")
    ahead = clock.now() + timedelta(minutes=2)
    found = await _opened(executor, _call(scenario, written_at=ahead.isoformat()))
    assert found["written_at"] == found["opened_at"]
