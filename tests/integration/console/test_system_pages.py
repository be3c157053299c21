"""Pages of the audit trail, of erasures and of the system's state."""

from typing import Any
from uuid import uuid4

import pytest

from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest, Visited
from tests.integration.console.page_reading import HOSTILE, assert_escaped, note_of, text_of

MODERATOR = CallerCase("moderator")
AUDITOR = CallerCase("auditor")
OPERATIONS = CallerCase("operations")


@pytest.fixture
def own(console: ConsoleUnderTest) -> dict[str, str]:
    return {name: str(value) for name, value in console.services.samples["own"].items()}


async def _get(console: ConsoleUnderTest, path: str, who: CallerCase = AUDITOR) -> Visited:
    return await console.send(who, "GET", path)


async def _post(console: ConsoleUnderTest, path: str, **form: Any) -> Visited:
    return await console.send(MODERATOR, "POST", path, data=form)


async def test_audit_trail_links_the_changed_records(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    response = (await _get(console, "/audit")).response
    assert response.status_code == 200
    assert f'href="/appeals/{own["appeal_id"]}"' in response.text
    assert "digest" not in response.text


async def test_audit_trail_is_filtered_by_parameters_of_its_address(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    visited = await _get(console, f"/audit?subject_id={own['appeal_id']}&from=2020-01-01&to=2030-12-31")
    call = next(call for call in visited.calls if call.path == "/audit")
    assert {"from", "to", "subject_id"} <= set(call.parameters)
    assert "Все записи" in text_of(visited.response)
    nothing = (await _get(console, "/audit?from=2030-01-01")).response
    assert "Таких записей нет" in text_of(nothing)


async def test_audit_trail_is_shown_despite_an_invalid_filter(
    console: ConsoleUnderTest,
) -> None:
    response = (await _get(console, "/audit?from=вчера&organisation=нетакойорганизации")).response
    assert response.status_code == 200
    assert "Такой организации в реестре нет" in text_of(response)


async def test_personal_data_reads_are_filtered_by_author(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    visited = await _get(console, f"/audit/reads?author_key={own['author_key']}")
    assert visited.response.status_code == 200
    assert "Кто читал тексты граждан" in text_of(visited.response)
    call = next(call for call in visited.calls if call.path == "/audit/personal-data-reads")
    assert "author_key" in call.parameters


async def test_audit_trail_is_refused_to_a_moderator_without_a_further_api_call(console: ConsoleUnderTest) -> None:
    for path in ("/audit", "/audit/reads"):
        visited = await _get(console, path, MODERATOR)
        assert "Журнал вам не виден" in text_of(visited.response)
        assert [call.path for call in visited.calls] == ["/me"]


async def test_erasures_are_listed(console: ConsoleUnderTest) -> None:
    shown = text_of((await _get(console, "/erasures", MODERATOR)).response)
    assert "вх. bagulnik" in shown
    assert "выполнено" in shown
    none = text_of((await _get(console, "/erasures?status=failed", MODERATOR)).response)
    assert "Удалений не было" in none


async def test_erasure_is_requested_with_its_ground(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    form = {"author_key": own["author_key"], "ground": "other", "reference": "вх. 17", "confirmed": "yes"}
    visited = await _post(console, "/erasures", key=str(uuid4()), **form)
    assert [(call.method, call.path, call.status) for call in visited.calls if call.method == "POST"] == [
        ("POST", "/authors/…/erasure", 202)
    ]
    assert "в очередь" in note_of(visited.response)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"confirmed": None}, "удаление нельзя отменить"),
        ({"reference": " "}, "Укажите номер документа"),
        ({"author_key": "../erasures"}, "Такого автора нет"),
        ({"author_key": HOSTILE}, "Такого автора нет"),
    ],
    ids=["not confirmed", "no document", "path", "hostile"],
)
async def test_incomplete_or_invalid_erasure_request_is_refused_and_not_sent(
    console: ConsoleUnderTest, own: dict[str, str], changed: dict[str, Any], said: str
) -> None:
    form = {"author_key": own["author_key"], "ground": "other", "reference": HOSTILE, "confirmed": "yes"}
    sent = {name: value for name, value in (form | changed).items() if value is not None}
    visited = await _post(console, "/erasures", key=str(uuid4()), **sent)
    assert visited.response.status_code == 422
    assert said in text_of(visited.response)
    assert [call for call in visited.calls if call.method == "POST"] == []
    if "<script>" in str(sent):
        assert_escaped(visited.response)


async def test_erasure_of_an_unknown_author_is_refused_and_keeps_the_entered_values(
    console: ConsoleUnderTest,
) -> None:
    form = {"author_key": "0" * 64, "ground": "other", "reference": "вх. 17", "confirmed": "yes"}
    response = (await _post(console, "/erasures", key=str(uuid4()), **form)).response
    assert response.status_code == 404
    assert "Такого автора нет" in text_of(response)
    assert 'value="вх. 17"' in response.text


async def test_erasure_of_an_official_page_is_refused_with_the_reason(console: ConsoleUnderTest) -> None:
    connection = await console.services.services["ingest"].database.connect("gospablik_owner")
    try:
        # A page's message with an author key, as an earlier release stored it.
        await connection.execute(
            """INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key,
               author_key, from_community, text, attachments, url, history, source_kind, written_at, received_at,
               version, raw)
               SELECT gen_random_uuid(), network, 'comment', 'of-the-page', page_id, organisation_id, thread_key,
               'key-of-the-page', true, '', '[]', '', false, 'poll', now(), now(), 1, '{}' FROM messages LIMIT 1"""
        )
    finally:
        await connection.close()
    form = {"author_key": "key-of-the-page", "ground": "other", "reference": "вх. 17", "confirmed": "yes"}
    response = (await _post(console, "/erasures", key=str(uuid4()), **form)).response
    assert response.status_code == 409
    assert "Это ключ официальной страницы" in text_of(response)


async def test_system_page_calls_only_what_the_person_may_read(console: ConsoleUnderTest) -> None:
    visited = await _get(console, "/system", OPERATIONS)
    assert visited.response.status_code == 200
    assert "Страницы не читаются" in text_of(visited.response)
    assert [call for call in visited.calls if call.status == 403] == []
    assert "/erasures" not in {call.path for call in visited.calls}
