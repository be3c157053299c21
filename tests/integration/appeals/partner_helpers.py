"""Helpers for tests of partners: a connected partner, and the events that it signs."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx

from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.people_helpers import Colleague


@dataclass
class ConnectedPartner:
    """A partner of the scenario, with its secret."""

    scenario: AppealsScenario
    id: str
    source: str
    secret: str

    @property
    def path(self) -> str:
        """Return the path to which the partner sends events."""
        return f"/api/v1/partners/{self.id}/events"

    def headers(
        self, body: bytes, *, webhook_id: str | None = None, secret: str | None = None, at: datetime | None = None
    ) -> dict[str, str]:
        """Return the headers of a signed event, by default with a new id and the current time."""
        webhook_id, moment = webhook_id or f"evt_{uuid4().hex}", at or datetime.now(UTC)
        key = base64.b64decode((secret or self.secret).removeprefix("whsec_"))
        signed = f"{webhook_id}.{int(moment.timestamp())}.".encode() + body
        signature = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        return {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": signature,
            "content-type": "application/json",
        }

    async def deliver(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """Send a body with these headers."""
        return await self.scenario.appeals.client.post(self.path, content=body, headers=headers)

    async def send(
        self,
        event_type: str,
        *,
        webhook_id: str | None = None,
        secret: str | None = None,
        **data: Any,
    ) -> httpx.Response:
        """Sign and send an event."""
        body = json.dumps({"type": event_type, "data": data}, ensure_ascii=False).encode()
        return await self.deliver(body, self.headers(body, webhook_id=webhook_id, secret=secret))

    async def opened(self, external_id: str = "17-204", **data: Any) -> dict[str, Any]:
        """Let the partner open an appeal of the organisation; return its receipt."""
        text = {"text": "На улице Гагарина не горят фонари"}
        organisation = {"organisation_id": str(self.scenario.organisation)}
        answer = await self.send("appeal.create", external_id=external_id, **text | organisation | data)
        assert answer.status_code == 200, answer.text
        receipt: dict[str, Any] = answer.json()
        return receipt


async def connect(
    scenario: AppealsScenario, owner: Colleague, *, name: str = "Портал ЕДДС", source: str = "edds"
) -> ConnectedPartner:
    """Let a colleague connect a partner."""
    answer = await owner.post("/partners", {"name": name, "source": source})
    assert answer.status_code == 201, answer.text
    created = answer.json()
    return ConnectedPartner(scenario, created["id"], source, created["secret"])
