"""A change that the API failed to make is reported as failed, with what was entered, and never as done or as a
mistake of the person; a page whose reading fails is not shown as empty.
"""

from typing import Any

import pytest

from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest
from tests.integration.console.page_reading import note_of
from tests.integration.console.refused_calls import (
    DRAFT,
    EXECUTOR,
    KEY,
    MANAGER,
    MODERATOR,
    OPERATIONS,
    PUBLISHED,
    SAID,
    SOME,
    answer_calls,
    problem,
)
from tests.support.sample_images import jpeg

SCORES = {f"score-{code}": "2" for code in ("question", "action_or_date", "proof", "contact", "politeness")}
# Who sends which form to which address, and the call of the API that fails. A form with `SAID` keeps this text.
CHANGES: list[tuple[CallerCase, str, dict[str, Any], str]] = [
    (
        EXECUTOR,
        DRAFT,
        {"do": "submit", "text": SAID, "reply_id": "{draft_reply_id}", "version": "1"},
        r"POST .*/submit",
    ),
    (EXECUTOR, "/appeals/{appeal_id}/reply", {"do": "retry", "failed_id": SOME, "text": SAID}, r"POST .*/retry"),
    (EXECUTOR, "/appeals/{phone_appeal_id}/reply", {"do": "record", "text": SAID}, r"POST .*/recorded-answers"),
    (EXECUTOR, DRAFT + "/lease", {}, r"PUT .*/reply-lease"),
    (MANAGER, PUBLISHED, {"do": "edit", "text": SAID}, r"POST .*/edits"),
    (MODERATOR, "/queue/{phone_appeal_id}/take-back?version=1", {}, r"POST .*/undo"),
    (MODERATOR, "/queue/{phone_appeal_id}/assignment", {"version": "1"}, r"POST .*/triage"),
    (MODERATOR, "/queue/reviews/{message_id}", {"version": "1", "needs_answer": "true"}, r"POST .*/triage"),
    (
        MODERATOR,
        "/queue/{appeal_id}/matter",
        {"message_id": "{message_id}", "decision": "keep", "version": "1", "key": KEY},
        r"POST .*/matter-decisions",
    ),
    (MODERATOR, "/appeals/{appeal_id}/correction", {"street": SAID}, r"POST .*/triage"),
    (MODERATOR, "/appeals/{appeal_id}/moves", {"to": "closed", "reason": SAID}, r"POST .*/moves"),
    (MODERATOR, "/appeals/{appeal_id}/merge", {"into": SOME, "reason": SAID}, r"POST .*/merge"),
    (EXECUTOR, "/appeals/{appeal_id}/notes", {"text": SAID}, r"POST .*/notes"),
    (EXECUTOR, "/appeals-new", {"source": "phone", "text": SAID, "key": KEY}, r"POST /appeals"),
    (
        CallerCase("approver"),
        "/approvals",
        {"do": "refuse", "remarks": SAID, "reply_id": SOME, "appeal_id": "{on_approval_appeal_id}"},
        r"POST .*/refuse",
    ),
    (
        MODERATOR,
        "/incidents/{incident_id}/reply",
        {"text": SAID, "step": "send", "key": KEY},
        r"POST /incidents/.*/replies",
    ),
    (
        MODERATOR,
        "/incidents/{incident_id}/reply",
        {"text": SAID, "exclude": SOME, "key": KEY},
        r"DELETE /incidents/.*/members/.*",
    ),
    (MODERATOR, "/incidents/{incident_id}/members/{appeal_id}/remove", {}, r"DELETE /incidents/.*/members/.*"),
    (MODERATOR, "/incidents/{incident_id}/title", {"title": SAID, "version": "1"}, r"PATCH /incidents/.*"),
    (MODERATOR, "/incidents", {"numbers": "{number}", "title": SAID, "key": KEY}, r"POST /incidents"),
    (
        MANAGER,
        "/bulk/new",
        {"action": "close", "appeal": "{appeal_id}", "reason": SAID, "outcome": "solved"},
        r"POST /appeals/bulk",
    ),
    (MANAGER, "/bulk/{bulk_operation_id}/undo", {"key": KEY}, r"POST /appeals/bulk/.*/undo"),
    (EXECUTOR, "/absences", {"starts_on": "2099-02-01", "ends_on": "2099-02-05"}, r"POST /absences"),
    (MANAGER, "/absences/rules/new", {"person_id": "{person_id}", "key": KEY}, r"POST /assignee-rules"),
    (MANAGER, "/absences/rules/{assignee_rule_id}", {"person_id": "{person_id}"}, r"PATCH /assignee-rules/.*"),
    (MODERATOR, "/inbox/views/{view_id}", {"name": SAID, "version": "1"}, r"PUT /views/.*"),
    (MODERATOR, "/inbox/views/{view_id}/delete", {"version": "1"}, r"DELETE /views/.*"),
    (EXECUTOR, "/exports", {"list": "tag=двор", "format": "csv"}, r"POST /exports"),
    (EXECUTOR, "/exports/delete", {"export_id": SOME}, r"DELETE /exports/.*"),
    (EXECUTOR, "/templates/new", {"name": "Свет", "text": SAID}, r"POST /reply-templates"),
    (EXECUTOR, "/templates/{template_id}", {"name": "Свет", "text": SAID}, r"PUT /reply-templates/.*"),
    (MODERATOR, "/rules/{rule_set_id}/edit?default=%7B%22send_to%22:%22moderators%22%7D", {"note": SAID},
     r"POST /rule-sets"),
    (MODERATOR, "/rules/{rule_set_id}/activation", {"version": "1"}, r"POST .*/activation"),
    (MODERATOR, "/rules/{rule_set_id}/bench", {"text": SAID}, r"POST .*/preview"),
    (MODERATOR, "/rules/{rule_set_id}/bench", {"text": SAID, "page": "vk.com/a"}, r"GET /pages"),
    (MODERATOR, "/calendars/{calendar_id}/days/2026-12-31/remove", {"version": "1"}, r"PUT /calendars/.*"),
    (EXECUTOR, "/account/sessions/{session_id}/end", {}, r"DELETE /me/sessions/.*"),
    (EXECUTOR, "/account/networks", {"network": "vk", "do": "unlink"}, r"DELETE /me/notice-accounts/.*"),
    (EXECUTOR, "/account/networks", {"network": "vk", "do": "link"}, r"POST /me/notice-accounts"),
    (EXECUTOR, "/account/address", {"address": "anna@example.org"}, r"PATCH /me/notice-settings"),
    (MODERATOR, "/grading/take", {"key": KEY}, r"POST /grading/assignments"),
    (MODERATOR, "/grading/samples", {"week": "2026-W10", "key": KEY}, r"POST /grading/samples"),
    (MODERATOR, "/grading/answers/{claimed_item_id}", SCORES | {"comment": SAID}, r"POST .*/grades"),
    (MANAGER, "/grading/items/{graded_item_id}/objection", {"ground": SAID, "key": KEY}, r"POST .*/objections"),
    (
        MODERATOR,
        "/grading/items/{objected_item_id}/decision",
        {"decision": "reject", "reason": SAID, "objection": "{objection_id}", "version": "1"},
        r"POST .*/reject",
    ),
    (OPERATIONS, "/people/{person_id}/lock", {"reason": SAID}, r"POST /people/.*/lock"),
    (OPERATIONS, "/people/{person_id}/sessions/{session_id}/end", {}, r"DELETE /people/.*"),
    (OPERATIONS, "/people/{person_id}/notice-address", {"address": "anna@example.org"}, r"PUT /people/.*"),
    (OPERATIONS, "/people/{person_id}/deactivation", {"version": "1"}, r"PATCH /people/.*"),
    (OPERATIONS, "/people-new", {"full_name": SAID, "username": "anna", "role": "moderator"}, r"POST /people"),
    (OPERATIONS, "/clients/{client_id}/secrets/{secret_id}/revoke", {}, r"DELETE /clients/.*"),
    (MODERATOR, "/quarantine/{payload_id}/retry", {}, r"POST .*/retry"),
    (MODERATOR, "/sources/{page_id}/reconciliations", {"key": KEY}, r"POST .*/reconciliations"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("who", "path", "form", "call"), CHANGES, ids=[f"{path.split('?')[0]} {call}" for _, path, _, call in CHANGES]
)
async def test_change_that_failed_in_the_api_is_reported_and_keeps_the_entered_text(
    *,
    console: ConsoleUnderTest,
    monkeypatch: pytest.MonkeyPatch,
    who: CallerCase,
    path: str,
    form: dict[str, Any],
    call: str,
) -> None:
    tried = answer_calls(monkeypatch, call, problem(500))
    sent = {name: console.filled(value) for name, value in form.items()}
    response = (await console.send(who, "POST", console.filled(path), data=sent)).response
    assert len(tried) == 1
    assert response.status_code == 500, response.text[-500:]
    assert "Произошла внутренняя ошибка" in response.text
    assert note_of(response) == ""
    if SAID in form.values():
        assert SAID in response.text


@pytest.mark.parametrize(
    ("path", "form", "files", "call"),
    [
        (DRAFT, {"do": "add_photo", "text": SAID}, "photo", r"POST /attachments"),
        (PUBLISHED, {"do": "edit", "text": SAID}, "photo", r"POST /attachments"),
        ("/calendars/{calendar_id}/file", {"version": "1"}, "file", r"PUT .*/days.ics"),
        ("/import", {"do": "check"}, "file", r"POST /organisations/import"),
    ],
)
async def test_file_that_the_api_failed_to_take_is_not_reported_as_a_wrong_file(
    *,
    console: ConsoleUnderTest,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    form: dict[str, str],
    files: str,
    call: str,
) -> None:
    tried = answer_calls(monkeypatch, call, problem(500))
    sent = {files: ("двор.jpg", jpeg(4, 4), "image/jpeg")}
    response = (await console.send(MODERATOR, "POST", console.filled(path), data=form, files=sent)).response
    assert len(tried) == 1
    assert response.status_code == 500
    assert "Произошла внутренняя ошибка" in response.text
    if SAID in form.values():
        assert SAID in response.text


@pytest.mark.parametrize(
    ("who", "path", "call"),
    [
        (MODERATOR, "/pages?q=https://vk.com/club101", r"GET /pages"),
        (MODERATOR, "/sources/backfills", r"GET /pages/.*"),
        (MODERATOR, "/suggest/appeals?q=фонари", r"GET /appeals/suggestions"),
        (MODERATOR, "/suggest/tags?tag=двор", r"GET /tags"),
        (MODERATOR, "/suggest/organisations?organisation=школа", r"GET /organisations/search"),
        (EXECUTOR, "/absences", r"GET .*/possible-assignees"),
        (MODERATOR, f"/analytics?organisation={SOME}", r"GET /organisations/.*"),
        (CallerCase("approver"), f"/approvals?reply={SOME}&appeal={SOME}", r"GET /appeals/.*"),
        (MODERATOR, "/appeals/{appeal_id}", r"GET /incidents/.*"),
        (MODERATOR, "/sources/{page_id}", r"GET .*/callback"),
        (EXECUTOR, DRAFT, r"GET .*/reply-lease"),
        (MODERATOR, "/analytics/map", r"GET /metrics/map"),
    ],
)
async def test_page_whose_reading_failed_is_not_shown_as_empty(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch, who: CallerCase, path: str, call: str
) -> None:
    tried = answer_calls(monkeypatch, call, problem(500))
    response = (await console.send(who, "GET", console.filled(path))).response
    assert tried
    assert response.status_code == 500, response.text[-500:]
    assert "Произошла внутренняя ошибка" in response.text


@pytest.mark.parametrize(
    ("who", "path", "form", "call", "note"),
    [
        (EXECUTOR, "/account/networks", {"network": "vk", "do": "unlink"}, r"DELETE .*", "Уведомления отключены"),
        (EXECUTOR, "/account/sessions/{session_id}/end", {}, r"DELETE .*", "Сессия завершена"),
        (OPERATIONS, "/people/{person_id}/sessions/{session_id}/end", {}, r"DELETE .*", "Сессия завершена"),
        (OPERATIONS, "/clients/{client_id}/secrets/{secret_id}/revoke", {}, r"DELETE .*", "Секрет отозван"),
        (EXECUTOR, "/exports/delete", {"export_id": SOME}, r"DELETE .*", "Файл удалён"),
        (EXECUTOR, "/exports/delete", {"export_id": SOME, "do": "cancel"}, r"DELETE .*", "Файл отменён"),
    ],
)
async def test_removal_of_what_is_gone_already_is_done(
    *,
    console: ConsoleUnderTest,
    monkeypatch: pytest.MonkeyPatch,
    who: CallerCase,
    path: str,
    form: dict[str, str],
    call: str,
    note: str,
) -> None:
    answer_calls(monkeypatch, call, problem(404))
    response = (await console.send(who, "POST", console.filled(path), data=form)).response
    assert (response.status_code, note_of(response)) == (303, note)
