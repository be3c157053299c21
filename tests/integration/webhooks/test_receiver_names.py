"""Names of receivers are looked up only for callers who may use them, and without delaying other receivers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from socket import AF_UNSPEC, AddressFamily
from uuid import uuid4

import pytest
from aiohttp.abc import ResolveResult
from sqlalchemy import QueuePool

from shared.http.name_resolution import HostResolver
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness
from tests.support.dns_server import DnsServer, dns_server
from tests.support.eventually import eventually, eventually_true
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, service_under_test

ENDPOINTS = "/api/v1/webhooks/endpoints"


@pytest.fixture
async def dns(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DnsServer]:
    async with dns_server() as server:
        for module in ("deliveries.dispatcher", "endpoints.ssrf_guard"):
            monkeypatch.setattr(f"services.webhooks.{module}.HostResolver", lambda: HostResolver([server.address]))
        yield server


@dataclass
class Lookups:
    """Records how many connections are taken from the pool during each lookup for a URL that is being saved.

    `meanwhile` runs in the first lookup, before its answer.
    """

    app: ServiceUnderTest
    connections: list[int] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[object]] | None = None

    def resolver(self, server: DnsServer) -> HostResolver:
        lookups = self

        class Observed(HostResolver):
            async def resolve(
                self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC
            ) -> list[ResolveResult]:
                pool = lookups.app.service.database.engine.sync_engine.pool
                assert isinstance(pool, QueuePool)
                lookups.connections.append(pool.checkedout())
                if (meanwhile := lookups.meanwhile) is not None:
                    lookups.meanwhile = None
                    await meanwhile()
                return await super().resolve(host, port, family)

        return Observed([server.address])


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


async def test_no_connection_or_lock_is_held_while_a_name_is_looked_up(
    harness: WebhooksHarness, receiver: Receiver, dns: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dns.records = {"crm.example.org": ["127.0.0.1"]}
    url = {"url": "http://crm.example.org/hook"}
    async with service_under_test(
        "webhooks", harness.test_database, harness.app.keys_dir, webhooks_max_endpoints="2"
    ) as app:
        limited, lookups = WebhooksHarness(app, harness.test_database), Lookups(app)
        monkeypatch.setattr("services.webhooks.endpoints.ssrf_guard.HostResolver", lambda: lookups.resolver(dns))
        made = await limited.endpoint(receiver.url)
        path, headers = f"{ENDPOINTS}/{made['id']}", limited.headers("moderator")

        async def pause() -> None:
            answer = await app.client.patch(path, json={"paused": True}, headers=headers | {"If-Match": "*"})
            assert answer.status_code == 200, answer.text

        # Changes by others meanwhile do not wait, and are noticed afterwards.
        lookups.meanwhile = pause
        seen = headers | {"If-Match": '"1"'}
        outdated = await app.client.patch(path, json=url, headers=seen)
        assert (outdated.status_code, lookups.connections) == (412, [0])
        lookups.meanwhile = lambda: limited.endpoint(receiver.url)
        body, once = {**url, "event_types": ["appeal.opened"]}, headers | {"Idempotency-Key": "once"}
        refused = await app.client.post(ENDPOINTS, json=body, headers=once)
        assert (refused.status_code, "limit is 2" in refused.json()["detail"]) == (409, True)
        assert lookups.connections == [0, 0]
        deleted = await app.client.delete(path, headers=headers)
        assert deleted.status_code == 204
        first, again = [await app.client.post(ENDPOINTS, json=body, headers=once) for _ in range(2)]
        assert (first.status_code, again.status_code) == (201, 201), again.text
        assert (again.headers["idempotent-replay"], again.json()) == ("true", first.json() | {"secret": None})
        # The stored response for the key is returned without a lookup, although the quota is used up.
        assert lookups.connections == [0, 0, 0]


async def test_requests_whose_lookups_end_together_do_not_exceed_the_quota(
    harness: WebhooksHarness, dns: DnsServer
) -> None:
    dns.records, dns.delay_seconds = {"crm.example.org": ["127.0.0.1"]}, 0.5
    body = {"url": "http://crm.example.org/hook", "event_types": ["appeal.opened"]}
    async with service_under_test(
        "webhooks", harness.test_database, harness.app.keys_dir, webhooks_max_endpoints="1"
    ) as app:
        headers = WebhooksHarness(app, harness.test_database).headers("moderator")
        answers = await asyncio.gather(*(app.client.post(ENDPOINTS, json=body, headers=headers) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]


async def test_no_name_is_looked_up_for_a_caller_without_access(harness: WebhooksHarness, dns: DnsServer) -> None:
    headers = harness.headers("moderator")
    # A token of somebody whose access has ended.
    harness.app.granted_access.clear()
    body = {"url": "http://crm.example.org/hook", "event_types": ["appeal.opened"]}
    answers = [
        await harness.app.client.post(ENDPOINTS, json=body, headers=headers),
        await harness.app.client.patch(
            f"{ENDPOINTS}/{uuid4()}", json={"url": body["url"]}, headers=headers | {"If-Match": "*"}
        ),
    ]
    assert ([answer.status_code for answer in answers], dns.asked) == ([401, 401], [])
