"""Partners: who may connect, see, change and take one over, and what happens with its secret."""

import asyncio
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from services.appeals.partners import partners
from services.appeals.settings import AppealsSettings, ContactSettings, contact_settings
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.partner_helpers import connect
from tests.integration.appeals.people_helpers import Colleague, change_access, register
from tests.integration.appeals.test_appeals_api import _is_problem


async def _shown(reader: Colleague, partner_id: str) -> dict[str, Any]:
    answer = await reader.get(f"/partners/{partner_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_secret_is_shown_once_and_stored_encrypted(scenario: AppealsScenario) -> None:
    executor = await register(scenario, "Борис")
    body = {"name": "Портал ЕДДС", "source": "edds"}
    made = await executor.post("/partners", body, Idempotency_Key="once")
    assert made.status_code == 201, made.text
    created = made.json()
    assert made.headers["location"] == f"/api/v1/partners/{created['id']}"
    assert created["secret"].startswith("whsec_")
    again = await executor.post("/partners", body, Idempotency_Key="once")
    assert (again.status_code, again.json()["id"], again.json()["secret"]) == (201, created["id"], None)
    shown = await _shown(executor, created["id"])
    assert shown == {name: value for name, value in created.items() if name != "secret"}
    assert (shown["owner"]["name"], shown["organisation"]["name"]) == ("Борис", "Школа № 1")
    assert (shown["active"], shown["refusal_reason"]) == (True, None)
    (listed,) = (await executor.get("/partners")).json()["items"]
    assert listed == shown
    admin = await scenario.database.connect()
    for table in ("partners", "appeals_idempotency", "audit", "events"):
        rows = await admin.fetch(f"SELECT to_jsonb(t)::text AS row FROM {table} t")
        assert created["secret"].removeprefix("whsec_") not in " ".join(row["row"] for row in rows), table
    await admin.close()


async def test_partner_is_seen_and_managed_only_by_its_organisation_and_the_centre(
    scenario: AppealsScenario,
) -> None:
    partner = await connect(scenario, await register(scenario, "Борис"))
    foreign = await register(scenario, "Чужой", "manager", scenario.other_organisation)
    path = f"/partners/{partner.id}"
    assert (await foreign.get("/partners")).json()["items"] == []
    for method, end in (
        ("GET", ""),
        ("PATCH", ""),
        ("POST", "/take-over"),
        ("POST", "/rotate-secret"),
        ("DELETE", ""),
    ):
        body = {"active": False} if method == "PATCH" else None
        _is_problem(await foreign.request(method, f"{path}{end}", body, If_Match="*"), 404)
    moderator = await register(scenario, "Модератор", "moderator")
    assert [one["id"] for one in (await moderator.get("/partners")).json()["items"]] == [partner.id]
    changed = await moderator.request("PATCH", path, {"active": False, "name": "Портал"}, If_Match='"1"')
    assert (changed.status_code, changed.json()["active"], changed.json()["name"]) == (200, False, "Портал")
    _is_problem(await moderator.request("PATCH", path, {"active": True}, If_Match='"1"'), 412)
    _is_problem(await moderator.request("PATCH", path, {"active": True}), 428)
    _is_problem(await moderator.request("PATCH", path, {"name": None}, If_Match="*"), 422, "/name")
    _is_problem(await moderator.request("PATCH", path, {"source": "x1"}, If_Match="*"), 422, "/source")


@pytest.mark.parametrize("role", ["head", "approver", "auditor"])
async def test_connecting_a_partner_without_the_right_is_refused(scenario: AppealsScenario, role: str) -> None:
    colleague = await register(scenario, "Кто-то", role)
    _is_problem(await colleague.post("/partners", {"name": "Портал", "source": "portal"}), 403)


async def test_right_to_manage_partners_does_not_give_the_rights_that_a_partner_uses(
    scenario: AppealsScenario,
) -> None:
    client, headers = scenario.appeals.client, scenario.appeals.headers("operations")
    body = {"name": "Портал", "source": "portal"}
    refused = _is_problem(await client.post("/api/v1/partners", json=body, headers=headers), 403)
    assert "appeals:open" in refused["detail"]
    partner = await connect(scenario, await register(scenario, "Борис"))
    moderator = await register(scenario, "Модератор", "moderator")
    # The secret gives rights in the partner's organisation: nobody outside may rotate it or take the partner over.
    for action in ("rotate-secret", "take-over"):
        path = f"/partners/{partner.id}/{action}"
        _is_problem(await client.post(f"/api/v1{path}", headers=headers), 403)
        _is_problem(await moderator.post(path), 403)
    # A token with a narrower scope cannot create a partner that would have more rights.
    executor = await register(scenario, "Анна")
    token = scenario.appeals.token(
        "executor", scenario.organisation, subject=executor.ref, scope="webhooks:manage appeals:open appeals:work"
    )
    answer = await client.post("/api/v1/partners", json=body, headers={"Authorization": f"Bearer {token}"})
    assert "appeals:answer" in _is_problem(answer, 403)["detail"]


@pytest.mark.parametrize("source", ["vk", "phone", "letter", "Портал", "a", "x" * 41])
async def test_source_that_is_not_a_valid_name_of_a_system_is_refused(
    scenario: AppealsScenario, source: str
) -> None:
    executor = await register(scenario, "Борис")
    _is_problem(await executor.post("/partners", {"name": "Портал", "source": source}), 422, "/source")


async def test_second_partner_of_an_organisation_with_the_same_source_is_refused(
    scenario: AppealsScenario,
) -> None:
    executor = await register(scenario, "Борис")
    foreign = await register(scenario, "Чужой", organisation=scenario.other_organisation)
    body = {"name": "Портал", "source": "portal"}
    answers = await asyncio.gather(*(executor.post("/partners", body) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    (first,) = (await executor.get("/partners")).json()["items"]
    assert _is_problem(await executor.post("/partners", body), 409)["partner_id"] == first["id"]
    assert (await foreign.post("/partners", body)).status_code == 201
    # The source of a deleted partner can be used again.
    assert (await executor.request("DELETE", f"/partners/{first['id']}")).status_code == 204
    assert (await executor.post("/partners", body)).status_code == 201


async def test_number_of_partners_of_an_organisation_is_limited(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partners, "settings", lambda: AppealsSettings(max_partners=2))
    executor = await register(scenario, "Борис")
    bodies = [{"name": "Портал", "source": f"portal-{number}"} for number in range(4)]
    # Of four concurrent requests two are accepted.
    answers = await asyncio.gather(*(executor.post("/partners", body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json()["detail"].startswith("The organisation has 2 partners; the limit is 2")
    # Other organisations and the centre have their own limits, and a deleted partner no longer counts.
    foreign = await register(scenario, "Чужой", organisation=scenario.other_organisation)
    moderator = await register(scenario, "Модератор", "moderator")
    for colleague in (foreign, moderator):
        assert (await colleague.post("/partners", bodies[0])).status_code == 201
    first = next(answer.json() for answer in answers if answer.status_code == 201)
    assert (await executor.request("DELETE", f"/partners/{first['id']}")).status_code == 204
    assert (await executor.post("/partners", {"name": "Портал", "source": "new"})).status_code == 201


async def test_deleted_partner_is_not_found_and_cannot_send_events(scenario: AppealsScenario) -> None:
    executor = await register(scenario, "Борис")
    partner = await connect(scenario, executor)
    receipt = await partner.opened()
    assert (await executor.request("DELETE", f"/partners/{partner.id}")).status_code == 204
    assert (await executor.get("/partners")).json()["items"] == []
    _is_problem(await executor.get(f"/partners/{partner.id}"), 404)
    _is_problem(await executor.request("DELETE", f"/partners/{partner.id}"), 404)
    assert (await partner.send("appeal.status", external_id="17-204", status="done")).status_code == 401
    # The timeline still names the deleted partner.
    opened = (await scenario.appeal(receipt["appeal_id"]))["timeline"][0]
    assert opened["actor"] == {"id": partner.id, "name": "Портал ЕДДС", "kind": "partner"}


async def test_rotation_keeps_the_old_secret_for_a_day_and_makes_the_caller_the_owner(
    scenario: AppealsScenario,
) -> None:
    executor, manager = await register(scenario, "Борис"), await register(scenario, "Анна", "manager")
    partner = await connect(scenario, executor)
    await partner.opened()
    path = f"/partners/{partner.id}/rotate-secret"
    rotated = await manager.post(path, If_Match='"1"')
    assert rotated.status_code == 200, rotated.text
    fresh = rotated.json()["secret"]
    assert fresh != partner.secret
    assert rotated.json()["owner"]["name"] == "Анна"
    _is_problem(await manager.post(path, If_Match='"1"'), 412)
    for secret in (fresh, partner.secret):
        answer = await partner.send("appeal.status", secret=secret, external_id="17-204", status="accepted")
        assert answer.status_code == 200, answer.text
    # After a second rotation the first secret is no longer valid.
    latest = (await manager.post(path)).json()["secret"]
    for secret, status in ((latest, 200), (fresh, 200), (partner.secret, 401)):
        answer = await partner.send("appeal.status", secret=secret, external_id="17-204", status="accepted")
        assert answer.status_code == status, answer.text


async def test_partner_shows_why_its_events_are_refused_until_a_colleague_takes_it_over(
    scenario: AppealsScenario,
) -> None:
    executor, manager = await register(scenario, "Борис"), await register(scenario, "Анна", "manager")
    partner = await connect(scenario, executor)
    await change_access(scenario, executor, "locked_at = now()")
    assert (await _shown(manager, partner.id))["refusal_reason"] == "its owner no longer has access"
    taken = await manager.post(f"/partners/{partner.id}/take-over")
    assert (taken.status_code, taken.json()["refusal_reason"]) == (200, None), taken.text
    assert taken.json()["owner"]["name"] == "Анна"


async def test_taking_over_and_rotating_are_audited_without_the_secret(scenario: AppealsScenario) -> None:
    executor, manager = await register(scenario, "Борис"), await register(scenario, "Анна", "manager")
    partner = await connect(scenario, executor)
    assert (await manager.post(f"/partners/{partner.id}/take-over")).status_code == 200
    assert (await executor.post(f"/partners/{partner.id}/rotate-secret")).status_code == 200
    rows = await scenario.ingest.fetch(
        "SELECT action, actor, after::text FROM audit WHERE subject_kind = 'partners' ORDER BY created_at, id"
    )
    assert [(row["action"], row["actor"]) for row in rows] == [
        ("create_partner", executor.ref),
        ("take_over_partner", manager.ref),
        ("rotate_partner_secret", executor.ref),
    ]
    assert '{"secret": true}' in rows[-1]["after"]


async def test_secrets_are_reencrypted_with_the_newest_key(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    partner = await connect(scenario, await register(scenario, "Борис"))
    old, new = contact_settings().encryption_keys.get_secret_value(), Fernet.generate_key().decode()

    def use(keys: str) -> None:
        made = ContactSettings.model_validate({"encryption_keys": SecretStr(keys)})
        monkeypatch.setattr(partners, "contact_settings", lambda: made)

    database = scenario.appeals.service.database
    use(f"{new},{old}")
    assert await partners.reencrypt_secrets(database) == 1
    assert await partners.reencrypt_secrets(database) == 0
    use(new)
    await partner.opened()
    # Without the key nothing can be verified; the owner gets a new secret by connecting the system again.
    use(old)
    assert (await partner.send("appeal.status", external_id="17-204", status="done")).status_code == 401
    manager = await register(scenario, "Анна", "manager")
    _is_problem(await manager.post(f"/partners/{partner.id}/rotate-secret"), 409)
