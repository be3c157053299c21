"""Pages of message collection, quarantine and publications: states in words, and the actions of people."""

from typing import Any
from uuid import uuid4

import pytest

from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest, Visited
from tests.integration.console.page_reading import note_kind_of, note_of, text_of

MODERATOR = CallerCase("moderator")
EXECUTOR = CallerCase("executor")


@pytest.fixture
def own(console: ConsoleUnderTest) -> dict[str, str]:
    return {name: str(value) for name, value in console.services.samples["own"].items()}


async def _get(console: ConsoleUnderTest, path: str, who: CallerCase = MODERATOR) -> Visited:
    return await console.send(who, "GET", path)


async def _post(console: ConsoleUnderTest, path: str, **form: Any) -> Visited:
    return await console.send(MODERATOR, "POST", path, data=form)


def _made(visited: Visited) -> list[tuple[str, str, int]]:
    return [(call.method, call.path, call.status) for call in visited.calls if call.method != "GET"]


async def test_pages_are_listed_with_their_states(console: ConsoleUnderTest) -> None:
    shown = text_of((await _get(console, "/sources")).response)
    assert "Страница bagulnik 1" in shown
    assert "отозван" in shown


async def test_pages_that_are_not_read_are_listed_and_shown_in_the_system_state(console: ConsoleUnderTest) -> None:
    bad = (await _get(console, "/sources?state=bad")).response
    assert "Страница bagulnik 1" in text_of(bad)
    state = text_of((await _get(console, "/system")).response)
    assert "Страницы не читаются" in state
    assert "Записи в карантине: 3" in state


async def test_staff_see_the_sources_of_their_page_without_forms(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    response = (await _get(console, f"/sources/{own['page_id']}", EXECUTOR)).response
    assert response.status_code == 200
    assert "Сверить сейчас" not in response.text
    assert "Revoked:" not in response.text
    assert (
        await _get(console, f"/sources/{console.services.samples['foreign']['page_id']}", EXECUTOR)
    ).response.status_code == 404


async def test_reconciliation_and_backfill_of_a_page_are_started(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    path = f"/sources/{own['other_page_id']}"
    compared = await _post(console, f"{path}/reconciliations", key=str(uuid4()))
    assert _made(compared) == [("POST", f"{path}/reconciliations", 202)]
    read = await _post(console, f"{path}/backfills", since="2026-01-15", key=str(uuid4()))
    assert _made(read) == [("POST", f"{path}/backfills", 202)]
    assert note_of(read.response) == "Догрузка начата"


@pytest.mark.parametrize(
    ("page", "since", "refusal"),
    [
        ("other_page_id", "", (422, "Выберите день")),
        ("other_page_id", "31.01.2026", (422, "Выберите день")),
        ("other_page_id", "2999-01-01", (422, "ещё не наступил")),
        ("page_id", "2026-01-15", (409, "уже идёт")),
    ],
    ids=["no day", "not a day", "future", "running"],
)
async def test_refused_backfill_is_shown_with_the_reason(
    console: ConsoleUnderTest, own: dict[str, str], page: str, since: str, refusal: tuple[int, str]
) -> None:
    visited = await _post(console, f"/sources/{own[page]}/backfills", since=since, key=str(uuid4()))
    assert visited.response.status_code == refusal[0]
    assert refusal[1] in text_of(visited.response)
    assert f'value="{since}"' in visited.response.text


async def test_cancelled_backfill_redirects_within_the_console_only(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    path = f"/sources/backfills/{own['backfill_id']}/cancellation"
    response = (await _post(console, path, back=f"/sources/{own['page_id']}")).response
    assert response.headers["location"] == f"/sources/{own['page_id']}"
    elsewhere = (await _post(console, path, back="https://evil.example")).response
    assert elsewhere.headers["location"] == "/sources/backfills"


async def test_reconciliation_of_all_pages_is_started(console: ConsoleUnderTest) -> None:
    response = (await _post(console, "/sources/reconciliations", network="vk", key=str(uuid4()))).response
    assert "страниц: 6" in note_of(response)


async def test_reconciliation_since_a_text_that_is_no_day_is_not_started(console: ConsoleUnderTest) -> None:
    visited = await _post(console, "/sources/reconciliations", since="31.01.2026", key=str(uuid4()))
    assert _made(visited) == []
    assert (note_of(visited.response), note_kind_of(visited.response)) == ("Выберите день.", "failed")


async def test_token_is_added_and_not_shown(console: ConsoleUnderTest) -> None:
    sent = {"network": "vk", "kind": "group", "page": "vk.com/club101", "token": "vk1.a.secret-token"}
    visited = await _post(console, "/sources/tokens", **sent)
    assert [status for _, _, status in _made(visited)] in ([200], [201])
    assert "secret-token" not in str(visited.response.headers)
    for address in ("vk.com/nosuchpage", "просто слова"):
        refused = (await _post(console, "/sources/tokens", **sent | {"page": address})).response
        assert refused.status_code == 422
        assert "Такой страницы в реестре нет" in text_of(refused)
        assert "secret-token" not in refused.text
        assert address in refused.text


async def test_tokens_are_shown_only_to_those_who_may_inspect_sources(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    assert "отозван" in text_of((await _get(console, "/sources/tokens")).response)
    closed = await _get(console, "/sources/tokens", EXECUTOR)
    assert "Ключи видит центр" in text_of(closed.response)
    assert [call for call in closed.calls if call.status == 403] == []
    removed = await _post(console, f"/sources/tokens/{own['token_id']}/removal")
    assert _made(removed) == [("DELETE", f"/sources/tokens/{own['token_id']}", 204)]


async def test_callback_secret_that_is_too_short_is_refused_and_not_shown(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    response = (await _post(console, f"/sources/{own['page_id']}/callback", secret="zq-xw")).response
    assert response.status_code == 422
    assert "от 6 до 50 знаков" in text_of(response)
    assert "zq-xw" not in response.text


async def test_quarantined_payload_is_shown_and_its_failed_retry_is_reported(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    assert "Страница bagulnik 1" in text_of((await _get(console, "/quarantine")).response)
    shown = text_of((await _get(console, f"/quarantine/{own['payload_id']}")).response)
    assert '"of": "bagulnik"' in shown
    retried = await _post(console, f"/quarantine/{own['payload_id']}/retry", source_kind="callback")
    assert _made(retried) == [("POST", f"/sources/quarantine/{own['payload_id']}/retry", 409)]
    assert note_kind_of(retried.response) == "failed"


async def test_executor_sees_no_content_of_the_quarantine(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    listed = (await _get(console, "/quarantine", EXECUTOR)).response
    assert f"/quarantine/{own['payload_id']}" not in listed.text
    assert (await _get(console, f"/quarantine/{own['payload_id']}", EXECUTOR)).response.status_code == 403


async def test_failed_publication_is_retried(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    listed = (await _get(console, "/publications")).response
    assert "Включим: bagulnik" in text_of(listed)
    assert f"/publications/{own['publication_id']}/retry" in listed.text
    retried = await _post(console, f"/publications/{own['publication_id']}/retry", back="/publications")
    assert _made(retried) == [("POST", f"/publications/{own['publication_id']}/retry", 202)]
    assert note_of(retried.response) == "Ответ снова в очереди на публикацию"


async def test_published_reply_is_not_offered_a_retry(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    listed = (await _get(console, "/publications?status=published")).response
    assert "Чиним: bagulnik" in text_of(listed)
    assert "/retry" not in listed.text
    path = f"/publications/{own['published_publication_id']}/retry"
    assert "уже не в ошибке" in note_of((await _post(console, path)).response)


async def test_reader_of_publications_is_offered_no_retry(console: ConsoleUnderTest) -> None:
    listed = (await _get(console, "/publications", CallerCase("head"))).response
    assert listed.status_code == 200
    assert "Опубликовать ещё раз" not in listed.text
