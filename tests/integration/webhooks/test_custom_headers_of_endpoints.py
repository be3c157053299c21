"""Custom headers of endpoints: sent with each attempt, stored encrypted, and never shown."""

import asyncio
from typing import Any

from cryptography.fernet import Fernet
from pydantic import SecretStr

from services.webhooks.settings import webhooks_settings
from services.webhooks.worker import ENCRYPTED_COLUMNS
from shared import encryption
from shared.tables.webhooks import WebhookEndpoint
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness
from tests.support.service_under_test import insert_organisation

ENDPOINTS = "/api/v1/webhooks/endpoints"
TOKEN = "Bearer 5f2b1c0e8d7a4466"
HEADERS = {"Authorization": TOKEN, "X-Tenant": "buryatia"}


async def patch(
    harness: WebhooksHarness, endpoint: dict[str, Any], role: str = "moderator", **changes: Any
) -> Any:
    organisation_id = endpoint["organisation_id"] if role != "moderator" else None
    return await harness.app.client.patch(
        f"{ENDPOINTS}/{endpoint['id']}",
        json=changes,
        headers=harness.headers(role, organisation_id, **{"If-Match": "*"}),
    )


async def test_headers_are_sent_in_addition_to_our_own(harness: WebhooksHarness, receiver: Receiver) -> None:
    endpoint = await harness.endpoint(receiver.url, headers=HEADERS)
    assert endpoint["header_names"] == ["Authorization", "X-Tenant"]
    receiver.statuses = [500]
    await harness.emit()
    await harness.fan_out()
    for _ in range(2):
        await harness.deliver()
        await harness.make_due()
    for request in receiver.received:
        assert (request.headers["authorization"], request.headers["x-tenant"]) == (TOKEN, "buryatia")
        assert request.headers["content-type"] == "application/json"
        assert request.headers["webhook-signature"].startswith("v1,")
    changed = await patch(harness, endpoint, headers={"X-Tenant": "chita"})
    assert (changed.status_code, changed.json()["header_names"]) == (200, ["X-Tenant"])
    removed = await patch(harness, endpoint, headers={})
    assert (removed.json()["header_names"], removed.json()["version"]) == ([], 3)
    await harness.emit()
    await harness.fan_out()
    await harness.deliver()
    assert {"authorization", "x-tenant"}.isdisjoint(receiver.received[-1].headers)


async def test_values_are_stored_and_shown_nowhere(harness: WebhooksHarness, receiver: Receiver) -> None:
    headers = harness.headers("moderator", **{"Idempotency-Key": "first"})
    body = {"url": receiver.url, "event_types": ["appeal.opened"], "headers": HEADERS}
    made = await harness.app.client.post(ENDPOINTS, json=body, headers=headers)
    again = await harness.app.client.post(ENDPOINTS, json=body, headers=headers)
    assert (made.status_code, again.status_code) == (201, 201)
    # The receiver repeats what it got, as a page for debugging does.
    receiver.statuses = [500]
    receiver.body = f"unknown token: {TOKEN} {'.' * 950} {TOKEN}"
    receiver.headers = {"X-Echo": TOKEN}
    await harness.emit()
    await harness.fan_out()
    await harness.deliver()
    [delivery] = await harness.deliveries()
    assert delivery["last_error"].startswith("HTTP 500: unknown token: [header]")
    path = f"{ENDPOINTS}/{made.json()['id']}"
    shown = [
        made.text,
        again.text,
        (await harness.app.client.get(path, headers=headers)).text,
        (
            await harness.app.client.get(f"/api/v1/webhooks/deliveries/{delivery['id']}/attempts", headers=headers)
        ).text,
        (await harness.app.client.get("/api/v1/events", headers=headers)).text,
    ]
    tables = [
        row["name"]
        for row in await harness.sql(
            "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'"
        )
    ]
    for table in tables:
        shown += [str(row["row"]) for row in await harness.sql(f'SELECT "{table}"::text AS row FROM "{table}"')]
    assert not [text for text in shown if TOKEN in text or TOKEN[:16] in text]
    [audit] = await harness.sql("SELECT after->>'header_names' AS names FROM audit WHERE action LIKE 'create%'")
    assert audit["names"] == '["Authorization", "X-Tenant"]'


async def test_value_in_a_malformed_response_is_not_stored(harness: WebhooksHarness) -> None:
    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nno header {TOKEN}\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(repeat, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await harness.endpoint(url, headers=HEADERS)
        await harness.emit()
        await harness.fan_out()
        [result] = await harness.deliver()
    assert result.error is not None
    assert result.error.startswith("the response is not valid HTTP (")
    for row in await harness.sql("SELECT last_error AS error FROM webhook_deliveries"):
        assert TOKEN[-8:] not in row["error"]


async def test_header_that_is_not_allowed_is_refused_and_named(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    for headers, pointer in (
        ({"Host": "internal"}, "/headers/Host"),
        ({"X-Key": "a\r\nHost: internal"}, "/headers/X-Key"),
        ({"X-Key": 5}, "/headers/X-Key"),
        ({f"X-{number}": "value" for number in range(11)}, "/headers"),
        (["X-Key"], "/headers"),
    ):
        body = {"url": receiver.url, "event_types": ["appeal.opened"], "headers": headers}
        refused = await harness.app.client.post(ENDPOINTS, json=body, headers=harness.headers("moderator"))
        for answer in (refused, await patch(harness, endpoint, headers=headers)):
            assert answer.status_code == 422, answer.text
            assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
            assert "internal" not in answer.text


async def test_change_of_headers_makes_the_caller_the_owner_and_ends_the_consent(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    endpoint = await harness.endpoint(
        receiver.url, organisation_id=school, role="manager", headers=HEADERS, personal_data=True
    )
    assert endpoint["consent_at"] is not None
    same = (await patch(harness, endpoint, "executor", headers=HEADERS)).json()
    assert (same["owner_id"], same["consent_at"]) == (endpoint["owner_id"], endpoint["consent_at"])
    changed = (await patch(harness, endpoint, "executor", headers=HEADERS | {"X-Tenant": "mine"})).json()
    assert (changed["owner_id"], changed["consent_at"]) == (harness.subject("executor", school), None)


async def test_headers_are_encrypted_again_with_a_new_key(harness: WebhooksHarness, receiver: Receiver) -> None:
    endpoint = await harness.endpoint(receiver.url, headers=HEADERS)
    old = harness.dispatcher()
    [row] = await harness.sql("SELECT headers FROM webhook_endpoints")
    keys = webhooks_settings().encryption_keys.get_secret_value()
    new = Fernet.generate_key().decode()
    columns = [column for column in ENCRYPTED_COLUMNS if column[1] is WebhookEndpoint.headers]
    assert await encryption.reencrypt(harness.database, SecretStr(f"{new},{keys}"), columns) == 1
    [again] = await harness.sql("SELECT headers FROM webhook_endpoints")
    assert encryption.decrypt(SecretStr(new), again["headers"]) == HEADERS
    assert again["headers"] != row["headers"]
    # Without the new key the headers cannot be read: the attempt fails and says what to do.
    await harness.emit()
    await harness.fan_out()
    async with old.client() as http:
        [claim] = await old.claim(1)
        result = await old.attempt(http, claim)
    assert result.error == "the headers were encrypted with a key that is no longer configured: set them again"
    replaced = await patch(harness, endpoint, headers=HEADERS)
    assert (replaced.status_code, replaced.json()["version"]) == (200, 2)
