"""Names of receivers: looked up for those alone who may use them, and never at the cost of other receivers."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.webhooks.endpoints.name_resolution import HostResolver
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness
from tests.support.dns_server import DnsServer, dns_server
from tests.support.eventually import eventually, eventually_true
from tests.support.service_under_test import insert_organisation, service_under_test

ENDPOINTS = "/api/v1/webhooks/endpoints"


@pytest.fixture
async def dns(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DnsServer]:
    async with dns_server() as server:
        for module in ("deliveries.dispatcher", "endpoints.ssrf_guard"):
            monkeypatch.setattr(f"services.webhooks.{module}.HostResolver", lambda: HostResolver([server.address]))
        yield server


async def test_names_that_no_server_answers_do_not_delay_other_receivers(
    harness: WebhooksHarness, receiver: Receiver, dns: DnsServer
) -> None:
    # Loopback is in an allowed network here.
    names = [f"black-hole-{number}.example.org" for number in range(15)]
    dns.records = {name: ["127.0.0.1"] for name in [*names, "crm.example.org"]}
    for name in names:
        await harness.endpoint(receiver.url.replace("127.0.0.1", name))
    await harness.endpoint(receiver.url.replace("127.0.0.1", "crm.example.org"), "appeal.answered")
    dns.silent = set(names)
    # Each of these attempts waits seconds for the name servers.
    await harness.emit()
    await harness.fan_out()
    dns.asked.clear()
    running = asyncio.create_task(harness.dispatcher().run())
    try:
        await eventually_true(lambda: dns.silent <= set(dns.asked), "the names are asked for side by side")
        await harness.emit("appeal.answered")
        await harness.fan_out()
        await eventually_true(lambda: len(receiver.received) == 1, "the delivery to the other receiver")
        query = "SELECT delivered_at - created_at AS delay FROM webhook_deliveries WHERE status = 'delivered'"
        [row] = await eventually(lambda: harness.sql(query), "its result")
        # Two at a time, the names would take half a minute at least.
        assert row["delay"].total_seconds() < 20
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert {request.headers["host"].partition(":")[0] for request in receiver.received} == {"crm.example.org"}


async def test_name_that_resolves_to_an_internal_address_meanwhile_is_not_called(
    harness: WebhooksHarness, receiver: Receiver, dns: DnsServer
) -> None:
    dns.records = {"crm.example.org": ["77.88.8.8"]}
    await harness.endpoint(receiver.url.replace("127.0.0.1", "crm.example.org"))
    dns.records = {"crm.example.org": ["127.0.0.1"]}
    await harness.emit()
    await harness.fan_out()
    [result] = await harness.deliver(webhooks_allowed_networks=())
    assert result.error == "its address is inside a network that webhooks must not reach"
    assert receiver.received == []


async def test_name_is_looked_up_after_quota_and_access_are_checked(
    harness: WebhooksHarness, receiver: Receiver, dns: DnsServer
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    dns.records = {"crm.example.org": ["127.0.0.1"]}
    body = {"url": "http://crm.example.org/hook", "event_types": ["appeal.opened"]}
    async with service_under_test(
        "webhooks", harness.test_database, harness.app.keys_dir, webhooks_max_endpoints="1"
    ) as app:
        limited = WebhooksHarness(app, harness.test_database)
        made = await limited.endpoint(receiver.url)
        moderator, stranger = limited.headers("moderator"), limited.headers("manager", school)
        path, outdated = f"{ENDPOINTS}/{made['id']}", {"If-Match": '"7"'}
        refused = [
            await app.client.post(ENDPOINTS, json=body, headers=moderator),
            await app.client.post(
                ENDPOINTS, json=body | {"event_types": ["network_token.state_changed"]}, headers=stranger
            ),
            await app.client.patch(path, json={"url": body["url"]}, headers=stranger | {"If-Match": "*"}),
            await app.client.patch(path, json={"url": body["url"]}, headers=moderator | outdated),
        ]
        assert [answer.status_code for answer in refused] == [409, 403, 404, 412], [one.text for one in refused]
        assert dns.asked == []
        changed = await app.client.patch(path, json={"url": body["url"]}, headers=moderator | {"If-Match": "*"})
        assert changed.status_code == 200, changed.text
        assert set(dns.asked) == {"crm.example.org"}
        unknown = {"url": "http://none.example.org/hook"}
        answer = await app.client.patch(path, json=unknown, headers=moderator | {"If-Match": "*"})
        assert (answer.status_code, answer.json()["errors"]) == (
            422, [{"pointer": "/url", "detail": "The host none.example.org was not found"}],
        )  # fmt: skip
