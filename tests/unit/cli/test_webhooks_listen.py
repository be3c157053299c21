"""`gospablik webhooks listen` checks signatures and prints deliveries, or reads the feed."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from standardwebhooks.webhooks import Webhook
from typer.testing import CliRunner

from cli.api_client.client import ApiError, Connection, signed_in
from cli.commands import webhooks
from services.webhooks.endpoints.verification import repeats_challenge
from services.webhooks.event_catalogue.catalogue import CATALOGUE

pytestmark = pytest.mark.enable_socket  # a receiver, and an API, on loopback

SECRET = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cy1zZWNyZXQ="
BODY = '{"type":"appeal.opened","data":{}}'


def _signed(body: str) -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", now, body),
    }


async def test_valid_signature_is_accepted_and_invalid_one_refused() -> None:
    async with TestClient(TestServer(webhooks.build_receiver(SECRET))) as client:
        assert (await client.post("/hook", data=BODY, headers=_signed(BODY))).status == 204
        assert (await client.post("/hook", data=BODY + " ", headers=_signed(BODY))).status == 401
        assert (await client.post("/hook", data=BODY)).status == 401


async def test_delivery_is_printed_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    sent = {"type": "appeal.opened", "data": {"text": "Нет света [red]по всей улице[/red], " * 20}}
    async with TestClient(TestServer(webhooks.build_receiver(None))) as client:
        assert (await client.post("/hook", json=sent, headers={"webhook-id": "msg_1"})).status == 204
    first, _, shown = capsys.readouterr().out.partition("\n")
    assert first == "msg_1 (signature not checked: no --secret given)"
    assert json.loads(shown) == sent


async def test_challenge_is_answered_only_with_a_valid_signature() -> None:
    body = json.dumps(CATALOGUE["webhook.verification"].example)
    challenge = CATALOGUE["webhook.verification"].example["data"]["challenge"]
    async with TestClient(TestServer(webhooks.build_receiver(SECRET))) as client:
        answered = await client.post("/hook", data=body, headers=_signed(body))
        assert (answered.status, repeats_challenge(await answered.read(), challenge)) == (200, True)
        refused = await client.post("/hook", data=body)
        assert (refused.status, challenge in await refused.text()) == (401, False)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe\xff"])
async def test_body_that_is_not_json_is_refused(body: bytes) -> None:
    async with TestClient(TestServer(webhooks.build_receiver(None))) as client:
        assert (await client.post("/hook", data=body)).status == 400


def test_malformed_secret_is_refused_naming_the_option() -> None:
    found = CliRunner().invoke(webhooks.app, ["listen", "--secret", "whsec_x"])
    assert found.exit_code == 2
    assert "--secret" in found.output


class FeedOfTwoPages:
    """A feed that returns one event, then none, and then refuses the token."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append({**request.query, "token": request.headers["Authorization"]})
        if len(self.requests) > 2:
            return web.json_response({"title": "Not signed in"}, status=401)
        event = {"position": "0.7", "type": "appeal.opened", "data": {}}
        return web.json_response({"items": [event] if len(self.requests) == 1 else [], "next_after": "0.7"})


async def test_feed_is_read_from_the_last_position_until_the_token_expires(
    capsys: pytest.CaptureFixture[str],
) -> None:
    feed, api = FeedOfTwoPages(), web.Application()
    api.router.add_get("/api/v1/events", feed.answer)
    async with TestServer(api) as server:
        connection = Connection(str(server.make_url("/")), "centre", None, "abc")
        async with signed_in(connection) as client:
            with pytest.raises(ApiError, match="access token was refused"):
                await webhooks.print_feed(client, "now", "appeal.*")
    asked = {"types": "appeal.*", "wait": "20", "token": "Bearer abc"}
    assert feed.requests == [asked | {"after": after} for after in ("now", "0.7", "0.7")]
    first, _, shown = capsys.readouterr().out.partition("\n")
    assert first == "0.7 appeal.opened"
    assert json.loads(shown)["position"] == "0.7"
