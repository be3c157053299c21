"""A moderator confirms or corrects the classification of a message in one call; the review records it."""

import asyncio
import json
from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.appeals.classification import store
from services.appeals.classification.types import is_automatic
from services.appeals.inbound.appeal_matching import AppealMatcher
from services.appeals.inbound.matter_readings import ClassifiedMessage
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.reply_helpers import send
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.support.eventually import eventually
from tests.support.service_under_test import CENTRE_SUBJECT

CITY, DISTRICT = "81701000", "81624000"
SECOND = str(UUID(int=2))
UNCLEAR = "Би мүнөөдэр һургуулида ошооб"


async def execute(scenario: AppealsScenario, statement: str, *values: Any) -> None:
    """Execute an SQL statement with the database rights of appeals."""
    connection = await scenario.database.connect("appeals")
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


async def topic(scenario: AppealsScenario, code: str) -> str:
    """Return the id of the topic with this code."""
    return str(await scenario.ingest.fetchval("SELECT id FROM topics WHERE code = $1", code))


async def classified_message(
    scenario: AppealsScenario, text: str = QUESTION, *, code: str = "roads.01", **details: Any
) -> UUID:
    """Create a message with an appeal, both with a topic and a location as if a model had classified them."""
    message = await scenario.citizen_writes(text, **details)
    topic_id = UUID(await topic(scenario, code))
    likely = json.dumps([{"topic_id": str(topic_id), "confidence": 0.8}])
    await execute(
        scenario,
        """UPDATE classifications SET topic_id = $2, topic_confidence = 0.8, top3 = $3::text::jsonb,
           municipality = $4, street = 'улица Бабушкина', location_source = 'text' WHERE message_id = $1""",
        message, topic_id, likely, CITY,
    )  # fmt: skip
    await execute(
        scenario,
        """UPDATE appeals SET topic_id = $2, municipality = $3, street = 'улица Бабушкина'
           WHERE id = (SELECT appeal_id FROM appeal_messages WHERE message_id = $1)""",
        message, topic_id, CITY,
    )  # fmt: skip
    return message


async def rule(scenario: AppealsScenario, code: str, organisation: UUID) -> None:
    """Add a rule to the active set that sends the topic to the organisation."""
    await execute(
        scenario,
        """INSERT INTO routing_rules (id, rule_set_id, topic_id, send_to, organisation_id, created_at)
           SELECT $1, id, $2, 'organisation', $3, now() FROM rule_sets WHERE status = 'active'""",
        uuid4(), UUID(await topic(scenario, code)), organisation,
    )  # fmt: skip


async def decide(
    scenario: AppealsScenario, message: UUID, *, needs_answer: bool = True, **body: Any
) -> dict[str, Any]:
    """Send a moderator's decision and assert that it is accepted; return the response body."""
    answer = await scenario.post(f"/messages/{message}/triage", {"needs_answer": needs_answer, **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def review(scenario: AppealsScenario, message: UUID) -> dict[str, Any]:
    """Return the stored review of a message."""
    row = await scenario.ingest.fetchrow(
        "SELECT to_jsonb(r)::text AS kept FROM reviews r WHERE message_id = $1", message
    )
    assert row is not None
    found: dict[str, Any] = json.loads(row["kept"])
    return found


def refused(answer: httpx.Response, *pointers: str) -> None:
    """Check that the request is refused with 422 naming these fields."""
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == list(pointers)


async def test_one_call_confirms_the_whole_classification(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario)
    before = await scenario.single_appeal()
    decision = await decide(scenario, message, confirm=True)
    assert decision["agreement"] == dict.fromkeys(
        ("needs_answer", "topic_group", "topic", "location", "urgency", "organisation"), True
    )
    found = decision["classification"]
    assert (found["classified_by"], found["needs_answer_confidence"], found["type"]) == (
        CENTRE_SUBJECT,
        1.0,
        "question",
    )
    assert found["topic"]["group"]["name"] == "Дороги"
    assert found["top3"] == [{"topic": found["topic"], "confidence": 0.8}]
    assert found["location"]["municipality"]["oktmo"] == CITY
    assert (found["location"]["street"], found["location_source"], found["language"]) == (
        "улица Бабушкина",
        "text",
        "ru",
    )
    assert (decision["rerouted"], decision["suggested_organisation"]) == (False, None)
    after = await scenario.single_appeal()
    assert after["messages"][0]["classification"] == found
    for part in ("status", "organisation", "topic", "location", "urgency", "route"):
        assert after[part] == before[part]
    kept = await review(scenario, message)
    assert kept["predicted"]["topic_id"] == kept["decided"]["topic_id"] == found["topic"]["id"]
    assert is_automatic(kept["predicted_by"])
    assert kept["topic_group_id"] == found["topic"]["group"]["id"]
    assert kept["organisation_id"] == str(scenario.organisation)


async def test_correction_reroutes_an_appeal_that_nobody_started(scenario: AppealsScenario) -> None:
    await rule(scenario, "energy", scenario.other_organisation)
    message = await classified_message(scenario)
    energy = await topic(scenario, "energy.01")
    decision = await decide(scenario, message, topic_id=energy, municipality=DISTRICT, settlement="Турунтаево")
    assert decision["rerouted"] is True
    assert decision["organisation"]["id"] == str(scenario.other_organisation)
    assert decision["route"]["reason"].startswith("Правило маршрутизации")
    assert decision["suggested_organisation"] is None
    assert decision["agreement"] == {
        "needs_answer": True, "topic_group": False, "topic": False, "location": False, "urgency": None,
        "organisation": None,
    }  # fmt: skip
    appeal = await scenario.single_appeal()
    assert (appeal["status"], appeal["topic"]["id"]) == ("assigned", energy)
    assert appeal["organisation"]["id"] == str(scenario.other_organisation)
    # A corrected settlement removes the street, which was one of the former settlement.
    assert appeal["location"]["municipality"]["oktmo"] == DISTRICT
    assert (appeal["location"]["settlement"], appeal["location"]["street"]) == ("Турунтаево", None)
    assert appeal["messages"][0]["classification"]["location_source"] == "person"
    kinds = [entry["kind"] for entry in appeal["timeline"]]
    assert {"topic_changed", "location_changed"} <= set(kinds)
    rows = await scenario.ingest.fetch("SELECT kind, to_organisation_id FROM assignments ORDER BY at, id")
    assert [row["kind"] for row in rows] == ["routed", "rerouted"]


@pytest.mark.parametrize("why", ["begun", "answering", "placed"])
async def test_corrected_started_appeal_is_not_rerouted_and_gets_a_suggestion(
    scenario: AppealsScenario, why: str
) -> None:
    message = await classified_message(scenario)
    if why == "begun":
        assert (await scenario.move(await scenario.single_appeal(), "in_progress")).status_code == 200
    elif why == "answering":
        appeal = await scenario.single_appeal()
        assert (await scenario.post(f"/appeals/{appeal['id']}/replies", {"text": "Починим"})).status_code == 201
    else:
        await decide(scenario, message, organisation_id=str(scenario.other_organisation))
        await decide(scenario, message, organisation_id=str(scenario.organisation))
    await rule(scenario, "energy", scenario.other_organisation)
    decision = await decide(scenario, message, topic_id=await topic(scenario, "energy.01"))
    assert decision["rerouted"] is False
    assert decision["organisation"]["id"] == str(scenario.organisation)
    assert decision["suggested_organisation"]["organisation"] == {
        "id": str(scenario.other_organisation),
        "name": "Комитет по строительству",
    }
    assert (await scenario.single_appeal())["topic"]["group"]["name"] == "Энергетика"


async def test_organisation_and_urgency_are_set_by_one_call(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario)
    decision = await decide(
        scenario, message, confirm=True, urgency="high", organisation_id=str(scenario.other_organisation)
    )
    assert decision["agreement"] == {
        "needs_answer": True, "topic_group": True, "topic": True, "location": True, "urgency": False,
        "organisation": False,
    }  # fmt: skip
    appeal = await scenario.single_appeal()
    assert (appeal["urgency"], appeal["organisation"]["id"]) == ("high", str(scenario.other_organisation))
    # An urgent appeal has four working hours from the receipt of the message.
    assert appeal["first_response_due_at"] == "2026-03-04T07:01:00Z"


async def test_second_review_keeps_the_prediction_and_the_last_decision(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario)
    energy, signs = await topic(scenario, "energy.01"), await topic(scenario, "roads.02")
    await decide(scenario, message, topic_id=energy, municipality=DISTRICT)
    machine = (await review(scenario, message))["predicted"]
    second = scenario.appeals.token("moderator", subject=SECOND)
    answer = await scenario.appeals.client.post(
        f"/api/v1/messages/{message}/triage",
        json={"needs_answer": True, "topic_id": signs, "urgency": "high"},
        headers={"Authorization": f"Bearer {second}", "If-Match": '"2"'},
    )
    assert answer.status_code == 200, answer.text
    assert (answer.headers["ETag"], answer.json()["classification"]["version"]) == ('"3"', 3)
    kept = await review(scenario, message)
    assert kept["predicted"] == machine
    assert (kept["reviewed_by"], kept["agrees_topic"], kept["agrees_topic_group"]) == (SECOND, False, True)
    assert (kept["decided"]["topic_id"], kept["decided"]["location"]["municipality"]) == (signs, DISTRICT)
    assert answer.json()["classification"]["classified_by"] == SECOND
    assert answer.json()["classification"]["location"]["municipality"]["oktmo"] == DISTRICT
    # Repeating the decision changes only the reviewer and the time of the review.
    await decide(scenario, message, topic_id=signs, urgency="high")
    again = await review(scenario, message)
    for changing in ("reviewed_by", "updated_at"):
        again.pop(changing)
        kept.pop(changing)
    assert again == kept


async def test_decision_that_no_answer_is_needed_closes_an_unstarted_appeal(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario)
    decision = await decide(scenario, message, needs_answer=False, type="chatter")
    assert decision["appeal_status"] == "not_required"
    assert (decision["classification"]["topic"], decision["classification"]["location"]) == (None, None)
    assert decision["agreement"]["needs_answer"] is False
    # A later decision that an answer is needed restores the prediction.
    back = await decide(scenario, message, confirm=True)
    assert (back["appeal_status"], back["classification"]["topic"]["group"]["name"]) == ("assigned", "Дороги")
    assert back["agreement"] | {"organisation": None} == {
        "needs_answer": True, "topic_group": True, "topic": True, "location": True, "urgency": True,
        "organisation": None,
    }  # fmt: skip
    assert (await scenario.move(await scenario.single_appeal(), "in_progress")).status_code == 200
    answer = await scenario.post(f"/messages/{message}/triage", {"needs_answer": False})
    assert answer.status_code == 409, answer.text
    assert (await review(scenario, message))["decided"]["needs_answer"] == "yes"


async def test_appeal_stays_open_while_another_message_needs_an_answer(scenario: AppealsScenario) -> None:
    first = await classified_message(scenario)
    second = await scenario.citizen_writes("И когда починят мост?", at=WEDNESDAY + timedelta(minutes=5))
    assert (await decide(scenario, second, needs_answer=False))["appeal_status"] == "assigned"
    assert (await decide(scenario, first, needs_answer=False))["appeal_status"] == "not_required"


async def test_decision_about_topic_and_location_assigns_the_organisation_by_rule(
    scenario: AppealsScenario,
) -> None:
    await rule(scenario, "education", scenario.other_organisation)
    message = await scenario.citizen_writes(UNCLEAR)
    assert (await scenario.single_appeal())["status"] == "triage"
    decision = await decide(scenario, message, topic_id=await topic(scenario, "education"), municipality=CITY)
    assert (decision["appeal_status"], decision["agreement"]["needs_answer"]) == ("assigned", None)
    assert decision["organisation"]["id"] == str(scenario.other_organisation)
    appeal = await scenario.single_appeal()
    assert (appeal["topic"]["name"], appeal["location"]["municipality"]["oktmo"]) == ("Образование", CITY)


async def test_organisation_chosen_for_a_new_appeal_gets_the_first_event(scenario: AppealsScenario) -> None:
    thanks = await scenario.citizen_writes("Спасибо большое")
    decision = await decide(scenario, thanks, type="request", organisation_id=str(scenario.other_organisation))
    assert decision["organisation"]["id"] == str(scenario.other_organisation)
    assert decision["agreement"] == dict.fromkeys(decision["agreement"]) | {"needs_answer": False}
    events = await scenario.events("appeal.assigned", "appeal.moved")
    assert {event["organisation_id"] for event in events} == {scenario.other_organisation}
    assert (await scenario.single_appeal())["transfers"] == 0


async def test_unclassified_message_can_be_decided(scenario: AppealsScenario) -> None:
    message = await scenario.insert_message(QUESTION, history=True)
    await scenario.process_events()
    decision = await decide(scenario, message, confirm=True)
    assert decision["appeal_status"] == "assigned"
    assert set(decision["agreement"].values()) == {None}
    assert (await review(scenario, message))["predicted_by"] == "none"


async def test_appeal_without_messages_is_classified_directly(scenario: AppealsScenario) -> None:
    await rule(scenario, "energy", scenario.other_organisation)
    called = await scenario.post(
        "/appeals", {"text": "По телефону", "municipality": CITY, "street": "улица Кирова"}
    )
    assert called.status_code == 201, called.text
    appeal = called.json()
    assert (appeal["status"], appeal["organisation"]) == ("triage", None)
    assert (appeal["location"]["municipality"]["oktmo"], appeal["location"]["street"]) == (CITY, "улица Кирова")
    path = f"/appeals/{appeal['id']}/triage"
    energy = await topic(scenario, "energy.01")
    answer = await scenario.post(path, {"topic_id": energy, "urgency": "high", "house": "3"})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["status"], found["urgency"], found["topic"]["id"]) == ("assigned", "high", energy)
    assert found["organisation"]["id"] == str(scenario.other_organisation)
    assert (found["location"]["street"], found["location"]["house"]) == ("улица Кирова", "3")
    for body, pointer in (
        ({"needs_answer": True}, "/needs_answer"),
        ({"topic_id": str(uuid4())}, "/topic_id"),
        ({"no_location": True, "house": "1"}, "/house"),
    ):
        refused(await scenario.post(path, body), pointer)
    message = await classified_message(scenario)
    (with_words,) = await scenario.all(network="vk")
    conflict = await scenario.post(f"/appeals/{with_words['id']}/triage", {"urgency": "high"})
    assert (conflict.status_code, conflict.json()["message_id"]) == (409, str(message))
    assert (await scenario.post(f"/appeals/{uuid4()}/triage", {"urgency": "high"})).status_code == 404


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["/needs_answer"]),
    ({"needs_answer": True, "colour": "red"}, ["/colour"]),
    ({"needs_answer": True, "type": "spam"}, ["/type"]),
    ({"needs_answer": False, "type": "complaint"}, ["/type"]),
    ({"needs_answer": False, "urgency": "high", "house": "1"}, ["/urgency", "/house"]),
    ({"needs_answer": False, "topic_id": str(uuid4())}, ["/topic_id"]),
    ({"needs_answer": True, "topic_id": str(uuid4())}, ["/topic_id"]),
    ({"needs_answer": True, "organisation_id": str(uuid4())}, ["/organisation_id"]),
    ({"needs_answer": True, "municipality": "99999999"}, ["/municipality"]),
    ({"needs_answer": True, "municipality": "Улан-Удэ"}, ["/municipality"]),
    ({"needs_answer": True, "street": " "}, ["/street"]),
    ({"needs_answer": True, "no_location": True, "street": "Ленина"}, ["/street"]),
]


async def test_invalid_decision_changes_nothing(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario)
    before = await scenario.single_appeal()
    for body, pointers in WRONG:
        refused(await scenario.post(f"/messages/{message}/triage", body), *pointers)
    assert await scenario.single_appeal() == before
    assert await scenario.ingest.fetchval("SELECT count(*) FROM reviews") == 0


async def test_concurrent_second_moderator_gets_a_conflict(scenario: AppealsScenario) -> None:
    energy, signs = await topic(scenario, "energy.01"), await topic(scenario, "roads.02")
    bodies = {
        CENTRE_SUBJECT: {"needs_answer": True, "topic_id": energy, "urgency": "high"},
        SECOND: {"needs_answer": True, "topic_id": signs, "municipality": DISTRICT},
    }
    # Half of the messages have no appeal yet: each decision would open one. Half of the requests have `If-Match`.
    for attempt in range(8):
        text = QUESTION if attempt % 2 else "Спасибо большое"
        message = await scenario.citizen_writes(text, author=f"a{attempt}", thread=f"vk:-101_{attempt}")
        seen = {"If_Match": '"1"'} if attempt % 4 > 1 else {}
        path = f"/messages/{message}/triage"
        answers = await asyncio.gather(
            *(send(scenario, path, body, subject=subject, **seen) for subject, body in bodies.items())
        )
        won, lost = sorted(answers, key=lambda answer: answer.status_code)
        assert (won.status_code, lost.status_code) == (200, 412 if seen else 409), (won.text, lost.text)
        kept = await review(scenario, message)
        winner = bodies[kept["reviewed_by"]]
        named = lost.json()["decision"]
        assert (named["by"], named["version"]) == (kept["reviewed_by"], won.json()["classification"]["version"])
        assert named["decided"]["topic_id"] == kept["decided"]["topic_id"] == winner["topic_id"]
        row = await scenario.ingest.fetchrow(
            "SELECT classified_by, topic_id, version FROM classifications WHERE message_id = $1", message
        )
        assert dict(row) == {
            "classified_by": kept["reviewed_by"], "topic_id": UUID(str(winner["topic_id"])), "version": 2,
        }  # fmt: skip
        # With the version of the first decision, the second moderator's decision is accepted.
        loser = next(subject for subject in bodies if subject != kept["reviewed_by"])
        again = await send(scenario, path, bodies[loser], subject=loser, If_Match=f'"{named["version"]}"')
        assert again.status_code == 200, again.text


async def test_second_moderator_may_add_to_a_decision_but_not_replace_it_unseen(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario)
    energy = await topic(scenario, "energy.01")
    await decide(scenario, message, topic_id=energy)
    path = f"/messages/{message}/triage"
    added = await send(scenario, path, {"needs_answer": True, "urgency": "high"}, subject=SECOND)
    assert (added.status_code, added.json()["classification"]["topic_id"]) == (200, energy)
    # A confirmation needs the current version, and `needs_answer` false would undo the whole decision.
    for body in ({"needs_answer": True, "confirm": True}, {"needs_answer": False}):
        refused = await send(scenario, path, body)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/decided-by-another")
        assert refused.json()["decision"]["by"] == SECOND
    assert (await send(scenario, path, {"needs_answer": True, "confirm": True}, If_Match='"3"')).status_code == 200


async def test_second_moderator_cannot_overwrite_an_appeal_without_messages_unseen(
    scenario: AppealsScenario,
) -> None:
    appeal = (await scenario.post("/appeals", {"text": "По телефону"})).json()
    path = f"/appeals/{appeal['id']}/triage"
    first = await send(scenario, path, {"urgency": "high"})
    assert first.status_code == 200
    refused = await send(scenario, path, {"urgency": "normal"}, subject=SECOND)
    assert (refused.status_code, refused.json()["decision"]["by"]) == (409, CENTRE_SUBJECT)
    stale = await send(scenario, path, {"urgency": "normal"}, subject=SECOND, If_Match=f'"{appeal["version"]}"')
    assert (stale.status_code, stale.json()["last_change"]["kind"]) == (412, "urgency_changed")
    seen = first.headers["ETag"]
    assert (await send(scenario, path, {"urgency": "normal"}, subject=SECOND, If_Match=seen)).status_code == 200


async def test_assignment_by_a_colleague_is_not_replaced_without_its_version(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario)
    appeal = await scenario.single_appeal()
    other, path = str(scenario.other_organisation), f"/messages/{message}/triage"
    moved = await send(
        scenario, f"/appeals/{appeal['id']}/moves",
        {"to": "assigned", "organisation_id": other, "reason": "Их дорога"}, subject=SECOND,
        If_Match=f'"{appeal["version"]}"',
    )  # fmt: skip
    assert moved.status_code == 200, moved.text
    body = {"needs_answer": True, "organisation_id": str(scenario.organisation)}
    refused = await send(scenario, path, body)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/decided-by-another")
    assert (refused.json()["decision"]["by"], refused.json()["decision"]["kind"]) == (SECOND, "assigned")
    assert (await scenario.single_appeal())["organisation"]["id"] == other
    assert (await send(scenario, path, body | {"organisation_id": other})).status_code == 200
    version = (await send(scenario, path, {"needs_answer": True})).json()["classification"]["version"]
    assert (await send(scenario, path, body, If_Match=f'"{version}"')).status_code == 200
    assert (await scenario.single_appeal())["organisation"]["id"] == str(scenario.organisation)


async def test_concurrent_classification_does_not_undo_a_decision(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario)
    row = await scenario.ingest.fetchrow("SELECT * FROM classifications WHERE message_id = $1", message)
    machine = dict(row) | {"top3": [], "urgency": "normal"}
    decision = await decide(scenario, message, urgency="high")
    async with scenario.appeals.service.database.write() as session:
        await store.store_classifications(session, {message: machine})
    assert (await scenario.single_appeal())["messages"][0]["classification"] == decision["classification"]


async def test_reviews_are_listed_for_the_centre_and_for_each_organisation(scenario: AppealsScenario) -> None:
    ok_page = next(page for page in scenario.pages if page != scenario.page)
    right = await classified_message(scenario, author="a")
    wrong = await classified_message(scenario, author="b", page=ok_page, thread="ok:1")
    await decide(scenario, right, confirm=True)
    await decide(scenario, wrong, topic_id=await topic(scenario, "energy.01"))

    async def listed(**query: Any) -> list[str]:
        answer = await scenario.get("/reviews", **query)
        assert answer.status_code == 200, answer.text
        return [item["message_id"] for item in answer.json()["items"]]

    assert await listed() == [str(wrong), str(right)]
    assert await listed(corrected="true") == [str(wrong)]
    assert await listed(corrected="false") == [str(right)]
    assert await listed(topic_group_id=await topic(scenario, "energy")) == [str(wrong)]
    assert await listed(role="executor", org=scenario.organisation) == [str(right)]
    assert await listed(role="executor", org=scenario.other_organisation) == [str(wrong)]
    first = (await scenario.get("/reviews", limit=1)).json()
    assert await listed(limit=1, cursor=first["next_cursor"]) == [str(right)]
    (item,) = first["items"]
    assert (item["predicted"]["topic"]["group"]["name"], item["decided"]["topic"]["group"]["name"]) == (
        "Дороги",
        "Энергетика",
    )
    assert item["predicted"]["location"]["municipality"]["oktmo"] == CITY
    assert (item["decided"]["location"], item["reviewed_by"]["id"]) == (None, CENTRE_SUBJECT)


async def test_review_is_listed_for_the_current_organisation_of_its_appeal(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario)
    decided = await decide(scenario, message, confirm=True)
    without_appeal = await scenario.citizen_writes("Спасибо за новый сквер!", author="vera")
    await decide(scenario, without_appeal, needs_answer=False)

    async def seen_by(organisation: UUID) -> list[str]:
        items = (await scenario.get("/reviews", role="executor", org=organisation)).json()["items"]
        return [item["message_id"] for item in items]

    assert await seen_by(scenario.organisation) == [str(without_appeal), str(message)]
    appeal = await scenario.appeal(decided["appeal_id"])
    moved = await scenario.move(
        appeal, "assigned", organisation_id=str(scenario.other_organisation), reason="Не наше"
    )
    assert moved.status_code == 200, moved.text
    assert await seen_by(scenario.organisation) == [str(without_appeal)]
    assert await seen_by(scenario.other_organisation) == [str(message)]
    await decide(scenario, message, urgency="high")
    assert await seen_by(scenario.other_organisation) == [str(message)]
    # While the appeal is unassigned, the organisation of the page sees the review.
    back = await scenario.move(await scenario.appeal(appeal["id"]), "triage", reason="И не их")
    assert back.status_code == 200, back.text
    assert await seen_by(scenario.other_organisation) == []
    assert await seen_by(scenario.organisation) == [str(without_appeal), str(message)]


async def test_review_is_audited(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario)
    await decide(scenario, message, topic_id=await topic(scenario, "energy.01"))
    rows = await scenario.ingest.fetch(
        """SELECT subject_kind, actor, organisation_id FROM audit
           WHERE subject_id = $1 OR subject_kind = 'appeals' ORDER BY subject_kind""",
        str(message),
    )
    assert {row["subject_kind"] for row in rows} == {"appeals", "reviews", "classifications"}
    assert {row["actor"] for row in rows} == {CENTRE_SUBJECT}


async def _unsure(scenario: AppealsScenario, *, confidence: float = 0.4) -> UUID:
    """Create a message whose appeal is in triage because the topic that a rule needs is too uncertain."""
    await rule(scenario, "roads.01", scenario.other_organisation)
    message = await classified_message(scenario)
    await execute(scenario, "UPDATE classifications SET topic_confidence = $1", confidence)
    await execute(
        scenario,
        """UPDATE appeals SET status = 'triage', organisation_id = NULL, assigned_at = NULL,
           first_response_due_at = NULL, resolution_due_at = NULL, route = $1::text::jsonb""",
        json.dumps(
            {
                "reason": "Тема определена неуверенно (40%); решает модератор",
                "rule_id": None, "confidence": confidence, "suggestions": [],
                "suggested_organisation_id": str(scenario.organisation),
                "topic": {"id": await topic(scenario, "roads.01"), "confidence": confidence, "top3": []},
            }
        ),
    )  # fmt: skip
    await execute(scenario, "DELETE FROM assignments")
    # Only a superuser may delete clocks.
    connection = await scenario.database.connect()
    for table in ("sla_clock_events", "sla_clocks"):
        await connection.execute(f"DELETE FROM {table}")
    await connection.close()
    return message


@pytest.mark.parametrize("said", ["confirm", "topic", "both"])
async def test_topic_chosen_or_confirmed_by_a_person_is_certain(scenario: AppealsScenario, said: str) -> None:
    message = await _unsure(scenario)
    body: dict[str, Any] = {"confirm": True} if said != "topic" else {}
    if said != "confirm":
        body["topic_id"] = await topic(scenario, "roads.01")
    decision = await decide(scenario, message, **body)
    assert decision["appeal_status"] == "assigned"
    assert decision["organisation"]["id"] == str(scenario.other_organisation)
    assert decision["classification"]["topic_confidence"] == 1.0
    # The appeal went to another organisation than the suggested one, so the confirmation does not cover it.
    kept = await review(scenario, message)
    assert kept["decided"].get("organisation_id") is None
    assert (kept["agrees_organisation"], kept["agrees_topic"]) == (None, True)


async def test_assigning_the_suggested_organisation_counts_as_agreement(scenario: AppealsScenario) -> None:
    message = await _unsure(scenario)
    await execute(
        scenario,
        "UPDATE appeals SET route = jsonb_set(route, '{suggested_organisation_id}', to_jsonb($1::text))",
        str(scenario.other_organisation),
    )
    await decide(scenario, message, confirm=True)
    assert (await review(scenario, message))["agrees_organisation"] is True


async def test_decision_without_a_topic_keeps_the_topic_uncertain(
    scenario: AppealsScenario,
) -> None:
    message = await _unsure(scenario)
    assert (await decide(scenario, message))["appeal_status"] == "triage"
    signs, pits = await topic(scenario, "roads.02"), await topic(scenario, "roads.01")
    # The predicted topic is certain after a person has chosen it.
    await decide(scenario, message, topic_id=signs, organisation_id=str(scenario.organisation))
    await decide(scenario, message, topic_id=pits)
    route = json.loads(await scenario.ingest.fetchval("SELECT route::text FROM appeals"))
    assert route["topic"] == {"id": pits, "confidence": 1.0, "top3": []}


async def test_appeal_marked_as_needing_an_answer_after_all_returns_to_triage(scenario: AppealsScenario) -> None:
    message = await _unsure(scenario)
    assert (await decide(scenario, message, needs_answer=False))["appeal_status"] == "not_required"
    assert (await decide(scenario, message))["appeal_status"] == "triage"
    assert (await scenario.single_appeal())["status"] == "triage"
    assert (await decide(scenario, message, confirm=True))["appeal_status"] == "assigned"


async def test_confirmation_does_not_assign_the_organisation_that_returned_the_appeal(
    scenario: AppealsScenario,
) -> None:
    message = await classified_message(scenario)
    appeal = await scenario.single_appeal()
    back = await scenario.post(
        f"/appeals/{appeal['id']}/moves", {"to": "triage", "reason": "Не наша дорога"}, role="executor",
        org=scenario.organisation, If_Match="*",
    )  # fmt: skip
    assert back.status_code == 200, back.text
    # Rules would assign the appeal to the organisation that returned it; a confirmed topic must not do so.
    decision = await decide(scenario, message, confirm=True)
    assert (decision["appeal_status"], decision["organisation"]) == ("triage", None)
    kept = await scenario.single_appeal()
    assert (kept["route"]["returned_by"], kept["route"]["return_reason"]) == (
        str(scenario.organisation),
        "Не наша дорога",
    )
    assert kept["route"]["suggested_organisation_id"] is None
    assert (await review(scenario, message))["agrees_organisation"] is None
    given = await decide(scenario, message, organisation_id=str(scenario.other_organisation))
    assert given["appeal_status"] == "assigned"
    # One transfer, from the first organisation to the second through the centre.
    assert (await scenario.single_appeal())["transfers"] == 1
    # A person may still assign the appeal explicitly to the organisation that returned it.
    again = await decide(scenario, message, organisation_id=str(scenario.organisation))
    assert again["organisation"]["id"] == str(scenario.organisation)


async def test_returned_appeal_is_rerouted_by_a_correction(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario)
    await rule(scenario, "energy", scenario.other_organisation)
    appeal = await scenario.single_appeal()
    await scenario.move(appeal, "triage", reason="Уточняем")
    decision = await decide(scenario, message, topic_id=await topic(scenario, "energy.01"))
    assert decision["organisation"]["id"] == str(scenario.other_organisation)


async def test_organisation_chosen_with_a_further_message_gets_the_first_event(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(UNCLEAR)
    thanks = await scenario.citizen_writes("Спасибо большое", author="anna", history=True)
    decision = await decide(scenario, thanks, type="request", organisation_id=str(scenario.other_organisation))
    appeal = await scenario.single_appeal()
    assert decision["appeal_id"] == appeal["id"]
    assert appeal["organisation"]["id"] == str(scenario.other_organisation)
    events = await scenario.events("appeal.assigned", "appeal.moved")
    assert {event["organisation_id"] for event in events} == {scenario.other_organisation}
    assert (appeal["transfers"], [assignment["kind"] for assignment in appeal["assignments"]]) == (0, ["assigned"])


async def test_decision_that_deadlocks_with_the_consumer_is_retried(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The consumer locks the classification, then the appeal; the decision locks them in the opposite order."""
    message_id = await scenario.citizen_writes("Не работает светофор на улице Гагарина", author="anna")
    consumer, raw_connection = [await scenario.database.connect() for _ in range(2)]
    store_results, tries = AppealMatcher.store_results, 0
    locking: asyncio.Task[str] | None = None

    async def consumer_waits() -> bool:
        query = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1"
        return bool(await raw_connection.fetchval(query, consumer.get_server_pid()))

    async def store(matcher: AppealMatcher, items: Collection[ClassifiedMessage]) -> dict[UUID, int]:
        nonlocal tries, locking
        tries += 1
        if locking is None:
            locking = asyncio.create_task(
                consumer.execute(
                    "SELECT FROM appeals JOIN appeal_messages m ON m.appeal_id = appeals.id"
                    " WHERE m.message_id = $1 FOR UPDATE OF appeals",
                    UUID(str(message_id)),
                )
            )
            await eventually(consumer_waits)
        return await store_results(matcher, items)

    monkeypatch.setattr(AppealMatcher, "store_results", store)
    # This session does not check for deadlocks, so the database aborts the request's transaction instead.
    await consumer.execute("SET deadlock_timeout = '1h'")
    await consumer.execute("BEGIN")
    await consumer.execute("SELECT FROM classifications WHERE message_id = $1 FOR UPDATE", UUID(str(message_id)))
    deciding = asyncio.create_task(
        scenario.post(f"/messages/{message_id}/triage", {"needs_answer": True, "confirm": True})
    )

    async def locked() -> bool:
        return locking is not None and locking.done()

    await eventually(locked)
    await consumer.execute("ROLLBACK")
    answer = await deciding
    assert (answer.status_code, tries) == (200, 2), answer.text
    for connection in (consumer, raw_connection):
        await connection.close()
