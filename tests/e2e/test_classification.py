"""A message is classified, corrected and exported for training, through the gateway."""

import csv
import io
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.conftest import RunningDemo
from tests.support.eventually import eventually

TUNKA = "81654000"


@pytest.mark.parametrize("network_name", ["vk", "ok"])
async def test_urgent_message_raises_an_alert_and_its_correction_is_routed_and_exported(
    demo: RunningDemo, network_name: str
) -> None:
    centre, page = demo.centre, demo.page(network_name)
    (group,) = [found for found in await centre.list_all("/topics") if found["name"] == "Энергетика"]
    (topic,) = (await centre.get("/topics", q="авария на ЛЭП", level="topic"))["items"]
    (ministry,) = (await centre.get("/organisations", code="mintrans"))["items"]
    rule = await centre.post(
        "/routing-rules",
        {
            "topic_id": group["id"], "municipality": TUNKA,
            "send_to": "organisation", "organisation_id": ministry["id"],
        },
    )  # fmt: skip
    words = "Оборвало провод у детской площадки, искрит, рядом дети! Тел. 8-924-000-12-34"
    text = f"{words} {uuid4().hex[:8]}"
    masked = text.replace("8-924-000-12-34", "[телефон]")
    try:
        await demo.network(network_name).citizen(page["external_id"], "comment", text)
        listed = await centre.appeal_about(masked)
        assert (listed["urgency"], listed["organisation"]["id"]) == ("high", page["organisation_id"])

        async def alerted() -> dict[str, Any] | None:
            alerts = (await centre.get("/alerts", seen="false", kind="urgent"))["items"]
            return next((alert for alert in alerts if alert["appeal_id"] == listed["id"]), None)

        alert = await eventually(alerted, "an alert for the urgent appeal")
        assert "искрит" in alert["why"]
        assert "8-924-000" not in alert["why"]
        assert (await centre.post(f"/alerts/{alert['id']}/seen", {}))["seen_at"] is not None

        (message,) = (await centre.appeal(listed["id"]))["messages"]
        judged = message["classification"]
        assert (judged["needs_answer"], judged["urgency"]) == ("yes", "high")
        assert judged["classified_by"].startswith("model:")
        assert 1 <= len(judged["top3"]) <= 3
        assert judged["location"]["municipality"]["oktmo"] != TUNKA
        assert "искрит" in judged["why"]

        decision = await centre.post(
            f"/messages/{message['id']}/triage",
            {
                "needs_answer": True, "confirm": True,
                "topic_id": topic["id"], "municipality": TUNKA, "settlement": "Аршан",
            },
        )  # fmt: skip
        assert decision["rerouted"] is True
        assert decision["organisation"]["id"] == ministry["id"]
        assert (decision["agreement"]["needs_answer"], decision["agreement"]["location"]) == (True, False)

        case = await centre.appeal(listed["id"])
        assert case["location"]["settlement"] == "Аршан"
        assert case["topic"]["id"] == topic["id"]
        assert "Энергетика" in case["route"]["rule"]
        routed, rerouted = case["assignments"]
        assert (routed["kind"], routed["to_organisation"]["id"]) == ("routed", page["organisation_id"])
        assert (rerouted["kind"], rerouted["to_organisation"]["id"]) == ("rerouted", ministry["id"])
        assert rerouted["rule_id"] == rule["id"]
        assert rerouted["reason"]

        reviews = (await centre.get("/reviews", corrected="true"))["items"]
        review = next(found for found in reviews if found["message_id"] == message["id"])
        assert review["predicted_by"] == judged["classified_by"]
        assert review["decided"]["location"]["municipality"]["oktmo"] == TUNKA
        answer = await centre.ask("GET", "/reviews/training.csv", params={"labelled": "true"})
        table = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
        (taught,) = [row for row in table if row["Текст инцидента"] == masked]
        assert (taught["Группа тем"], taught["Тема"]) == ("Энергетика", topic["name"])
        assert (taught["Муниципалитет"], taught["Населённый пункт"]) == ("Тункинский район", "Аршан")
        assert (taught["Исполнитель"], taught["urgency"]) == ("", "high")
    finally:
        await centre.ask("DELETE", f"/routing-rules/{rule['id']}")
