"""The trial receiver tells a good signature from a bad one."""

from datetime import UTC, datetime

from aiohttp.test_utils import TestClient, TestServer
from standardwebhooks.webhooks import Webhook

from cli import listen

SECRET = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cy1zZWNyZXQ="


async def test_a_good_signature_is_taken_and_a_bad_one_refused() -> None:
    body = '{"type":"appeal.opened","data":{}}'
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", now, body),
    }
    async with TestClient(TestServer(listen.build(SECRET))) as client:
        assert (await client.post("/hook", data=body, headers=headers)).status == 204
        assert (await client.post("/hook", data=body + " ", headers=headers)).status == 401
