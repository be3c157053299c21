"""Notices as messages in a network: accounts linked by a code, one message each, e-mail if the network refuses."""

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
import time_machine

from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks.port import NetworkAdapter, OutgoingReply, PublishedReply
from services.ingest.publishing.photo_uploads import attachment_reader
from services.ingest.publishing.publisher import Publisher
from services.ingest.schemas.publications import PublicationRequest
from services.webhooks.notices.messages.due_messages import write_due_messages
from services.webhooks.notices.messages.message_letters import hand_over_due
from services.webhooks.worker import accounts_consumer
from shared import clock
from shared.contracts.catalogue import EVENT_MODELS
from shared.events.outbox import NewEvent, emit
from shared.events.relay import number_committed_events
from shared.service_client import ServiceRejected, ServiceUnavailable, ServiceUnreachable
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS
from tests.integration.ingest.scripted_network import ScriptedNetwork
from tests.integration.webhooks.conftest import WebhooksHarness
from tests.integration.webhooks.notice_office import TUESDAY, Office
from tests.integration.webhooks.test_notice_settings import Person
from tests.support.mail_server import MailServer
from tests.support.service_under_test import (
    ServiceUnderTest,
    insert_organisation,
    insert_page,
    service_under_test,
)

ACCOUNTS = "/api/v1/me/notice-accounts"
BY_VK = {"assignment": "vk", "mention": "vk"}


class Ingest:
    """A stand-in for the client of ingest that keeps each publication once, by its id."""

    def __init__(self) -> None:
        self.answers: list[Exception] = []
        self.taken: dict[str, dict[str, Any]] = {}

    async def post(self, _callee: str, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Keep the request, or raise the next error of `answers`."""
        assert path == "/internal/publications"
        PublicationRequest.model_validate_json(json.dumps(body))
        if self.answers:
            raise self.answers.pop(0)
        assert self.taken.setdefault(body["reply_id"], body) == body
        return {"id": str(uuid4()), "status": "queued"}


class Messenger:
    """The office with the page of the centre, the consumer of account events and the sender of messages."""

    def __init__(self, office: Office, page_id: UUID, centre: UUID) -> None:
        self.office, self.page_id, self.centre = office, page_id, centre
        self.ingest = Ingest()
        self.consumer = accounts_consumer()

    async def person(self, **more: Any) -> Person:
        return Person(self.office, await self.office.person(**more))

    async def write(
        self, text: str, *, page_id: UUID | None = None, kind: str = "message", network: str = "vk"
    ) -> UUID:
        """Insert a message to the page as ingest does and handle its event; return the id."""
        message_id = uuid4()
        connection = await self.office.harness.test_database.connect("ingest")
        await connection.execute(
            """INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key, text,
               raw, attachments, url, history, from_community, written_at, received_at, version, source_kind)
               VALUES ($1, $6, $2, $1::uuid::text, $3, $4, 'vk:-101_9', $5, '{}', '[]', '', false, false, now(),
               now(), 1, 'long_poll')""",
            message_id, kind, page_id or self.page_id, self.centre, text, network,
        )  # fmt: skip
        await connection.close()
        await self.event("message.received", message_id, kind=kind, from_community=False)
        return message_id

    async def event(self, event_type: str, subject_id: UUID, **data: Any) -> None:
        """Write an event of ingest and let the consumer handle it."""
        model = EVENT_MODELS[event_type]
        event = NewEvent(
            data=model.model_validate(dict(model.example) | data),
            subject_id=subject_id,
            organisation_id=self.centre,
            actor="ingest",
        )
        database = self.office.harness.database
        async with database.write() as session:
            await emit(session, event)
        await number_committed_events(database)
        while await self.consumer.process_batch(database):
            pass

    async def linked(self, **channels: str) -> tuple[Person, UUID]:
        """Return a person with a linked account who chose these channels, and the message with the code."""
        person = await self.person()
        code = (await person.change(0, ACCOUNTS, "POST", network="vk")).json()["code"]
        message_id = await self.write(code)
        answer = await person.change((await person.get())["version"], channels=channels or BY_VK)
        assert answer.status_code == 200, answer.text
        await self.run()
        (greeting,) = self.ingest.taken
        await self.published(UUID(greeting))
        # Another test checks the e-mail about the link.
        await self.office.harness.sql("DELETE FROM notice_letters WHERE purpose = 'linked' AND channel = 'email'")
        self.ingest.taken.clear()
        return person, message_id

    async def run(self) -> None:
        """Run the rounds of the worker until nothing is due."""
        database = self.office.harness.database
        while await write_due_messages(database, "https://api.example.ru") + await hand_over_due(
            database,
            self.ingest,  # type: ignore[arg-type]
            "https://api.example.ru",
        ):
            if self.ingest.answers == [] and not await self._due():
                return

    async def _due(self) -> bool:
        rows = await self.office.harness.sql(
            "SELECT 1 FROM notice_letters WHERE status = 'sending' AND handed_over_at IS NULL"
            " AND channel <> 'email' AND next_attempt_at <= $1",
            clock.now(),
        )
        return bool(rows)

    async def published(self, letter_id: UUID) -> None:
        await self.event("publication.published", uuid4(), reply_id=str(letter_id))

    async def failed(self, letter_id: UUID, code: str) -> None:
        failure = {"code": code, "message": "Нельзя.", "final": True}
        await self.event("publication.failed", uuid4(), reply_id=str(letter_id), failure=failure)

    async def assigned(self) -> UUID:
        """Assign an appeal to the office; return its id."""
        appeal_id = await self.office.appeal()
        await self.office.emit("appeal.assigned", appeal_id)
        return appeal_id


@pytest.fixture
async def harness(database: TestDatabase, keys_dir: Path) -> AsyncIterator[WebhooksHarness]:
    async with service_under_test("webhooks", database, keys_dir, notices_pages="vk:101") as app:
        yield WebhooksHarness(app, database)


@pytest.fixture
async def messenger(office: Office, now: time_machine.Traveller) -> Messenger:
    centre = await insert_organisation(office.harness.test_database, name="Центр управления регионом")
    return Messenger(office, await insert_page(office.harness.test_database, centre), centre)


async def test_code_links_the_account_from_which_it_is_written(messenger: Messenger) -> None:
    person = await messenger.person()
    (offered,) = await person.get(ACCOUNTS)
    assert (offered["network"], offered["state"], offered["page"]["url"]) == (
        "vk", "none", "https://example.invalid/101",
    )  # fmt: skip
    assert (await person.change(0, ACCOUNTS, "POST", network="ok")).status_code == 409
    made = await person.change(0, ACCOUNTS, "POST", network="vk")
    assert made.status_code == 201, made.text
    code = made.json()["code"]
    assert re.fullmatch(r"ГП \d{5} \d{5}", code)
    refused = await person.change(1, channels={"assignment": "vk"})
    assert refused.json()["errors"][0]["pointer"] == "/channels/assignment"
    for wrong in ("ГП 00000 00000", f"Здравствуйте! {code}"):
        await messenger.write(wrong)
    assert (await person.get(ACCOUNTS))[0]["state"] == "pending"
    message_id = await messenger.write(code.lower().replace(" ", "-"))
    (linked,) = await person.get(ACCOUNTS)
    assert (linked["state"], linked["code_expires_at"]) == ("linked", None)
    await messenger.run()
    (greeting,) = messenger.ingest.taken.values()
    assert greeting["message_id"] == str(message_id)
    assert "Готово" in greeting["text"]
    # A code works once.
    await messenger.write(code)
    await messenger.run()
    assert len(messenger.ingest.taken) == 1


@pytest.mark.parametrize("where", ["another page", "another network", "comment"])
async def test_code_written_where_others_can_read_it_is_invalidated(messenger: Messenger, where: str) -> None:
    person = await messenger.person()
    code = (await person.change(0, ACCOUNTS, "POST", network="vk")).json()["code"]
    if where == "comment":
        await messenger.write(code, kind="comment")
    else:
        network = "vk" if where == "another page" else "ok"
        database = messenger.office.harness.test_database
        other = await insert_page(database, messenger.centre, network=network, external_id="202")
        await messenger.write(code, page_id=other, network=network)
    await messenger.write(code)
    (account,) = await person.get(ACCOUNTS)
    assert (account["state"], account["code_expires_at"]) == ("pending", None)


async def test_person_gets_an_email_that_an_account_was_linked(messenger: Messenger, mail: MailServer) -> None:
    for address, letters in (("anna@example.ru", 1), (None, 0)):
        person = await messenger.person(address=address)
        code = (await person.change(0, ACCOUNTS, "POST", network="vk")).json()["code"]
        await messenger.write(code)
        await messenger.office.send()
        assert len(mail.letters) == letters
        for letter in mail.letters:
            assert "связана переписка в соцсети" in letter.body()
        mail.letters.clear()


async def test_expired_code_links_no_account(messenger: Messenger, now: time_machine.Traveller) -> None:
    person = await messenger.person()
    code = (await person.change(0, ACCOUNTS, "POST", network="vk")).json()["code"]
    now.shift(timedelta(minutes=31))
    await messenger.write(code)
    rows = await messenger.office.harness.sql("SELECT state FROM notice_accounts")
    assert [row["state"] for row in rows] == ["pending"]


async def test_notice_is_sent_once_to_the_conversation(
    messenger: Messenger, mail: MailServer, now: time_machine.Traveller
) -> None:
    person, message_id = await messenger.linked()
    for _ in range(2):
        await messenger.assigned()
    now.shift(timedelta(minutes=2))
    messenger.ingest.answers = [ServiceUnavailable("down")]
    for _ in range(3):
        await messenger.run()
        now.shift(timedelta(minutes=1))
    ((letter_id, sent),) = messenger.ingest.taken.items()
    assert (sent["message_id"], sent["on_behalf_of"]) == (str(message_id), "notices")
    assert sent["text"].count("Назначено вашей организации") == 2
    assert "https://api.example.ru/appeals/" in sent["text"]
    assert await messenger.office.outcomes() == [("sending", None)] * 2
    for _ in range(2):
        await messenger.published(UUID(letter_id))
    assert await messenger.office.outcomes() == [("sent", None)] * 2
    assert [one["channel"] for one in (await person.get("/api/v1/me/notices"))["items"]] == ["vk"] * 2
    assert await messenger.office.send() == 0
    assert mail.letters == []


async def test_message_waits_for_working_hours(messenger: Messenger, now: time_machine.Traveller) -> None:
    await messenger.linked()
    now.move_to(TUESDAY + timedelta(hours=12))
    await messenger.assigned()
    now.shift(timedelta(hours=1))
    await messenger.run()
    assert messenger.ingest.taken == {}
    now.move_to(TUESDAY + timedelta(days=1))
    await messenger.run()
    assert len(messenger.ingest.taken) == 1


@pytest.mark.parametrize("error", [ServiceUnreachable("refused"), ServiceUnavailable("no response")])
async def test_message_that_ingest_did_not_take_in_the_evening_waits_for_the_morning(
    messenger: Messenger, now: time_machine.Traveller, error: Exception
) -> None:
    await messenger.linked()
    now.move_to(TUESDAY + timedelta(hours=7, minutes=55))
    await messenger.assigned()
    messenger.ingest.answers = [error]
    now.shift(timedelta(minutes=2))
    await messenger.run()
    now.move_to(TUESDAY + timedelta(hours=13, minutes=40))
    await messenger.run()
    assert messenger.ingest.answers == []
    assert messenger.ingest.taken == {}
    now.move_to(TUESDAY + timedelta(days=1))
    await messenger.run()
    (sent,) = messenger.ingest.taken.values()
    assert "Назначено вашей организации" in sent["text"]
    assert await messenger.office.outcomes() == [("sending", None)]


async def test_obsolete_notice_is_removed_from_a_message_that_ingest_did_not_take(
    messenger: Messenger, now: time_machine.Traveller
) -> None:
    await messenger.linked()
    first, second = await messenger.assigned(), await messenger.assigned()
    messenger.ingest.answers = [ServiceUnreachable("refused")]
    now.shift(timedelta(minutes=2))
    await messenger.run()
    await messenger.office.change("appeals", first, status="answered")
    now.shift(timedelta(minutes=1))
    await messenger.run()
    (sent,) = messenger.ingest.taken.values()
    assert str(first) not in sent["text"]
    assert str(second) in sent["text"]
    assert sorted(await messenger.office.outcomes()) == [("sending", None), ("suppressed", "settled")]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ServiceUnreachable("refused"), ("suppressed", "no_access")),
        (ServiceUnavailable("no response"), ("failed", "uncertain")),
    ],
)
async def test_person_who_moved_before_ingest_took_the_message_does_not_get_it(
    messenger: Messenger, now: time_machine.Traveller, error: Exception, outcome: tuple[str, str]
) -> None:
    person, _ = await messenger.linked()
    await messenger.assigned()
    messenger.ingest.answers = [error]
    now.shift(timedelta(minutes=2))
    await messenger.run()
    elsewhere = await insert_organisation(messenger.office.harness.test_database, name="Школа № 3")
    await messenger.office.change("people", person.id, organisation_id=elsewhere)
    now.shift(timedelta(minutes=1))
    await messenger.run()
    assert messenger.ingest.taken == {}
    assert await messenger.office.outcomes() == [outcome]


async def test_lost_access_to_one_notice_of_a_message_ingest_may_have_does_not_stop_the_email_for_others(
    messenger: Messenger, mail: MailServer, now: time_machine.Traveller
) -> None:
    await messenger.linked()
    kept, lost = await messenger.assigned(), await messenger.assigned()
    messenger.ingest.answers = [ServiceUnavailable("no response")]
    now.shift(timedelta(minutes=2))
    await messenger.run()
    elsewhere = await insert_organisation(messenger.office.harness.test_database, name="Школа № 3")
    await messenger.office.change("appeals", lost, organisation_id=elsewhere)
    now.shift(timedelta(minutes=1))
    await messenger.run()
    await messenger.office.send()
    assert messenger.ingest.taken == {}
    outcomes = {notice["appeal_id"]: (notice["status"], notice["reason"], notice["channel"])
                for notice in await messenger.office.notices()}  # fmt: skip
    assert outcomes == {kept: ("sent", None, "email"), lost: ("failed", "uncertain", "vk")}
    (letter,) = mail.letters
    assert (str(kept) in letter.body(), str(lost) in letter.body()) == (True, False)


@pytest.mark.parametrize("fails_again", [False, True])
async def test_message_ingest_may_have_received_is_not_too_late_after_a_long_weekend(
    messenger: Messenger, mail: MailServer, now: time_machine.Traveller, *, fails_again: bool
) -> None:
    await messenger.linked()
    now.move_to(TUESDAY + timedelta(days=3, hours=7, minutes=57))
    await messenger.assigned()
    messenger.ingest.answers = [ServiceUnavailable("no response")]
    now.shift(timedelta(minutes=2))
    await messenger.run()
    now.shift(timedelta(minutes=2))
    await messenger.run()
    (letter,) = [one for one in await messenger.office.letters() if one["purpose"] == "notices"]
    assert letter["next_attempt_at"] - clock.now() > timedelta(days=3)
    messenger.ingest.answers = [ServiceUnavailable("no response")] * fails_again
    now.move_to(TUESDAY + timedelta(days=7))
    await messenger.run()
    await messenger.office.send()
    if fails_again:
        assert (messenger.ingest.taken, len(mail.letters)) == ({}, 1)
        assert await messenger.office.outcomes() == [("sent", None)]
    else:
        assert (list(messenger.ingest.taken), len(mail.letters)) == ([str(letter["id"])], 0)
        assert await messenger.office.outcomes() == [("sending", None)]


async def test_notice_that_ingest_did_not_take_on_two_days_goes_by_email(
    messenger: Messenger, mail: MailServer, now: time_machine.Traveller
) -> None:
    await messenger.linked()
    await messenger.assigned()
    for day in range(2):
        messenger.ingest.answers = [ServiceUnreachable("refused")]
        now.move_to(TUESDAY + timedelta(days=day, minutes=2))
        await messenger.run()
        assert messenger.ingest.answers == []
        assert [notice["channel"] for notice in await messenger.office.notices()] == ["vk"]
        now.move_to(TUESDAY + timedelta(days=day, hours=9))
        await messenger.run()
    await messenger.office.send()
    assert len(mail.letters) == 0
    now.move_to(TUESDAY + timedelta(days=2))
    await messenger.run()
    await messenger.office.send()
    assert (messenger.ingest.taken, len(mail.letters)) == ({}, 1)
    assert await messenger.office.outcomes() == [("sent", None)]


async def test_notice_not_sent_in_time_is_sent_again_and_after_a_day_by_email(
    messenger: Messenger, mail: MailServer, now: time_machine.Traveller
) -> None:
    await messenger.linked()
    now.move_to(TUESDAY + timedelta(hours=7, minutes=55))
    await messenger.assigned()
    now.shift(timedelta(minutes=2))
    await messenger.run()
    (first,) = messenger.ingest.taken
    now.shift(timedelta(minutes=31))
    await messenger.failed(UUID(first), "not_sent_in_time")
    await messenger.run()
    assert list(messenger.ingest.taken) == [first]
    now.move_to(TUESDAY + timedelta(days=1))
    await messenger.run()
    (second,) = messenger.ingest.taken.keys() - {first}
    now.move_to(TUESDAY + timedelta(days=1, hours=8, minutes=30))
    await messenger.failed(UUID(second), "not_sent_in_time")
    await messenger.run()
    now.move_to(TUESDAY + timedelta(days=2))
    await messenger.run()
    await messenger.office.send()
    assert len(messenger.ingest.taken) == 2
    assert len(mail.letters) == 1


@pytest.mark.parametrize(
    ("code", "state", "by_email"),
    [
        ("vk:901", "ended", 1),
        ("vk:7", "linked", 1),
        ("no_response", "linked", 1),
        ("network_unreachable", "linked", 1),
        ("job_dead_lettered", "linked", 0),
    ],
)
async def test_notice_is_sent_by_email_if_the_network_refuses_the_message(
    messenger: Messenger, mail: MailServer, now: time_machine.Traveller, *, code: str, state: str, by_email: int
) -> None:
    person, _ = await messenger.linked()
    await messenger.assigned()
    now.shift(timedelta(minutes=2))
    await messenger.run()
    (letter_id,) = messenger.ingest.taken
    await messenger.assigned()
    for _ in range(2):
        await messenger.failed(UUID(letter_id), code)
    (account,) = await person.get(ACCOUNTS)
    assert (account["state"], account["ended_reason"]) == (state, code if state == "ended" else None)
    now.shift(timedelta(minutes=2))
    await messenger.run()
    await messenger.office.send()
    first, second = (await person.get("/api/v1/me/notices"))["items"][::-1]
    assert len(mail.letters) == by_email
    assert (first["channel"], first["status"]) == (("email", "sent") if by_email else ("vk", "failed"))
    # A later notice goes by e-mail only if the account is no longer linked.
    assert second["channel"] == ("email" if state == "ended" else "vk")


@pytest.mark.parametrize(
    ("status", "state", "ended_reason"), [(422, "ended", "conversation_gone"), (403, "linked", None)]
)
async def test_notice_is_sent_by_email_if_ingest_refuses_the_message(
    messenger: Messenger,
    mail: MailServer,
    now: time_machine.Traveller,
    *,
    status: int,
    state: str,
    ended_reason: str | None,
) -> None:
    person, _ = await messenger.linked()
    await messenger.assigned()
    now.shift(timedelta(minutes=2))
    messenger.ingest.answers = [ServiceRejected(status, {"detail": "no"})]
    await messenger.run()
    (account,) = await person.get(ACCOUNTS)
    assert (account["state"], account["ended_reason"]) == (state, ended_reason)
    await messenger.office.send()
    assert len(mail.letters) == 1


@pytest.mark.parametrize(
    ("error", "later", "outcome"),
    [
        (ServiceUnavailable("no response"), "unlinked", ("failed", "uncertain")),
        (ServiceUnavailable("no response"), "rejected", ("failed", "uncertain")),
        (ServiceUnavailable("no response"), "too late", ("failed", "uncertain")),
        (ServiceUnreachable("refused"), "unlinked", ("sent", None)),
        (ServiceUnreachable("refused"), "too late", ("suppressed", "too_late")),
    ],
)
async def test_notice_is_not_sent_by_email_if_ingest_may_have_the_message(
    messenger: Messenger,
    now: time_machine.Traveller,
    *,
    error: Exception,
    later: str,
    outcome: tuple[str, str | None],
) -> None:
    person, _ = await messenger.linked()
    await messenger.assigned()
    now.shift(timedelta(minutes=2))
    messenger.ingest.answers = [error]
    await messenger.run()
    if later == "unlinked":
        await person.change(0, f"{ACCOUNTS}/vk", "DELETE")
    elif later == "rejected":
        messenger.ingest.answers = [ServiceRejected(422, {"detail": "erased"})]
    now.shift(timedelta(days=4) if later == "too late" else timedelta(minutes=1))
    await messenger.run()
    await messenger.office.send()
    assert messenger.ingest.taken == {}
    assert await messenger.office.outcomes() == [outcome]


async def test_unlinked_account_gets_no_notices(
    messenger: Messenger, mail: MailServer, now: time_machine.Traveller
) -> None:
    person, _ = await messenger.linked()
    await messenger.assigned()
    gone = await person.change(0, f"{ACCOUNTS}/vk", "DELETE")
    assert gone.status_code == 204
    assert (await person.change(0, f"{ACCOUNTS}/vk", "DELETE")).status_code == 404
    assert set((await person.get())["channels"].values()) == {"email"}
    now.shift(timedelta(minutes=2))
    await messenger.run()
    await messenger.office.send()
    assert (messenger.ingest.taken, len(mail.letters)) == ({}, 1)
    assert await messenger.office.harness.sql("SELECT 1 FROM notice_accounts") == []
    rows = await messenger.office.harness.sql(
        "SELECT actor FROM audit WHERE action LIKE '%delete_notice_account%' AND actor = $1", str(person.id)
    )
    assert rows != []


async def test_person_who_lost_access_gets_no_message(messenger: Messenger, now: time_machine.Traveller) -> None:
    person, _ = await messenger.linked()
    await messenger.assigned()
    await messenger.office.change("people", person.id, active=False)
    now.shift(timedelta(minutes=2))
    await messenger.run()
    assert messenger.ingest.taken == {}
    assert await messenger.office.outcomes() == [("suppressed", "no_access")]


async def test_person_locked_before_the_request_to_ingest_gets_no_message(
    messenger: Messenger, now: time_machine.Traveller
) -> None:
    person, _ = await messenger.linked()
    await messenger.assigned()
    now.shift(timedelta(minutes=2))
    await write_due_messages(messenger.office.harness.database, "https://api.example.ru")
    await messenger.office.change("people", person.id, locked_at=clock.now())
    await messenger.run()
    assert messenger.ingest.taken == {}
    await messenger.office.send()
    assert await messenger.office.outcomes() == [("suppressed", "no_access")]


class ThroughIngest:
    """A client of ingest whose requests reach the real routes of ingest."""

    def __init__(self, ingest: ServiceUnderTest) -> None:
        self.answers: list[Exception] = []
        self._ingest = ingest

    async def post(self, _callee: str, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Send the request as webhooks does."""
        answer = await self._ingest.client.post(path, json=body, headers=self._ingest.service_headers("webhooks"))
        assert answer.status_code in {200, 201}, answer.text
        found: dict[str, Any] = answer.json()
        return found


async def test_message_is_published_by_ingest_and_its_outcome_is_recorded(office: Office, keys_dir: Path) -> None:
    harness = office.harness
    centre = await insert_organisation(harness.test_database, name="Центр управления регионом")
    messenger = Messenger(office, await insert_page(harness.test_database, centre), centre)
    person = await messenger.person()
    code = (await person.change(0, ACCOUNTS, "POST", network="vk")).json()["code"]
    await messenger.write(code)
    async with service_under_test("ingest", harness.test_database, keys_dir, process="api", **KEYS) as ingest:
        messenger.ingest = ThroughIngest(ingest)  # type: ignore[assignment]
        await messenger.run()
        ((publication_id, text),) = await harness.sql("SELECT id, text FROM publications")
        sent: list[OutgoingReply] = []

        async def publish(outgoing: OutgoingReply) -> PublishedReply:
            sent.append(outgoing)
            return PublishedReply("101_9_5", "https://vk.com/gim101?sel=9")

        network = ScriptedNetwork()
        network.on_publish = publish
        network.max_text_length = lambda kind: 4_096  # type: ignore[method-assign]
        database = ingest.service.database
        publisher = Publisher(
            database,
            DatabaseIntakeStore(database),
            {"vk": cast("NetworkAdapter", network)},
            settle_seconds=0.1,
            read_attachment=attachment_reader(ingest.service),
        )
        await publisher.process(publication_id)
    assert [(one.kind, one.thread_key, one.text) for one in sent] == [("message", "vk:-101_9", text)]
    await number_committed_events(harness.database)
    while await messenger.consumer.process_batch(harness.database):
        pass
    (letter,) = [one for one in await office.letters() if one["channel"] == "vk"]
    assert (letter["purpose"], letter["status"], letter["channel"]) == ("linked", "sent", "vk")
