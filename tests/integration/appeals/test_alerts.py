"""A message about danger raises an alert; another one after the alert was seen raises it again."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.appeals.classification.classifier_pool import ClassifierPool
from services.appeals.classification.classifier_process import ClassifiedText, ClassifierInput
from services.appeals.classification.types import ClassificationResult
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_rule_sets import activated, made, topic

DANGER = "Провод оборван, искрит!"


@pytest.fixture
def fixed_results(monkeypatch: pytest.MonkeyPatch) -> dict[str, ClassificationResult]:
    """Map texts to the results that their classification returns; other texts are classified as usual."""
    found: dict[str, ClassificationResult] = {}
    classify = ClassifierPool.classify

    async def with_fixed_results(self: ClassifierPool, items: list[ClassifierInput]) -> list[ClassifiedText]:
        fixed = [ClassifiedText(found[text], "model:test") for text, _ in items if text in found]
        rest = iter(await classify(self, [item for item in items if item[0] not in found]))
        known = iter(fixed)
        return [next(known) if text in found else next(rest) for text, _ in items]

    monkeypatch.setattr(ClassifierPool, "classify", with_fixed_results)
    return found


def urgent(need: Any = "yes", **more: Any) -> ClassificationResult:
    return ClassificationResult(
        need, "complaint", "high", more.pop("topic", None), 0.9, f"опасность: {need}", **more
    )


async def alerts(scenario: AppealsScenario, **query: Any) -> list[dict[str, Any]]:
    answer = await scenario.get("/alerts", **query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_unclear_message_about_danger_makes_its_appeal_urgent(
    scenario: AppealsScenario, fixed_results: dict[str, ClassificationResult]
) -> None:
    fixed_results[DANGER] = urgent("unsure", language="bxr")
    await scenario.citizen_writes(QUESTION)
    await scenario.citizen_writes(DANGER)
    appeal = await scenario.single_appeal()
    # Four working hours from Wednesday 10:01, excluding lunch, end at 15:01 local time.
    assert (appeal["urgency"], appeal["first_response_due_at"]) == ("high", "2026-03-04T07:01:00Z")
    (alert,) = await alerts(scenario, seen=False)
    assert (alert["kind"], alert["appeal_id"], alert["why"]) == ("urgent", appeal["id"], "опасность: unsure")


async def test_dangerous_message_that_needs_no_answer_raises_no_alert(
    scenario: AppealsScenario, fixed_results: dict[str, ClassificationResult]
) -> None:
    fixed_results[DANGER] = urgent("no")
    await scenario.citizen_writes(QUESTION)
    await scenario.citizen_writes(DANGER)
    assert (await scenario.single_appeal())["urgency"] == "normal"
    assert await alerts(scenario) == []


async def test_danger_after_the_alert_was_seen_raises_the_alert_again(
    scenario: AppealsScenario, fixed_results: dict[str, ClassificationResult]
) -> None:
    fixed_results[DANGER] = urgent()
    fixed_results["Уже горит!"] = urgent("unsure")
    await scenario.citizen_writes(DANGER)
    await scenario.citizen_writes(DANGER, at=WEDNESDAY + timedelta(minutes=1))
    (first,) = await alerts(scenario)
    assert len(await scenario.events("alert.raised")) == 1
    assert (await scenario.post(f"/alerts/{first['id']}/seen", None)).status_code == 200
    fixed_results["Так и висит"] = ClassificationResult("yes", "complaint", "normal", None, 0.9, "без опасности")
    await scenario.citizen_writes("Так и висит", at=WEDNESDAY + timedelta(minutes=2))
    assert await alerts(scenario, seen=False) == []
    await scenario.citizen_writes("Уже горит!", at=WEDNESDAY + timedelta(minutes=3))
    (again,) = await alerts(scenario)
    assert (again["id"], again["seen_at"], again["why"]) == (first["id"], None, "опасность: unsure")
    assert again["created_at"] > first["created_at"]
    assert len(await scenario.events("alert.raised")) == 2
    assert [event["data"].count('"appeal_number": null') for event in await scenario.events("alert.raised")] == [
        0,
        0,
    ]


async def test_alert_of_a_second_danger_stays_unseen_if_an_older_page_marks_it_as_seen(
    scenario: AppealsScenario, fixed_results: dict[str, ClassificationResult]
) -> None:
    fixed_results[DANGER] = urgent()
    fixed_results["Уже горит!"] = urgent("unsure")
    await scenario.citizen_writes(DANGER)
    (first,) = await alerts(scenario)
    await scenario.citizen_writes("Уже горит!", at=WEDNESDAY + timedelta(minutes=1))
    (again,) = await alerts(scenario, seen=False)
    assert (again["id"], again["why"]) == (first["id"], "опасность: unsure")
    assert again["created_at"] > first["created_at"]
    assert len(await scenario.events("alert.raised")) == 1
    path = f"/alerts/{first['id']}/seen"
    outdated = await scenario.post(path, {"until": first["created_at"]})
    assert (outdated.status_code, outdated.json()["seen_at"]) == (200, None)
    seen = await scenario.post(path, {"until": again["created_at"]})
    assert seen.json()["seen_at"] is not None
    wrong = await scenario.post(path, {"until": "вчера"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/until")


async def test_unclear_appeal_that_becomes_urgent_is_routed_by_the_rule_for_urgent_appeals(
    scenario: AppealsScenario, fixed_results: dict[str, ClassificationResult]
) -> None:
    roads = await topic(scenario, "roads")
    await activated(
        scenario,
        await made(
            scenario,
            {"topic_id": roads, "organisation_id": str(scenario.organisation)},
            {"topic_id": roads, "urgency": "high", "organisation_id": str(scenario.other_organisation)},
        ),
    )
    fixed_results["Алё"] = ClassificationResult("unsure", "question", "normal", None, 0.5, "неясно")
    # The text of both messages gets the same result as the second message alone.
    fixed_results[DANGER] = fixed_results[f"Алё\n{DANGER}"] = urgent(topic="roads", topic_confidence=0.9)
    await scenario.citizen_writes("Алё")
    await scenario.citizen_writes(DANGER)
    appeal = await scenario.single_appeal()
    assert (appeal["status"], appeal["organisation"]["id"]) == ("assigned", str(scenario.other_organisation))
    assert appeal["first_response_due_at"] == "2026-03-04T07:01:00Z"


async def _edited(scenario: AppealsScenario, message: UUID, text: str) -> None:
    await scenario.ingest.execute(
        "UPDATE messages SET text = $2, version = version + 1 WHERE id = $1", message, text
    )
    await scenario.emit("message.edited", message, scenario.organisation)
    await scenario.process_events()


async def test_edit_that_adds_danger_raises_an_alert(
    scenario: AppealsScenario, fixed_results: dict[str, ClassificationResult]
) -> None:
    fixed_results[DANGER] = urgent("unsure")
    fixed_results[f"{DANGER}!"] = urgent()
    message = await scenario.citizen_writes(QUESTION)
    before = await scenario.single_appeal()
    await _edited(scenario, message, DANGER)
    appeal = await scenario.single_appeal()
    assert (appeal["urgency"], appeal["first_response_due_at"]) == ("high", "2026-03-04T07:01:00Z")
    assert appeal["messages"][0]["classification"]["why"] == "опасность: unsure"
    # The edit changes neither status nor organisation, topic or location.
    assert [appeal[part] for part in ("status", "organisation", "topic", "location")] == [
        before[part] for part in ("status", "organisation", "topic", "location")
    ]
    assert [entry["kind"] for entry in appeal["timeline"]][-2:] == ["message_edited", "urgency_changed"]
    (alert,) = await alerts(scenario, seen=False)
    assert alert["why"] == "опасность: unsure"
    await scenario.post(f"/alerts/{alert['id']}/seen", None)
    # Another text about danger raises no new alert, and a text without danger does not lower the urgency.
    await _edited(scenario, message, f"{DANGER}!")
    await _edited(scenario, message, "Спасибо большое!")
    after = await scenario.single_appeal()
    assert (after["urgency"], after["status"]) == ("high", "assigned")
    assert after["messages"][0]["classification"]["needs_answer"] == "no"
    assert await alerts(scenario, seen=False) == []


async def test_edit_that_adds_danger_raises_an_alert_and_keeps_the_decision_of_a_person(
    scenario: AppealsScenario, fixed_results: dict[str, ClassificationResult]
) -> None:
    fixed_results[DANGER] = urgent()
    message = await scenario.citizen_writes(QUESTION)
    decided = await scenario.post(f"/messages/{message}/triage", {"needs_answer": True, "urgency": "normal"})
    assert decided.status_code == 200, decided.text
    await _edited(scenario, message, DANGER)
    appeal = await scenario.single_appeal()
    assert (appeal["urgency"], appeal["messages"][0]["classification"]) == (
        "normal",
        decided.json()["classification"],
    )
    assert [one["appeal_id"] for one in await alerts(scenario, seen=False)] == [appeal["id"]]


async def test_clear_edit_of_an_unclear_message_assigns_its_appeal(
    scenario: AppealsScenario, fixed_results: dict[str, ClassificationResult]
) -> None:
    fixed_results["Алё"] = ClassificationResult("unsure", "question", "normal", None, 0.5, "неясно")
    message = await scenario.citizen_writes("Алё")
    assert (await scenario.single_appeal())["status"] == "triage"
    await _edited(scenario, message, QUESTION)
    assert (await scenario.single_appeal())["status"] == "assigned"


async def test_danger_reported_by_phone_makes_the_appeal_urgent_and_raises_an_alert(
    scenario: AppealsScenario, fixed_results: dict[str, ClassificationResult]
) -> None:
    fixed_results[DANGER] = urgent(
        topic="roads", topic_confidence=0.4, topic_candidates=(("roads", 0.4), ("energy", 0.3))
    )
    roads, energy = await topic(scenario, "roads"), await topic(scenario, "energy")
    await activated(
        scenario,
        await made(
            scenario,
            {"topic_id": roads, "organisation_id": str(scenario.organisation)},
            {"topic_id": energy, "organisation_id": str(scenario.other_organisation)},
        ),
    )
    waiting = await scenario.post("/appeals", {"text": DANGER})
    assert waiting.status_code == 201, waiting.text
    suggested = {one["organisation_id"]: one["confidence"] for one in waiting.json()["route"]["suggestions"]}
    assert suggested == {str(scenario.organisation): 0.4, str(scenario.other_organisation): 0.3}
    body = {"text": DANGER, "organisation_id": str(scenario.other_organisation)}
    given = (await scenario.post("/appeals", body, Idempotency_Key="second-call")).json()
    assert (given["status"], given["urgency"]) == ("assigned", "high")
    assert given["first_response_due_at"] is not None
    assert [assignment["kind"] for assignment in given["assignments"]] == ["assigned"]
    events = [
        (event["type"], event["organisation_id"])
        for event in await scenario.events("appeal.opened", "appeal.assigned")
        if str(event["subject_id"]) == given["id"]
    ]
    assert events == [
        ("appeal.opened", scenario.other_organisation),
        ("appeal.assigned", scenario.other_organisation),
    ]
    found = {one["appeal_id"]: one["why"] for one in await alerts(scenario, seen=False)}
    assert found == dict.fromkeys((waiting.json()["id"], given["id"]), "опасность: yes")
    named = await scenario.post("/appeals", {"text": "Не работает домофон", "urgency": "high"})
    assert named.json()["id"] in {one["appeal_id"] for one in await alerts(scenario, seen=False)}
