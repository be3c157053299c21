"""Attempts that do not count: those cut off before their outcome was recorded, and faults of our own."""

import errno
import socket
from datetime import timedelta
from typing import Any
from uuid import UUID

import prometheus_client
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from services.webhooks.deliveries.retry_schedule import RETRY_DELAYS, SECRET_PAUSE, SYSTEM_PAUSE
from shared.http.name_resolution import HostResolver
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness
from tests.support.dns_server import dns_server

MOST = 2


@pytest.fixture
def few_uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the number of attempts in a row that may be left uncounted to `MOST`."""
    for module in ("attempts", "dispatcher"):
        monkeypatch.setattr(f"services.webhooks.deliveries.{module}.MOST_UNCOUNTED", MOST)


async def queue_one(harness: WebhooksHarness, receiver: Receiver) -> dict[str, Any]:
    endpoint = await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    return endpoint


async def health_of(harness: WebhooksHarness, endpoint: dict[str, Any]) -> dict[str, Any]:
    path = f"/api/v1/webhooks/endpoints/{endpoint['id']}"
    answer = await harness.app.client.get(path, headers=harness.headers("moderator"))
    shown: dict[str, Any] = answer.json()
    health: dict[str, Any] = shown["health"]
    return health | {"active": shown["active"]}


def own_faults(kind: str) -> float:
    labels = {"kind": kind}
    return prometheus_client.REGISTRY.get_sample_value("gospablik_webhook_own_faults_total", labels) or 0


async def test_attempt_that_was_cut_off_uses_up_no_retry(harness: WebhooksHarness, receiver: Receiver) -> None:
    await queue_one(harness, receiver)
    receiver.statuses = [500] * 4
    dispatcher = harness.dispatcher()
    async with dispatcher.client() as http:
        for _ in range(3):
            [claim] = await dispatcher.claim(1)
            await dispatcher.attempt(http, claim)
            # Postgres fails, or the worker is killed, before the outcome is recorded.
            await harness.make_due()
    assert (await harness.deliveries())[0]["attempts"] == 0
    await harness.deliver()
    [row] = await harness.sql(
        "SELECT attempts, uncounted_attempts, next_attempt_at - last_attempt_at AS pause FROM webhook_deliveries"
    )
    assert (row["attempts"], row["uncounted_attempts"]) == (1, 0)
    # The pause after the first attempt, not after the fourth.
    assert row["pause"] < RETRY_DELAYS[1]
    attempts = await harness.sql("SELECT number FROM webhook_attempts")
    assert [attempt["number"] for attempt in attempts] == [1]


@pytest.mark.usefixtures("few_uncounted")
async def test_delivery_that_stops_its_worker_every_time_fails_in_the_end(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await queue_one(harness, receiver)
    dispatcher, killed = harness.dispatcher(), 0
    async with dispatcher.client() as http:
        while claims := await dispatcher.claim(1):
            if claims[0].uncounted_attempts > MOST:
                # After too many interrupted attempts this one sends nothing, so it does not kill the worker.
                await dispatcher.record([await dispatcher.attempt(http, claims[0])])
            else:
                killed += 1
            await harness.make_due()
    [delivery] = await harness.deliveries()
    counted = len(RETRY_DELAYS) + 1
    assert (delivery["status"], delivery["attempts"], killed) == ("failed", counted, counted * MOST)
    assert "ended without a result" in delivery["last_error"]
    assert receiver.received == []
    health = await health_of(harness, endpoint)
    assert (health["state"], health["consecutive_failures"], health["failed"]) == ("ok", 0, 1)


@pytest.mark.usefixtures("few_uncounted")
async def test_undecryptable_secret_is_not_a_failure_of_the_receiver(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await queue_one(harness, receiver)
    before = own_faults("secret")
    keys = SecretStr(Fernet.generate_key().decode())
    [result] = await harness.deliver(encryption_keys=keys)
    assert result.answer.own_fault
    [delivery] = await harness.deliveries()
    assert (delivery["status"], delivery["attempts"]) == ("pending", 0)
    assert "rotate it" in delivery["last_error"]
    [row] = await harness.sql("SELECT next_attempt_at - last_attempt_at AS pause FROM webhook_deliveries")
    assert SECRET_PAUSE <= row["pause"] < SECRET_PAUSE + timedelta(minutes=5)
    health = await health_of(harness, endpoint)
    assert (health["state"], health["consecutive_failures"], health["failing_since"]) == ("ok", 0, None)
    assert "rotate it" in health["last_attempt"]["error"]
    assert own_faults("secret") == before + 1
    # With `MOST` = 2, every second failure through our own fault counts as one of the ten attempts.
    counts = []
    for _ in range(4):
        await harness.make_due()
        await harness.deliver(encryption_keys=keys)
        counts.append((await harness.deliveries())[0]["attempts"])
    assert counts == [1, 1, 2, 2]
    # A failure through our own fault does not disable an endpoint that has been failing for days.
    await harness.sql("UPDATE webhook_endpoint_health SET failing_since = now() - interval '9 days'")
    await harness.make_due()
    await harness.deliver(encryption_keys=keys)
    assert (await health_of(harness, endpoint))["active"] is True
    await harness.make_due()
    await harness.deliver()
    [delivery] = await harness.deliveries()
    assert (delivery["status"], len(receiver.received)) == ("delivered", 1)


async def test_lack_of_file_descriptors_is_not_a_failure_of_the_receiver(
    harness: WebhooksHarness, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = await queue_one(harness, receiver)

    def no_socket(_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("services.webhooks.deliveries.dispatcher.guarded_socket_factory", lambda _: no_socket)
        [result] = await harness.deliver()
    assert (result.answer.own_fault, result.counts, result.answer.requested_wait) == (True, False, SYSTEM_PAUSE)
    assert (await health_of(harness, endpoint))["state"] == "ok"
    await harness.make_due()
    await harness.deliver()
    [row] = await harness.sql("SELECT status, attempts FROM webhook_deliveries")
    assert tuple(row) == ("delivered", 1)


async def test_name_server_that_is_down_is_not_a_failure_of_the_receiver(
    harness: WebhooksHarness, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = await queue_one(harness, receiver)
    url = receiver.url.replace("127.0.0.1", "crm.example.org")
    await harness.sql("UPDATE webhook_endpoints SET url = $1", url)
    before = own_faults("system")
    async with dns_server() as server:
        server.records = {"crm.example.org": ["127.0.0.1"]}
        monkeypatch.setattr(
            "services.webhooks.deliveries.dispatcher.HostResolver", lambda: HostResolver([server.address])
        )
        await harness.deliver()
        assert len(receiver.received) == 1
        await harness.emit()
        await harness.fan_out()
    [result] = await harness.deliver()
    assert (result.answer.own_fault, result.counts, result.answer.requested_wait) == (True, False, SYSTEM_PAUSE)
    assert "name servers cannot be reached" in (result.error or "")
    assert own_faults("system") == before + 1
    rows = await harness.sql("SELECT status, attempts FROM webhook_deliveries ORDER BY status")
    assert [tuple(row) for row in rows] == [("delivered", 1), ("pending", 0)]
    health = await health_of(harness, endpoint)
    assert (health["state"], health["consecutive_failures"]) == ("ok", 0)


async def test_challenge_that_was_never_sent_does_not_disable_the_endpoint(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    await harness.sql("UPDATE webhook_endpoints SET verified_at = NULL")
    await harness.app.client.post(
        f"/api/v1/webhooks/endpoints/{endpoint['id']}/verification", headers=harness.headers("moderator")
    )
    await harness.sql("UPDATE webhook_deliveries SET attempts = $1", len(RETRY_DELAYS))
    keys = SecretStr(Fernet.generate_key().decode())
    [result] = await harness.deliver(encryption_keys=keys)
    assert result.claim.challenge is not None
    [row] = await harness.sql("SELECT active FROM webhook_endpoints WHERE id = $1", UUID(endpoint["id"]))
    assert row["active"] is True
