"""Notices of events: who gets them, when they are sent, and that nobody gets one twice."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine

from services.webhooks.notices.recording import record_notices
from services.webhooks.notices.relevance import TOO_LATE_AFTER
from services.webhooks.schemas.notices import AddressState
from shared.events.consumer import read_after
from tests.integration.webhooks.notice_office import DUE, TUESDAY, Office, local
from tests.support.mail_server import MailServer

CLOCK: dict[str, Any] = {"clock": "first_response", "due_at": DUE}
WARNING: dict[str, Any] = {**CLOCK, "share": 0.8, "left_seconds": 6480}


async def test_assignment_notifies_the_people_who_answer(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person("executor", address="executor@example.ru")
    await office.person("manager", address="manager@example.ru")
    await office.person("approver", address="approver@example.ru")
    await office.person(
        "executor",
        address="other@example.ru",
        organisation_id=(await Office.open(office.harness, 1)).organisation_id,
    )
    appeal_id = await office.appeal()
    await office.emit("appeal.assigned", appeal_id)
    assert await office.send() == 0  # the notice waits for a minute for more notices of the same letter
    now.shift(timedelta(seconds=60))
    assert await office.send() == 2
    assert {letter.recipient for letter in mail.letters} == {"executor@example.ru", "manager@example.ru"}
    text = mail.letters[0].body()
    for part in (
        "Назначено вашей организации",
        "Детский сад № 5",
        "№ 1024",
        f"/appeals/{appeal_id}",
        "4 марта, 18:00",
    ):
        assert part in text
    assert "СЛОВА ГРАЖДАНИНА" not in mail.letters[0].content.decode()
    assert await office.outcomes() == [("sent", None), ("sent", None)]
    now.shift(timedelta(hours=1))
    assert await office.send() == 0


async def test_person_made_assignee_with_the_assignment_gets_one_notice(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    assignee = await office.person(address="first@example.ru")
    await office.person(address="second@example.ru")
    appeal_id = await office.appeal(assignee_id=assignee)
    await office.harness.emit("appeal.assigned", office.organisation_id, subject_id=appeal_id)
    await office.harness.emit(
        "appeal.assignee_changed", office.organisation_id, subject_id=appeal_id, assignee_id=assignee
    )  # written at the same moment: both events belong to one change
    await office.fan_out()
    now.shift(timedelta(minutes=2))
    await office.send()
    assert [letter.recipient for letter in mail.letters] == ["first@example.ru"]
    assert "Назначено вам" in mail.letters[0].body()
    assert len(await office.notices()) == 1


async def test_person_gets_no_notice_of_their_own_action(office: Office, now: time_machine.Traveller) -> None:
    person = await office.person()
    appeal_id = await office.appeal(assignee_id=person)
    event: dict[str, Any] = {"assignee_id": person, "previous_assignee_id": None}
    await office.harness.emit("appeal.assignee_changed", office.organisation_id, subject_id=appeal_id, **event)
    await office.harness.sql("UPDATE events SET actor = $1", str(person))
    await office.fan_out()
    assert await office.notices() == []


async def test_each_event_notifies_the_people_concerned(office: Office, now: time_machine.Traveller) -> None:
    executor, manager, approver = [await office.person(role) for role in ("executor", "manager", "approver")]
    moderator = await office.person("moderator")
    await office.person("operations")
    appeal_id = await office.appeal()
    reply_id = await office.reply(appeal_id, executor)
    escalation = {**CLOCK, "step": "manager", "told": [manager]}
    note = {"note_id": uuid4(), "visibility": "organisation", "mentions": [approver]}
    failure = {"reply_id": reply_id, "code": "x", "reason": "x", "failed_at": DUE}
    change = {**failure, "change_id": uuid4(), "change": "edit"}
    expected: list[tuple[str, dict[str, Any], str, set[UUID]]] = [
        ("appeal.assigned", {}, "assignment", {executor, manager}),
        ("appeal.reopened", {"status": "reopened"}, "assignment", {executor, manager}),
        ("appeal.deadline_near", WARNING, "warning", {executor, manager}),
        ("promise.reminded", {}, "warning", {executor, manager}),
        ("appeal.escalated", escalation, "escalation", {manager}),
        ("appeal.note_added", note, "mention", {approver}),
        ("reply.refused", {"reply_id": reply_id}, "return", {executor}),
        ("reply.approval_requested", {"reply_id": reply_id}, "approval", {manager, approver}),
        ("appeal.extension_requested", {}, "approval", {moderator}),
        ("reply.failed", failure, "reply_failed", {executor}),
        ("reply.change_failed", change, "reply_failed", {executor, manager}),
    ]
    for number, (event_type, data, _, _) in enumerate(expected):
        with time_machine.travel(TUESDAY + timedelta(seconds=number), tick=False):
            await office.emit(event_type, appeal_id, **data)
    with time_machine.travel(TUESDAY + timedelta(minutes=1), tick=False):
        returned = await office.appeal(status="triage", organisation_id=None)
        await office.harness.emit(
            "appeal.moved", None, subject_id=returned, **{"from": "assigned", "to": "triage"}
        )
        await office.fan_out()
    notices = await office.notices()
    for event_type, _, kind, people in [*expected, ("appeal.moved", {}, "return", {moderator})]:
        of_event = [notice for notice in notices if notice["event_type"] == event_type]
        assert {notice["person_id"] for notice in of_event} == people, event_type
        assert {notice["kind"] for notice in of_event} == {kind}, event_type
    assert len(notices) == sum(len(people) for *_, people in expected) + 1


async def test_event_handled_again_creates_no_notices(office: Office, now: time_machine.Traveller) -> None:
    await office.person()
    await office.emit("appeal.assigned", await office.appeal())
    before = await office.notices()
    async with office.harness.database.write() as session:
        await record_notices(session, await read_after(session, 0, types=["appeal.assigned"]))
    assert await office.notices() == before
    assert len(before) == 1


async def test_notices_of_one_minute_share_a_letter(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    for _ in range(5):
        await office.emit("appeal.assigned", await office.appeal())
    now.shift(timedelta(minutes=2))
    assert await office.send() == 1
    [letter] = mail.letters
    assert letter.message["Subject"] == "Госпаблик: 5 назначений"
    assert {notice["letter_id"] for notice in await office.notices()} == {(await office.letters())[0]["id"]}


async def test_digest_of_the_next_working_morning_has_all_notices(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person(assignment="digest")
    for _ in range(3):
        await office.emit("appeal.assigned", await office.appeal())
    for _ in range(2):
        await office.emit("appeal.deadline_near", await office.appeal(first_response_due_at=DUE), **WARNING)
    for moment in ("2026-03-03 17:59", "2026-03-04 03:00", "2026-03-04 08:59"):
        now.move_to(local(moment))
        assert await office.send() == 0
    now.move_to(local("2026-03-04 09:00"))
    assert await office.send() == 1
    assert mail.letters[0].message["Subject"] == "5 уведомлений: 3 назначения, 2 предупреждения о сроке"
    assert await office.outcomes() == [("sent", None)] * 5


async def test_letter_has_each_matter_once(office: Office, mail: MailServer, now: time_machine.Traveller) -> None:
    person_id = await office.person()
    appeal_id = await office.appeal()
    for share in (0.5, 0.8):
        now.shift(timedelta(hours=1))
        await office.emit("appeal.deadline_near", appeal_id, **WARNING | {"share": share})
    given = await office.appeal(assignee_id=person_id)
    await office.emit("appeal.assigned", given)
    now.shift(timedelta(seconds=5))
    await office.emit("appeal.assignee_changed", given, assignee_id=person_id, previous_assignee_id=None)
    now.shift(timedelta(minutes=2))
    assert await office.send() == 1
    assert mail.letters[0].message["Subject"] == "№ 1024: назначено вам"
    now.move_to(local("2026-03-04 09:00"))
    assert await office.send() == 1
    assert mail.letters[1].message["Subject"] == "№ 1024: подходит срок первого ответа"
    assert await office.outcomes() == [("suppressed", "settled"), ("sent", None)] * 2


async def test_warning_of_a_deadline_before_the_digest_is_sent_at_once(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    due_at = local("2026-03-03 18:00")
    appeal_id = await office.appeal(first_response_due_at=due_at)
    await office.emit("appeal.deadline_near", appeal_id, **WARNING | {"due_at": due_at})
    now.shift(timedelta(minutes=2))
    assert await office.send() == 1
    assert "Подходит срок" in mail.letters[0].body()


async def test_no_notice_is_sent_at_night(office: Office, mail: MailServer, now: time_machine.Traveller) -> None:
    await office.person()
    now.move_to(local("2026-03-03 22:40"))
    await office.emit("appeal.assigned", await office.appeal())
    assert (await office.notices())[0]["send_at"] == local("2026-03-04 09:00")
    now.move_to(local("2026-03-04 09:00"))
    assert await office.send() == 1


async def test_backlog_of_a_stopped_worker_waits_for_the_morning(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    await office.emit("appeal.assigned", await office.appeal())
    now.move_to(local("2026-03-03 23:00"))
    assert await office.send() == 0
    now.move_to(local("2026-03-04 09:00"))
    assert await office.send() == 1


async def test_urgent_escalation_at_night_is_sent_only_to_people_who_chose_it(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    awake = await office.person("manager", address="awake@example.ru")
    asleep = await office.person("manager", address="asleep@example.ru")
    await office.harness.sql("UPDATE notice_settings SET urgent_at_any_hour = true WHERE person_id = $1", awake)
    now.move_to(local("2026-03-03 23:00"))
    appeal_id = await office.appeal(urgency="high")
    escalation: dict[str, Any] = {**CLOCK, "step": "manager", "told": [awake, asleep], "urgency": "high"}
    await office.emit("appeal.escalated", appeal_id, **escalation)
    await office.emit("appeal.assigned", await office.appeal(urgency="high"), urgency="high")
    assert await office.send() == 1
    assert [letter.recipient for letter in mail.letters] == ["awake@example.ru"]


@pytest.mark.parametrize(
    ("address", "state", "choices", "reason"),
    [
        (None, AddressState.NONE, {}, "no_address"),
        ("a@example.ru", AddressState.UNCONFIRMED, {}, "address_unconfirmed"),
        ("a@example.ru", AddressState.BOUNCING, {}, "address_bounces"),
        ("a@example.ru", AddressState.CONFIRMED, {"assignment": "never"}, "unsubscribed"),
    ],
)
async def test_unsent_notice_has_a_row_with_the_reason(
    office: Office, address: str | None, state: AddressState, choices: dict[str, Any], reason: str
) -> None:
    await office.person(address=address, state=state, **choices)
    await office.emit("appeal.assigned", await office.appeal())
    assert await office.outcomes() == [("suppressed", reason)]


async def test_notices_without_a_mail_server_are_stored_as_suppressed(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = office.settings.model_copy(update={"smtp_host": None})
    monkeypatch.setattr("services.webhooks.notices.recording.webhooks_settings", lambda: off)
    await office.person()
    await office.emit("appeal.assigned", await office.appeal())
    assert await office.outcomes() == [("suppressed", "email_off")]


async def test_notice_that_is_obsolete_before_the_letter_is_not_sent(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    executor = await office.person("executor", address="e@example.ru")
    colleague = await office.person("executor", address=None)
    answered, taken, moved_on = [await office.appeal() for _ in range(3)]
    for appeal_id in (answered, taken):
        await office.emit("appeal.assigned", appeal_id)
    await office.emit("appeal.deadline_near", moved_on, **WARNING)
    refused = await office.appeal()
    reply_id = await office.reply(refused, executor, "draft")
    await office.emit("reply.refused", refused, reply_id=reply_id)
    await office.change("appeals", answered, status="answered")
    await office.change("appeals", taken, assignee_id=colleague)
    await office.change("appeals", moved_on, first_response_due_at=DUE + timedelta(days=1))
    await office.change("replies", reply_id, status="queued")
    now.move_to(local("2026-03-04 09:00"))
    assert await office.send() == 0
    own = [notice for notice in await office.notices() if notice["person_id"] == executor]
    assert [(notice["status"], notice["reason"]) for notice in own] == [("suppressed", "settled")] * 4
    assert mail.letters == []


async def test_mention_notifies_only_people_who_may_read_the_note(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    person = await office.person()
    other = await Office.open(office.harness, 1, "Школа")
    appeal_id = await office.appeal()
    states: list[dict[str, Any]] = [{}, {"deleted_at": TUESDAY}, {"organisation_id": other.organisation_id}]
    for second, changes in enumerate(states):
        note_id = await office.note(appeal_id, **changes)
        with time_machine.travel(TUESDAY + timedelta(seconds=second), tick=False):
            mentioned: dict[str, Any] = {"note_id": note_id, "visibility": "organisation", "mentions": [person]}
            await office.emit("appeal.note_added", appeal_id, **mentioned)
    now.shift(timedelta(minutes=2))
    assert await office.send() == 1
    assert "Вас упомянули в заметке" in mail.letters[0].body()
    assert "ЗАМЕТКА" not in mail.letters[0].body()
    assert await office.outcomes() == [("sent", None), ("suppressed", "settled"), ("suppressed", "no_access")]


async def test_mention_notifies_a_superior_who_may_read_the_note(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    superior = await Office.open(office.harness, 1, "Управление образования")
    await office.change("organisations", office.organisation_id, parent_id=superior.organisation_id)
    person = await office.person("manager", organisation_id=superior.organisation_id)
    await office.change("people", person, include_subordinates=True)
    appeal_id = await office.appeal()
    note_id = await office.note(appeal_id)
    mentioned: dict[str, Any] = {"note_id": note_id, "visibility": "organisation", "mentions": [person]}
    await office.emit("appeal.note_added", appeal_id, **mentioned)
    now.shift(timedelta(minutes=2))
    await office.send()
    assert await office.outcomes() == [("sent", None)]


async def test_person_who_lost_access_to_the_appeal_gets_no_notice(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    people = [await office.person(address=f"{name}@example.ru") for name in ("moved", "locked", "left")]
    other = await Office.open(office.harness, 1, "Школа")
    lost = await office.appeal()
    await office.emit("appeal.assigned", lost)
    await office.change("people", people[0], organisation_id=other.organisation_id)
    await office.change("people", people[1], locked_at=TUESDAY)
    await office.change("people", people[2], active=False)
    now.shift(timedelta(minutes=2))
    assert await office.send() == 0
    assert await office.outcomes() == [("suppressed", "no_access")] * 3


async def test_organisation_that_lost_the_appeal_gets_no_notice(
    office: Office, now: time_machine.Traveller
) -> None:
    await office.person()
    other = await Office.open(office.harness, 1, "Школа")
    appeal_id = await office.appeal()
    await office.emit("appeal.assigned", appeal_id)
    await office.change("appeals", appeal_id, organisation_id=other.organisation_id)
    now.shift(timedelta(minutes=2))
    assert await office.send() == 0
    assert await office.outcomes() == [("suppressed", "no_access")]


async def test_notice_delayed_for_days_by_an_outage_is_not_sent(
    office: Office, now: time_machine.Traveller
) -> None:
    await office.person()
    await office.emit("appeal.assigned", await office.appeal())
    now.shift(TOO_LATE_AFTER + timedelta(days=1))
    assert await office.send() == 0
    assert await office.outcomes() == [("suppressed", "too_late")]
