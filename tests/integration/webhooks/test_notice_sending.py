"""Letters and a real mail server: refusals, broken connections, killed and concurrent workers, bounces."""

import asyncio
import os
from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from unittest.mock import AsyncMock, MagicMock
from uuid import UUID

import pytest
import time_machine
from typer.testing import CliRunner

from cli.commands import notices
from services.webhooks.notices import links, preferences
from services.webhooks.notices.mail import leases, outcomes
from services.webhooks.notices.mail.bounces import Bounce
from services.webhooks.notices.mail.outcomes import RETRY_DELAYS
from services.webhooks.notices.mail.rendering import Envelope
from services.webhooks.notices.mail.sender import MAX_REFUSALS, NoticeSender
from services.webhooks.notices.preferences import MAX_BOUNCES
from services.webhooks.notices.relevance import TOO_LATE_AFTER
from services.webhooks.retention import purge_rules
from services.webhooks.schemas.notices import AddressState
from services.webhooks.settings import webhooks_settings
from shared.clock import now as now_utc
from shared.database.outages import DependencyUnavailable
from shared.database.purge import RetentionSettings, purge_tables
from tests.integration.webhooks.notice_office import DUE, Office, local
from tests.support.mail_server import MailServer


async def due_notice(office: Office, now: time_machine.Traveller) -> None:
    """Create a notice and advance the clock until it is due."""
    await office.emit("appeal.assigned", await office.appeal())
    now.shift(timedelta(minutes=2))


async def lapse(office: Office) -> None:
    """Let all leases end, as if their worker had been killed."""
    await office.harness.sql("UPDATE notice_letters SET leased_until = now() - interval '1 second'")


async def claimed(office: Office) -> list[leases.Claim]:
    return await office.claim()


async def only_letter(office: Office) -> dict[str, Any]:
    [letter] = await office.letters()
    return letter


async def only_letter_of(office: Office, purpose: str) -> dict[str, Any]:
    [letter] = [found for found in await office.letters() if found["purpose"] == purpose]
    return letter


async def test_temporarily_refused_letter_is_sent_again_unchanged(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    await due_notice(office, now)
    mail.rcpt, mail.data = ["450 4.2.0 greylisted"], ["451 4.3.0 try again"]
    assert await office.send() == 1
    assert await office.outcomes() == [("waiting", None)]
    assert await office.send() == 0
    now.shift(RETRY_DELAYS[0])
    assert await office.send() == 1
    now.shift(RETRY_DELAYS[1])
    assert await office.send() == 1
    assert len(mail.letters) == 1
    letter = await only_letter(office)
    assert (letter["status"], letter["attempts"], letter["smtp_status"]) == ("sent", 3, "250")
    reference = f"{letter['id'].hex}-{links.letter_code(webhooks_settings().encryption_keys, letter['id'])}"
    assert mail.letters[0].message["Message-ID"] == f"<{reference}@example.ru>"
    assert mail.letters[0].sender == f"returned+{reference}@example.ru"
    assert await office.outcomes() == [("sent", None)]


async def test_retry_is_not_made_outside_working_hours(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    now.move_to(local("2026-03-03 17:57"))
    await due_notice(office, now)
    mail.data = ["451 4.3.0 try again"]
    assert await office.send() == 1
    now.move_to(local("2026-03-03 18:05"))
    assert await office.send() == 0
    now.move_to(local("2026-03-04 09:00"))
    assert await office.send() == 1
    assert len(mail.letters) == 1


async def test_letter_deferred_before_days_off_is_sent_after_them(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    now.move_to(local("2026-03-06 17:57"))
    await due_notice(office, now)
    mail.data = ["451 4.3.0 try again"]
    assert await office.send() == 1
    now.move_to(local("2026-03-06 18:05"))
    assert await office.send() == 0
    now.move_to(local("2026-03-10 09:00"))
    assert await office.send() == 1
    assert await office.outcomes() == [("sent", None)]


async def test_urgent_notice_is_retried_at_once_and_the_rest_of_its_letter_later(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    person_id = await office.person("manager")
    await office.harness.sql("UPDATE notice_settings SET urgent_at_any_hour = true")
    now.move_to(local("2026-03-03 17:57"))
    escalation: dict[str, Any] = {"clock": "first_response", "due_at": DUE, "step": "manager", "told": [person_id]}
    await office.emit("appeal.escalated", await office.appeal(urgency="high"), urgency="high", **escalation)
    await due_notice(office, now)
    mail.data = ["451 4.3.0 try again"]
    assert await office.send() == 1
    now.move_to(local("2026-03-03 18:05"))
    assert await office.send() == 1
    assert await office.outcomes() == [("sent", None), ("waiting", None)]
    now.move_to(local("2026-03-04 09:00"))
    assert await office.send() == 1
    assert await office.outcomes() == [("sent", None)] * 2


async def test_letter_deferred_too_often_fails(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    await due_notice(office, now)
    mail.rcpt = ["450 4.2.0 later"] * (len(RETRY_DELAYS) + 1)
    for _ in range(len(RETRY_DELAYS) + 1):
        assert await office.send() == 1
        # Make it due now: the delays together are longer than a working day.
        await office.harness.sql("UPDATE notice_letters SET next_attempt_at = $1", local("2026-03-03 10:00"))
    assert await office.outcomes() == [("failed", "undeliverable")]
    assert await office.send() == 0


async def test_obsolete_notice_is_removed_from_a_retried_letter(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    settled, open_one = await office.appeal(), await office.appeal()
    for appeal_id in (settled, open_one):
        await office.emit("appeal.assigned", appeal_id)
    now.shift(timedelta(minutes=2))
    mail.data = ["451 4.3.0 try again"]
    await office.send()
    await office.change("appeals", settled, status="answered")
    now.shift(RETRY_DELAYS[0])
    await office.send()
    assert str(open_one) in mail.letters[0].body()
    assert str(settled) not in mail.letters[0].body()
    assert sorted(status for status, _ in await office.outcomes()) == ["sent", "suppressed"]


async def test_letter_whose_notices_are_all_obsolete_is_cancelled(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    appeal_id = await office.appeal()
    await office.emit("appeal.assigned", appeal_id)
    now.shift(timedelta(minutes=2))
    mail.data = ["451 4.3.0 try again"]
    await office.send()
    await office.change("appeals", appeal_id, status="answered")
    now.shift(RETRY_DELAYS[0])
    assert await office.send() == 0
    assert (await only_letter(office))["status"] == "cancelled"


async def queue_letter(office: Office, person_id: UUID, purpose: str) -> None:
    await office.harness.sql(
        """INSERT INTO notice_letters (id, person_id, purpose, channel, status, attempts, next_attempt_at,
               created_at)
           VALUES (gen_random_uuid(), $1, $2, 'email', 'waiting', 0, $3, $3)""",
        person_id,
        purpose,
        now_utc(),
    )


@pytest.mark.parametrize("change", ["active = false", "locked_at = now()"])
async def test_letter_about_a_linked_account_is_cancelled_for_a_person_who_left(
    office: Office, mail: MailServer, now: time_machine.Traveller, change: str
) -> None:
    person_id = await office.person()
    await queue_letter(office, person_id, "linked")
    await office.harness.sql(f"UPDATE people SET {change}")
    assert await office.send() == 0
    assert (await only_letter(office))["status"] == "cancelled"


@pytest.mark.parametrize("purpose", ["linked", "replaced"])
async def test_letter_that_the_mail_server_did_not_take_for_three_days_is_cancelled(
    office: Office, mail: MailServer, now: time_machine.Traveller, purpose: str
) -> None:
    person_id = await office.person()
    await office.harness.sql("UPDATE notice_settings SET former_address = address")
    await queue_letter(office, person_id, purpose)
    port, office.port = office.port, 1
    assert await office.send() == 1
    now.shift(TOO_LATE_AFTER + timedelta(minutes=2))
    office.port = port
    assert await office.send() == 0
    assert (await only_letter(office))["status"] == "cancelled"
    assert mail.letters == []
    assert ((await office.settings_of(person_id)).former_address is None) is (purpose == "replaced")


async def test_repeatedly_refused_address_gets_no_more_letters(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    person_id = await office.person()
    for count in range(1, MAX_BOUNCES + 1):
        mail.rcpt = ["550 5.1.1 <sadik5@example.ru> no such user"]
        await due_notice(office, now)
        assert await office.send() == 1
        assert (await office.settings_of(person_id)).bounces == count
    assert (await office.settings_of(person_id)).address_state == AddressState.BOUNCING
    assert await office.outcomes() == [("failed", "refused")] * MAX_BOUNCES
    assert {letter["smtp_status"] for letter in await office.letters()} == {"550 5.1.1"}
    await due_notice(office, now)
    assert (await office.outcomes())[-1] == ("suppressed", "address_bounces")


async def test_refused_text_does_not_count_as_a_bounce_of_the_address(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    person_id = await office.person()
    mail.data = ["552 5.3.4 too big"]
    await due_notice(office, now)
    await office.send()
    assert await office.outcomes() == [("failed", "refused")]
    assert (await office.settings_of(person_id)).bounces == 0


@pytest.mark.parametrize("answer", ["550 5.7.1 relaying denied", "554 policy"])
async def test_mailbox_that_refuses_the_sender_is_retried_and_does_not_block_other_letters(
    office: Office, mail: MailServer, now: time_machine.Traveller, answer: str
) -> None:
    people = [await office.person(address=f"p{number}@example.ru") for number in range(2)]
    await due_notice(office, now)
    mail.rcpt = [answer]
    sender = office.sender()
    sender._settings = office.settings.model_copy(update={"smtp_connections": 1})
    assert await sender.send_due() == 2
    assert sorted(await office.outcomes()) == [("sent", None), ("waiting", None)]
    office.state.check()
    assert [(await office.settings_of(person_id)).bounces for person_id in people] == [0, 0]
    now.shift(RETRY_DELAYS[0])
    await office.send()
    assert await office.outcomes() == [("sent", None)] * 2


async def test_server_that_refuses_several_letters_in_a_row_is_reported(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    for number in range(MAX_REFUSALS):
        await office.person(address=f"p{number}@example.ru")
    await due_notice(office, now)
    mail.rcpt = ["550 5.7.1 relaying denied"] * MAX_REFUSALS
    await office.send()
    with pytest.raises(DependencyUnavailable, match=r"5\.7"):
        office.state.check()
    now.shift(timedelta(minutes=2))
    assert await office.send() == 1  # a single letter tests whether the server accepts again
    office.state.check()
    assert await office.send() == MAX_REFUSALS - 1


async def test_text_refused_because_of_the_sender_is_retried(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    await due_notice(office, now)
    mail.data = ["554 5.7.1 daily quota"]
    await office.send()
    assert await office.outcomes() == [("waiting", None)]
    now.shift(RETRY_DELAYS[0])
    await office.send()
    assert await office.outcomes() == [("sent", None)]
    assert len(mail.letters) == 1


async def test_server_that_disconnects_during_the_text_gets_one_letter_at_a_time(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    for number in range(4):
        await office.person(address=f"p{number}@example.ru")
    await due_notice(office, now)
    mail.data = ["cut"] * 2
    sender = office.sender()
    sender._settings = office.settings.model_copy(update={"smtp_connections": 1})
    assert await sender.send_due() == 1
    with pytest.raises(DependencyUnavailable):
        office.state.check()
    assert await sender.send_due() == 1
    assert await sender.send_due() == 1
    office.state.check()
    assert await sender.send_due() == 1
    statuses = [status for status, _ in await office.outcomes()]
    assert sorted(statuses) == ["failed", "failed", "sent", "sent"]


async def test_letter_that_cannot_be_composed_does_not_block_other_letters(
    office: Office, mail: MailServer, now: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = await office.person(address="broken@example.ru")
    await office.person(address="other@example.ru")
    await due_notice(office, now)
    write = NoticeSender._message

    def write_or_raise(self: NoticeSender, addresses: Envelope, found: leases.Claim) -> EmailMessage:
        if found.person_id == broken:
            raise KeyError("broken@example.ru")
        return write(self, addresses, found)

    monkeypatch.setattr(NoticeSender, "_message", write_or_raise)
    assert await office.send() == 2
    assert [letter.recipient for letter in mail.letters] == ["other@example.ru"]
    assert await office.send() == 0
    office.state.check()
    attempts = {letter["person_id"]: letter["attempts"] for letter in await office.letters()}
    assert attempts[broken] == 1


LOGGED = """
CREATE TABLE waited (setting text);
CREATE FUNCTION note_wait() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO waited VALUES (current_setting('synchronous_commit'));
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER note_wait AFTER UPDATE ON notice_letters DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.status = 'sending' AND OLD.status <> 'sending') EXECUTE FUNCTION note_wait();
"""


async def test_sending_state_is_committed_synchronously_before_the_text_is_sent(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    """`sending` is committed synchronously, although other commits of the service are asynchronous."""
    await office.person()
    await due_notice(office, now)
    harness = office.harness
    owner = await harness.test_database.connect()
    await owner.execute(f"ALTER DATABASE {harness.test_database.name} SET synchronous_commit = off")
    await owner.execute(LOGGED)
    # Connections that are open already have the former setting.
    await harness.database.engine.dispose()
    assert await office.send() == 1
    assert len(mail.letters) == 1
    assert await owner.fetch("SELECT setting FROM waited") == [("on",)]
    await owner.close()


async def test_letter_waits_during_an_outage_of_the_database(
    office: Office, mail: MailServer, now: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.person()
    await due_notice(office, now)
    begin = AsyncMock(side_effect=ConnectionRefusedError)
    with monkeypatch.context() as patched:
        patched.setattr(leases, "begin_sending", begin)
        await office.send()
    assert begin.await_count == 1
    office.state.check()
    assert (await only_letter(office))["attempts"] == 0
    now.shift(timedelta(minutes=2))
    await office.send()
    assert await office.outcomes() == [("sent", None)]
    assert len(mail.letters) == 1


async def test_letters_wait_for_a_mail_server_that_is_down(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    await office.person("manager", address="manager@example.ru")
    await due_notice(office, now)
    port, office.port = office.port, 1
    for _ in range(len(RETRY_DELAYS) + 3):
        await office.send()
        now.shift(timedelta(minutes=2))
    with pytest.raises(DependencyUnavailable):
        office.state.check()
    office.port = port
    assert [await office.send(), await office.send()] == [1, 1]
    office.state.check()
    assert await office.outcomes() == [("sent", None)] * 2


async def test_letter_whose_connection_broke_while_it_was_sent_is_not_sent_again(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    await due_notice(office, now)
    mail.data = ["cut"]
    await office.send()
    assert await office.outcomes() == [("failed", "uncertain")]
    now.shift(timedelta(hours=1))
    await lapse(office)
    assert await office.send() == 0
    assert len(mail.letters) == 1


async def test_letter_to_a_server_that_times_out_has_an_uncertain_outcome(
    office: Office, mail: MailServer, now: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.person()
    await due_notice(office, now)
    mail.hold = asyncio.Event()
    monkeypatch.setattr("services.webhooks.notices.mail.transport.ANSWER_SECONDS", 0.5)
    try:
        assert await office.send() == 1
    finally:
        mail.hold.set()
    assert await office.outcomes() == [("failed", "uncertain")]


async def test_letter_of_a_worker_killed_while_sending_is_not_sent_again(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    await due_notice(office, now)
    [killed] = await claimed(office)
    assert await leases.begin_sending(office.harness.database, killed)
    assert await office.send() == 0  # another worker, while the lease still runs
    assert await office.outcomes() == [("sending", None)]
    await lapse(office)
    assert await office.send() == 0
    assert await office.outcomes() == [("failed", "uncertain")]
    assert mail.letters == []


async def test_stopping_worker_finishes_the_letter_being_sent(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    await due_notice(office, now)
    mail.hold = asyncio.Event()
    stopped = asyncio.create_task(office.send())
    await mail.holding.wait()
    assert await office.outcomes() == [("sending", None)]
    stopped.cancel()
    mail.hold.set()
    await asyncio.gather(stopped, return_exceptions=True)
    assert stopped.cancelled()
    assert await office.outcomes() == [("sent", None)]


async def test_letter_of_a_worker_killed_before_sending_is_sent_by_another(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    await due_notice(office, now)
    [dead] = await claimed(office)
    assert await office.send() == 0
    await lapse(office)
    assert await office.send() == 1
    assert not await leases.begin_sending(office.harness.database, dead)
    assert len(mail.letters) == 1
    assert await office.outcomes() == [("sent", None)]


@pytest.mark.parametrize("change", ["address", "active", "locked"])
async def test_letter_is_not_sent_to_a_former_address_or_a_person_without_access(
    office: Office, mail: MailServer, now: time_machine.Traveller, change: str
) -> None:
    person_id = await office.person()
    await due_notice(office, now)
    [found] = await claimed(office)
    if change == "address":
        await office.harness.sql("UPDATE notice_settings SET address_generation = address_generation + 1")
    else:
        values: dict[str, Any] = {"active": False} if change == "active" else {"locked_at": now_utc()}
        await office.change("people", person_id, **values)
    assert not await leases.begin_sending(office.harness.database, found)
    assert await office.outcomes() == [("waiting", None)]


async def test_notice_of_an_unknown_kind_does_not_block_other_letters(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    newer, _ = [await office.person(address=f"p{number}@example.ru") for number in range(2)]
    await due_notice(office, now)
    await office.harness.sql("UPDATE notices SET kind = 'newer' WHERE person_id = $1", newer)
    assert await office.send() == 1
    assert sorted(await office.outcomes()) == [("sent", None), ("waiting", None)]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("554 5.3.4 too big", ("failed", "refused")),
        ("550 5.2.3 too big", ("failed", "refused")),
        ("554 5.3.0 something else", ("waiting", None)),
    ],
)
async def test_enhanced_code_decides_whether_a_letter_is_too_large(
    office: Office, mail: MailServer, now: time_machine.Traveller, answer: str, outcome: tuple[str, str | None]
) -> None:
    person_id = await office.person()
    mail.data = [answer]
    await due_notice(office, now)
    await office.send()
    assert await office.outcomes() == [outcome]
    assert (await office.settings_of(person_id)).bounces == 0


async def test_released_letter_is_sent_at_once(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    await due_notice(office, now)
    await leases.release(office.harness.database, await claimed(office))
    assert await office.send() == 1


async def test_concurrent_workers_send_each_notice_once(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    for number in range(12):
        await office.person(address=f"p{number}@example.ru")
    for _ in range(3):
        await office.emit("appeal.assigned", await office.appeal())
    now.shift(timedelta(minutes=2))

    async def work() -> None:
        sender = office.sender()
        while await sender.send_due():
            pass

    await asyncio.gather(work(), work(), work())
    await work()
    assert sorted(letter.recipient for letter in mail.letters) == sorted(
        f"p{number}@example.ru" for number in range(12)
    )
    assert {letter.message["Subject"] for letter in mail.letters} == {"Госпаблик: 3 назначения"}
    assert await office.outcomes() == [("sent", None)] * 36


async def test_bounced_letter_fails_its_notices(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    person_id = await office.person()
    await due_notice(office, now)
    await office.send()
    letter_id: UUID = (await only_letter(office))["id"]
    for known in (True, False):  # a bounce report received twice counts once
        async with office.harness.database.write() as session:
            assert await outcomes.record_bounce(session, letter_id, "5.1.1") is known
    assert await office.outcomes() == [("failed", "bounced")]
    assert (await office.settings_of(person_id)).bounces == 1
    assert (await only_letter(office))["smtp_status"] == "5.1.1"


async def test_bounce_of_a_former_address_does_not_count_for_the_new_address(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    person_id = await office.person()
    await due_notice(office, now)
    await office.send()
    async with office.harness.database.write() as session:
        settings = await preferences.lock(session, person_id)
        keys = webhooks_settings().encryption_keys
        await preferences.set_address(session, settings, "new@example.ru", keys)
    async with office.harness.database.write() as session:
        assert await outcomes.record_bounce(session, (await only_letter_of(office, "notices"))["id"], "5.1.1")
    assert (await office.settings_of(person_id)).bounces == 0
    assert await office.outcomes() == [("failed", "bounced")]


def test_command_for_returned_letters_fails_temporarily_without_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOSPABLIK_DATABASE_URL", "postgresql://webhooks@127.0.0.1:1/nothing")
    monkeypatch.setattr(
        "services.webhooks.notices.mail.bounces.parse_bounce", lambda *_: Bounce(UUID(int=5), "5.1.1")
    )
    monkeypatch.setattr("services.webhooks.settings.webhooks_settings", MagicMock())
    result = CliRunner().invoke(notices.app, ["bounce"], input="")
    assert result.exit_code == os.EX_TEMPFAIL


async def test_command_records_a_returned_letter(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    await due_notice(office, now)
    await office.send()
    letter_id = (await only_letter(office))["id"]
    url = office.harness.test_database.url("webhooks")
    assert await notices._record(url, letter_id, "5.2.1") is True
    assert await notices._record(url, UUID(int=5), "5.2.1") is False
    assert await office.outcomes() == [("failed", "bounced")]
    actors = await office.harness.sql("SELECT actor FROM audit WHERE subject_id = $1", str(letter_id))
    assert [row["actor"].partition(":")[0] for row in actors] == ["operator"]
    assert await office.harness.sql("SELECT FROM audit WHERE subject_id = $1", str(UUID(int=5))) == []


async def test_many_notices_of_a_person_are_sent_in_several_letters(
    office: Office, mail: MailServer, now: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.webhooks.notices.mail.claims.MAX_NOTICES", 2)
    await office.person()
    for _ in range(3):
        await office.emit("appeal.assigned", await office.appeal())
    now.shift(timedelta(minutes=2))
    assert [await office.send(), await office.send(), await office.send()] == [1, 1, 0]
    assert await office.outcomes() == [("sent", None)] * 3


async def test_unreadable_notice_does_not_block_other_letters(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    broken, other = [await office.person(address=f"p{number}@example.ru") for number in range(2)]
    await due_notice(office, now)
    await office.harness.sql(
        "UPDATE notices SET event_type = 'reply.failed', details = '{}' WHERE person_id = $1", broken
    )
    assert await office.send() == 1
    statuses = {notice["person_id"]: notice["status"] for notice in await office.notices()}
    assert statuses == {broken: "waiting", other: "sent"}
    assert await office.send() == 0
    now.shift(timedelta(days=8))
    assert await office.send() == 0
    assert ("suppressed", "too_late") in await office.outcomes()


async def test_confirmation_link_unsent_for_a_day_is_cancelled(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    person_id = await office.person(address=None)
    async with office.harness.database.write() as session:
        settings = await preferences.lock(session, person_id)
        keys = webhooks_settings().encryption_keys
        await preferences.set_address(session, settings, "a@example.ru", keys)
    now.shift(timedelta(days=1, minutes=1))
    assert await office.send() == 0
    assert (await only_letter(office))["status"] == "cancelled"


async def test_old_notices_are_purged_with_their_letters_and_unsent_notices_are_kept(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    await due_notice(office, now)
    await office.send()
    await due_notice(office, now)
    now.shift(timedelta(days=366))
    rules = [rule for rule in purge_rules(RetentionSettings()) if rule.table.startswith("notice")]
    await purge_tables(office.harness.database, rules)
    assert await office.outcomes() == [("waiting", None)]
    assert await office.letters() == []


async def test_settings_of_people_who_left_are_purged(office: Office, now: time_machine.Traveller) -> None:
    left, stays = [await office.person() for _ in range(2)]
    await office.change("people", left, active=False)
    rules = [rule for rule in purge_rules(RetentionSettings()) if rule.table == "notice_settings"]
    for days, kept in ((0, {left, stays}), (365, {stays})):
        await office.change("people", left, updated_at=now_utc() - timedelta(days=days, minutes=1))
        await purge_tables(office.harness.database, rules)
        rows = await office.harness.sql("SELECT person_id FROM notice_settings")
        assert {row["person_id"] for row in rows} == kept


async def test_waiting_notices_are_suppressed_when_email_is_switched_off(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    await office.person()
    await due_notice(office, now)
    assert await outcomes.suppress_waiting(office.harness.database) == 1
    assert await office.outcomes() == [("suppressed", "email_off")]
    assert await office.send() == 0


async def test_log_and_rows_contain_no_address(
    office: Office, mail: MailServer, now: time_machine.Traveller, capsys: pytest.CaptureFixture[str]
) -> None:
    await office.person()
    await due_notice(office, now)
    mail.rcpt = ["550 5.7.1 <sadik5@example.ru> rejected"]
    await office.send()
    now.shift(timedelta(minutes=2))
    mail.rcpt = ["550 5.1.1 <sadik5@example.ru> rejected"]
    await office.send()
    rows = f"{await office.letters()} {await office.notices()}"
    captured = capsys.readouterr()
    assert "mail server did not confirm that it accepted the letter" in captured.out + captured.err
    assert "sadik5" not in rows + captured.out + captured.err
