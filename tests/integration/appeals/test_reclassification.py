"""A change of topic, location or urgency emits the old and new values; a rise to urgent raises an alert."""

import json
from datetime import timedelta
from typing import Any

from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_review_decisions import CITY, DISTRICT, classified_message, decide, rule, topic
from tests.support.service_under_test import CENTRE_SUBJECT


async def reclassified_events(scenario: AppealsScenario) -> list[dict[str, Any]]:
    """Return the data of each reclassification event, with its organisation as `to` and its actor as `by`."""
    rows = await scenario.ingest.fetch(
        """SELECT organisation_id, actor, data::text FROM events WHERE type = 'appeal.reclassified'
           ORDER BY created_at, id"""
    )
    return [json.loads(row["data"]) | {"to": row["organisation_id"], "by": row["actor"]} for row in rows]


async def urgent(scenario: AppealsScenario) -> list[tuple[str, str]]:
    """Return the appeal id and the reason of each unseen alert about an urgent appeal."""
    items = (await scenario.get("/alerts", kind="urgent", seen=False)).json()["items"]
    return [(item["appeal_id"], item["why"]) for item in items]


async def test_reclassification_event_goes_to_the_current_organisation(scenario: AppealsScenario) -> None:
    await rule(scenario, "energy", scenario.other_organisation)
    message = await classified_message(scenario)
    roads, energy = await topic(scenario, "roads.01"), await topic(scenario, "energy.01")
    await decide(scenario, message, confirm=True)
    assert await reclassified_events(scenario) == []
    await decide(
        scenario, message, topic_id=energy, municipality=DISTRICT, settlement="Турунтаево", street="улица Гэсэра"
    )
    (event,) = await reclassified_events(scenario)
    assert event["changed"] == ["topic_id", "municipality", "settlement", "street"]
    before = {"topic_id": roads, "municipality": CITY, "settlement": None, "urgency": "normal"}
    after = {"topic_id": energy, "municipality": DISTRICT, "settlement": "Турунтаево", "urgency": "normal"}
    assert (event["before"], event["after"]) == (before, after)
    assert {name: event[name] for name in after} == after
    assert (event["to"], event["by"]) == (scenario.other_organisation, CENTRE_SUBJECT)
    # Repeating the decision emits nothing; a changed house is named in `changed` but its number is not emitted.
    await decide(scenario, message, topic_id=energy, street="улица Гэсэра")
    assert len(await reclassified_events(scenario)) == 1
    await decide(scenario, message, house="17")
    (_, event) = await reclassified_events(scenario)
    assert (event["changed"], event["before"], event["after"]) == (["house"], after, after)
    assert "Гэсэра" not in str(await reclassified_events(scenario))
    assert await urgent(scenario) == []


async def test_appeal_made_urgent_raises_an_alert_and_gets_an_earlier_deadline(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario)
    appeal = await scenario.single_appeal()
    await decide(scenario, message, urgency="high")
    assert await urgent(scenario) == [(appeal["id"], "Решение модератора")]
    (event,) = await reclassified_events(scenario)
    assert (event["changed"], event["urgency"], event["to"]) == (["urgency"], "high", scenario.organisation)
    after = await scenario.single_appeal()
    assert event["first_response_due_at"].startswith("2026-03-04T07:01:00")
    assert after["first_response_due_at"] < appeal["first_response_due_at"]
    # A seen alert is raised again only after the urgency was lowered.
    alert = (await scenario.get("/alerts", kind="urgent")).json()["items"][0]
    assert (await scenario.post(f"/alerts/{alert['id']}/seen", None)).status_code == 200
    await decide(scenario, message, urgency="high")
    assert await urgent(scenario) == []
    await decide(scenario, message, urgency="normal")
    assert await urgent(scenario) == []
    await decide(scenario, message, urgency="high")
    assert await urgent(scenario) == [(appeal["id"], "Решение модератора")]
    assert [one["urgency"] for one in await reclassified_events(scenario)] == ["high", "normal", "high"]


async def test_decision_about_an_appeal_without_messages_emits_a_reclassification(
    scenario: AppealsScenario,
) -> None:
    opened = await scenario.post(
        "/appeals", {"text": "По телефону", "organisation_id": str(scenario.organisation)}
    )
    appeal = opened.json()
    energy = await topic(scenario, "energy.01")
    answer = await scenario.post(f"/appeals/{appeal['id']}/triage", {"urgency": "high", "topic_id": energy})
    assert answer.status_code == 200, answer.text
    assert await urgent(scenario) == [(appeal["id"], "Решение модератора")]
    (event,) = await reclassified_events(scenario)
    assert (event["changed"], event["after"]["topic_id"]) == (["topic_id", "urgency"], energy)


async def test_danger_in_a_later_message_emits_the_new_deadline(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    await scenario.citizen_writes(
        "На дороге яма, ребёнок провалился и сломал ногу!", at=WEDNESDAY + timedelta(minutes=5)
    )
    appeal = await scenario.single_appeal()
    (event,) = await reclassified_events(scenario)
    # The message also changes the topic to a more specific one.
    assert (event["changed"], event["by"], event["id"]) == (["topic_id", "urgency"], "system", appeal["id"])
    assert event["first_response_due_at"].startswith("2026-03-04T07:01:00")
    (added,) = await scenario.events("appeal.message_added")
    assert json.loads(added["data"])["urgency"] == "normal"


async def test_appeal_opened_by_a_decision_emits_no_reclassification(scenario: AppealsScenario) -> None:
    thanks = await scenario.citizen_writes("Спасибо большое")
    energy = await topic(scenario, "energy.01")
    decision = await decide(scenario, thanks, topic_id=energy, municipality=DISTRICT, urgency="high")
    assert await reclassified_events(scenario) == []
    (opened,) = await scenario.events("appeal.opened")
    data = json.loads(opened["data"])
    assert (data["topic_id"], data["municipality"], data["urgency"]) == (energy, DISTRICT, "high")
    assert (data["language"], data["incident_id"]) == ("ru", None)
    assert await urgent(scenario) == [(decision["appeal_id"], "Решение модератора")]
