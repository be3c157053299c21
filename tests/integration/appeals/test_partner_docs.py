"""docs/integrator/partners.md: its Python sender works, and its numbers are those of the code."""

import asyncio
import io
import json
import re
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from services.appeals.api.partners.partner_events import MAX_EVENT_BODY
from services.appeals.settings import settings
from shared.database.purge import RetentionSettings
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.partner_helpers import connect
from tests.integration.appeals.people_helpers import register

TEXT = (Path(__file__).parents[3] / "docs" / "integrator" / "partners.md").read_text(encoding="utf-8")
(SENDER,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


async def test_published_sender_sends_events_and_retries_with_the_same_id(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    partner = await connect(scenario, await register(scenario, "Борис"))
    names: dict[str, Any] = {}
    exec(SENDER, names)
    loop = asyncio.get_running_loop()
    sent: list[urllib.request.Request] = []
    failures: list[Exception] = []

    def over_asgi(request: urllib.request.Request, timeout: float) -> io.BytesIO:
        """Send the request to the service under test instead of a socket."""
        sent.append(request)
        if failures:
            raise failures.pop()
        assert isinstance(request.data, bytes)
        answer = asyncio.run_coroutine_threadsafe(
            partner.deliver(request.data, dict(request.header_items())), loop
        ).result()
        if answer.status_code != 200:
            raise urllib.error.HTTPError(request.full_url, answer.status_code, answer.text, Message(), None)
        return io.BytesIO(answer.content)

    monkeypatch.setattr(urllib.request, "urlopen", over_asgi)
    monkeypatch.setattr(names["time"], "sleep", lambda seconds: None)

    async def send(webhook_id: str, event: dict[str, Any]) -> dict[str, Any]:
        url = f"http://test{partner.path}"
        receipt: dict[str, Any] = await asyncio.to_thread(names["send"], url, partner.secret, webhook_id, event)
        return receipt

    data = {"external_id": "17", "text": "Не горят фонари", "organisation_id": str(scenario.organisation)}
    opened = await send("evt_1", {"type": "appeal.create", "data": data})
    assert opened["opened"] is True
    failures += [OSError("no answer"), urllib.error.HTTPError("", 503, "", Message(), None)]
    status = {"type": "appeal.status", "data": {"external_id": "17", "status": "in_progress"}}
    reported = await send("evt_2", status)
    assert reported["appeal_id"] == opened["appeal_id"]
    assert [dict(request.header_items())["Webhook-id"] for request in sent] == ["evt_1", *["evt_2"] * 3]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        await send("evt_3", {"type": "appeal.status", "data": {"external_id": "18", "status": "done"}})
    assert len(sent) == 5


def test_guide_lists_the_event_types_and_has_a_json_example_of_one() -> None:
    table = TEXT.partition("| `type` | `data` |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(appeal\.\w+)`", table, re.MULTILINE) == [
        "appeal.create", "appeal.status", "appeal.answer"
    ]  # fmt: skip
    body = re.search(r"\n    (\{\"type\": .*?\}\})\n", TEXT, re.DOTALL)
    assert body is not None
    assert json.loads(body[1])["type"] == "appeal.create"


@pytest.mark.usefixtures("scenario")
def test_documented_limits_are_those_of_the_code() -> None:
    assert f"{MAX_EVENT_BODY // 1024} KiB" in TEXT
    assert f"may send {settings().partner_events_per_minute} events a minute" in TEXT
    assert f"More than {settings().partner_refusals_per_minute} refused events" in TEXT
    assert f"{RetentionSettings().partner_events_days} days (`GOSPABLIK_KEEP_PARTNER_EVENTS_DAYS`" in TEXT
