"""The history of attempts: kept with responses, shown to callers who may read the event, cleared by erasures."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from services.webhooks.deliveries.attempts import RESPONSE_KEPT
from services.webhooks.deliveries.erasure import erase_deliveries
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness
from tests.support.service_under_test import insert_organisation

WORDS = "Нет света на Жердева 20, 8-924-123-45-67"


async def attempts_of(
    harness: WebhooksHarness,
    delivery_id: str,
    role: str = "moderator",
    organisation_id: UUID | None = None,
    **query: Any,
) -> dict[str, Any]:
    answer = await harness.app.client.get(
        f"/api/v1/webhooks/deliveries/{delivery_id}/attempts",
        params=query,
        headers=harness.headers(role, organisation_id),
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_every_attempt_is_kept_with_the_start_of_its_response(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    receiver.statuses = [503, 500]
    receiver.headers = {"Retry-After": "1", "Set-Cookie": "session=secret", "X-Long": "x" * 5_000}
    receiver.body = "try\x00 later " + "!" * 5_000
    for _ in range(3):
        await harness.deliver()
        await harness.make_due()
    [delivery] = await harness.deliveries()
    page = await attempts_of(harness, delivery["id"])
    third, second, first = page["items"]
    assert page["next_cursor"] is None
    assert [one["number"] for one in (first, second, third)] == [1, 2, 3]
    assert [one["response_status"] for one in (first, second, third)] == [503, 500, 200]
    assert [one["error"] for one in (first, second, third)] == ["HTTP 503", "HTTP 500", None]
    assert first["response_body"].startswith("try  later !!!")
    assert len(first["response_body"]) == len(first["response_head"]) == RESPONSE_KEPT
    assert "Retry-After: 1\n" in first["response_head"]
    assert "secret" not in first["response_head"]
    times = [datetime.fromisoformat(one["started_at"]) for one in (first, second, third)]
    assert times == sorted(times)
    assert all(one["duration_ms"] >= 0 for one in (first, second, third))
    pages = [await attempts_of(harness, delivery["id"], limit=2)]
    pages.append(await attempts_of(harness, delivery["id"], limit=2, cursor=pages[0]["next_cursor"]))
    assert [one["number"] for page in pages for one in page["items"]] == [3, 2, 1]


async def test_attempt_without_response_is_kept_with_its_error(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    await harness.deliver(webhooks_allowed_networks=())
    [delivery] = await harness.deliveries()
    [attempt] = (await attempts_of(harness, delivery["id"]))["items"]
    assert (attempt["response_status"], attempt["response_head"], attempt["response_body"]) == (None, None, None)
    assert "inside a network" in attempt["error"]


async def test_attempt_recorded_after_its_lease_is_kept_without_its_response(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    receiver.statuses = [500, 502]
    receiver.body = "sorry"
    dispatcher = harness.dispatcher()
    async with dispatcher.client() as http:
        [claim] = await dispatcher.claim(1)
        late = await dispatcher.attempt(http, claim)
        await harness.make_due()
        [second] = await dispatcher.claim(1)
        await dispatcher.record([await dispatcher.attempt(http, second)])
        await dispatcher.record([late])
    [delivery] = await harness.deliveries()
    assert delivery["response_status"] == 502
    kept = (await attempts_of(harness, delivery["id"]))["items"]
    assert [(one["number"], one["response_status"], one["response_body"]) for one in kept] == [
        (1, 500, None),
        (1, 502, "sorry"),
    ]


async def test_result_for_a_deleted_endpoint_is_dropped(harness: WebhooksHarness, receiver: Receiver) -> None:
    endpoint = await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    dispatcher = harness.dispatcher()
    async with dispatcher.client() as http:
        [claim] = await dispatcher.claim(1)
        result = await dispatcher.attempt(http, claim)
        answer = await harness.app.client.delete(
            f"/api/v1/webhooks/endpoints/{endpoint['id']}", headers=harness.headers("moderator")
        )
        assert answer.status_code == 204, answer.text
        await dispatcher.record([result])
    assert await harness.sql("SELECT 1 FROM webhook_attempts") == []


async def test_response_is_masked_and_shown_only_to_callers_who_may_read_the_event(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    clinic = await insert_organisation(harness.test_database, name="Больница")
    await harness.endpoint(receiver.url, organisation_id=school, role="executor")
    await harness.emit("appeal.opened", school)
    await harness.fan_out()
    receiver.statuses = [500]
    receiver.body = WORDS
    await harness.deliver()
    [delivery] = await harness.deliveries()
    [shown] = (await attempts_of(harness, delivery["id"], "executor", school))["items"]
    assert shown["response_body"] == "Нет света на Жердева 20, [телефон]"
    # Operations may see deliveries, but not read appeals.
    [hidden] = (await attempts_of(harness, delivery["id"], "operations"))["items"]
    assert (hidden["response_status"], hidden["response_head"], hidden["response_body"]) == (500, None, None)
    path = f"/api/v1/webhooks/deliveries/{delivery['id']}/attempts"
    other = await harness.app.client.get(path, headers=harness.headers("executor", clinic))
    assert other.status_code == 404


async def test_erasure_clears_responses_even_of_an_attempt_under_way(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url)
    citizens, others = await harness.emit(), await harness.emit()
    await harness.fan_out()
    receiver.statuses = [500] * 3
    receiver.body = WORDS
    await harness.deliver()
    await harness.make_due()
    dispatcher = harness.dispatcher()
    async with dispatcher.client() as http:
        results = [await dispatcher.attempt(http, claim) for claim in await dispatcher.claim(2)]
        async with harness.database.write() as session:
            assert await erase_deliveries(session, [citizens, uuid4()]) == 1
        await dispatcher.record(results)
    kept = await harness.sql(
        """SELECT subject_id, number, response_head, response_body, error FROM webhook_attempts AS attempt
        JOIN webhook_deliveries AS delivery ON delivery.id = delivery_id JOIN events ON events.id = event_id
        ORDER BY number"""
    )
    of_citizen = [tuple(row)[1:] for row in kept if row["subject_id"] == citizens]
    assert of_citizen[0] == (1, None, None, "данные удалены")
    assert of_citizen[1][:3] == (2, None, None)
    assert next(row["response_body"] for row in kept if row["subject_id"] == others) == WORDS
    # The delivery whose result was not stored is sent again, without the erased text.
    await harness.make_due()
    await harness.deliver()
    assert await harness.deliveries(status="pending") == []
