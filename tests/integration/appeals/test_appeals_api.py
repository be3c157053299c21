"""The API of appeals: lists, scopes, moves, decisions and rules; the problem that each invalid request gets."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.appeals.deadline_watch.breach_recording import record_breaches
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.test_appeal_matching import QUESTION

UNCLEAR = "Би мүнөөдэр һургуулида ошооб"


def _is_problem(answer: httpx.Response, status: int, *pointers: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert [error["pointer"] for error in body.get("errors", [])] == list(pointers)
    return body


async def _snapshot(scenario: AppealsScenario) -> list[Any]:
    tables = (
        "appeals",
        "appeal_messages",
        "replies",
        "timeline",
        "classifications",
        "routing_rules",
        "sla_policies",
    )
    found: list[Any] = []
    for table in tables:
        rows = await scenario.ingest.fetch(f"SELECT to_jsonb(t)::text AS row FROM {table} t ORDER BY 1")
        found.append([row["row"] for row in rows])
    found.append(await scenario.ingest.fetchval("SELECT count(*) FROM events"))
    return found


async def test_appeal_lists_are_filtered_paged_and_counted(scenario: AppealsScenario) -> None:
    ok_page = next(page for page in scenario.pages if page != scenario.page)
    for number in range(5):
        await scenario.citizen_writes(QUESTION, author=f"a{number}", at=WEDNESDAY + timedelta(hours=number))
    await scenario.citizen_writes("Нет воды третий день во всем селе!", author="b", page=ok_page, thread="ok:7")
    await scenario.citizen_writes(UNCLEAR, author="c")
    assert len(await scenario.all()) == 7
    assert len(await scenario.all(network="ok")) == 1
    assert len(await scenario.all(urgency="high")) == 1
    assert len(await scenario.all(status="triage")) == 1
    assert len(await scenario.all(status=["triage", "assigned"])) == 7
    assert len(await scenario.all(overdue="true")) == 6
    assert len(await scenario.all(overdue="false")) == 1
    await scenario.index_texts()
    assert len(await scenario.all(q="ВОДА третьего")) == 1
    assert await scenario.all(q="100%") == []
    assert len(await scenario.all(organisation_id=str(scenario.other_organisation))) == 1
    first = (await scenario.all(network="vk", status="assigned"))[0]
    assert [appeal["id"] for appeal in await scenario.all(number=first["number"])] == [first["id"]]
    assert len(await scenario.all(topic_id=first["topic"]["id"])) == 5
    window: dict[str, Any] = {"opened_from": "2026-03-04T03:00:00Z", "opened_to": "2026-03-04T05:00:00Z"}
    assert len(await scenario.all(**window)) == 2
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2, "network": "vk"}
    while True:
        page = (await scenario.get("/appeals", **query)).json()
        seen += [appeal["id"] for appeal in page["items"]]
        if not page["next_cursor"]:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == [appeal["id"] for appeal in await scenario.all(network="vk")]
    counts = (await scenario.get("/appeals/counts")).json()
    assert counts == {"total": 7, "by_status": {"assigned": 6, "triage": 1}, "overdue": 6, "list_version": None}


async def test_staff_see_only_appeals_of_their_organisation(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    foreign: dict[str, Any] = {"role": "executor", "org": scenario.other_organisation}
    assert (await scenario.get("/appeals", **foreign)).json()["items"] == []
    assert (await scenario.get("/appeals/counts", **foreign)).json()["total"] == 0
    _is_problem(await scenario.get(f"/appeals/{appeal['id']}", **foreign), 404)
    _is_problem(await scenario.get(f"/appeals/{appeal['id']}/replies", **foreign), 404)
    before = await _snapshot(scenario)
    _is_problem(await scenario.post(f"/appeals/{appeal['id']}/replies", {"text": "Да"}, **foreign), 404)
    _is_problem(
        await scenario.post(f"/appeals/{appeal['id']}/moves", {"to": "in_progress"}, **foreign, If_Match='"1"'),
        404,
    )
    assert await _snapshot(scenario) == before
    own: dict[str, Any] = {"role": "executor", "org": scenario.organisation}
    seen = (await scenario.get(f"/appeals/{appeal['id']}", **own)).json()
    assert seen["allowed_moves"] == ["in_progress", "assigned", "triage"]
    assert (await scenario.get(f"/appeals/{appeal['id']}", role="head")).json()["allowed_moves"] == []


async def test_invalid_move_is_refused_and_a_valid_one_changes_the_appeal(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    path = f"/appeals/{appeal['id']}/moves"
    before = await _snapshot(scenario)
    _is_problem(await scenario.post(path, {"to": "in_progress"}), 428)
    _is_problem(await scenario.post(path, {"to": "in_progress"}, If_Match='"99"'), 412)
    _is_problem(await scenario.post(path, {"to": "in_progress"}, If_Match="x"), 422, "header/If-Match")
    _is_problem(await scenario.post(path, {"to": "gone"}, If_Match='"1"'), 422, "/to")
    wrong = _is_problem(await scenario.move(appeal, "answered"), 409)
    assert wrong["allowed_moves"] == appeal["allowed_moves"]
    assert "in_progress" in wrong["detail"]
    _is_problem(await scenario.move(appeal, "assigned", organisation_id=str(uuid4())), 422, "/organisation_id")
    _is_problem(await scenario.move(appeal, "closed"), 422, "/reason")
    _is_problem(await scenario.move(appeal, "in_progress", outcome="solved"), 422, "/outcome")
    _is_problem(await scenario.move(appeal, "assigned", reason="\u0000"), 422, "/reason")
    assert await _snapshot(scenario) == before
    moved = await scenario.move(
        appeal, "assigned", organisation_id=str(scenario.other_organisation), reason="Их дорога"
    )
    assert moved.status_code == 200
    assert moved.headers["ETag"] == f'"{moved.json()["version"]}"'
    appeal = moved.json()
    assert appeal["organisation"]["name"] == "Комитет по строительству"
    assert appeal["first_response_due_at"] == "2026-03-05T03:01:00Z"
    why = appeal["route"].pop("why")
    assert why.startswith("Вопрос")
    assert appeal["route"] == {
        "reason": "Их дорога",
        "rule_id": None,
        "confidence": 1.0,
        "rule_set": None,
        "rule": None,
        "suggestions": [],
        "suggested_organisation_id": None,
        "returned_by": None,
        "return_reason": None,
    }
    closed = (await scenario.move(appeal, "closed", reason="Сделано", outcome="solved")).json()
    assert (closed["status"], closed["outcome"], closed["overdue"]) == ("closed", "solved", False)
    before = await _snapshot(scenario)
    _is_problem(await scenario.post(f"/appeals/{appeal['id']}/replies", {"text": "Ещё"}), 409)
    assert await _snapshot(scenario) == before
    events = await scenario.events("appeal.moved", "appeal.closed")
    mine = [event["type"] for event in events if event["organisation_id"] == scenario.other_organisation]
    assert mine == ["appeal.moved", "appeal.moved", "appeal.closed"]
    # The organisation that lost the appeal gets an event about the loss and no later ones.
    (lost,) = (json.loads(event["data"]) for event in events if event["organisation_id"] == scenario.organisation)
    assert lost["assignment_lost"]
    # After the appeal is closed, a message of the same person in the same thread opens a new appeal.
    await scenario.citizen_writes(QUESTION)
    assert len(await scenario.all()) == 2
    # Both appeals may be open at once: their matter numbers differ.
    again = await scenario.move(await scenario.appeal(appeal["id"]), "reopened", reason="Ошибка")
    assert again.json()["status"] == "reopened"


async def test_appeal_returned_by_its_organisation_goes_to_triage(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    headers = scenario.appeals.headers("executor", scenario.organisation)
    answer = await scenario.appeals.client.post(
        f"/api/v1/appeals/{appeal['id']}/moves",
        json={"to": "triage", "reason": "Дорога республиканская"},
        headers=headers | {"If-Match": f'"{appeal["version"]}"'},
    )
    assert answer.status_code == 200
    appeal = await scenario.single_appeal()
    assert (appeal["status"], appeal["organisation"], appeal["overdue"]) == ("triage", None, False)
    assert appeal["route"]["return_reason"] == "Дорога республиканская"
    _is_problem(await scenario.move(appeal, "assigned"), 422, "/organisation_id")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"text": ""}, "/text"),
        ({"text": "  \n"}, "/text"),
        ({"text": "я" * 20_001}, "/text"),
        ({"text": "a\u0000b"}, "/text"),
        ({"text": "a", "kind": "draft"}, "/kind"),
        ({"text": "a", "kind": "interim"}, "/promised_at"),
        ({"text": "a", "kind": "interim", "promised_at": "2020-01-01T00:00:00Z"}, "/promised_at"),
        ({"text": "a", "kind": "interim", "promised_at": "2099-01-01T00:00:00"}, "/promised_at"),
        ({"text": "a", "promised_at": "2099-01-01T00:00:00Z"}, "/promised_at"),
        ({"text": "a", "message_id": "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b10"}, "/message_id"),
        ({"text": "a", "colour": "red"}, "/colour"),
        ({}, "/text"),
    ],
)
async def test_invalid_reply_is_refused_and_changes_nothing(
    scenario: AppealsScenario, body: dict[str, Any], pointer: str
) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    before = await _snapshot(scenario)
    _is_problem(await scenario.post(f"/appeals/{appeal['id']}/replies", body), 422, pointer)
    assert await _snapshot(scenario) == before


async def test_reply_longer_than_the_networks_limit_is_accepted(scenario: AppealsScenario) -> None:
    ok_page = next(page for page in scenario.pages if page != scenario.page)
    await scenario.citizen_writes(QUESTION, page=ok_page, thread="ok:7")
    appeal = await scenario.single_appeal()
    long = await scenario.post(f"/appeals/{appeal['id']}/replies", {"text": "я" * 20_000})
    assert (long.status_code, len(long.json()["text"])) == (201, 20_000)


async def test_reply_sent_twice_with_one_key_is_stored_once(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    path = f"/appeals/{appeal['id']}/replies"
    first = await scenario.post(path, {"text": "Да"}, Idempotency_Key="k1")
    second = await scenario.post(path, {"text": "Да"}, Idempotency_Key="k1")
    assert (first.status_code, second.status_code, second.json()) == (201, 201, first.json())
    _is_problem(await scenario.post(path, {"text": "Нет"}, Idempotency_Key="k1"), 422, "header/Idempotency-Key")
    assert len((await scenario.single_appeal())["replies"]) == 1


async def test_repeated_request_gets_the_status_of_the_first_response(scenario: AppealsScenario) -> None:
    call = {"text": "Не горят фонари", "source": "phone", "external_id": "17"}
    assert (await scenario.post("/appeals", call)).status_code == 201
    known, repeated = [await scenario.post("/appeals", call, Idempotency_Key="k1") for _ in range(2)]
    assert (known.status_code, repeated.status_code) == (200, 200)
    assert repeated.headers["Idempotent-Replay"] == "true"


async def test_invalid_requests_are_refused_and_change_nothing(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION, author="a")
    await scenario.citizen_writes(QUESTION, author="b")
    before = await _snapshot(scenario)
    cursor = (await scenario.get("/appeals", limit=1)).json()["next_cursor"]
    _is_problem(await scenario.get("/appeals", limit=1, cursor=cursor, network="vk"), 422, "query/cursor")
    _is_problem(await scenario.get("/sla-policies", cursor=cursor), 422, "query/cursor")
    _is_problem(await scenario.get("/appeals", limit=0), 422, "query/limit")
    _is_problem(await scenario.get("/appeals", status="gone"), 422, "query/status/0")
    _is_problem(await scenario.get("/appeals", opened_from="0001-01-01T00:00:00+14:00"), 422, "query/opened_from")
    _is_problem(await scenario.get("/appeals", number=2**70), 422, "query/number")
    _is_problem(await scenario.get(f"/appeals/{uuid4()}"), 404)
    _is_problem(await scenario.get("/appeals/nonsense"), 422, "path/appeal_id")
    _is_problem(await scenario.get("/appealz"), 404)
    client, headers = scenario.appeals.client, scenario.appeals.headers("moderator")
    _is_problem(await client.get("/api/v1/appeals"), 401)
    _is_problem(await client.get("/api/v1/appeals", headers={"Authorization": "Bearer a.b.c"}), 401)
    broken = await client.post(
        "/api/v1/appeals", content=b"{", headers=headers | {"Content-Type": "application/json"}
    )
    _is_problem(broken, 400)
    _is_problem(await scenario.post("/appeals", {"text": "x"}, role="head"), 403)
    _is_problem(await scenario.post("/appeals", {}), 422, "/message_id")
    _is_problem(await scenario.post("/appeals", {"message_id": str(uuid4())}), 422, "/message_id")
    _is_problem(
        await scenario.post("/appeals", {"text": "x", "organisation_id": str(uuid4())}), 422, "/organisation_id"
    )
    _is_problem(await scenario.post("/appeals", {"text": "x", "topic_id": str(uuid4())}), 422, "/topic_id")
    _is_problem(await scenario.post(f"/messages/{uuid4()}/triage", {"needs_answer": True}), 404)
    assert await _snapshot(scenario) == before


async def test_decision_about_a_message_opens_or_closes_its_appeal(scenario: AppealsScenario) -> None:
    unclear = await scenario.citizen_writes(UNCLEAR)
    topic = next(t for t in (await scenario.get("/topics")).json()["items"] if t["code"] == "education")
    answer = await scenario.post(
        f"/messages/{unclear}/triage", {"needs_answer": True, "topic_id": topic["id"], "urgency": "high"}
    )
    assert answer.status_code == 200, answer.text
    decision = answer.json()
    assert (decision["classification"]["needs_answer"], decision["appeal_status"]) == ("yes", "assigned")
    appeal = await scenario.single_appeal()
    assert appeal["organisation"]["id"] == str(scenario.organisation)
    assert (appeal["urgency"], appeal["topic"]["name"]) == ("high", "Образование")
    # The deadline counts from the receipt of the message, so the centre's decision uses part of the time.
    assert appeal["first_response_due_at"] == "2026-03-04T07:01:00Z"
    thanks = await scenario.citizen_writes("Спасибо большое", author="vera")
    assert (await scenario.post(f"/messages/{thanks}/triage", {"needs_answer": True})).json()["appeal_id"]
    assert len(await scenario.all()) == 2
    other = await scenario.citizen_writes(UNCLEAR, author="zoya")
    no = (await scenario.post(f"/messages/{other}/triage", {"needs_answer": False})).json()
    assert no["appeal_status"] == "not_required"
    assert (await scenario.move(await scenario.appeal(decision["appeal_id"]), "in_progress")).status_code == 200
    conflict = await scenario.post(f"/messages/{unclear}/triage", {"needs_answer": False})
    _is_problem(conflict, 409)


async def test_appeal_is_opened_manually(scenario: AppealsScenario) -> None:
    thanks = await scenario.citizen_writes("Спасибо большое")
    opened = await scenario.post("/appeals", {"message_id": str(thanks)})
    assert opened.status_code == 201, opened.text
    assert opened.json()["status"] == "assigned"
    _is_problem(await scenario.post("/appeals", {"message_id": str(thanks)}), 409)
    called = await scenario.post(
        "/appeals", {"text": "По телефону: не горят фонари", "organisation_id": str(scenario.other_organisation)}
    )
    assert called.status_code == 201, called.text
    appeal = called.json()
    assert (appeal["status"], appeal["channel"]["network"]) == ("assigned", None)
    assert (appeal["page"], appeal["thread_key"]) == (None, None)
    assert appeal["topic"]["group"]["name"] == "Дороги"
    assert appeal["first_response_due_at"] is not None
    _is_problem(await scenario.post(f"/appeals/{appeal['id']}/replies", {"text": "Да"}), 409)


async def test_list_is_sorted_and_expanded_on_request(scenario: AppealsScenario) -> None:
    for number in range(4):
        await scenario.citizen_writes(QUESTION, author=f"a{number}", at=WEDNESDAY + timedelta(hours=number))
    newest = [found["id"] for found in await scenario.all()]
    assert [found["id"] for found in await scenario.all(sort="-opened_at")] == newest
    assert [found["id"] for found in await scenario.all(sort="opened_at")] == newest[::-1]
    first = (await scenario.get("/appeals", sort="opened_at", limit=3)).json()
    rest = await scenario.all(sort="opened_at", limit=3, cursor=first["next_cursor"])
    assert [found["id"] for found in [*first["items"], *rest]] == newest[::-1]
    _is_problem(await scenario.get("/appeals", limit=3, cursor=first["next_cursor"]), 422, "query/cursor")
    assert {found["route"] for found in rest} == {None}
    (expanded,) = await scenario.all(expand="route", limit=1, q="", opened_from=rest[0]["opened_at"])
    assert expanded["route"]["reason"] == "Владелец страницы: Школа № 1"
    _is_problem(await scenario.get("/appeals", expand="messages"), 422, "query/expand/0")
    _is_problem(await scenario.get("/appeals", sort=["opened_at", "-opened_at"]), 422, "query/sort")


async def test_request_for_an_unchanged_appeal_gets_304(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    (listed,) = await scenario.all()
    path, client = f"/api/v1/appeals/{listed['id']}", scenario.appeals.client
    first = await client.get(path, headers=scenario.appeals.headers("moderator"))
    known = {"If-None-Match": first.headers["ETag"]}
    assert (await client.get(path, headers=scenario.appeals.headers("moderator", None) | known)).status_code == 304
    # Another role has other `allowed_moves`: the body differs although the version is the same.
    other = await client.get(path, headers=scenario.appeals.headers("head", None) | known)
    assert (other.status_code, other.json()["version"]) == (200, first.json()["version"])
    moved = await scenario.post(
        f"/appeals/{listed['id']}/moves", {"to": "in_progress"}, If_Match=first.headers["ETag"]
    )
    assert moved.status_code == 200, moved.text
    assert (await client.get(path, headers=scenario.appeals.headers("moderator") | known)).status_code == 200


async def test_added_policies_and_rules_apply_only_to_later_messages(scenario: AppealsScenario) -> None:
    topics = (await scenario.get("/topics", role="operations")).json()["items"]
    assert len(topics) == 26
    policies = (await scenario.get("/sla-policies")).json()["items"]
    assert {(p["urgency"], p["first_response_hours"], p["resolution_hours"]) for p in policies} == {
        ("normal", 9, 56),
        ("high", 4, 56),
    }
    policy = {"name": "Быстрее", "urgency": "normal", "first_response_hours": 8, "resolution_hours": 40}
    _is_problem(
        await scenario.post("/sla-policies", policy | {"valid_from": "2020-01-01T00:00:00Z"}), 422, "/valid_from"
    )
    _is_problem(
        await scenario.post("/sla-policies", policy | {"first_response_hours": 0}), 422, "/first_response_hours"
    )
    _is_problem(await scenario.post("/sla-policies", policy, role="executor", org=scenario.organisation), 403)
    assert (await scenario.post("/sla-policies", policy)).status_code == 201
    # The message was received before the new policy took effect, so the previous policy applies.
    await scenario.citizen_writes(QUESTION)
    assert (await scenario.single_appeal())["deadline"]["hours"] == 9

    roads = next(topic for topic in topics if topic["code"] == "roads")
    rule = {"topic_id": roads["id"], "organisation_id": str(scenario.other_organisation)}
    _is_problem(
        await scenario.post("/routing-rules", {"organisation_id": rule["organisation_id"]}),
        422,
        "/topic_id",
        "/municipality",
        "/page_owner_id",
        "/page_owner_sphere",
        "/page_owner_kind",
        "/urgency",
    )
    _is_problem(
        await scenario.post("/routing-rules", rule | {"organisation_id": str(uuid4())}), 422, "/organisation_id"
    )
    _is_problem(await scenario.post("/routing-rules", rule | {"municipality": "99999999"}), 422, "/municipality")
    made = await scenario.post("/routing-rules", rule)
    assert made.status_code == 201, made.text
    _is_problem(await scenario.post("/routing-rules", rule), 409)
    await scenario.citizen_writes(QUESTION, author="boris")
    (routed,) = await scenario.all(organisation_id=str(scenario.other_organisation), expand="route")
    assert routed["route"]["rule_id"] == made.json()["id"]
    headers = scenario.appeals.headers("moderator")
    gone = await scenario.appeals.client.delete(f"/api/v1/routing-rules/{made.json()['id']}", headers=headers)
    assert gone.status_code == 204
    await scenario.citizen_writes(QUESTION, author="vera")
    assert len(await scenario.all(organisation_id=str(scenario.other_organisation))) == 1


async def test_breach_is_recorded_once(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    for expected in (2, 0):
        async with scenario.appeals.service.database.write() as session:
            assert await record_breaches(session) == expected
    found = [json.loads(event["data"]) for event in await scenario.events("appeal.overdue")]
    assert {event["organisation_id"] for event in found} == {str(scenario.organisation)}
    assert [(event["clock"], event["due_at"]) for event in found] == [
        ("first_response", found[0]["first_response_due_at"]), ("final_answer", found[0]["resolution_due_at"]),
    ]  # fmt: skip


async def test_every_route_is_documented(scenario: AppealsScenario) -> None:
    document = (await scenario.appeals.client.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation.get("summary"), (method, path)
            assert operation.get("description"), (method, path)
            # Open311 has no 401: an app without a key gets 403.
            refusals = {"403"} if path.startswith("/open311/") else {"401", "403"}
            assert refusals <= operation["responses"].keys(), (method, path)


async def test_text_sent_twice_opens_one_appeal(scenario: AppealsScenario) -> None:
    body = {"text": "По телефону: не горит фонарь на улице Кирова"}
    answers = await asyncio.gather(*(scenario.post("/appeals", body) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    (opened,) = [answer.json() for answer in answers if answer.status_code == 201]
    refused = [answer.json() for answer in answers if answer.status_code == 409]
    assert {problem["appeal_id"] for problem in refused} == {opened["id"]}
    assert refused[0]["type"].endswith("/duplicate")
    assert len(await scenario.all()) == 1


async def test_text_sent_again_on_purpose_opens_another_appeal(scenario: AppealsScenario) -> None:
    body = {"text": "По телефону: не горит фонарь на улице Кирова"}
    assert (await scenario.post("/appeals", body)).status_code == 201
    assert (await scenario.post("/appeals", body, Idempotency_Key="second-call")).status_code == 201
    assert len(await scenario.all()) == 2


async def test_appeal_shows_its_page_and_thread(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    name = await scenario.ingest.fetchval("SELECT name FROM pages WHERE id = $1", scenario.page)
    assert appeal["page"] == {"id": str(scenario.page), "name": name, "organisation": appeal["organisation"]}
    assert appeal["thread_key"] == await scenario.ingest.fetchval("SELECT thread_key FROM messages")
