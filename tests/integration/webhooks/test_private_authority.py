"""Servers whose certificates the region's own authority signed: webhooks, HTTP calls, and letters."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
import standardwebhooks
from aiohttp import web

from services.webhooks.notices.mail.rendering import Envelope
from services.webhooks.notices.mail.transport import Attempt, Outcome, open_transport
from services.webhooks.settings import WebhooksSettings, webhooks_settings
from tests.conftest import TestDatabase
from tests.integration.webhooks.conftest import WebhooksHarness
from tests.support.certificates import Authority, make_authority
from tests.support.mail_server import mail_server
from tests.support.service_under_test import service_under_test


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server_tls(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return authority.issue(tmp_path_factory.mktemp("server"))


@asynccontextmanager
async def _receiver(tls: ssl.SSLContext) -> AsyncIterator[tuple[str, list[tuple[dict[str, str], str]]]]:
    """Run an HTTPS receiver; yield its address and the requests that it got."""
    received: list[tuple[dict[str, str], str]] = []

    async def answer(request: web.Request) -> web.Response:
        received.append(({name.lower(): value for name, value in request.headers.items()}, await request.text()))
        return web.json_response({"found": True})

    app = web.Application()
    app.router.add_route("*", "/hook", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/hook", received
    finally:
        await runner.cleanup()


async def test_webhook_is_delivered_to_a_receiver_of_the_regions_authority(
    database: TestDatabase, keys_dir: Path, authority: Authority, server_tls: ssl.SSLContext
) -> None:
    bundle = str(authority.bundle)
    async with (
        _receiver(server_tls) as (url, received),
        service_under_test("webhooks", database, keys_dir, ca_bundle=bundle) as app,
    ):
        harness = WebhooksHarness(app, database)
        endpoint = await harness.endpoint(url)
        await harness.emit()
        await harness.fan_out()
        await harness.deliver()
        [(headers, body)] = received
        standardwebhooks.Webhook(endpoint["secret"]).verify(body, headers)
        # The HTTP client that calls an OIDC issuer and the networks.
        async with app.service.http.get(url) as response:
            assert await response.json() == {"found": True}


async def test_certificate_of_the_regions_authority_is_not_trusted_without_a_ca_bundle(
    harness: WebhooksHarness, server_tls: ssl.SSLContext
) -> None:
    async with _receiver(server_tls) as (url, received):
        await harness.endpoint(url)
        await harness.emit()
        await harness.fan_out()
        await harness.deliver()
        [delivery] = await harness.deliveries()
        assert delivery["status"] == "pending"
        assert "ertificate" in delivery["last_error"]
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await harness.app.service.http.get(url)
    assert received == []


async def _send(port: int) -> Attempt:
    settings: WebhooksSettings = webhooks_settings().model_copy(
        update={"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_from": "noreply@example.ru"}
    )

    async def is_ours() -> bool:
        return True

    letter = uuid4()
    addresses = Envelope(
        letter_id=letter,
        reference=str(letter),
        sender="noreply@example.ru",
        recipient="person@example.ru",
        bounce_address="noreply@example.ru",
    )
    async with open_transport(settings) as transport:
        return await transport.send(addresses, b"Subject: x\r\n\r\nx\r\n", is_ours)


async def test_letter_goes_to_a_mail_server_of_the_regions_authority(
    database: TestDatabase, keys_dir: Path, authority: Authority, server_tls: ssl.SSLContext
) -> None:
    async with mail_server(server_tls) as mail:
        async with service_under_test("webhooks", database, keys_dir):
            assert (await _send(mail.port)).outcome == Outcome.UNAVAILABLE
            assert mail.letters == []
        async with service_under_test("webhooks", database, keys_dir, ca_bundle=str(authority.bundle)):
            assert (await _send(mail.port)).outcome == Outcome.SENT
        assert [letter.recipient for letter in mail.letters] == ["person@example.ru"]
