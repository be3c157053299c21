"""The moderators' queue: each appeal has a triage reason and suggested organisations."""

from typing import Any
from uuid import UUID

import pytest

from services.appeals.routing import reroute
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_review_decisions import UNCLEAR, classified_message, decide, execute
from tests.integration.appeals.test_rule_sets import CITY, activated, made, topic

ELSEWHERE = "В Чите на Ленина вторую неделю не вывозят мусор, помогите"
PHOTO = [{"type": "photo"}]
MODERATORS = {"send_to": "moderators"}


async def why(scenario: AppealsScenario) -> str | None:
    """Return the triage reason of the only appeal; check that filters by other reasons do not find the appeal."""
    (appeal,) = await scenario.all()
    code: str | None = appeal["triage_reason"]
    if code is not None:
        assert [one["id"] for one in await scenario.all(triage_reason=code)] == [appeal["id"]]
        assert (await scenario.get("/appeals/counts", triage_reason=code)).json()["by_status"] == {"triage": 1}
    others = {
        "need_unclear",
        "buryat_text",
        "other_region",
        "topic_uncertain",
        "moderators_by_rule",
        "no_rule",
        "page_unknown",
        "organisation_closed",
    }
    assert await scenario.all(status="triage", triage_reason=sorted((others | {"returned"}) - {code})) == []
    assert (await scenario.appeal(appeal["id"]))["triage_reason"] == code
    return code


@pytest.mark.parametrize(
    ("text", "attachments", "code"),
    [(UNCLEAR, [], "buryat_text"), (ELSEWHERE, [], "other_region"), ("", PHOTO, "need_unclear")],
)
async def test_triage_reason_explains_an_uncertain_need_for_an_answer(
    scenario: AppealsScenario, text: str, attachments: list[Any], code: str
) -> None:
    # Routing rules are not applied until it is certain that an answer is needed.
    await activated(scenario, await made(scenario, default=MODERATORS))
    message = await scenario.citizen_writes(text, attachments=attachments)
    assert await why(scenario) == code
    await reroute.reroute_appeals(scenario.appeals.service.database, include_untouched=True)
    assert await why(scenario) == code
    decision = await decide(scenario, message)
    assert (decision["appeal_status"], decision["triage_reason"]) == ("triage", "no_rule")
    await decide(scenario, message, organisation_id=str(scenario.organisation))
    assert await why(scenario) is None


async def test_triage_reason_explains_a_missing_organisation(scenario: AppealsScenario) -> None:
    roads = await topic(scenario, "roads")
    moderators = await made(scenario, {"municipality": CITY, "send_to": "moderators"}, default=MODERATORS)
    by_topic = await made(scenario, {"topic_id": roads, "organisation_id": str(scenario.other_organisation)})
    await activated(scenario, await made(scenario, default=MODERATORS))
    await classified_message(scenario)
    assert await why(scenario) == "no_rule"
    await activated(scenario, moderators)
    await reroute.reroute_appeals(scenario.appeals.service.database, include_untouched=True)
    assert await why(scenario) == "moderators_by_rule"
    await execute(scenario, "UPDATE appeals SET route = jsonb_set(route, '{topic,confidence}', '0.3')")
    await execute(scenario, "UPDATE appeals SET topic_id = (route -> 'topic' ->> 'id')::uuid")
    await activated(scenario, by_topic)
    await reroute.reroute_appeals(scenario.appeals.service.database, include_untouched=True)
    assert await why(scenario) == "topic_uncertain"
    registry = await scenario.database.connect("registry")
    await registry.execute("UPDATE organisations SET active = false")
    await registry.close()
    await activated(scenario, await made(scenario))
    await reroute.reroute_appeals(scenario.appeals.service.database, include_untouched=True)
    assert await why(scenario) == "organisation_closed"


async def test_appeal_opened_from_text_is_in_triage_because_its_page_is_unknown(scenario: AppealsScenario) -> None:
    assert (await scenario.post("/appeals", {"text": "По телефону"})).json()["triage_reason"] == "page_unknown"
    assert await why(scenario) == "page_unknown"


async def test_returned_and_reopened_appeals_have_their_triage_reasons(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    assert await why(scenario) is None
    moved = await scenario.post(
        f"/appeals/{appeal['id']}/moves", {"to": "triage", "reason": "Не наша"}, role="executor",
        org=scenario.organisation, If_Match="*",
    )  # fmt: skip
    assert moved.json()["triage_reason"] == await why(scenario) == "returned"
    await reroute.reroute_appeals(scenario.appeals.service.database, include_untouched=True)
    assert await why(scenario) == "returned"
    other = str(scenario.other_organisation)
    assert (
        await scenario.move(await scenario.single_appeal(), "assigned", organisation_id=other)
    ).status_code == 200
    assert await why(scenario) is None
    answer = (await scenario.post(f"/appeals/{appeal['id']}/replies", {"text": "Починим"})).json()
    await scenario.emit_published(answer, at=WEDNESDAY)
    assert await why(scenario) is None
    await scenario.citizen_writes("", attachments=PHOTO)
    assert (await scenario.single_appeal())["status"] == "triage"
    assert await why(scenario) == "need_unclear"


async def test_route_suggestions_contain_their_organisation(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(UNCLEAR)
    expected = {"id": str(scenario.organisation), "name": "Школа № 1"}
    appeal = await scenario.single_appeal()
    (listed,) = await scenario.all(expand="route")
    decision = await decide(scenario, UUID(appeal["messages"][0]["id"]), urgency="high")
    for route in (appeal["route"], listed["route"], decision["route"]):
        (suggested,) = route["suggestions"]
        assert (suggested["organisation"], suggested["organisation_id"]) == (expected, expected["id"])
    (active,) = (await scenario.get("/rule-sets", status="active")).json()["items"]
    preview = f"/rule-sets/{active['id']}/preview"
    tried = (await scenario.post(preview, {"text": UNCLEAR, "page_id": str(scenario.page)})).json()
    assert tried["triage_reason"] == "buryat_text"
    for part in ("suggestions", "suggested_organisation_id"):
        assert tried["route"][part] == appeal["route"][part]
    assert tried["route"]["suggested_organisation_id"] == expected["id"]
    assert (await scenario.post(preview, {})).json()["triage_reason"] == "page_unknown"
    assert (await scenario.post(preview, {"page_id": str(scenario.page)})).json()["triage_reason"] is None


async def test_rule_for_moderators_suggests_the_organisation_of_the_next_matching_rule(
    scenario: AppealsScenario,
) -> None:
    roads, other = await topic(scenario, "roads"), str(scenario.other_organisation)
    rules = await made(
        scenario,
        {"municipality": CITY, "topic_id": roads, "send_to": "moderators"},
        {"topic_id": roads, "organisation_id": other},
    )
    await activated(scenario, rules)
    await classified_message(scenario)
    appeal = await scenario.single_appeal()
    assert appeal["triage_reason"] == "moderators_by_rule"
    assert appeal["route"]["suggested_organisation_id"] == other
    assert all(one["confidence"] for one in appeal["route"]["suggestions"])
    text = appeal["messages"][0]["text"]
    preview = await scenario.post(
        f"/rule-sets/{rules['id']}/preview", {"text": text, "page_id": str(scenario.page)}
    )
    for part in ("suggestions", "suggested_organisation_id"):
        assert preview.json()["route"][part] == appeal["route"][part]


async def test_unknown_triage_reason_is_refused(scenario: AppealsScenario) -> None:
    answer = await scenario.get("/appeals", triage_reason="nothing")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "query/triage_reason/0"
    assert "Repeat" not in answer.text
    joined = await scenario.get("/appeals", triage_reason="moderators_by_rule,organisation_closed")
    assert joined.status_code == 422
    assert joined.json()["errors"][0]["detail"].endswith(
        "Repeat the parameter for several: triage_reason=moderators_by_rule&triage_reason=organisation_closed"
    )


@pytest.mark.parametrize("path", ["/appeals", "/classifications", "/incidents", "/alerts", "/reviews"])
async def test_misspelt_filter_is_refused(scenario: AppealsScenario, path: str) -> None:
    answer = await scenario.get(path, organization_id=str(scenario.organisation), limit=5)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "query/organization_id"
    assert error["detail"].startswith("No such parameter. Known: ")
    assert (await scenario.get(path, limit=5)).status_code == 200
