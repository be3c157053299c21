"""Endpoints that filter their events by organisation, topic and municipality."""

from collections.abc import Sequence
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import pytest

from services.webhooks.deliveries import replay as replays
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness
from tests.support.service_under_test import insert_organisation

ENDPOINTS = "/api/v1/webhooks/endpoints"
KABANSK, ULAN_UDE = "81624000", "81701000"


async def tree(harness: WebhooksHarness) -> dict[str, UUID]:
    """Insert a department with a school, which has a kindergarten, and a clinic that is not under it."""
    department = await insert_organisation(harness.test_database, name="Управление")
    school = await insert_organisation(harness.test_database, name="Школа", parent=department)
    kindergarten = await insert_organisation(harness.test_database, name="Садик", parent=school)
    clinic = await insert_organisation(harness.test_database, name="Больница")
    return {"department": department, "school": school, "kindergarten": kindergarten, "clinic": clinic}


async def insert_topics(harness: WebhooksHarness) -> tuple[UUID, UUID, UUID]:
    """Insert a topic group with a topic, and another topic; return their ids."""
    group, roads, water = uuid4(), uuid4(), uuid4()
    connection = await harness.test_database.connect("appeals")
    try:
        await connection.executemany(
            """INSERT INTO topics (id, code, name, position, taxonomy_version, aliases, active, group_id)
            VALUES ($1, $1::uuid::text, 'Тема', 1, 'test', '[]', true, $2)""",
            [(group, None), (roads, group), (water, None)],
        )
    finally:
        await connection.close()
    return group, roads, water


def with_subordinates(harness: WebhooksHarness, organisation_id: UUID, role: str = "manager") -> dict[str, str]:
    """Return headers of a person whose access includes subordinate organisations."""
    token = harness.app.token(
        role, organisation_id, subject=harness.subject(role, organisation_id), include_subordinates=True
    )
    return {"Authorization": f"Bearer {token}", "If-Match": "*"}


async def create(harness: WebhooksHarness, url: str, headers: dict[str, str], **fields: Any) -> Any:
    return await harness.app.client.post(
        ENDPOINTS, json={"url": url, "event_types": ["appeal.opened"]} | fields, headers=headers
    )


async def delivered(harness: WebhooksHarness, receiver: Receiver) -> list[int]:
    """Deliver everything; return the numbers of the received appeals in order."""
    await harness.fan_out()
    while await harness.deliver():
        pass
    return sorted(request.json["data"]["number"] for request in receiver.received)


async def test_endpoint_of_the_centre_gets_the_events_of_a_subtree(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    found = await tree(harness)
    subtree = [str(found["school"]), str(found["school"])]
    endpoint = await harness.endpoint(receiver.url, organisation_subtree=subtree)
    assert endpoint["organisation_subtree"] == [str(found["school"])]
    for number, name in enumerate(("department", "school", "kindergarten", "clinic")):
        await harness.emit("appeal.opened", found[name], number=number)
    await harness.emit("appeal.opened", None, number=9)
    assert await delivered(harness, receiver) == [1, 2]


async def test_owner_gets_events_of_subordinates_only_with_a_subtree_filter(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    found = await tree(harness)
    headers = with_subordinates(harness, found["school"])
    made = await create(harness, receiver.url, headers, organisation_subtree=[str(found["school"])])
    assert (made.status_code, made.json()["organisation_id"]) == (201, str(found["school"]))
    for number, name in enumerate(("department", "school", "kindergarten", "clinic")):
        await harness.emit("appeal.opened", found[name], number=number)
    assert await delivered(harness, receiver) == [1, 2]
    # Without the filter, it gets the events of its own organisation alone.
    path = f"{ENDPOINTS}/{made.json()['id']}"
    changed = await harness.app.client.patch(path, json={"organisation_subtree": []}, headers=headers)
    assert changed.json()["organisation_subtree"] == []
    for number, name in enumerate(("school", "kindergarten"), 11):
        await harness.emit("appeal.opened", found[name], number=number)
    assert await delivered(harness, receiver) == [1, 2, 11]


async def test_colleague_without_subordinates_does_not_see_their_events(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    found = await tree(harness)
    await create(
        harness,
        receiver.url,
        with_subordinates(harness, found["school"]),
        organisation_subtree=[str(found["school"])],
    )
    await harness.emit("appeal.opened", found["kindergarten"], number=1)
    await harness.emit("appeal.opened", found["school"], number=2)
    await harness.fan_out()
    receiver.statuses, receiver.body = [500, 500], "Нет света"
    await harness.deliver()
    colleague = harness.headers("executor", found["school"])
    for headers, visible in (
        (colleague, {2}),
        (with_subordinates(harness, found["school"], "executor"), {1, 2}),
        (harness.headers("moderator"), {1, 2}),
    ):
        listed = (await harness.app.client.get("/api/v1/webhooks/deliveries", headers=headers)).json()["items"]
        assert sum("Нет света" in one["last_error"] for one in listed) == len(visible)
        assert len(listed) == 2
        numbers = set()
        for one in listed:
            path = f"/api/v1/webhooks/deliveries/{one['id']}"
            payload = (await harness.app.client.get(path, headers=headers)).json()["payload"]
            [attempt] = (await harness.app.client.get(f"{path}/attempts", headers=headers)).json()["items"]
            assert (payload is None) == (attempt["response_body"] is None)
            numbers |= {payload["data"]["number"]} if payload else set()
        assert numbers == visible


@pytest.mark.parametrize(
    ("wanted", "subordinates", "status"),
    [("school", False, 403), ("department", True, 422), ("clinic", True, 422), ("nobody", True, 422)],
    ids=["without access to subordinates", "above", "beside", "unknown"],
)
async def test_subtree_beyond_the_access_is_refused(
    harness: WebhooksHarness, receiver: Receiver, wanted: str, subordinates: bool, status: int
) -> None:
    found = await tree(harness) | {"nobody": uuid4()}
    headers = harness.headers("manager", found["school"], **{"If-Match": "*"})
    if subordinates:
        headers = with_subordinates(harness, found["school"])
    fields = {"organisation_subtree": [str(found[wanted])]}
    refused = await create(harness, receiver.url, headers, **fields)
    assert refused.status_code == status, refused.text
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/organisation_subtree/0"] * len(
        refused.json()["errors"]
    )
    endpoint = await create(harness, receiver.url, headers)
    path = f"{ENDPOINTS}/{endpoint.json()['id']}"
    assert (await harness.app.client.patch(path, json=fields, headers=headers)).status_code == status
    assert (await harness.app.client.get(path, headers=headers)).json()["organisation_subtree"] == []


async def test_moderator_cannot_widen_the_endpoint_of_an_organisation(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    found = await tree(harness)
    endpoint = await harness.endpoint(receiver.url, organisation_id=found["school"], role="manager")
    headers = harness.headers("moderator", **{"If-Match": "*"})
    path = f"{ENDPOINTS}/{endpoint['id']}"
    refused = await harness.app.client.patch(
        path, json={"organisation_subtree": [str(found["clinic"])]}, headers=headers
    )
    assert refused.status_code == 422
    assert "neither the endpoint's own nor under it" in refused.json()["errors"][0]["detail"]


async def test_endpoint_is_suspended_when_its_owner_loses_the_subordinates(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    found = await tree(harness)
    headers = with_subordinates(harness, found["school"])
    made = await create(harness, receiver.url, headers, organisation_subtree=[str(found["kindergarten"])])
    await harness.emit("appeal.opened", found["kindergarten"])
    await harness.fan_out()
    await harness.sql("UPDATE people SET include_subordinates = false")
    assert await harness.deliver() == []
    path = f"{ENDPOINTS}/{made.json()['id']}"
    shown = await harness.app.client.get(path, headers=harness.headers("moderator"))
    assert shown.json()["suspended_reason"] == (
        "its owner lacks the right «appeals:read» for an organisation of its filter with those below it"
    )
    taken = await harness.app.client.post(f"{path}/take-over", headers=harness.headers("manager", found["school"]))
    assert taken.status_code == 403
    assert receiver.received == []


async def test_event_of_an_organisation_that_left_the_subtree_is_not_sent(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    found = await tree(harness)
    headers = with_subordinates(harness, found["school"])
    await create(harness, receiver.url, headers, organisation_subtree=[str(found["school"])])
    await harness.emit("appeal.opened", found["kindergarten"], number=1)
    await harness.emit("appeal.opened", found["school"], number=2)
    await harness.fan_out()
    await harness.sql(
        "UPDATE organisations SET parent_id = $1 WHERE id = $2", found["clinic"], found["kindergarten"]
    )
    assert await delivered(harness, receiver) == [2]
    [failed] = await harness.deliveries(status="failed")
    assert failed["last_error"] == "the event's organisation is not under the endpoint's"


async def test_filter_by_a_topic_group_matches_its_topics(harness: WebhooksHarness, receiver: Receiver) -> None:
    group, roads, water = await insert_topics(harness)
    await harness.endpoint(receiver.url, topics=[str(group)])
    for number, topic in enumerate((roads, water, None, group)):
        await harness.emit(number=number, topic_id=topic)
    assert await delivered(harness, receiver) == [0, 3]


async def test_event_must_match_every_filter(harness: WebhooksHarness, receiver: Receiver) -> None:
    _, roads, water = await insert_topics(harness)
    found = await tree(harness)
    await harness.endpoint(
        receiver.url,
        topics=[str(roads)],
        municipalities=[KABANSK],
        organisation_subtree=[str(found["school"])],
    )
    events: Sequence[tuple[UUID | None, UUID, str | None]] = [
        (found["kindergarten"], roads, KABANSK),
        (found["clinic"], roads, KABANSK),
        (found["school"], water, KABANSK),
        (found["school"], roads, ULAN_UDE),
        (found["school"], roads, None),
        (None, roads, KABANSK),
    ]
    for number, (organisation, topic, municipality) in enumerate(events):
        await harness.emit("appeal.opened", organisation, number=number, topic_id=topic, municipality=municipality)
    assert await delivered(harness, receiver) == [0]


async def test_receiver_of_the_former_topic_gets_the_event_of_a_reclassification(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    _, roads, water = await insert_topics(harness)
    await harness.endpoint(receiver.url, "appeal.reclassified", topics=[str(roads)], municipalities=[KABANSK])

    def state(topic: UUID, municipality: str = KABANSK) -> dict[str, Any]:
        return {"topic_id": topic, "municipality": municipality, "settlement": None, "urgency": "normal"}

    states = [
        (state(roads), state(water)),
        (state(water), state(roads)),
        (state(water), state(water)),
        (state(roads, ULAN_UDE), state(water)),
    ]
    for number, (before, after) in enumerate(states):
        snapshot = {"topic_id": after["topic_id"], "municipality": after["municipality"]}
        await harness.emit("appeal.reclassified", number=number, before=before, after=after, **snapshot)
    assert await delivered(harness, receiver) == [0, 1]


async def test_alert_is_filtered_by_topic_and_municipality_of_its_appeal_or_incident(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    _, roads, water = await insert_topics(harness)
    await harness.endpoint(receiver.url, "alert.*", topics=[str(roads)], municipalities=[KABANSK])
    appeals, incidents = [uuid4(), uuid4()], [uuid4(), uuid4()]
    connection = await harness.test_database.connect("appeals")
    try:
        await connection.executemany(
            """INSERT INTO appeals (id, number, version, status, urgency, text, written_at, opened_at, route,
                transfers, returns, created_at, updated_at, topic_id, municipality)
            OVERRIDING SYSTEM VALUE
            VALUES ($1, $2, 1, 'new', 'normal', 'Нет света', now(), now(), '{}', 0, 0, now(), now(), $3, $4)""",
            [(appeals[0], 1, roads, KABANSK), (appeals[1], 2, water, KABANSK)],
        )
        await connection.executemany(
            """INSERT INTO incidents (id, version, origin, title, urgency, member_count, first_written_at,
                last_written_at, opened_at, opened_by, created_at, updated_at, topic_id, municipality)
            VALUES ($1, 1, 'spike', 'Дороги', 'high', 0, now(), now(), now(), 'appeals', now(), now(), $2, $3)""",
            [(incidents[0], roads, KABANSK), (incidents[1], roads, ULAN_UDE)],
        )
    finally:
        await connection.close()
    for appeal in appeals:
        await harness.emit("alert.raised", appeal_id=appeal, incident_id=None)
    for incident in incidents:
        await harness.emit("alert.raised", appeal_id=None, incident_id=incident)
    await harness.fan_out()
    await harness.deliver()
    named = {
        request.json["data"]["appeal_id"] or request.json["data"]["incident_id"] for request in receiver.received
    }
    assert named == {str(appeals[0]), str(incidents[0])}


async def test_erasure_is_sent_whatever_the_topic(harness: WebhooksHarness, receiver: Receiver) -> None:
    _, roads, _ = await insert_topics(harness)
    await harness.endpoint(receiver.url, "author.erased", "page.closed", topics=[str(roads)])
    await harness.emit("author.erased")
    await harness.emit("page.closed")
    await harness.fan_out()
    assert [delivery["event_type"] for delivery in await harness.deliveries()] == ["author.erased"]


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("topics", [str(UUID(int=9))], "/topics/0"),
        ("municipalities", [KABANSK, "81999999"], "/municipalities/1"),
        ("municipalities", ["Кабанск"], "/municipalities/0"),
        ("organisation_subtree", ["x"], "/organisation_subtree/0"),
        ("topics", None, "/topics"),
        ("topics", [str(UUID(int=9))] * 101, "/topics"),
    ],
)
async def test_invalid_filter_is_refused_naming_the_field(
    harness: WebhooksHarness, receiver: Receiver, field: str, value: Any, pointer: str
) -> None:
    headers = harness.headers("moderator", **{"If-Match": "*"})
    refused = await create(harness, receiver.url, headers, **{field: value})
    endpoint = await harness.endpoint(receiver.url)
    changed = await harness.app.client.patch(f"{ENDPOINTS}/{endpoint['id']}", json={field: value}, headers=headers)
    for answer in (refused, changed):
        assert answer.status_code == 422, answer.text
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_change_of_a_filter_makes_the_caller_the_owner(harness: WebhooksHarness, receiver: Receiver) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    endpoint = await harness.endpoint(receiver.url, organisation_id=school, role="executor")
    assert endpoint["owner_id"] == harness.subject("executor", school)
    headers = harness.headers("manager", school, **{"If-Match": "*"})
    path = f"{ENDPOINTS}/{endpoint['id']}"
    same = await harness.app.client.patch(path, json={"municipalities": []}, headers=headers)
    assert same.json()["owner_id"] == harness.subject("executor", school)
    changed = await harness.app.client.patch(path, json={"municipalities": [KABANSK]}, headers=headers)
    assert (changed.json()["owner_id"], changed.json()["municipalities"]) == (
        harness.subject("manager", school),
        [KABANSK],
    )


async def test_filter_that_adds_organisations_ends_the_consent(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    found = await tree(harness)
    headers = with_subordinates(harness, found["school"])
    made = await create(harness, receiver.url, headers, personal_data=True)
    assert made.json()["consent_at"] is not None, made.text
    executor = with_subordinates(harness, found["school"], "executor")
    path = f"{ENDPOINTS}/{made.json()['id']}"
    changed = await harness.app.client.patch(
        path, json={"organisation_subtree": [str(found["school"])]}, headers=executor
    )
    assert (changed.status_code, changed.json()["consent_at"]) == (200, None)
    assert changed.json()["personal_data_masking_reason"] is not None


async def test_replay_uses_the_filters_and_looks_beyond_events_that_do_not_match(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    _, roads, water = await insert_topics(harness)
    found = await tree(harness)
    for number in range(12):
        topic = roads if number % 4 == 0 else water
        organisation = found["clinic"] if number == 8 else found["kindergarten"]
        await harness.emit("appeal.opened", organisation, number=number, topic_id=topic)
    await harness.fan_out()
    endpoint = await harness.endpoint(
        receiver.url, topics=[str(roads)], organisation_subtree=[str(found["school"])]
    )
    body = {"what": "all", "since": "2020-01-01T00:00:00Z"}
    path, headers = f"{ENDPOINTS}/{endpoint['id']}/replay", harness.headers("moderator")
    queued = []
    with mock.patch.object(replays, "REPLAYED_AT_ONCE", 1):
        for _ in range(3):
            answer = (await harness.app.client.post(path, json=body, headers=headers)).json()
            queued.append(answer["queued"])
            if not answer["has_more"]:
                break
            body["after"] = answer["next_after"]
    assert queued[:2] == [1, 1]
    await harness.make_due()
    assert await delivered(harness, receiver) == [0, 4]
    [other] = await harness.sql("SELECT id FROM events WHERE data->>'number' = '1'")
    refused = await harness.app.client.post(
        path, json={"what": "event", "event_id": str(other["id"])}, headers=headers
    )
    assert refused.status_code == 404
