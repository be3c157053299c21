"""The account page: sessions, notice settings, e-mail address and linked networks."""

import re

from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest
from tests.integration.console.page_reading import note_of
from tests.integration.console.test_registry_pages import changes, version_of

EXECUTOR = CallerCase("executor")
MODERATOR = CallerCase("moderator")


async def test_report_notices_are_offered_to_those_who_may_read_reports(console: ConsoleUnderTest) -> None:
    for who, is_offered in ((MODERATOR, True), (EXECUTOR, False)):
        text = (await console.send(who, "GET", "/account")).response.text
        assert ('name="kind_report"' in text) is is_offered
        assert 'name="kind_assignment"' in text


async def test_notice_settings_are_saved_with_the_version_that_was_shown(console: ConsoleUnderTest) -> None:
    form = {"kind_mention": "never", "kind_warning": "digest", "urgent_at_any_hour": "yes"}
    form["version"] = await version_of(console, EXECUTOR, "/account")
    saved = await console.send(EXECUTOR, "POST", "/account/notices", data=form)
    assert (saved.response.status_code, changes(saved)) == (303, [("PATCH", 200)])
    stale = await console.send(EXECUTOR, "POST", "/account/notices", data=form | {"version": '"99"'})
    assert stale.response.status_code == 412
    assert "Настройки изменились" in stale.response.text


async def test_invalid_address_is_shown_again_with_the_reason(console: ConsoleUnderTest) -> None:
    form = {"address": "не адрес", "version": await version_of(console, EXECUTOR, "/account")}
    refused = (await console.send(EXECUTOR, "POST", "/account/address", data=form)).response
    assert refused.status_code == 422
    assert "Это не адрес электронной почты." in refused.text
    assert 'value="не адрес"' in refused.text


async def test_channel_without_account_is_refused_with_its_own_reason(console: ConsoleUnderTest) -> None:
    form = {"channel_mention": "vk", "version": await version_of(console, EXECUTOR, "/account")}
    refused = (await console.send(EXECUTOR, "POST", "/account/notices", data=form)).response
    assert refused.status_code == 422
    assert "Выбран недоступный способ" in refused.text
    assert "Это не адрес" not in refused.text


async def test_other_sessions_are_ended(console: ConsoleUnderTest) -> None:
    ended = await console.send(EXECUTOR, "POST", "/account/sessions/end-others")
    assert (ended.response.status_code, [call.path for call in ended.calls]) == (303, ["/me", "/me/sessions"])
    gone = await console.send(EXECUTOR, "POST", console.filled("/account/sessions/{session_id}/end"))
    assert (gone.response.status_code, changes(gone)) == (303, [("DELETE", 404)])


async def test_link_in_a_notice_redirects_to_the_notice_settings(console: ConsoleUnderTest) -> None:
    response = (await console.send(EXECUTOR, "GET", "/settings/notices")).response
    assert (response.status_code, response.headers["location"]) == (303, "/account#notices")


async def test_code_that_links_a_network_account_is_shown(console: ConsoleUnderTest) -> None:
    assert "Получить код" in (await console.send(EXECUTOR, "GET", "/account")).response.text
    shown = await console.send(EXECUTOR, "POST", "/account/networks", data={"network": "vk", "do": "link"})
    assert (shown.response.status_code, changes(shown)) == (200, [("POST", 201)])
    assert re.search(r"ГП \d{5} \d{5}", shown.response.text)
    wrong = await console.send(EXECUTOR, "POST", "/account/networks", data={"network": "x"})
    assert wrong.response.status_code == 404
    gone = await console.send(EXECUTOR, "POST", "/account/networks", data={"network": "vk", "do": "unlink"})
    assert (gone.response.status_code, changes(gone)[0][0]) == (303, "DELETE")
    assert note_of(gone.response) == "Уведомления отключены"
