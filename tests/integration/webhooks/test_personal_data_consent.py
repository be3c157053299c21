"""Citizens' texts in webhooks: masked unless a caller with the right to read them requests unmasked texts."""

from uuid import UUID, uuid4

import pytest

from shared.tables.base import encode_text
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness
from tests.support.service_under_test import insert_organisation, insert_page

ENDPOINTS = "/api/v1/webhooks/endpoints"
SAID = "Нет света на Жердева 20! Мария Ивановна, 8-924-123-45-67, ivanova@mail.ru"
MASKED = "Нет света на Жердева 20! [имя], [телефон], [почта]"


async def wrote(harness: WebhooksHarness, organisation_id: UUID, text: str = SAID) -> UUID:
    """Insert a stored message, as ingest would write it."""
    page_id = await insert_page(harness.test_database, organisation_id, external_id=uuid4().hex[:8])
    message_id = uuid4()
    await harness.sql(
        """INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key,
           from_community, text, attachments, url, history, source_kind, raw, written_at, received_at, version)
           VALUES ($1, 'vk', 'comment', $2, $3, $4, 'wall1', false, $5, '[]', 'https://vk.com/wall-1_2', false,
                   'callback', '{}', now(), now(), 1)""",
        message_id,
        message_id.hex,
        page_id,
        organisation_id,
        encode_text(text),
    )
    return message_id


async def asks(
    harness: WebhooksHarness, url: str, role: str, organisation_id: UUID | None = None, **more: object
) -> int:
    answer = await harness.app.client.post(
        ENDPOINTS,
        json={"url": url, "event_types": ["appeal.opened"]} | more,
        headers=harness.headers(role, organisation_id),
    )
    return answer.status_code


async def test_texts_are_masked_unless_the_endpoint_requests_them(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа имени Марии Ивановны Петровой")
    assert await asks(harness, receiver.url, "executor", school) == 201
    assert await asks(harness, receiver.url, "manager", school, personal_data=True) == 201
    shown = (await harness.app.client.get(ENDPOINTS, headers=harness.headers("executor", school))).json()["items"]
    assert [one["personal_data"] for one in shown] == [True, False]
    message_id = await wrote(harness, school)
    await harness.emit("appeal.opened", school, number=7, message_id=str(message_id))
    await harness.fan_out()
    stored = {row["payload"] for row in await harness.sql("SELECT payload::text FROM webhook_deliveries")}
    assert [SAID in payload for payload in sorted(stored, key=len)].count(True) == 1
    await harness.deliver()
    said = {request.json["data"]["text"] for request in receiver.received}
    assert said == {SAID, MASKED}
    assert {request.json["data"]["organisation"]["name"] for request in receiver.received} == {
        "Школа имени Марии Ивановны Петровой"
    }
    for delivery in await harness.deliveries():
        one = await harness.app.client.get(
            f"/api/v1/webhooks/deliveries/{delivery['id']}", headers=harness.headers("moderator")
        )
        assert one.json()["payload"]["data"]["text"] == MASKED


async def test_event_without_message_carries_the_text_that_opened_the_appeal(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url, "appeal.opened")
    appeal_id = await harness.emit("appeal.opened", number=7)
    await harness.sql(
        """INSERT INTO appeals (id, number, version, status, urgency, text, written_at, opened_at, route,
           created_at, updated_at)
           OVERRIDING SYSTEM VALUE
           VALUES ($1, 7, 1, 'assigned', 'normal', $2, now(), now(), '{}', now(), now())""",
        appeal_id,
        SAID,
    )
    await harness.emit("appeal.opened", number=8)
    await harness.fan_out()
    await harness.deliver()
    texts = {request.json["data"]["number"]: request.json["data"].get("text") for request in receiver.received}
    assert texts == {7: MASKED, 8: None}


async def test_nul_in_a_message_does_not_block_delivery(harness: WebhooksHarness, receiver: Receiver) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    await harness.endpoint(receiver.url, "appeal.message_added")
    message_id = await wrote(harness, school, "Нет \x00света")
    await harness.emit("appeal.message_added", school, message_id=str(message_id))
    await harness.fan_out()
    await harness.deliver()
    assert [request.json["data"]["text"] for request in receiver.received] == ["Нет света"]


async def test_request_for_personal_data_without_rights_is_refused(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    assert await asks(harness, receiver.url, "operations", None, personal_data=True) == 403
    assert await asks(harness, receiver.url, "operations", None, event_types=["page.changed"]) == 201
    assert await asks(harness, receiver.url, "moderator", None, personal_data=True) == 201
    assert await asks(harness, receiver.url, "executor", school) == 201
    everybodys, _, of_operations = await harness.sql(
        "SELECT id, organisation_id, personal_data FROM webhook_endpoints ORDER BY organisation_id NULLS LAST, "
        "personal_data DESC"
    )
    of_school, of_centre = everybodys["id"], of_operations["id"]

    async def changes(endpoint_id: UUID, role: str, organisation_id: UUID | None = None, **body: object) -> int:
        answer = await harness.app.client.patch(
            f"{ENDPOINTS}/{endpoint_id}",
            json=body,
            headers=harness.headers(role, organisation_id, **{"If-Match": "*"}),
        )
        return answer.status_code

    # The centre sees a school's endpoint, but only the school may ask for unmasked texts.
    assert await changes(of_school, "moderator", personal_data=True) == 403
    assert await changes(of_school, "executor", school, personal_data=True) == 200
    # A caller without the right to read the texts may not change their target, but may have them masked.
    assert await changes(of_school, "operations", url=f"{receiver.url}?other") == 403
    assert await changes(of_school, "operations", description="Иное") == 200
    assert await changes(of_school, "operations", personal_data=False) == 200
    assert await changes(of_school, "operations", url=f"{receiver.url}?other") == 403
    assert await changes(of_centre, "operations", personal_data=True) == 403
    nothing = await harness.app.client.patch(
        f"{ENDPOINTS}/{of_school}",
        json={"personal_data": None},
        headers=harness.headers("executor", school, **{"If-Match": "*"}),
    )
    assert (nothing.status_code, nothing.json()["errors"][0]["pointer"]) == (422, "/personal_data")


async def test_request_for_personal_data_is_audited(harness: WebhooksHarness, receiver: Receiver) -> None:
    made = await harness.endpoint(receiver.url)
    answer = await harness.app.client.patch(
        f"{ENDPOINTS}/{made['id']}",
        json={"personal_data": True},
        headers=harness.headers("moderator", **{"If-Match": '"1"'}),
    )
    assert (answer.status_code, answer.json()["personal_data"]) == (200, True)
    rows = await harness.sql("SELECT actor, after::text FROM audit WHERE subject_kind = 'webhook_endpoints'")
    assert any('"personal_data": true' in (row["after"] or "") and row["actor"] for row in rows)


async def test_pending_delivery_is_masked_after_personal_data_is_switched_off(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    assert await asks(harness, receiver.url, "manager", school, personal_data=True) == 201
    message_id = await wrote(harness, school)
    await harness.emit("appeal.opened", school, message_id=str(message_id))
    await harness.fan_out()
    await harness.sql("UPDATE webhook_endpoints SET personal_data = false")
    await harness.deliver()
    [request] = receiver.received
    assert request.json["data"]["text"] == MASKED


@pytest.mark.parametrize("said", ["Сняла Мария Ивановна, 8-924-123-45-67"])
async def test_texts_in_the_feed_are_masked(harness: WebhooksHarness, said: str) -> None:
    await harness.emit("page.step_lost", None, reason=said, external_id="560000000000")
    feed = (await harness.app.client.get("/api/v1/events", headers=harness.headers("moderator"))).json()
    data = feed["items"][0]["data"]
    assert (data["reason"], data["external_id"]) == ("Сняла [имя], [телефон]", "560000000000")
