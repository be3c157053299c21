"""Pages of people and API clients: access, locks, and passwords and secrets shown once."""

import html
import re
from typing import Any

import pytest

from services.console.api_calls.client import Answer, Api, ApiProblem
from services.console.pages.people import person_access
from services.registry.access import clients
from services.registry.settings import RegistrySettings
from tests.integration.access.all_services import CallerCase
from tests.integration.access.sample_data import MARKS
from tests.integration.access.test_revoked_access import committed
from tests.integration.console.console_under_test import ConsoleUnderTest
from tests.integration.console.test_registry_pages import changes, version_of

OPERATIONS = CallerCase("operations")
MANAGER = CallerCase("manager")
AUDITOR = CallerCase("auditor")
MODERATOR = CallerCase("moderator")
OWN = "Организация bagulnik"


def hidden_of(page: str, name: str) -> str:
    """Return the value of the hidden field with this name."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, name
    return html.unescape(found[1])


async def test_list_shows_only_people_in_the_callers_scope(console: ConsoleUnderTest) -> None:
    text = (await console.send(OPERATIONS, "GET", "/people")).response.text
    assert "person-bagulnik" in text
    assert "person-oblepiha" in text
    own = (await console.send(MANAGER, "GET", "/people")).response.text
    assert "person-bagulnik" in own
    assert "person-oblepiha" not in own


async def test_pages_of_people_and_clients_explain_who_gives_access_to_them(console: ConsoleUnderTest) -> None:
    for path in ("/people", "/clients"):
        visited = await console.send(MODERATOR, "GET", path)
        assert "эксплуатация" in visited.response.text
        assert [call.path for call in visited.calls] == ["/me"]


async def test_new_person_gets_a_password_shown_once(console: ConsoleUnderTest) -> None:
    form = {
        "full_name": "Пробная <b>",
        "username": "probe.once",
        "role": "executor",
        "organisation": OWN,
        "key": "k-person",
    }
    visited = await console.send(OPERATIONS, "POST", "/people-new", data=form)
    assert (visited.response.status_code, changes(visited)) == (200, [("POST", 201)])
    shown = re.search(r'registry-secret">([a-z0-9-]{19})<', visited.response.text)
    assert shown is not None
    assert "Пробная &lt;b&gt;" in visited.response.text
    assert "set-cookie" not in visited.response.headers
    assert visited.response.headers["cache-control"] == "no-store"


async def test_form_of_a_new_person_sent_twice_shows_the_same_password(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person_access, "_WAIT_SECONDS", 0)
    bodies: list[Any] = []
    send = Api.send

    async def recorded(api: Api, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        if method != "POST":
            return await send(api, method, path, body, **options)
        bodies.append(body)
        if len(bodies) == 2:  # the first submission is still being executed
            raise ApiProblem(409, {"type": "/problems/idempotent-request-in-progress"}, {})
        return await send(api, method, path, body, **options)

    monkeypatch.setattr(Api, "send", recorded)
    form = {"full_name": "Пробная", "username": "probe.twice", "role": "executor", "organisation": OWN}
    shown = []
    page = (await console.send(OPERATIONS, "GET", "/people-new")).response.text
    own = form | {"key": hidden_of(page, "key"), "seed": hidden_of(page, "seed")}
    for sent in (own, own, own | {"key": "k-other", "username": "probe.other"}):
        response = (await console.send(OPERATIONS, "POST", "/people-new", data=sent)).response
        shown += re.findall(r'registry-secret">([a-z0-9-]{19})<', response.text)
    assert bodies[0] == bodies[1] == bodies[2]
    assert shown == [bodies[0]["password"], bodies[0]["password"], bodies[3]["password"]]
    assert shown[0] != shown[2]


async def test_password_of_a_new_person_does_not_follow_from_what_the_api_stores(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies: list[Any] = []
    send = Api.send

    async def recorded(api: Api, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        if method != "POST":
            return await send(api, method, path, body, **options)
        bodies.append((body, options["key"]))
        raise ApiProblem(503, {}, {})

    monkeypatch.setattr(Api, "send", recorded)
    form = {"full_name": "Пробная", "username": "probe.seed", "role": "executor", "organisation": OWN, "key": "k"}
    for _ in range(2):
        page = (await console.send(OPERATIONS, "GET", "/people-new")).response.text
        seed = hidden_of(page, "seed")
        shown = (await console.send(OPERATIONS, "POST", "/people-new", data=form | {"seed": seed})).response.text
        assert hidden_of(shown, "seed") == seed
    (first, key), (second, same_key) = bodies
    assert key == same_key
    assert first.pop("password") != second.pop("password")
    assert first == second


async def test_new_person_without_an_organisation_or_with_an_invalid_name_is_refused(
    console: ConsoleUnderTest,
) -> None:
    form = {"full_name": "Пробная", "username": "Не то", "role": "executor", "key": "k-fit"}
    visited = await console.send(OPERATIONS, "POST", "/people-new", data=form)
    assert "Укажите организацию." in visited.response.text
    assert changes(visited) == []
    own = form | {"organisation": OWN}
    refused = await console.send(OPERATIONS, "POST", "/people-new", data=own)
    assert refused.response.status_code == 422
    assert "строчные латинские буквы" in refused.response.text
    assert 'value="Не то"' in refused.response.text


async def test_manager_is_offered_no_role_of_the_centre(console: ConsoleUnderTest) -> None:
    text = (await console.send(MANAGER, "GET", "/people-new")).response.text
    assert 'value="executor"' in text
    assert 'value="moderator"' not in text
    form = {"full_name": "Пробная", "username": "probe.centre", "role": "moderator", "key": "k-centre"}
    refused = (await console.send(MANAGER, "POST", "/people-new", data=form)).response
    assert refused.status_code == 403
    assert "У вас нет права на это действие." in refused.text


async def test_access_is_changed_with_the_version_that_was_shown(console: ConsoleUnderTest) -> None:
    own = console.filled("/people/{person_id}")
    form = {"full_name": "Новое имя", "role": "approver", "active": "yes"}
    form["organisation"] = OWN
    form["version"] = await version_of(console, OPERATIONS, f"{own}/edit")
    changed = await console.send(OPERATIONS, "POST", f"{own}/edit", data=form)
    assert (changed.response.status_code, changes(changed)) == (303, [("PATCH", 200)])
    stale_form = form | {"version": '"99"', "organisation": "Организация oblepiha"}
    stale = await console.send(OPERATIONS, "POST", f"{own}/edit", data=stale_form)
    assert stale.response.status_code == 412
    assert 'value="Новое имя"' in stale.response.text
    assert "Сейчас в записи: Организация bagulnik." in stale.response.text
    assert 'value="&#34;99&#34;"' not in stale.response.text


async def test_password_is_reset_and_sessions_end(console: ConsoleUnderTest) -> None:
    own = console.filled("/people/{person_id}")
    reset = await console.send(OPERATIONS, "POST", f"{own}/password")
    assert changes(reset) == [("PATCH", 200)]
    assert "registry-secret" in reset.response.text
    assert "set-cookie" not in reset.response.headers
    for path in ("sessions/end", "sessions/{session_id}/end"):
        ended = await console.send(OPERATIONS, "POST", console.filled(f"{own}/{path}"))
        assert (ended.response.status_code, changes(ended)) == (303, [("DELETE", 204)])


async def test_account_is_locked_only_with_a_reason(console: ConsoleUnderTest) -> None:
    own = console.filled("/people/{person_id}")
    locked = await console.send(OPERATIONS, "POST", f"{own}/lock", data={"reason": "уволен"})
    assert (locked.response.status_code, changes(locked)) == (303, [("POST", 200)])
    assert "unlock" in locked.response.headers["set-cookie"]
    silent = await console.send(OPERATIONS, "POST", f"{own}/lock", data={"reason": ""})
    assert changes(silent) == [("POST", 422)]
    assert "failed" in silent.response.headers["set-cookie"]


async def test_unlocking_a_person_whom_the_centre_locked_is_offered_only_to_the_centre(
    console: ConsoleUnderTest,
) -> None:
    own, samples = console.filled("/people/{person_id}"), console.services.samples["own"]
    back = "UPDATE people SET locked_at = NULL, locked_by_organisation_id = NULL WHERE id = :id"
    for by, text, offered in (
        ("NULL", "Доступ закрыт центром", [True, False]),
        (f"'{samples['organisation_id']}'", "Доступ закрыт <", [True, True]),
    ):
        lock = f"UPDATE people SET locked_at = now(), locked_by_organisation_id = {by} WHERE id = :id"
        async with committed(console.services, lock, back, str(samples["person_id"])):
            pages = [(await console.send(who, "GET", own)).response.text for who in (OPERATIONS, MANAGER)]
        assert [f'action="{own}/unlock"' in page for page in pages] == offered
        assert all(text in page for page in pages)


@pytest.mark.parametrize(
    ("relation", "offered"),
    [("own", [True, True]), ("subordinate", [False, True]), ("foreign", [False, False])],
)
async def test_unlocking_is_offered_only_if_the_scope_includes_the_locking_organisation(
    console: ConsoleUnderTest, relation: str, offered: list[bool]
) -> None:
    own, samples = console.filled("/people/{person_id}"), console.services.samples
    by = samples[relation]["organisation_id"]
    back = "UPDATE people SET locked_at = NULL, locked_by_organisation_id = NULL WHERE id = :id"
    lock = f"UPDATE people SET locked_at = now(), locked_by_organisation_id = '{by}' WHERE id = :id"
    async with committed(console.services, lock, back, str(samples["own"]["person_id"])):
        visitors = (MANAGER, CallerCase("manager", include_subordinates=True))
        pages = [(await console.send(who, "GET", own)).response.text for who in visitors]
    assert [f'action="{own}/unlock"' in page for page in pages] == offered
    assert all(f", Организация {MARKS[relation]}</p>" in page for page in pages)


async def test_centre_takes_over_a_deactivation_only_by_a_separate_button(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, samples = console.filled("/people/{person_id}"), console.services.samples["own"]
    person, organisation = str(samples["person_id"]), samples["organisation_id"]
    back = "UPDATE people SET active = true, deactivated_by_organisation_id = NULL WHERE id = :id"
    bodies: list[Any] = []
    send = Api.send

    async def recorded(api: Api, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        bodies.extend([body] if method == "PATCH" else [])
        return await send(api, method, path, body, **options)

    monkeypatch.setattr(Api, "send", recorded)
    for by, text, offered in (
        ("NULL", "Доступ отозван центром: войти нельзя.", [False, False]),
        (f"'{organisation}'", "Доступ отозван: войти нельзя.", [True, False]),
    ):
        removed = f"UPDATE people SET active = false, deactivated_by_organisation_id = {by} WHERE id = :id"
        async with committed(console.services, removed, back, person):
            pages = [(await console.send(who, "GET", own)).response.text for who in (OPERATIONS, MANAGER)]
            assert [f'action="{own}/deactivation"' in page for page in pages] == offered
            assert all(text in page for page in pages)
            # A new name is not a decision about the access.
            form = {"full_name": "Иное имя", "role": "approver", "organisation": OWN}
            form["version"] = await version_of(console, OPERATIONS, f"{own}/edit")
            changed = await console.send(OPERATIONS, "POST", f"{own}/edit", data=form)
            assert (changed.response.status_code, changes(changed)) == (303, [("PATCH", 200)])
            assert "active" not in bodies.pop()
            await console.send(OPERATIONS, "POST", f"{own}/edit", data=form | {"active": "yes"})
            assert bodies.pop()["active"] is True
    async with committed(console.services, removed, back, person):
        version = hidden_of((await console.send(OPERATIONS, "GET", own)).response.text, "version")
        for given, answered in ((version, 200), ("99", 412)):
            taken = await console.send(OPERATIONS, "POST", f"{own}/deactivation", data={"version": given})
            assert (taken.response.status_code, changes(taken)) == (303, [("PATCH", answered)])
            assert bodies.pop() == {"active": False}
            assert ("failed" in taken.response.headers["set-cookie"]) == (answered == 412)


async def test_auditor_sees_people_and_changes_nothing(console: ConsoleUnderTest) -> None:
    text = (await console.send(AUDITOR, "GET", console.filled("/people/{person_id}"))).response.text
    assert "person-bagulnik" in text
    assert "Закрыть доступ" not in text
    assert "Завершить" not in text


async def test_client_secret_is_shown_once(console: ConsoleUnderTest) -> None:
    form = {"name": "Витрина", "role": "executor", "organisation": OWN}
    form["scopes"] = "appeals:read"
    made = await console.send(OPERATIONS, "POST", "/clients-new", data=form)
    assert (made.response.status_code, changes(made)) == (200, [("POST", 201)])
    assert "registry-secret" in made.response.text
    assert "set-cookie" not in made.response.headers
    own = console.filled("/clients/{client_id}")
    assert "registry-secret" not in (await console.send(OPERATIONS, "GET", own)).response.text
    page = (await console.send(OPERATIONS, "GET", own)).response.text
    form = {"overlap_hours": "9" * 5_000, "newest": hidden_of(page, "newest")}
    again = await console.send(OPERATIONS, "POST", f"{own}/secrets", data=form)
    assert changes(again) == [("POST", 201)]
    assert "registry-secret" in again.response.text


async def test_client_beyond_the_limit_of_its_organisation_is_refused(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "registry_settings", lambda: RegistrySettings(max_clients=1))
    form = {"name": "Витрина", "role": "executor", "organisation": OWN}
    refused = await console.send(OPERATIONS, "POST", "/clients-new", data=form)
    assert (refused.response.status_code, changes(refused)) == (409, [("POST", 409)])
    assert "Больше клиентов у организации быть не может" in refused.response.text
    assert 'value="Витрина"' in refused.response.text


async def test_repeated_form_creates_no_second_client_or_secret(console: ConsoleUnderTest) -> None:
    page = (await console.send(OPERATIONS, "GET", "/clients-new")).response.text
    assert re.search(r'<form method="post"[^>]* hx-disable="findAll button">', page)
    newest = hidden_of(page, "newest")
    name = (await console.send(OPERATIONS, "GET", f"/clients/{newest}")).response.text
    form = {"name": html.unescape(re.findall(r"<h1>(.*?)</h1>", name)[0]), "role": "executor"}
    form["organisation"] = OWN
    for seen, made in (("", []), (newest, [("POST", 201)])):
        again = await console.send(OPERATIONS, "POST", "/clients-new", data=form | {"newest": seen})
        assert changes(again) == made
        assert ("только что заведён" in again.response.text) == (not made)
    own = console.filled("/clients/{client_id}")
    stale = await console.send(OPERATIONS, "POST", f"{own}/secrets", data={"newest": "1"})
    assert (stale.response.status_code, changes(stale)) == (409, [])
    assert "Секрет уже выдали" in stale.response.text


async def test_organisation_with_an_invalid_id_is_not_chosen(console: ConsoleUnderTest) -> None:
    form = {"name": "Витрина", "role": "executor", "organisation": "oblepih", "organisation_id": "../people"}
    visited = await console.send(OPERATIONS, "POST", "/clients-new", data=form)
    assert "выберите из похожих" in visited.response.text
    assert {call.path for call in visited.calls} == {"/me", "/organisations/search"}


async def test_client_gets_no_right_that_its_role_lacks(console: ConsoleUnderTest) -> None:
    form = {"name": "Витрина", "role": "executor", "organisation": OWN}
    form["scopes"] = "rules:manage"
    refused = (await console.send(OPERATIONS, "POST", "/clients-new", data=form)).response
    assert refused.status_code == 422
    assert "У этой роли нет одного из отмеченных прав" in refused.text
    assert re.search(r'value="rules:manage" checked', refused.text)


async def test_client_is_changed_and_deactivated(console: ConsoleUnderTest) -> None:
    own = console.filled("/clients/{client_id}")
    form = {"name": "Другая", "version": await version_of(console, OPERATIONS, f"{own}/edit")}
    changed = await console.send(OPERATIONS, "POST", f"{own}/edit", data=form)
    assert (changed.response.status_code, changes(changed)) == (303, [("PATCH", 200)])
    stale = await console.send(OPERATIONS, "POST", f"{own}/edit", data=form | {"version": '"99"'})
    assert stale.response.status_code == 412
    assert 'value="Другая"' in stale.response.text
    gone = await console.send(OPERATIONS, "POST", f"{own}/deactivate")
    assert (gone.response.status_code, changes(gone)) == (303, [("DELETE", 204)])


async def test_stale_change_of_a_client_notes_only_what_differs(console: ConsoleUnderTest) -> None:
    own = console.filled("/clients/{client_id}/edit")
    form = {"name": "Система bagulnik", "version": '"99"'}
    for scope, noted in (("registry:read", False), ("appeals:read", True)):
        stale = (await console.send(OPERATIONS, "POST", own, data=form | {"scopes": scope})).response
        assert stale.status_code == 412
        assert ("Сейчас отмечены другие права." in stale.text) is noted
        assert "Сейчас в записи" not in stale.text
