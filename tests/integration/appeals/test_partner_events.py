"""Signed events of partners: verified before they are read, processed once, with the owner's current rights."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from structlog.testing import capture_logs

from services.appeals.api.partners.partner_events import MAX_EVENT_BODY, NOT_VERIFIED, PartnerQuotas
from services.appeals.erasure.stored_values import without_words
from services.appeals.partners import event_effects
from services.appeals.partners.received_events import EventEffect
from services.appeals.schemas.partners.partner_events import PARTNER_EVENT_EXAMPLES, PARTNER_EVENT_MODELS
from shared.http.rate_limit import Quota
from shared.signing_secrets import new_secret
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.partner_helpers import ConnectedPartner, connect
from tests.integration.appeals.people_helpers import Colleague, change_access, register
from tests.integration.appeals.reply_helpers import appeal as written_appeal
from tests.integration.appeals.test_appeals_api import _is_problem

TEXT = "На улице Гагарина не горят фонари"


@pytest.fixture
async def owner(scenario: AppealsScenario) -> Colleague:
    """The colleague who connected the partner."""
    return await register(scenario, "Борис")


@pytest.fixture
async def partner(scenario: AppealsScenario, owner: Colleague) -> ConnectedPartner:
    """A partner of the scenario's organisation."""
    return await connect(scenario, owner)


async def _count(scenario: AppealsScenario, table: str) -> int:
    return int(await scenario.ingest.fetchval(f"SELECT count(*) FROM {table}"))


async def _receipt(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_partner_opens_an_appeal_that_is_found_by_its_external_id(
    scenario: AppealsScenario, owner: Colleague, partner: ConnectedPartner
) -> None:
    answer = await partner.send(
        "appeal.create",
        webhook_id="evt_1",
        external_id="17-204",
        text=TEXT,
        organisation_id=str(scenario.organisation),
        contact={"phone": "+7 900 123-45-67"},
        metadata={"stage": "new"},
    )
    receipt = await _receipt(answer)
    assert answer.headers["ratelimit"].startswith('"default";r=599')
    assert "idempotent-replay" not in answer.headers
    assert (receipt["id"], receipt["type"], receipt["opened"]) == ("evt_1", "appeal.create", True)
    (item,) = (await owner.get("/appeals?source=edds&external_id=17-204")).json()["items"]
    assert (item["id"], item["number"]) == (receipt["appeal_id"], receipt["appeal_number"])
    found = (await owner.get(f"/appeals/{item['id']}")).json()
    assert (found["status"], found["text"], found["source"]) == ("assigned", TEXT, "edds")
    assert found["submission"]["contact"]["phone"] == "+7 900 123-45-67"
    opened = found["timeline"][0]
    assert opened["actor"] == {"id": partner.id, "name": "Портал ЕДДС", "kind": "partner"}
    rows = await scenario.ingest.fetch("SELECT * FROM audit WHERE action = 'receive_partner_event'")
    assert {row["subject_kind"] for row in rows} == {"appeals", "appeal_submissions"}
    assert {(row["actor"], row["on_behalf_of"]) for row in rows} == {(partner.id, owner.ref)}
    # The record of the event contains nothing of its body.
    admin = await scenario.database.connect()
    stored = await admin.fetchval("SELECT to_jsonb(e)::text FROM partner_events e")
    await admin.close()
    assert "Гагарина" not in stored
    assert "900 123" not in stored


async def test_client_of_the_organisation_finds_the_appeal_by_its_external_id(
    scenario: AppealsScenario, partner: ConnectedPartner
) -> None:
    receipt = await partner.opened()
    client_id = uuid4()
    registry = await scenario.database.connect("registry")
    await registry.execute(
        """INSERT INTO api_clients (id, name, role, organisation_id, scopes, active, created_at)
           VALUES ($1, 'Портал', 'executor', $2, '["appeals:read"]', true, now())""",
        client_id,
        scenario.organisation,
    )
    await registry.close()
    token = scenario.appeals.token("executor", scenario.organisation, subject=str(client_id), scope="appeals:read")
    answer = await scenario.appeals.client.get(
        "/api/v1/appeals?source=edds&external_id=17-204", headers={"Authorization": f"Bearer {token}"}
    )
    (item,) = answer.json()["items"]
    assert (item["id"], item["status"]) == (receipt["appeal_id"], "assigned")


async def test_repeated_event_gets_the_first_receipt_and_does_nothing(
    scenario: AppealsScenario, owner: Colleague, partner: ConnectedPartner
) -> None:
    data = {"external_id": "17-204", "text": TEXT, "organisation_id": str(scenario.organisation)}
    first = await partner.send("appeal.create", webhook_id="evt_1", **data)
    moved = await owner.move({"id": first.json()["appeal_id"]}, to="in_progress")
    assert moved.status_code == 200, moved.text
    again = await partner.send("appeal.create", webhook_id="evt_1", **data)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotent-replay"] == "true"
    # Another body under the same id would be lost without an error.
    other = await partner.send("appeal.create", webhook_id="evt_1", **data | {"text": "Другой текст"})
    assert _is_problem(other, 422, "header/webhook-id")["type"] == "/problems/idempotency-key-reused"
    assert (await _count(scenario, "appeals"), await _count(scenario, "partner_events")) == (1, 1)
    assert len(await scenario.events("appeal.opened")) == 1
    # Another partner may use the same id.
    foreign = await connect(scenario, await register(scenario, "Чужой", organisation=scenario.other_organisation))
    data["organisation_id"] = str(scenario.other_organisation)
    theirs = await foreign.send("appeal.create", webhook_id="evt_1", **data)
    assert (await _receipt(theirs))["appeal_id"] != first.json()["appeal_id"]


async def test_external_id_is_unique_over_events_and_the_route_of_appeals(
    scenario: AppealsScenario, owner: Colleague, partner: ConnectedPartner
) -> None:
    receipt = await partner.opened()
    repeated = await partner.opened()
    assert (repeated["appeal_id"], repeated["opened"]) == (receipt["appeal_id"], False)
    target = {"organisation_id": str(scenario.organisation)}
    by_route = await owner.post("/appeals", {"source": "edds", "external_id": "17-204", "text": TEXT} | target)
    assert (by_route.status_code, by_route.json()["id"]) == (200, receipt["appeal_id"]), by_route.text
    other = await partner.send("appeal.create", external_id="17-204", text="Другой текст")
    _is_problem(other, 422, "/data/external_id")
    assert await _count(scenario, "appeals") == 1


WRONG: dict[str, Any] = {
    "unsigned": lambda partner, body: {"content-type": "application/json"},
    "foreign secret": lambda partner, body: partner.headers(body, secret=new_secret()),
    "changed byte": lambda partner, body: partner.headers(body.replace(b"17", b"18")),
    "old": lambda partner, body: partner.headers(body, at=datetime.now(UTC) - timedelta(minutes=6)),
    "early": lambda partner, body: partner.headers(body, at=datetime.now(UTC) + timedelta(minutes=6)),
    "huge header": lambda partner, body: partner.headers(body) | {"webhook-signature": "v1,AAAA " * 2_000},
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_unverified_event_is_refused_without_the_reason_and_changes_nothing(
    scenario: AppealsScenario, partner: ConnectedPartner, wrong: str
) -> None:
    body = json.dumps({"type": "appeal.create", "data": {"external_id": "17", "text": TEXT}}).encode()
    headers = WRONG[wrong](partner, body)
    with capture_logs() as lines:
        refused = _is_problem(await partner.deliver(body, headers), 401)
    assert refused["detail"] == NOT_VERIFIED
    (logged,) = [line for line in lines if line["event"] == "partner_event_refused"]
    assert (logged["partner_id"], logged["ip_address"]) == (partner.id, "127.0.0.1")
    for secret in (partner.secret.removeprefix("whsec_"), headers.get("webhook-signature", "v1,")[3:43] or "?"):
        assert secret not in str(lines)
    assert (await _count(scenario, "appeals"), await _count(scenario, "partner_events")) == (0, 0)


async def test_unknown_partner_and_unreadable_body_are_refused_like_a_wrong_signature(
    scenario: AppealsScenario, partner: ConnectedPartner
) -> None:
    body = b"{not json"
    wrong = _is_problem(await partner.deliver(body, partner.headers(body, secret=new_secret())), 401)
    unknown = ConnectedPartner(scenario, str(uuid4()), "edds", partner.secret)
    found = _is_problem(await unknown.deliver(body, unknown.headers(body)), 401)
    assert found | {"instance": ""} == wrong | {"instance": ""}
    twice = httpx.Headers([*partner.headers(body).items(), ("webhook-id", "evt_2")])
    answer = await scenario.appeals.client.post(partner.path, content=body, headers=twice)
    assert _is_problem(answer, 401) == wrong


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{not json", 400),
        (b'"\xff"', 400),
        (b"[" * 100_000, 400),
        # Its bytes contain an odd number of quotation marks before the arrays.
        (('["∀", ' + "[" * 50_000 + "]" * 50_001).encode("utf-16"), 400),
        ('{"type": "appeal.close", "data": {}}'.encode("utf-16"), 400),
        (b"[]", 422),
        (b"null", 422),
        (b'{"type": 5, "data": {}}', 422),
        (b'{"type": "appeal.close", "data": {}}', 422),
        (b'{"type": "\\ud800", "data": {}}', 422),
        (b'{"type": "appeal.\\u0000", "data": {}}', 422),
    ],
    ids=[
        "not JSON",
        "not UTF-8",
        "deep",
        "deep UTF-16",
        "UTF-16",
        "array",
        "null",
        "number",
        "unknown",
        "surrogate",
        "NUL",
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
async def test_signed_body_that_is_not_an_event_is_refused(
    partner: ConnectedPartner, body: bytes, status: int, kind: str
) -> None:
    headers = partner.headers(body) | {"content-type": kind}
    answer = await partner.deliver(body, headers)
    _is_problem(answer, status, *(["/type"] if status == 422 else []))
    if b"appeal.close" in body:
        assert "appeal.close" in answer.json()["detail"]


async def test_body_over_the_limit_is_refused(partner: ConnectedPartner) -> None:
    body = json.dumps({"type": "appeal.create", "data": {"text": "x" * MAX_EVENT_BODY}}).encode()
    _is_problem(await partner.deliver(body, partner.headers(body)), 413)


@pytest.mark.parametrize(
    ("event_type", "data", "pointers"),
    [
        ("appeal.create", {"external_id": "1"}, ["/data/text"]),
        ("appeal.create", {"text": TEXT}, ["/data/external_id"]),
        ("appeal.create", {"text": TEXT, "external_id": "1", "source": "other"}, ["/data/source"]),
        (
            "appeal.create",
            {"text": TEXT, "external_id": "1", "written_at": "2099-01-01T00:00:00Z"},
            ["/data/written_at"],
        ),
        ("appeal.create", {"text": TEXT, "external_id": "1", "topic_id": str(UUID(int=9))}, ["/data/topic_id"]),
        ("appeal.status", {"external_id": "1", "status": "closed"}, ["/data/status"]),
        ("appeal.status", {"status": "done"}, ["/data"]),
        ("appeal.status", {"status": "done", "external_id": "1", "appeal_id": str(UUID(int=9))}, ["/data"]),
        (
            "appeal.answer",
            {"external_id": "1", "text": " ", "channel": "phone"},
            ["/data/text", "/data/answered_at"],
        ),
    ],
)
async def test_event_with_an_invalid_field_is_refused_naming_the_field(
    partner: ConnectedPartner, event_type: str, data: dict[str, Any], pointers: list[str]
) -> None:
    answer = await partner.send(event_type, **data)
    assert answer.status_code == 422, answer.text
    assert sorted(error["pointer"] for error in answer.json()["errors"]) == sorted(pointers)


async def test_refused_event_may_be_sent_again_with_the_same_id(
    scenario: AppealsScenario, partner: ConnectedPartner
) -> None:
    report = {"webhook_id": "evt_7", "external_id": "17-204", "status": "accepted"}
    _is_problem(await partner.send("appeal.status", **report), 404)
    await partner.opened()
    assert (await _receipt(await partner.send("appeal.status", **report)))["type"] == "appeal.status"


@pytest.mark.parametrize("status", ["accepted", "in_progress", "done", "rejected"])
async def test_status_of_a_partner_is_in_the_timeline_and_moves_nothing(
    scenario: AppealsScenario, partner: ConnectedPartner, status: str
) -> None:
    receipt = await partner.opened()
    before = await scenario.appeal(receipt["appeal_id"])
    answer = await partner.send("appeal.status", external_id="17-204", status=status, note="Звонил Пётр Петров")
    assert (await _receipt(answer))["appeal_id"] == receipt["appeal_id"]
    found = await scenario.appeal(receipt["appeal_id"])
    entry = found["timeline"][-1]
    assert (entry["kind"], entry["actor"]["name"]) == ("partner_status", "Портал ЕДДС")
    assert entry["data"] == {"partner_status": status, "note": "Звонил Пётр Петров", "occurred_at": None}
    for name in ("status", "version", "closed_at", "first_response_due_at"):
        assert found[name] == before[name]
    (event,) = await scenario.events("appeal.partner_status_changed")
    data = json.loads(event["data"])
    assert (data["partner_id"], data["partner_status"]) == (partner.id, status)
    assert "Петров" not in event["data"]
    # An erasure keeps the status and removes the note.
    assert without_words(entry["data"]) == entry["data"] | {"note": ""}


async def _open_two_days_ago(scenario: AppealsScenario, partner: ConnectedPartner) -> dict[str, Any]:
    receipt = await partner.opened()
    admin = await scenario.database.connect()
    await admin.execute(
        """UPDATE appeals
           SET opened_at = opened_at - interval '2 days', written_at = written_at - interval '2 days'"""
    )
    await admin.close()
    return await scenario.appeal(receipt["appeal_id"])


async def test_answer_of_a_partner_is_recorded_and_stops_the_clock(
    scenario: AppealsScenario, partner: ConnectedPartner
) -> None:
    appeal = await _open_two_days_ago(scenario, partner)
    at = datetime.fromisoformat(appeal["opened_at"]) + timedelta(minutes=30)
    said = {
        "external_id": "17-204",
        "channel": "phone",
        "text": "Фонари снова горят",
        "answered_at": at.isoformat(),
        "outcome": "solved",
        "answered_by": "Диспетчер Иванова",
    }
    receipt = await _receipt(await partner.send("appeal.answer", **said))
    found = await scenario.appeal(appeal["id"])
    (reply,) = found["replies"]
    assert reply["id"] == receipt["reply_id"]
    assert (reply["origin"], reply["status"], reply["channel"]) == ("recorded", "published", "phone")
    assert (reply["author"]["kind"], reply["answered_by"]) == ("partner", "Диспетчер Иванова")
    assert (found["status"], found["outcome"]) == ("answered", "solved")
    assert datetime.fromisoformat(found["first_response_at"]) == at
    # The same answer in another event is not recorded twice; one before the appeal is not an answer to it.
    assert _is_problem(await partner.send("appeal.answer", **said), 409)["reply"]["id"] == reply["id"]
    early = said | {"answered_at": (at - timedelta(days=1)).isoformat(), "text": "Раньше"}
    _is_problem(await partner.send("appeal.answer", **early), 422, "/data/answered_at")
    assert len((await scenario.appeal(appeal["id"]))["replies"]) == 1


async def test_answer_to_an_appeal_with_a_thread_becomes_a_draft_that_staff_can_edit(
    scenario: AppealsScenario, owner: Colleague, partner: ConnectedPartner
) -> None:
    found = await written_appeal(scenario)
    at = datetime.now(UTC).isoformat()
    answer = await partner.send(
        "appeal.answer",
        appeal_id=found["id"],
        channel="system",
        text="Починим во вторник",
        answered_at=at,
        answered_by="Диспетчер Иванова",
    )
    receipt = await _receipt(answer)
    changed = await scenario.appeal(found["id"])
    (draft,) = changed["replies"]
    assert (draft["id"], draft["status"], draft["text"]) == (receipt["reply_id"], "draft", "Починим во вторник")
    assert draft["answered_by"] == "Диспетчер Иванова"
    assert (changed["status"], changed["first_response_at"]) == (found["status"], None)
    entry = changed["timeline"][-1]
    assert (entry["kind"], entry["data"]["reply_id"]) == ("partner_answer_proposed", draft["id"])
    saved = await owner.request(
        "PUT", f"/appeals/{found['id']}/replies/{draft['id']}", {"text": "Починим в среду"}, If_Match="*"
    )
    assert saved.status_code == 200, saved.text
    second = await partner.send(
        "appeal.answer", appeal_id=found["id"], channel="system", text="Ещё раз", answered_at=at
    )
    assert _is_problem(second, 409)["type"] == "/problems/reply-under-way"
    # Once submitted, it is an answer of staff.
    path = f"/appeals/{found['id']}/replies/{draft['id']}/submit"
    submitted = await owner.request("POST", path, If_Match="*")
    assert (submitted.status_code, submitted.json()["text"]) == (200, "Починим в среду"), submitted.text
    assert submitted.json()["answered_by"] is None


async def test_partner_cannot_reach_appeals_of_another_organisation(
    scenario: AppealsScenario, partner: ConnectedPartner
) -> None:
    manager = await register(scenario, "Чужой", "manager", scenario.other_organisation)
    foreign = await connect(scenario, manager)
    target = {"organisation_id": str(scenario.other_organisation)}
    theirs = await foreign.opened("5", **target)
    answer = {"channel": "phone", "text": "Сделано", "answered_at": datetime.now(UTC).isoformat()}
    for named in ({"external_id": "5"}, {"appeal_id": theirs["appeal_id"]}, {"appeal_id": str(uuid4())}):
        _is_problem(await partner.send("appeal.answer", **named, **answer), 404)
        _is_problem(await partner.send("appeal.status", **named, status="done"), 404)
    _is_problem(await partner.send("appeal.create", external_id="6", text=TEXT, **target), 403)
    # After a transfer the partner that opened the appeal can no longer reach it.
    mine = await partner.opened("7")
    moderator = await register(scenario, "Модератор", "moderator")
    assert (await moderator.move({"id": mine["appeal_id"]}, to="assigned", **target)).status_code == 200
    _is_problem(await partner.send("appeal.status", external_id="7", status="done"), 404)
    assert (await scenario.appeal(theirs["appeal_id"]))["replies"] == []


async def test_partner_does_not_get_the_subordinates_of_its_owner(scenario: AppealsScenario) -> None:
    registry = await scenario.database.connect("registry")
    await registry.execute(
        "UPDATE organisations SET parent_id = $1 WHERE id = $2", scenario.organisation, scenario.other_organisation
    )
    await registry.close()
    manager = await register(scenario, "Анна", "manager")
    partner = await connect(scenario, manager)
    await change_access(scenario, manager, "include_subordinates = true")
    target = {"organisation_id": str(scenario.other_organisation)}
    _is_problem(await partner.send("appeal.create", external_id="6", text=TEXT, **target), 403)


async def test_partner_of_the_centre_reaches_every_organisation(scenario: AppealsScenario) -> None:
    moderator = await register(scenario, "Модератор", "moderator")
    partner = await connect(scenario, moderator)
    opened = await partner.opened("1", organisation_id=str(scenario.other_organisation))
    assert (await _receipt(await partner.send("appeal.status", external_id="1", status="done")))["appeal_id"] == (
        opened["appeal_id"]
    )


LOSSES = {
    "locked": "locked_at = now()",
    "removed": "active = false",
    "another organisation": "organisation_id = '{other}'",
    "without the right to manage partners": "role = 'approver'",
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_event_is_refused_when_the_owner_has_lost_the_rights(
    scenario: AppealsScenario, owner: Colleague, partner: ConnectedPartner, loss: str
) -> None:
    await partner.opened()
    await change_access(scenario, owner, LOSSES[loss].format(other=scenario.other_organisation))
    report = {"webhook_id": "evt_7", "external_id": "17-204", "status": "accepted"}
    refused = _is_problem(await partner.send("appeal.status", **report), 403)
    assert "owner" in refused["detail"]
    # A colleague takes the partner over, and the partner sends the event again.
    manager = await register(scenario, "Анна", "manager")
    assert (await manager.post(f"/partners/{partner.id}/take-over")).status_code == 200
    assert (await partner.send("appeal.status", **report)).status_code == 200


async def test_events_of_a_partner_owned_by_a_client_are_limited_to_its_scopes(scenario: AppealsScenario) -> None:
    client_id, scopes = uuid4(), ["webhooks:manage", "appeals:open", "appeals:work", "appeals:answer"]
    registry = await scenario.database.connect("registry")
    await registry.execute(
        """INSERT INTO api_clients (id, name, role, organisation_id, scopes, active, created_at)
           VALUES ($1, 'Портал', 'executor', $2, $3::text::jsonb, true, now())""",
        client_id,
        scenario.organisation,
        json.dumps(scopes),
    )
    token = scenario.appeals.token(
        "executor", scenario.organisation, subject=str(client_id), scope=" ".join(scopes)
    )
    del scenario.appeals.granted_access[token]  # the access comes from the client's row instead
    created = await scenario.appeals.client.post(
        "/api/v1/partners", json={"name": "Портал", "source": "edds"}, headers={"Authorization": f"Bearer {token}"}
    )
    assert created.status_code == 201, created.text
    assert created.json()["owner"]["kind"] == "client"
    partner = ConnectedPartner(scenario, created.json()["id"], "edds", created.json()["secret"])
    await partner.opened()
    await registry.execute(
        "UPDATE api_clients SET scopes = $2::text::jsonb WHERE id = $1", client_id, json.dumps(scopes[:3])
    )
    await registry.close()
    answer = {"channel": "phone", "text": "Сделано", "answered_at": datetime.now(UTC).isoformat()}
    refused = _is_problem(await partner.send("appeal.answer", external_id="17-204", **answer), 403)
    assert "appeals:answer" in refused["detail"]
    assert (await partner.send("appeal.status", external_id="17-204", status="done")).status_code == 200


async def test_inactive_partner_is_refused_until_it_is_activated(
    scenario: AppealsScenario, owner: Colleague, partner: ConnectedPartner
) -> None:
    await partner.opened()
    for active, status in ((False, 403), (True, 200)):
        changed = await owner.request("PATCH", f"/partners/{partner.id}", {"active": active}, If_Match="*")
        assert changed.status_code == 200, changed.text
        answer = await partner.send("appeal.status", external_id="17-204", status="done")
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize("sends", [8, pytest.param(200, marks=pytest.mark.long)])
async def test_one_event_sent_many_times_concurrently_has_one_effect(
    scenario: AppealsScenario, partner: ConnectedPartner, sends: int
) -> None:
    await partner.opened()
    body = json.dumps({"type": "appeal.status", "data": {"external_id": "17-204", "status": "done"}}).encode()
    headers = partner.headers(body)
    answers = await asyncio.gather(*(partner.deliver(body, headers) for _ in range(sends)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    replayed = [answer.headers.get("idempotent-replay") for answer in answers]
    assert (replayed.count(None), replayed.count("true")) == (1, sends - 1)
    assert len(await scenario.events("appeal.partner_status_changed")) == 1


async def test_event_whose_processing_broke_off_is_processed_when_it_is_sent_again(
    scenario: AppealsScenario, partner: ConnectedPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await partner.opened()
    real = event_effects.record_status

    async def broken(session: Any, *given: Any) -> EventEffect:
        await real(session, *given)
        # As when the server is killed: the connection ends before the commit.
        await (await session.connection()).invalidate()
        raise RuntimeError("killed")

    monkeypatch.setattr(event_effects, "record_status", broken)
    report = {"webhook_id": "evt_7", "external_id": "17-204", "status": "done"}
    assert (await partner.send("appeal.status", **report)).status_code == 500
    assert await _count(scenario, "partner_events") == 1
    assert await scenario.events("appeal.partner_status_changed") == []
    monkeypatch.undo()
    again = await partner.send("appeal.status", **report)
    assert (again.status_code, again.headers.get("idempotent-replay")) == (200, None)
    assert len(await scenario.events("appeal.partner_status_changed")) == 1


def _limit(scenario: AppealsScenario, *, events: int = 600, refusals: int = 60) -> None:
    app = scenario.appeals.client._transport.app  # type: ignore[attr-defined]
    app.state.partner_quotas = PartnerQuotas(Quota(events, 60), Quota(refusals, 60))


async def test_events_of_the_partners_of_one_organisation_are_limited(
    scenario: AppealsScenario, partner: ConnectedPartner
) -> None:
    await partner.opened()
    _limit(scenario, events=2)
    answers = [await partner.send("appeal.status", external_id="17-204", status="done") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit"].partition(";t=")[0] for answer in answers] == [
        f'"default";r={left}' for left in (1, 0, 0)
    ]
    assert int(answers[-1].headers["retry-after"]) > 0
    # All partners of the organisation share the limit.
    colleague = await connect(scenario, await register(scenario, "Анна", "manager"), source="portal")
    assert (await colleague.send("appeal.status", external_id="1", status="done")).status_code == 429
    foreign = await connect(scenario, await register(scenario, "Чужой", organisation=scenario.other_organisation))
    assert (await foreign.send("appeal.status", external_id="1", status="done")).status_code == 404


async def test_wrong_signatures_are_limited_by_address_and_not_counted_for_the_partner(
    scenario: AppealsScenario, partner: ConnectedPartner
) -> None:
    await partner.opened()
    _limit(scenario, events=1, refusals=2)
    report = {"external_id": "17-204", "status": "done"}
    wrong = [await partner.send("appeal.status", secret=new_secret(), **report) for _ in range(3)]
    assert [answer.status_code for answer in wrong] == [401, 401, 429]
    assert int(wrong[-1].headers["retry-after"]) > 0
    # This address must wait, even with a valid signature.
    assert (await partner.send("appeal.status", **report)).status_code == 429
    elsewhere = httpx.AsyncClient(
        transport=httpx.ASGITransport(
            app=scenario.appeals.client._transport.app,  # type: ignore[attr-defined]
            client=("198.51.100.7", 1),
        ),
        base_url="http://test",
    )
    body = json.dumps({"type": "appeal.status", "data": report}).encode()
    async with elsewhere:
        answer = await elsewhere.post(partner.path, content=body, headers=partner.headers(body))
    assert answer.status_code == 200, answer.text


def test_examples_in_the_openapi_document_are_valid_events() -> None:
    assert PARTNER_EVENT_EXAMPLES.keys() == PARTNER_EVENT_MODELS.keys()
    for kind, example in PARTNER_EVENT_EXAMPLES.items():
        assert PARTNER_EVENT_MODELS[kind].model_validate(dict(example)).type == kind
