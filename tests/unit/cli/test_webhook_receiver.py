"""The webhook receiver checks signatures and prints deliveries."""

import json
from datetime import UTC, datetime

import pytest
from aiohttp.test_utils import TestClient, TestServer
from standardwebhooks.webhooks import Webhook

from cli.commands import webhook_receiver

pytestmark = pytest.mark.enable_socket  # a receiver on loopback

SECRET = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cy1zZWNyZXQ="


async def test_valid_signature_is_accepted_and_invalid_one_refused() -> None:
    body = '{"type":"appeal.opened","data":{}}'
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", now, body),
    }
    async with TestClient(TestServer(webhook_receiver.build_app(SECRET))) as client:
        assert (await client.post("/hook", data=body, headers=headers)).status == 204
        assert (await client.post("/hook", data=body + " ", headers=headers)).status == 401


async def test_delivery_is_printed_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    sent = {"type": "appeal.opened", "data": {"text": "Нет света [red]по всей улице[/red], " * 20}}
    async with TestClient(TestServer(webhook_receiver.build_app(None))) as client:
        assert (await client.post("/hook", json=sent, headers={"webhook-id": "msg_1"})).status == 204
    first, _, shown = capsys.readouterr().out.partition("\n")
    assert first.startswith("msg_1 ")
    assert json.loads(shown) == sent
