"""Pages of incidents and alerts: their content by role, and the actions of their forms."""

import html
import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import httpx
import pytest

from services.console.pages.incidents.incident_details import recipients
from shared import clock
from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest, Visited

MODERATOR = CallerCase("moderator")
EXECUTOR = CallerCase("executor")
AUDITOR = CallerCase("auditor")
ONE = "/incidents/{incident_id}"
TEXT = "Здравствуйте! Фонари включим 5 марта, бригада на месте."
KEY = "k" * 22


async def shown(console: ConsoleUnderTest, route: str, who: CallerCase = MODERATOR) -> str:
    response = (await console.send(who, "GET", console.filled(route))).response
    assert response.status_code == 200, response.text[-1000:]
    return response.text


async def posted(
    console: ConsoleUnderTest, route: str, data: dict[str, Any] | None = None, who: CallerCase = MODERATOR
) -> Visited:
    visited = await console.send(who, "POST", console.filled(route), data=data or {})
    for call in visited.calls:
        assert console.documented(call) is not None, call
    return visited


def changes(visited: Visited) -> list[str]:
    return [
        f"{call.method} {re.sub(r'[0-9a-f-]{36}', 'X', call.path)} {call.status}"
        for call in visited.calls
        if call.method != "GET"
    ]


def note_of(response: httpx.Response) -> dict[str, Any]:
    note: dict[str, Any] = json.loads(unquote(response.cookies["__Host-gospablik-note"].strip('"')))
    return note


async def version(console: ConsoleUnderTest) -> str:
    page = await shown(console, ONE)
    found = re.search(r'name="version" value="(\d+)"', page)
    assert found is not None
    return found[1]


async def test_open_incidents_are_listed_with_their_size(console: ConsoleUnderTest) -> None:
    page = await shown(console, "/incidents")
    assert console.filled('href="/incidents/{incident_id}"') in page
    assert "Фонари: bagulnik" in page
    assert "2\N{NO-BREAK SPACE}обращения" in page
    assert "Фонари" not in await shown(console, "/incidents?open=false")
    assert "Фонари: saranka" not in await shown(console, "/incidents?q=bagulnik")


async def test_incident_shows_appeals_reasons_and_replies(console: ConsoleUnderTest) -> None:
    page = await shown(console, ONE)
    for words in ("Фонари: bagulnik", "Рядом: bagulnik", "Включим: bagulnik", "Организация bagulnik"):
        assert words in page
    assert console.filled('href="/appeals/{appeal_id}"') in page
    assert console.filled('action="/incidents/{incident_id}/members/{appeal_id}/remove"') in page


async def test_similar_appeals_are_offered_to_be_added(console: ConsoleUnderTest) -> None:
    page = await shown(console, f"{ONE}?similar=true")
    assert console.filled('name="appeal_ids" value="{lone_appeal_id}"') in page
    chosen = {"appeal_ids": str(console.services.samples["own"]["lone_appeal_id"])}
    visited = await posted(console, f"{ONE}/members", chosen)
    assert changes(visited) == ["POST /incidents/X/members 200"]
    assert note_of(visited.response)["text"] == "Обращения добавлены"


@pytest.mark.parametrize("who", [AUDITOR, EXECUTOR], ids=str)
async def test_forms_are_shown_to_those_who_may_use_them(console: ConsoleUnderTest, who: CallerCase) -> None:
    page = await shown(console, ONE, who)
    may_work = who == EXECUTOR
    assert ("/remove" in page) is may_work
    assert ("Ответить всем" in page) is may_work
    assert "/lead" not in page


async def test_incident_gets_a_title_and_leading_organisation_and_is_closed(console: ConsoleUnderTest) -> None:
    seen = await version(console)
    named = await posted(console, f"{ONE}/title", {"version": seen, "title": "Нет света"})
    organisation_id = str(console.services.samples["own"]["organisation_id"])
    led = await posted(console, f"{ONE}/lead", {"version": seen, "organisation_id": organisation_id})
    freed = await posted(console, f"{ONE}/lead", {"version": seen, "organisation_id": ""})
    closed = await posted(console, f"{ONE}/close", {"version": seen})
    for visited in (named, led, freed):
        assert changes(visited) == ["PATCH /incidents/X 200"]
        assert visited.response.headers["location"] == console.filled(ONE)
    assert changes(closed) == ["POST /incidents/X/closure 200"]


@pytest.mark.parametrize("form", ["title", "lead", "close"])
async def test_stale_edit_of_an_incident_is_refused_and_keeps_the_entered_values(
    console: ConsoleUnderTest, form: str
) -> None:
    visited = await posted(console, f"{ONE}/{form}", {"version": "99", "title": "Моё <b>название</b>"})
    assert visited.response.status_code == 412
    assert "запись изменил коллега" in visited.response.text
    assert ('value="Моё &lt;b&gt;название&lt;/b&gt;"' in visited.response.text) is (form == "title")


async def test_incident_keeps_its_title_if_none_is_entered(console: ConsoleUnderTest) -> None:
    visited = await posted(console, f"{ONE}/title", {"version": "1", "title": " "})
    assert visited.response.status_code == 422
    assert "Дайте инциденту название." in visited.response.text
    assert changes(visited) == []


async def test_removed_appeal_can_be_added_to_the_incident_again(console: ConsoleUnderTest) -> None:
    visited = await posted(console, ONE + "/members/{appeal_id}/remove")
    assert changes(visited) == ["DELETE /incidents/X/members/X 204"]
    undo = console.filled(ONE + "/members/{appeal_id}/restore")
    assert note_of(visited.response)["undo"] == {"path": undo, "label": "Вернуть"}
    back = await posted(console, ONE + "/members/{appeal_id}/restore")
    assert changes(back) == ["POST /incidents/X/members 200"]
    gone = await posted(console, ONE + "/members/{lone_appeal_id}/remove")
    assert note_of(gone.response)["kind"] == "failed"


async def test_appeals_are_added_by_their_numbers(console: ConsoleUnderTest) -> None:
    number = console.services.samples["own"]["number"]
    visited = await posted(console, f"{ONE}/members", {"numbers": f"№ {number}, {number}"})
    assert changes(visited) == ["POST /incidents/X/members 200"]
    unknown = await posted(console, f"{ONE}/members", {"numbers": f"{number} 987654 <i>"})
    assert unknown.response.status_code == 422
    assert "Таких обращений нет: 987654, &lt;i&gt;." in unknown.response.text
    assert (await posted(console, f"{ONE}/members", {"numbers": "9" * 5_000})).response.status_code == 422
    assert changes(unknown) == []


async def test_appeal_of_another_incident_is_not_added(console: ConsoleUnderTest) -> None:
    number = console.services.samples["foreign"]["number"]
    visited = await posted(console, f"{ONE}/members", {"numbers": str(number)})
    assert visited.response.status_code == 409
    assert "уже в другом инциденте" in visited.response.text
    assert f'value="{number}"' in visited.response.text


async def test_incident_without_numbers_or_with_an_appeal_of_another_incident_is_refused(
    console: ConsoleUnderTest,
) -> None:
    samples = console.services.samples["own"]
    page = await shown(console, "/incidents")
    assert 'name="numbers"' in page
    taken = await posted(console, "/incidents", {"numbers": str(samples["number"]), "title": "Т", "key": KEY})
    assert taken.response.status_code == 409
    assert "уже в другом инциденте" in taken.response.text
    nothing = await posted(console, "/incidents", {"numbers": " ", "key": KEY})
    assert nothing.response.status_code == 422
    assert "Укажите номера обращений." in nothing.response.text


async def test_bulk_reply_is_previewed_before_it_is_sent(console: ConsoleUnderTest) -> None:
    written = {"text": TEXT, "kind": "final", "include_later_members": "true", "key": KEY}
    preview = await posted(console, f"{ONE}/reply", written | {"step": "preview"})
    page = preview.response.text
    assert preview.response.status_code == 200, page[-1000:]
    assert changes(preview) == ["POST /appeals/X/replies/check 200"]
    assert "Получат: 2" in page
    assert f'value="{html.escape(TEXT)}"' in page
    sent = await posted(console, f"{ONE}/reply", written | {"step": "send"})
    assert changes(sent) == ["POST /incidents/X/replies 202"]
    assert sent.response.headers["location"] == console.filled(ONE)
    again = await posted(console, f"{ONE}/reply", written | {"step": "edit"})
    assert f">\n{TEXT}</textarea>" in again.response.text


async def test_appeal_can_be_excluded_from_the_bulk_reply_and_the_text_stays(console: ConsoleUnderTest) -> None:
    appeal_id = str(console.services.samples["own"]["appeal_id"])
    visited = await posted(console, f"{ONE}/reply", {"text": TEXT, "exclude": appeal_id, "key": KEY})
    assert changes(visited)[0] == "DELETE /incidents/X/members/X 204"
    assert f'value="{html.escape(TEXT)}"' in visited.response.text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"text": " "}, "Напишите текст ответа."),
        ({"text": TEXT, "kind": "interim"}, "укажите, когда будет итоговый"),
        ({"text": TEXT, "kind": "interim", "promised_at": "завтра"}, "записаны неверно"),
        ({"text": TEXT, "kind": "interim", "promised_at": "2020-01-01T18:00"}, "срок уже прошёл"),
    ],
)
async def test_invalid_reply_is_refused_with_the_reason(
    console: ConsoleUnderTest, given: dict[str, str], words: str
) -> None:
    visited = await posted(console, f"{ONE}/reply", given | {"key": KEY, "step": "send"})
    assert visited.response.status_code == 422
    assert words in visited.response.text
    assert changes(visited) == []


async def test_interim_bulk_reply_with_a_promised_date_is_accepted(console: ConsoleUnderTest) -> None:
    promised = f"{clock.now() + timedelta(days=3):%Y-%m-%dT18:00}"
    given = {"text": TEXT, "kind": "interim", "promised_at": promised, "key": KEY, "step": "send"}
    assert changes(await posted(console, f"{ONE}/reply", given)) == ["POST /incidents/X/replies 202"]


async def test_bulk_reply_with_a_blocked_text_is_refused(console: ConsoleUnderTest) -> None:
    given = {"text": "Иванова Мария, ваш телефон +7 924 123-45-67 записан. <b>", "key": KEY, "step": "send"}
    visited = await posted(console, f"{ONE}/reply", given)
    assert visited.response.status_code == 422
    assert "публиковать нельзя" in visited.response.text
    assert "&lt;b&gt;</textarea>" in visited.response.text


async def test_ended_session_loses_no_text(console: ConsoleUnderTest) -> None:
    form = {"text": TEXT, "kind": "final", "include_later_members": "true", "key": KEY, "step": "send"}
    response = (await console.send(None, "POST", console.filled(f"{ONE}/reply"), data=form)).response
    assert response.status_code == 401
    assert f">\n{TEXT}</textarea>" in response.text
    for name in ("kind", "include_later_members", "key", "step"):
        assert f'name="{name}" value="{form[name]}"' in response.text


async def test_bulk_reply_by_an_auditor_is_refused_and_keeps_the_text(console: ConsoleUnderTest) -> None:
    visited = await console.send(AUDITOR, "GET", console.filled(f"{ONE}/reply"))
    assert visited.response.status_code == 403
    form = {"text": TEXT, "key": KEY}
    refused = (await console.send(AUDITOR, "POST", console.filled(f"{ONE}/reply"), data=form)).response
    assert (refused.status_code, f">\n{TEXT}</textarea>" in refused.text) == (403, True)


def test_bulk_reply_counts_waiting_appeals_that_can_be_answered() -> None:
    def member(status: str, network: str | None = "vk") -> dict[str, Any]:
        return {"status": status, "channel": {"network": network}}

    found = recipients([member("triage"), member("answered"), member("assigned", None), member("interim")])
    assert [one["status"] for one in found.waiting] == ["triage", "interim"]
    assert [why for _, why in found.skipped] == ["уже отвечено", "внесено вручную: ответить в соцсети некуда"]


async def test_alerts_are_shown_and_marked_as_seen(console: ConsoleUnderTest) -> None:
    page = await shown(console, "/alerts?kind=urgent")
    assert "Срочно: bagulnik" in page
    assert console.filled('href="/appeals/{appeal_id}"') in page
    shown_at = re.search(r'name="until" value="([^"]+)"', page)
    assert shown_at is not None
    outdated = {"until": "2020-01-01T00:00:00Z"}
    kept = await posted(console, "/alerts/{alert_id}/seen?kind=urgent&seen=false", outdated)
    assert note_of(kept.response)["text"].startswith("Тревога обновилась, прочтите её ещё раз")
    visited = await posted(
        console, "/alerts/{alert_id}/seen?kind=urgent&seen=false", {"until": html.unescape(shown_at[1])}
    )
    assert changes(visited) == ["POST /alerts/X/seen 200"]
    assert note_of(visited.response)["text"].startswith("Тревога просмотрена")
    assert visited.response.headers["location"] == "/alerts?kind=urgent"
    assert "Срочно: bagulnik" not in await shown(console, "/alerts?kind=spike")
    assert "Тревог нет" in await shown(console, "/alerts?seen=true")


async def test_staff_do_not_see_alerts(console: ConsoleUnderTest) -> None:
    assert (await console.send(EXECUTOR, "GET", "/alerts")).response.status_code == 403
    visited = await posted(console, "/alerts/{alert_id}/seen", who=EXECUTOR)
    assert visited.response.status_code == 403
    assert changes(visited) == []


async def test_unknown_incident_is_not_found(console: ConsoleUnderTest) -> None:
    assert (await console.send(MODERATOR, "GET", f"/incidents/{uuid4()}")).response.status_code == 404
