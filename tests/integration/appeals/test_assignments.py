"""Assignments: one return per appeal, no transfer to a previous organisation, an event when an appeal is lost."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_appeals_api import _is_problem
from tests.support.service_under_test import insert_organisation


async def _appeal(scenario: AppealsScenario) -> dict[str, Any]:
    await scenario.citizen_writes(QUESTION)
    return await scenario.single_appeal()


async def _moves(
    scenario: AppealsScenario, appeal: dict[str, Any], org: UUID | None, role: str = "executor", **body: Any
) -> Any:
    return await scenario.post(f"/appeals/{appeal['id']}/moves", body, role=role, org=org, If_Match="*")


def _chain(appeal: dict[str, Any]) -> list[tuple[str, str | None, str | None]]:
    def name(found: dict[str, Any] | None) -> str | None:
        return found["name"] if found else None

    return [
        (one["kind"], name(one["from_organisation"]), name(one["to_organisation"]))
        for one in appeal["assignments"]
    ]


async def test_second_return_by_staff_is_refused_and_the_centre_may_return_again(
    scenario: AppealsScenario,
) -> None:
    appeal = await _appeal(scenario)
    _is_problem(await _moves(scenario, appeal, scenario.organisation, to="triage"), 422, "/reason")
    returned = await _moves(scenario, appeal, scenario.organisation, to="triage", reason="Не наша дорога")
    assert returned.status_code == 200, returned.text
    body = returned.json()
    assert (body["status"], body["returns"], body["organisation"]) == ("triage", 1, None)
    assert (body["route"]["return_reason"], body["allowed_moves"]) == ("Не наша дорога", [])
    _is_problem(await scenario.get(f"/appeals/{appeal['id']}", role="executor", org=scenario.organisation), 404)
    # The organisation that has just returned the appeal is not suggested to the centre.
    assert str(scenario.organisation) not in {one["organisation_id"] for one in body["route"]["suggestions"]}
    given = await scenario.move(body, "assigned", organisation_id=str(scenario.other_organisation))
    assert given.status_code == 200, given.text
    own: dict[str, Any] = {"role": "executor", "org": scenario.other_organisation}
    seen = (await scenario.get(f"/appeals/{appeal['id']}", **own)).json()
    assert seen["allowed_moves"] == ["in_progress", "assigned"]
    refused = _is_problem(
        await _moves(scenario, appeal, scenario.other_organisation, to="triage", reason="И не наша"), 409
    )
    assert "only the centre" in refused["detail"]
    assert refused["allowed_moves"] == ["in_progress", "assigned"]
    # The centre may move the appeal back to triage any number of times.
    again = await scenario.move(await scenario.appeal(appeal["id"]), "triage", reason="Уточняем")
    assert (again.status_code, again.json()["returns"]) == (200, 1)
    found = await scenario.appeal(appeal["id"])
    assert _chain(found) == [
        ("routed", None, "Школа № 1"),
        ("returned", "Школа № 1", None),
        ("assigned", None, "Комитет по строительству"),
        ("returned", "Комитет по строительству", None),
    ]
    assert found["transfers"] == 1
    assert found["assignments"][1]["reason"] == "Не наша дорога"


async def test_staff_transfer_an_appeal_to_a_new_organisation_but_not_back(scenario: AppealsScenario) -> None:
    third = await insert_organisation(scenario.database, name="Водоканал")
    appeal = await _appeal(scenario)
    other = str(scenario.other_organisation)
    _is_problem(
        await _moves(scenario, appeal, scenario.organisation, to="assigned", reason="Их"), 422, "/organisation_id"
    )
    _is_problem(
        await _moves(scenario, appeal, scenario.organisation, to="assigned", organisation_id=other), 422, "/reason"
    )
    own = str(scenario.organisation)
    _is_problem(
        await _moves(scenario, appeal, scenario.organisation, to="assigned", organisation_id=own, reason="Нам"),
        409,
    )
    nobody = await _moves(
        scenario, appeal, scenario.organisation, to="assigned", organisation_id=str(uuid4()), reason="Им"
    )
    _is_problem(nobody, 422, "/organisation_id")
    # An approver may not transfer an appeal.
    approver = await _moves(
        scenario, appeal, scenario.organisation, "approver", to="assigned", organisation_id=other, reason="Им"
    )
    _is_problem(approver, 409)
    transferred = await _moves(
        scenario, appeal, scenario.organisation, to="assigned", organisation_id=other, reason="Ремонт ведут они"
    )
    assert transferred.status_code == 200, transferred.text
    # The response to the transfer shows the new organisation, although the caller can no longer read the appeal.
    assert transferred.json()["organisation"]["id"] == other
    assert transferred.json()["allowed_moves"] == []
    _is_problem(await scenario.get(f"/appeals/{appeal['id']}", role="executor", org=scenario.organisation), 404)
    refused = _is_problem(
        await _moves(
            scenario, appeal, scenario.other_organisation, to="assigned", organisation_id=own, reason="Ваша"
        ),
        409,
    )
    assert "has had the appeal before" in refused["detail"]
    onward = await _moves(
        scenario,
        appeal,
        scenario.other_organisation,
        "manager",
        to="assigned",
        organisation_id=str(third),
        reason="Труба",
    )
    assert onward.status_code == 200, onward.text
    # The centre may assign the appeal to a previous organisation.
    back = await scenario.move(
        await scenario.appeal(appeal["id"]), "assigned", organisation_id=own, reason="Решено"
    )
    assert back.status_code == 200, back.text
    found = await scenario.appeal(appeal["id"])
    assert _chain(found) == [
        ("routed", None, "Школа № 1"),
        ("transferred", "Школа № 1", "Комитет по строительству"),
        ("transferred", "Комитет по строительству", "Водоканал"),
        ("assigned", "Водоканал", "Школа № 1"),
    ]
    assert found["transfers"] == 3
    assert [one["id"] for one in await scenario.all(min_transfers=3)] == [appeal["id"]]
    assert await scenario.all(min_transfers=4) == []


async def test_transfer_to_a_closed_organisation_is_refused(scenario: AppealsScenario) -> None:
    appeal = await _appeal(scenario)
    registry = await scenario.database.connect("registry")
    await registry.execute("UPDATE organisations SET active = false WHERE id = $1", scenario.other_organisation)
    await registry.close()
    answer = await _moves(
        scenario,
        appeal,
        scenario.organisation,
        to="assigned",
        organisation_id=str(scenario.other_organisation),
        reason="Им",
    )
    assert "closed" in _is_problem(answer, 422, "/organisation_id")["detail"]
    assert (await scenario.appeal(appeal["id"]))["transfers"] == 0


@pytest.mark.parametrize("to", ["triage", "assigned"])
async def test_organisation_that_loses_an_appeal_gets_an_event(scenario: AppealsScenario, to: str) -> None:
    appeal = await _appeal(scenario)
    body = {"organisation_id": str(scenario.other_organisation)} if to == "assigned" else {}
    answer = await _moves(scenario, appeal, scenario.organisation, to=to, reason="Не наше", **body)
    assert answer.status_code == 200, answer.text
    events = {
        event["organisation_id"]: json.loads(event["data"]) for event in await scenario.events("appeal.moved")
    }
    assert set(events) == {scenario.organisation, scenario.other_organisation if to == "assigned" else None}
    lost = events.pop(scenario.organisation)
    assert (lost["from"], lost["to"], lost["assignment_lost"]) == ("assigned", to, True)
    (kept,) = events.values()
    assert "assignment_lost" not in kept


async def test_filter_by_number_of_transfers_uses_an_index(scenario: AppealsScenario) -> None:
    # The planner scans an empty table unless sequential scans are disabled.
    await scenario.ingest.execute("SET enable_seqscan = off")
    plan = await scenario.ingest.fetch(
        """EXPLAIN SELECT id FROM appeals WHERE transfers >= 2 AND transfers > 0
           ORDER BY opened_at DESC, id DESC LIMIT 51"""
    )
    assert "ix_appeals_transferred" in "\n".join(row[0] for row in plan)


async def test_repeated_changes_of_organisation_by_decisions_raise_an_alert(scenario: AppealsScenario) -> None:
    message = await scenario.citizen_writes(QUESTION)
    for to in (scenario.other_organisation, scenario.organisation):
        body = {"needs_answer": True, "organisation_id": str(to)}
        assert (await scenario.post(f"/messages/{message}/triage", body)).status_code == 200
    assert (await scenario.get("/alerts", kind="repeated_transfers")).json()["items"] == []
    # The third change of the organisation, again by a decision and not by a move.
    body = {"needs_answer": True, "organisation_id": str(scenario.other_organisation)}
    assert (await scenario.post(f"/messages/{message}/triage", body)).status_code == 200
    (alert,) = (await scenario.get("/alerts", kind="repeated_transfers")).json()["items"]
    assert alert["why"] == "Из рук в руки: организация сменилась 3 раза"


async def test_returned_appeal_stays_in_triage_despite_new_messages(scenario: AppealsScenario) -> None:
    appeal = await _appeal(scenario)
    back = await _moves(scenario, appeal, scenario.organisation, to="triage", reason="Не наша дорога")
    assert back.status_code == 200, back.text
    await scenario.citizen_writes("Когда уже отремонтируете?")
    found = await scenario.appeal(appeal["id"])
    assert [message["classification"]["needs_answer"] for message in found["messages"]] == ["yes", "yes"]
    assert (found["status"], found["organisation"]) == ("triage", None)
    assert (found["route"]["returned_by"], found["returns"]) == (str(scenario.organisation), 1)
    assert str(scenario.organisation) not in {one["organisation_id"] for one in found["route"]["suggestions"]}
    assert found["route"]["suggested_organisation_id"] is None
    given = await scenario.move(found, "assigned", organisation_id=str(scenario.other_organisation))
    assert (given.status_code, given.json()["transfers"]) == (200, 1)
