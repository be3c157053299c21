"""The moderators' queue: each appeal has a triage reason and suggested organisations."""

from typing import Any
from uuid import UUID

import pytest

from services.appeals.routing import reroute
from tests.integration.appeals.conftest import WEDNESDAY, World
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_review_decisions import UNCLEAR, classified_message, decide, execute
from tests.integration.appeals.test_rule_sets import CITY, activated, made, topic

ELSEWHERE = "В Чите на Ленина вторую неделю не вывозят мусор, помогите"
PHOTO = [{"type": "photo"}]
MODERATORS = {"send_to": "moderators"}


async def why(world: World) -> str | None:
    """Return the triage reason of the only appeal; check that no other reason finds it."""
    (appeal,) = await world.all()
    code: str | None = appeal["triage_reason"]
    if code is not None:
        assert [one["id"] for one in await world.all(triage_reason=code)] == [appeal["id"]]
        assert (await world.get("/appeals/counts", triage_reason=code)).json()["by_status"] == {"triage": 1}
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
    assert await world.all(status="triage", triage_reason=sorted((others | {"returned"}) - {code})) == []
    assert (await world.appeal(appeal["id"]))["triage_reason"] == code
    return code


@pytest.mark.parametrize(
    ("text", "attachments", "code"),
    [(UNCLEAR, [], "buryat_text"), (ELSEWHERE, [], "other_region"), ("", PHOTO, "need_unclear")],
)
async def test_triage_reason_says_why_it_is_unclear_if_an_answer_is_needed(
    world: World, text: str, attachments: list[Any], code: str
) -> None:
    # The organisation is not decided until it is certain that an answer is needed.
    await activated(world, await made(world, default=MODERATORS))
    message = await world.writes(text, attachments=attachments)
    assert await why(world) == code
    await reroute.reroute_appeals(world.appeals.service.database, include_untouched=True)
    assert await why(world) == code
    decision = await decide(world, message)
    assert (decision["appeal_status"], decision["triage_reason"]) == ("triage", "no_rule")
    await decide(world, message, organisation_id=str(world.organisation))
    assert await why(world) is None


async def test_triage_reason_says_why_no_rule_assigns_an_organisation(world: World) -> None:
    roads = await topic(world, "roads")
    moderators = await made(world, {"municipality": CITY, "send_to": "moderators"}, default=MODERATORS)
    by_topic = await made(world, {"topic_id": roads, "organisation_id": str(world.other_organisation)})
    await activated(world, await made(world, default=MODERATORS))
    await classified_message(world)
    assert await why(world) == "no_rule"
    await activated(world, moderators)
    await reroute.reroute_appeals(world.appeals.service.database, include_untouched=True)
    assert await why(world) == "moderators_by_rule"
    await execute(world, "UPDATE appeals SET route = jsonb_set(route, '{topic,confidence}', '0.3')")
    await execute(world, "UPDATE appeals SET topic_id = (route -> 'topic' ->> 'id')::uuid")
    await activated(world, by_topic)
    await reroute.reroute_appeals(world.appeals.service.database, include_untouched=True)
    assert await why(world) == "topic_uncertain"
    registry = await world.database.connect("registry")
    await registry.execute("UPDATE organisations SET active = false")
    await registry.close()
    await activated(world, await made(world))
    await reroute.reroute_appeals(world.appeals.service.database, include_untouched=True)
    assert await why(world) == "organisation_closed"


async def test_appeal_opened_from_text_has_no_page(world: World) -> None:
    assert (await world.post("/appeals", {"text": "По телефону"})).json()["triage_reason"] == "page_unknown"
    assert await why(world) == "page_unknown"


async def test_returned_and_reopened_appeals_have_their_triage_reasons(world: World) -> None:
    await world.writes(QUESTION)
    appeal = await world.only()
    assert await why(world) is None
    moved = await world.post(
        f"/appeals/{appeal['id']}/moves", {"to": "triage", "reason": "Не наша"}, role="executor",
        org=world.organisation, If_Match="*",
    )  # fmt: skip
    assert moved.json()["triage_reason"] == await why(world) == "returned"
    await reroute.reroute_appeals(world.appeals.service.database, include_untouched=True)
    assert await why(world) == "returned"
    other = str(world.other_organisation)
    assert (await world.move(await world.only(), "assigned", organisation_id=other)).status_code == 200
    assert await why(world) is None
    answer = (await world.post(f"/appeals/{appeal['id']}/replies", {"text": "Починим"})).json()
    await world.published(answer, at=WEDNESDAY)
    assert await why(world) is None
    await world.writes("", attachments=PHOTO)
    assert (await world.only())["status"] == "triage"
    assert await why(world) == "need_unclear"


async def test_suggestions_name_their_organisations(world: World) -> None:
    await world.writes(UNCLEAR)
    expected = {"id": str(world.organisation), "name": "Школа № 1"}
    appeal = await world.only()
    (listed,) = await world.all(expand="route")
    decision = await decide(world, UUID(appeal["messages"][0]["id"]), urgency="high")
    for route in (appeal["route"], listed["route"], decision["route"]):
        (suggested,) = route["suggestions"]
        assert (suggested["organisation"], suggested["organisation_id"]) == (expected, expected["id"])
    (active,) = (await world.get("/rule-sets", status="active")).json()["items"]
    bench = f"/rule-sets/{active['id']}/preview"
    tried = (await world.post(bench, {"text": UNCLEAR, "page_id": str(world.page)})).json()
    assert tried["triage_reason"] == "buryat_text"
    for part in ("suggestions", "suggested_organisation_id"):
        assert tried["route"][part] == appeal["route"][part]
    assert tried["route"]["suggested_organisation_id"] == expected["id"]
    assert (await world.post(bench, {})).json()["triage_reason"] == "page_unknown"
    assert (await world.post(bench, {"page_id": str(world.page)})).json()["triage_reason"] is None


async def test_rule_for_moderators_suggests_the_next_organisation(world: World) -> None:
    roads, other = await topic(world, "roads"), str(world.other_organisation)
    rules = await made(
        world,
        {"municipality": CITY, "topic_id": roads, "send_to": "moderators"},
        {"topic_id": roads, "organisation_id": other},
    )
    await activated(world, rules)
    await classified_message(world)
    appeal = await world.only()
    assert appeal["triage_reason"] == "moderators_by_rule"
    assert appeal["route"]["suggested_organisation_id"] == other
    assert all(one["confidence"] for one in appeal["route"]["suggestions"])
    text = appeal["messages"][0]["text"]
    bench = await world.post(f"/rule-sets/{rules['id']}/preview", {"text": text, "page_id": str(world.page)})
    for part in ("suggestions", "suggested_organisation_id"):
        assert bench.json()["route"][part] == appeal["route"][part]


async def test_unknown_triage_reason_is_refused(world: World) -> None:
    answer = await world.get("/appeals", triage_reason="nothing")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "query/triage_reason/0"
    assert "Repeat" not in answer.text
    joined = await world.get("/appeals", triage_reason="moderators_by_rule,organisation_closed")
    assert joined.status_code == 422
    assert joined.json()["errors"][0]["detail"].endswith(
        "Repeat the parameter for several: triage_reason=moderators_by_rule&triage_reason=organisation_closed"
    )


@pytest.mark.parametrize("path", ["/appeals", "/classifications", "/incidents", "/alerts", "/reviews"])
async def test_misspelt_filter_is_refused(world: World, path: str) -> None:
    answer = await world.get(path, organization_id=str(world.organisation), limit=5)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "query/organization_id"
    assert error["detail"].startswith("No such parameter. Known: ")
    assert (await world.get(path, limit=5)).status_code == 200
