"""Pages of replies on approval and of reply templates: their content by role, and their buttons."""

import re
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest
from tests.integration.console.page_reading import links_of

MODERATOR = CallerCase("moderator")
APPROVER = CallerCase("approver")
EXECUTOR = CallerCase("executor")
HOSTILE = "<img src=x onerror=alert(1)>\u202e"


async def _decision(console: ConsoleUnderTest, **changes: str) -> dict[str, str]:
    address = console.filled("/approvals?reply={on_approval_reply_id}")
    page = (await console.send(APPROVER, "GET", address)).response.text
    names = ("appeal_id", "reply_id", "version", "key", "next")
    found = {name: re.search(f'name="{name}" value="([^"]*)"', page) for name in names}
    return {name: match[1] if match else "" for name, match in found.items()} | changes


async def test_approver_sees_question_reply_and_keyboard_shortcuts(console: ConsoleUnderTest) -> None:
    response = (await console.send(APPROVER, "GET", "/approvals")).response
    assert response.status_code == 200
    assert "Темно: bagulnik 4" in response.text
    assert "Включим: bagulnik" in response.text
    assert 'data-key="a"' in response.text
    assert 'data-key="x"' in response.text
    assert "oblepiha" not in response.text


async def test_executor_cannot_open_the_approvals_page(console: ConsoleUnderTest) -> None:
    assert (await console.send(EXECUTOR, "GET", "/approvals")).response.status_code == 403
    assert 'href="/approvals"' not in (await console.send(EXECUTOR, "GET", "/account")).response.text


async def test_approval_sends_the_shown_version_and_redirects(console: ConsoleUnderTest) -> None:
    visited = await console.send(APPROVER, "POST", "/approvals", data=await _decision(console, do="approve"))
    assert visited.response.status_code == 303, visited.response.text[-500:]
    last = next(call for call in visited.calls if call.method == "POST")
    assert last.path == console.filled("/appeals/{on_approval_appeal_id}/replies/{on_approval_reply_id}/approve")


async def test_invalid_id_gets_404_and_causes_no_further_api_call(console: ConsoleUnderTest) -> None:
    for wrong in ({"reply_id": "../.."}, {"appeal_id": "../../appeals"}, {"reply_id": ""}):
        form = await _decision(console, do="approve", **wrong)
        visited = await console.send(APPROVER, "POST", "/approvals", data=form)
        assert visited.response.status_code == 404
        assert [call.path for call in visited.calls] == ["/me"]


async def test_reply_can_be_refused_only_with_remarks(console: ConsoleUnderTest) -> None:
    form = await _decision(console, do="refuse", remarks=" ")
    empty = await console.send(APPROVER, "POST", "/approvals", data=form)
    assert empty.response.status_code == 422
    assert "Напишите, что исправить" in empty.response.text
    form = await _decision(console, do="refuse", remarks="Назовите дату")
    visited = await console.send(APPROVER, "POST", "/approvals", data=form)
    assert visited.response.status_code == 303
    assert visited.response.headers["location"].startswith("/approvals")


async def test_decision_redirects_to_the_next_reply(console: ConsoleUnderTest) -> None:
    form = await _decision(console, do="refuse", remarks="Назовите дату", next="the-next")
    response = (await console.send(APPROVER, "POST", "/approvals", data=form)).response
    assert response.headers["location"] == "/approvals?reply=the-next"


async def test_outdated_decision_is_refused_and_keeps_the_remarks(console: ConsoleUnderTest) -> None:
    form = await _decision(console, do="refuse", remarks=HOSTILE, version="77")
    response = (await console.send(APPROVER, "POST", "/approvals", data=form)).response
    assert response.status_code == 412
    assert "изменил коллега" in response.text
    assert "&lt;img src=x" in response.text
    assert "<img src=x" not in response.text


async def test_reply_decided_meanwhile_is_reported_and_no_other_is_shown(console: ConsoleUnderTest) -> None:
    decided = console.filled("/approvals?reply={published_reply_id}&appeal={draft_appeal_id}")
    for address in ("/approvals?reply=gone", decided):
        response = (await console.send(APPROVER, "GET", address)).response
        assert "уже рассмотрен" in response.text
        assert 'value="approve"' not in response.text
        assert links_of(response)["Показать следующий"] == console.filled(
            "/approvals?reply={on_approval_reply_id}"
        )


@pytest.fixture
async def older_replies(console: ConsoleUnderTest) -> AsyncIterator[None]:
    """Insert more replies on approval than the page lists, all older than the sample reply."""
    connection = await console.services.services["appeals"].database.connect("gospablik_owner")
    appeals = await connection.fetch(
        """INSERT INTO appeals SELECT (jsonb_populate_record(one, jsonb_build_object(
            'id', gen_random_uuid(), 'number', 1000000 + n, 'matter_number', 1000 + n))).*
        FROM appeals one, generate_series(1, 50) n WHERE one.id = $1 RETURNING id""",
        UUID(console.filled("{on_approval_appeal_id}")),
    )
    made = [row["id"] for row in appeals]
    await connection.execute(
        """INSERT INTO replies SELECT (jsonb_populate_record(one, jsonb_build_object(
            'id', gen_random_uuid(), 'appeal_id', made, 'submitted_at', one.submitted_at - interval '1 day'))).*
        FROM replies one, unnest($2::uuid[]) made WHERE one.id = $1""",
        UUID(console.filled("{on_approval_reply_id}")),
        made,
    )
    yield
    await connection.execute("DELETE FROM replies WHERE appeal_id = ANY($1)", made)
    await connection.execute("DELETE FROM appeals WHERE id = ANY($1)", made)
    await connection.close()


@pytest.mark.usefixtures("older_replies")
async def test_chosen_reply_is_shown_although_many_older_replies_wait(console: ConsoleUnderTest) -> None:
    appeal = (await console.send(APPROVER, "GET", console.filled("/appeals/{on_approval_appeal_id}"))).response
    assert "Рассмотреть ответ" in links_of(appeal)
    address = console.filled("/approvals?reply={on_approval_reply_id}&appeal={on_approval_appeal_id}")
    response = (await console.send(APPROVER, "GET", address)).response
    assert "уже рассмотрен" not in response.text
    assert f'name="reply_id" value="{console.filled("{on_approval_reply_id}")}"' in response.text
    assert "Включим: bagulnik" in response.text
    alone = (await console.send(APPROVER, "GET", address.partition("&")[0])).response
    assert 'value="approve"' not in alone.text


async def test_remarks_for_a_removed_reply_are_not_shown_with_another_reply(console: ConsoleUnderTest) -> None:
    form = await _decision(console, do="refuse", remarks="Назовите дату", cursor="")
    form |= {"reply_id": console.filled("{published_reply_id}"), "appeal_id": console.filled("{draft_appeal_id}")}
    response = (await console.send(APPROVER, "POST", "/approvals", data=form)).response
    assert response.status_code in {404, 409, 412}
    assert "уже рассмотрен" in response.text
    assert 'value="approve"' not in response.text
    assert "Назовите дату" not in response.text


async def test_templates_are_listed_and_changed_by_their_organisation(console: ConsoleUnderTest) -> None:
    page = (await console.send(EXECUTOR, "GET", "/templates")).response.text
    assert "Свет bagulnik" in page
    assert "oblepiha" not in page
    path = console.filled("/templates/{template_id}")
    form_page = (await console.send(EXECUTOR, "GET", path)).response.text
    version = re.search(r'name="version" value="(\d+)"', form_page)
    owner = re.search(r'name="organisation_id" value="([^"]+)"', form_page)
    assert version is not None
    assert owner is not None
    form = {
        "version": version[1],
        "organisation_id": owner[1],
        "name": "Свет",
        "text": "Включим {имя}",
        "kind": "final",
    }
    changed = await console.send(EXECUTOR, "POST", path, data=form)
    assert (changed.response.status_code, changed.response.headers["location"]) == (303, "/templates")
    stale = (await console.send(EXECUTOR, "POST", path, data=form | {"version": "77"})).response
    assert stale.status_code == 412
    assert "Включим {имя}" in stale.text
    assert "как его сохранил коллега" in stale.text
    deleted = await console.send(EXECUTOR, "POST", path, data=form | {"do": "delete"})
    assert ("DELETE", 204) in [(call.method, call.status) for call in deleted.calls]


async def test_new_template_belongs_to_the_organisation_or_the_centre(console: ConsoleUnderTest) -> None:
    form = {"name": "Новый", "text": "Здравствуйте, {имя}!", "kind": "interim", "topic_id": ""}
    for who, words in ((EXECUTOR, "Для вашей организации"), (MODERATOR, "Шаблон центра")):
        assert words in (await console.send(who, "GET", "/templates/new")).response.text
        made = await console.send(who, "POST", "/templates/new", data=form)
        assert made.response.status_code == 303
        assert ("POST", 201) in [(call.method, call.status) for call in made.calls]


async def test_topic_of_a_template_is_chosen_by_its_name(console: ConsoleUnderTest) -> None:
    form = {"name": "Новый", "text": "Здравствуйте!", "kind": "final", "topic": "Матрица"}
    made = await console.send(EXECUTOR, "POST", "/templates/new", data=form)
    assert ("POST", 201) in [(call.method, call.status) for call in made.calls]
    for path in ("/templates/new", console.filled("/templates/{template_id}")):
        response = (await console.send(EXECUTOR, "POST", path, data=form | {"topic": "ъъъ"})).response
        assert response.status_code == 422
        assert "Такой темы нет" in response.text
        assert 'value="ъъъ"' in response.text


async def test_unknown_field_of_a_template_is_named_beside_the_text(console: ConsoleUnderTest) -> None:
    form = {"name": HOSTILE, "text": "Здравствуйте, {отчество}!", "kind": "final"}
    response = (await console.send(EXECUTOR, "POST", "/templates/new", data=form)).response
    assert response.status_code == 422
    assert "поле, которого система не знает" in response.text
    assert "{отчество}" in response.text
    assert "<img src=x" not in response.text
