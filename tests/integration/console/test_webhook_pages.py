"""Pages of webhooks: subscriptions, secrets shown once, consent and deliveries."""

import html
import re
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest, Visited
from tests.integration.console.page_reading import HOSTILE, assert_escaped, note_kind_of, note_of, text_of

MODERATOR = CallerCase("moderator")
MANAGER = CallerCase("manager")
AUDITOR = CallerCase("auditor")


@pytest.fixture
def own(console: ConsoleUnderTest) -> dict[str, str]:
    return {name: str(value) for name, value in console.services.samples["own"].items()}


async def _get(console: ConsoleUnderTest, path: str, who: CallerCase = MANAGER) -> Visited:
    return await console.send(who, "GET", path)


async def _post(console: ConsoleUnderTest, path: str, who: CallerCase = MANAGER, **form: Any) -> Visited:
    return await console.send(who, "POST", path, data=form)


def _made(visited: Visited) -> list[tuple[str, str, int]]:
    return [(call.method, call.path, call.status) for call in visited.calls if call.method != "GET"]


def _fields(**changed: Any) -> dict[str, Any]:
    return {
        "url": "http://127.0.0.1:9/new",
        "description": "CRM",
        "event_types": ["appeal.opened", "appeal.answered"],
        "key": str(uuid4()),
    } | changed


async def test_endpoints_are_listed_without_their_secrets(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    listed = (await _get(console, "/webhooks")).response
    assert "Для bagulnik" in text_of(listed)
    assert f'href="/webhooks/{own["endpoint_id"]}"' in listed.text
    assert "whsec_" not in listed.text


async def test_secret_of_a_new_endpoint_is_shown_only_in_the_response(console: ConsoleUnderTest) -> None:
    visited = await _post(console, "/webhooks/new", **_fields())
    response = visited.response
    assert _made(visited) == [("POST", "/webhooks/endpoints", 201)]
    assert response.status_code == 200
    assert "whsec_" in response.text
    assert "показан один раз" in text_of(response)
    assert "whsec_" not in str(response.headers)
    assert response.headers["cache-control"] == "no-store"


async def test_new_secret_of_an_endpoint_is_shown_only_in_the_response(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    page = (await _get(console, f"/webhooks/{own['endpoint_id']}")).response.text
    form = re.search(
        r"<form[^>]*/secret\" hx-disable=\"findAll button\">.*?name=\"version\" value=\"([^\"]*)\"", page
    )
    assert form is not None
    stale = await _post(console, f"/webhooks/{own['endpoint_id']}/secret", version='"77"')
    assert [call[2] for call in _made(stale)] == [412]
    assert note_kind_of(stale.response) == "failed"
    version = html.unescape(form[1])
    response = (await _post(console, f"/webhooks/{own['endpoint_id']}/secret", version=version)).response
    assert response.status_code == 200
    assert "whsec_" in response.text
    assert "ещё 24 часа" in text_of(response)
    assert "whsec_" not in str(response.headers)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"url": ""}, "Введите адрес"),
        ({"event_types": []}, "Выберите хотя бы одно событие"),
        ({"url": "http://user:password@example.org/"}, "Такой адрес не подходит"),
        ({"url": "http://127.0.0.2:9/", "personal_data": "yes"}, "внёс в список администратор"),
    ],
    ids=["no address", "no events", "address with password", "host not listed"],
)
async def test_invalid_subscription_is_shown_again_with_the_reason(
    console: ConsoleUnderTest, changed: dict[str, Any], said: str
) -> None:
    response = (await _post(console, "/webhooks/new", **_fields(description=HOSTILE, **changed))).response
    assert response.status_code == 422
    assert said in text_of(response)
    assert_escaped(response)


async def test_only_events_that_the_person_may_read_are_offered(console: ConsoleUnderTest) -> None:
    form = (await _get(console, "/webhooks/new")).response
    assert 'value="appeal.opened"' in form.text
    assert 'value="alert.raised"' not in form.text
    assert 'value="alert.raised"' in (await _get(console, "/webhooks/new", MODERATOR)).response.text


async def test_subscription_without_the_right_to_an_event_is_refused(console: ConsoleUnderTest) -> None:
    response = (await _post(console, "/webhooks/new", **_fields(event_types=["alert.raised"]))).response
    assert response.status_code == 403
    assert "На часть событий у вас нет прав" in text_of(response)


async def test_endpoint_is_changed_with_the_version_that_was_shown(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    path = f"/webhooks/{own['endpoint_id']}"
    changed = await _post(console, path, **_fields(version='"1"'))
    assert _made(changed) == [("PATCH", f"/webhooks/endpoints/{own['endpoint_id']}", 200)]
    stale = (await _post(console, path, **_fields(version='"9"', description="Моя правка"))).response
    assert stale.status_code == 412
    assert "запись изменил коллега" in text_of(stale)
    assert 'value="Моя правка"' in stale.text


@pytest.mark.parametrize(
    ("action", "form", "call"),
    [
        ("activity", {"active": "no", "version": '"1"'}, ("PATCH", "", 200)),
        ("pause", {"paused": "yes", "version": '"1"'}, ("PATCH", "", 200)),
        ("take-over", {}, ("POST", "/take-over", 200)),
        ("removal", {}, ("DELETE", "", 204)),
    ],
)
async def test_each_endpoint_action_calls_its_route(
    console: ConsoleUnderTest, own: dict[str, str], action: str, form: dict[str, Any], call: tuple[str, str, int]
) -> None:
    visited = await _post(console, f"/webhooks/{own['endpoint_id']}/{action}", **form)
    method, path, status = call
    assert _made(visited) == [(method, f"/webhooks/endpoints/{own['endpoint_id']}{path}", status)]
    assert visited.response.status_code == 303
    assert note_kind_of(visited.response) == "done"


async def test_paused_endpoint_with_filters_is_shown_as_such(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    page = text_of((await _get(console, f"/webhooks/{own['unmasked_endpoint_id']}")).response)
    assert "на паузе" in page
    assert "Продолжить" in page
    assert "Отбор: 1 муниципалитет." in page
    assert "Отправить проверку" not in page
    running = text_of((await _get(console, f"/webhooks/{own['endpoint_id']}")).response)
    assert "Поставить на паузу" in running
    assert "Отбор" not in running.split("Доставки")[0]


async def test_unverified_address_is_shown_and_can_be_checked_again(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    endpoint = own["unverified_endpoint_id"]
    page = text_of((await _get(console, f"/webhooks/{endpoint}")).response)
    assert "адрес не подтверждён" in page
    assert "Проверить адрес ещё раз" in page
    assert "адрес не подтверждён" not in text_of((await _get(console, f"/webhooks/{own['endpoint_id']}")).response)
    sent = await _post(console, f"/webhooks/{endpoint}/verification")
    assert _made(sent) == [("POST", f"/webhooks/endpoints/{endpoint}/verification", 202)]
    assert note_kind_of(sent.response) == "done"
    refused = await _post(console, f"/webhooks/{own['endpoint_id']}/verification")
    assert note_kind_of(refused.response) == "failed"


async def test_consent_is_withdrawn_and_given(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    endpoint = own["unmasked_endpoint_id"]
    page = (await _get(console, f"/webhooks/{endpoint}")).response
    assert "Отозвать согласие" in page.text
    withdrawn = await _post(console, f"/webhooks/{endpoint}/withdrawal")
    assert _made(withdrawn) == [("DELETE", f"/webhooks/endpoints/{endpoint}/consent", 200)]
    given = await _post(console, f"/webhooks/{endpoint}/consent", version="*")
    assert _made(given) == [("POST", f"/webhooks/endpoints/{endpoint}/consent", 200)]
    nothing_asked = await _post(console, f"/webhooks/{own['endpoint_id']}/consent", version="*")
    assert note_kind_of(nothing_asked.response) == "failed"


async def test_consent_to_an_endpoint_that_changed_since_the_page_was_shown_is_refused(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    path = f"/webhooks/{own['unverified_endpoint_id']}"
    page = (await _get(console, path)).response.text
    form = re.search(r"<form[^>]*/consent\"><input type=\"hidden\" name=\"version\" value=\"([^\"]*)\"", page)
    assert form is not None
    stale = await _post(console, f"{path}/consent", version='"77"')
    assert [call[2] for call in _made(stale)] == [412]
    assert "Подписку изменили" in note_of(stale.response)
    given = await _post(console, f"{path}/consent", version=html.unescape(form[1]))
    assert [call[2] for call in _made(given)] == [200]


async def test_unknown_endpoint_action_makes_no_call(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    visited = await _post(console, f"/webhooks/{own['endpoint_id']}/rotate-secret")
    assert _made(visited) == []


async def test_request_for_a_test_delivery_redirects(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    visited = await _post(console, f"/webhooks/{own['endpoint_id']}/test", key=str(uuid4()))
    ((_, path, status),) = _made(visited)
    assert path == f"/webhooks/endpoints/{own['endpoint_id']}/test"
    assert status in {202, 409}
    assert visited.response.status_code == 303


async def test_deliveries_are_shown_and_can_be_retried(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    listed = text_of((await _get(console, f"/webhooks/{own['endpoint_id']}")).response)
    assert "открыто обращение" in listed
    assert "доставлено" in listed
    failed = text_of((await _get(console, f"/webhooks/{own['endpoint_id']}?status=failed")).response)
    assert "Доставок нет" in failed
    shown = text_of((await _get(console, f"/webhooks/deliveries/{own['delivery_id']}")).response)
    assert "bagulnik" in shown
    retried = await _post(console, f"/webhooks/deliveries/{own['delivery_id']}/retry")
    ((_, path, _),) = _made(retried)
    assert path == f"/webhooks/deliveries/{own['delivery_id']}/retry"
    assert retried.response.headers["location"] == f"/webhooks/deliveries/{own['delivery_id']}"


async def test_reader_of_webhooks_sees_no_forms(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    page = (await _get(console, f"/webhooks/{own['endpoint_id']}", AUDITOR)).response
    assert page.status_code == 200
    assert '<form method="post" action="/webhooks' not in page.text
    assert "Подписать систему" not in (await _get(console, "/webhooks", AUDITOR)).response.text


async def test_change_of_an_endpoint_without_an_address_makes_no_call(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    visited = await _post(console, f"/webhooks/{own['endpoint_id']}", **_fields(url="", version='"1"'))
    assert _made(visited) == []
    assert visited.response.status_code == 422
    assert "Введите адрес" in text_of(visited.response)
