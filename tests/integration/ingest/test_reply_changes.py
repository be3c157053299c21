"""Edits and withdrawals of published replies are made once and in order, and end as the network shows them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from unittest import mock
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.ingest.networks.calls import boottime_seconds
from services.ingest.networks.port import (
    IncomingItem,
    NetworkAdapter,
    OutgoingReply,
    ParsedBatch,
    PublishedReply,
    PublishOutcomeUnknown,
    PublishRejected,
    ReadFailed,
    ReplyToChange,
)
from services.ingest.publishing.reply_changer import CHANGE_JOB, ReplyChanger
from services.ingest.worker import Worker
from shared.jobs import RetryLater
from tests.conftest import TestDatabase
from tests.integration.ingest.scripted_network import PublicationScenario, ScriptedNetwork, build_scenario
from tests.support.eventually import eventually

NEW = "Ответ исправлен"
OLD_TEXTS = "SELECT v.text FROM message_versions v JOIN messages m ON m.id = v.message_id WHERE m.external_id = $1"


class ThreadUnderChange:
    """The network's thread with published replies, in which their changes take effect."""

    def __init__(self, scenario: PublicationScenario) -> None:
        self.scenario = scenario
        self.items: dict[str, IncomingItem] = {}
        self.answers: list[Exception] = []
        scenario.network.on_publish = self.publish
        scenario.network.on_change = self.change
        scenario.network.on_read = self.read
        self.changer = ReplyChanger(
            scenario.system.ingest.service.database,
            scenario.feed,
            {"vk": cast("NetworkAdapter", scenario.network)},
            settle_seconds=0.1,
            read_attachment=self.read_attachment,
        )
        self.media: list[tuple[str, ...]] = []

    async def read_attachment(self, attachment_id: UUID, _: str) -> bytes:
        """Return the file of a photo."""
        return attachment_id.bytes

    async def publish(self, outgoing: OutgoingReply) -> PublishedReply:
        """Publish a reply in the thread."""
        number = 30 + self.scenario.network.calls
        item = self.scenario.community_comment(number, outgoing.text, change="observed")
        self.items[item.external_id] = item
        return PublishedReply(item.external_id, item.url)

    async def change(self, reply: ReplyToChange, text: str | None) -> None:
        """Change or delete a reply, then raise the next of `answers`; a refusal has no effect."""
        self.media.append(tuple(reply.media))
        answer = self.answers.pop(0) if self.answers else None
        if not isinstance(answer, PublishRejected):
            if reply.external_id not in self.items:
                raise PublishRejected("vk:211", "Нет доступа.", permanent=True)
            if text is None:
                del self.items[reply.external_id]
            else:
                self.items[reply.external_id] = replace(self.items[reply.external_id], text=text)
        if answer is not None:
            raise answer

    async def read(self, _: OutgoingReply) -> ParsedBatch:
        """Return the content of the thread."""
        return ParsedBatch(list(self.items.values()))

    @property
    def texts(self) -> list[str | None]:
        """Return the texts in the thread."""
        return [item.text for item in self.items.values()]

    async def ask(self, text: str | None, change_id: UUID | None = None, **more: Any) -> Any:
        """Request a change as appeals does; return the response."""
        return await self.scenario.system.ingest.client.post(
            f"/internal/publications/{self.scenario.publication_id}/changes",
            json={"id": str(change_id or uuid4()), "text": text, "on_behalf_of": "someone"} | more,
            headers=self.scenario.system.ingest.service_headers("appeals"),
        )

    async def asked(self, text: str | None, **more: Any) -> UUID:
        """Request a change; return its id."""
        answer = await self.ask(text, **more)
        assert answer.status_code == 201, answer.text
        return UUID(answer.json()["id"])

    async def end_lease(self) -> None:
        """Move the start of calls without a response ten minutes back: they can no longer take effect."""
        await self.execute(
            "UPDATE publication_changes SET sending_since = sending_since - interval '10 minutes'"
            " WHERE status IN ('sending', 'uncertain')"
        )

    async def execute(self, statement: str) -> None:
        """Execute an SQL statement with the database rights of ingest."""
        async with self.scenario.system.ingest.service.database.write() as session:
            await session.execute(text(statement))

    async def run_to_end(self, change_id: UUID) -> dict[str, Any]:
        """Run the job of a change as the queue does until the change is done or failed; return it."""

        async def ended() -> dict[str, Any] | None:
            try:
                await self.changer.process(change_id)
            except RetryLater:
                await self.end_lease()
            row = await self.scenario.system.raw_connection.fetchrow(
                "SELECT status, attempts, failure::text AS failure FROM publication_changes WHERE id = $1",
                change_id,
            )
            return dict(row) if row["status"] in {"done", "failed"} else None

        return await eventually(ended, "the end of the change", every=0.01)

    async def events(self, kind: str) -> list[Any]:
        """Return the data of the events `publication.<kind>`."""
        return [event["data"] for event in await self.scenario.system.events(f"publication.{kind}")]


@pytest.fixture
async def thread(database: TestDatabase, keys_dir: Path) -> AsyncIterator[ThreadUnderChange]:
    """A thread with our published reply, which is also stored as a message."""
    async with build_scenario(database, keys_dir) as scenario:
        made = ThreadUnderChange(scenario)
        assert (await scenario.run_to_end())["status"] == "published"
        await scenario.receive(*made.items.values())
        yield made


async def test_edit_changes_network_publication_and_stored_message(thread: ThreadUnderChange) -> None:
    done = await thread.run_to_end(await thread.asked(NEW))
    assert (done["status"], done["attempts"]) == ("done", 1)
    assert thread.texts == [NEW]
    publication = await thread.scenario.system.publication(str(thread.scenario.publication_id))
    assert (publication["status"], publication["text"]) == ("published", NEW)
    row = await thread.scenario.system.stored("-101_31")
    assert row is not None
    assert (row["text"], row["version"]) == (NEW, 2)
    old = await thread.scenario.system.raw_connection.fetch(OLD_TEXTS, "-101_31")
    assert [found["text"] for found in old] == ["Ответ"]
    assert len(await thread.events("edited")) == 1


async def test_own_edit_and_deletion_received_from_the_network_change_nothing(thread: ThreadUnderChange) -> None:
    await thread.run_to_end(await thread.asked(NEW))
    echo = replace(thread.items["-101_31"], change="edited", push_event_id="e1")
    await thread.scenario.receive(echo)
    # A poll that began before the edit still shows the former text.
    stale = replace(echo, change="observed", text="Ответ", push_event_id=None)
    await thread.scenario.feed.store(
        thread.scenario.page, "wall", ParsedBatch([stale]), observed_at=datetime.now(UTC) - timedelta(minutes=1)
    )
    row = await thread.scenario.system.stored("-101_31")
    assert row is not None
    assert (row["text"], row["version"]) == (NEW, 2)
    await thread.run_to_end(await thread.asked(None))
    await thread.scenario.receive(replace(echo, change="deleted", text=None, push_event_id="e2"))
    assert len(await thread.scenario.system.events("message.edited")) == 1
    assert len(await thread.scenario.system.events("message.deleted")) == 1
    assert len(await thread.scenario.system.events("publication.published")) == 1


async def test_withdrawal_deletes_every_part(database: TestDatabase, keys_dir: Path) -> None:
    longest = mock.patch.object(ScriptedNetwork, "max_text_length", return_value=4_096)
    async with build_scenario(database, keys_dir, "слово " * 1_500) as scenario:
        thread = ThreadUnderChange(scenario)
        with longest:
            for part in await scenario.parts():
                assert (await scenario.run_to_end(UUID(part["id"])))["status"] == "published"
        assert len(thread.items) > 1
        thread.answers = [PublishRejected("vk:9", "Позже.", permanent=False), PublishOutcomeUnknown("lost")]
        change = await thread.asked(None)
        assert (await thread.run_to_end(change))["status"] == "done"
        assert thread.texts == []
        assert all(part["withdrawn_at"] for part in await scenario.parts())
        assert len(await thread.events("withdrawn")) == 1
        assert (await thread.ask(NEW)).status_code == 409


@pytest.mark.parametrize("words", [NEW, None])
async def test_change_with_lost_response_is_made_once(thread: ThreadUnderChange, words: str | None) -> None:
    thread.answers = [PublishOutcomeUnknown("lost")]
    done = await thread.run_to_end(await thread.asked(words))
    assert (done["status"], done["attempts"]) == ("done", 1)
    assert thread.texts == ([] if words is None else [NEW])


class Killed(BaseException):
    """Raised where the process is killed."""


@pytest.mark.parametrize("words", [NEW, None])
async def test_change_whose_process_was_killed_after_the_call_is_made_once(
    thread: ThreadUnderChange, words: str | None
) -> None:
    async def killed(reply: ReplyToChange, text: str | None) -> None:
        await thread.change(reply, text)
        raise Killed

    thread.scenario.network.on_change = killed
    change = await thread.asked(words)
    with pytest.raises(Killed):
        await thread.changer.process(change)
    thread.scenario.network.on_change = thread.change
    done = await thread.run_to_end(change)
    assert (done["status"], done["attempts"]) == ("done", 1)
    assert len(thread.scenario.network.changes) == 1


async def test_failed_thread_read_does_not_fail_a_change_finished_by_another_worker(
    thread: ThreadUnderChange,
) -> None:
    thread.answers = [PublishOutcomeUnknown("lost")]
    change = await thread.asked(NEW)
    with pytest.raises(RetryLater):
        await thread.changer.process(change)
    await thread.end_lease()
    await thread.execute("UPDATE publication_changes SET created_at = created_at - interval '2 hours'")

    async def fails_after_the_other_worker(_: OutgoingReply) -> ParsedBatch:
        thread.scenario.network.on_read = thread.read
        await thread.changer.process(change)
        raise ReadFailed("timeout")

    thread.scenario.network.on_read = fails_after_the_other_worker
    await thread.changer.process(change)
    assert (await thread.run_to_end(change))["status"] == "done"
    assert await thread.events("change_failed") == []
    assert len(await thread.events("edited")) == 1


async def test_edit_is_found_although_one_read_of_the_thread_skips_the_reply(thread: ThreadUnderChange) -> None:
    thread.answers = [PublishOutcomeUnknown("lost")]
    before = thread.scenario.network.reads

    async def skips_once(outgoing: OutgoingReply) -> ParsedBatch:
        # A comment deleted between two result pages makes a read skip the one after it.
        return ParsedBatch() if thread.scenario.network.reads == before + 1 else await thread.read(outgoing)

    thread.scenario.network.on_read = skips_once
    assert (await thread.run_to_end(await thread.asked(NEW)))["status"] == "done"
    assert await thread.events("change_failed") == []
    assert thread.texts == [NEW]


@pytest.mark.parametrize("unparsed", [False, True], ids=["refused", "not parsed"])
async def test_edit_does_not_fail_while_the_thread_cannot_be_read(
    thread: ThreadUnderChange, unparsed: bool
) -> None:
    thread.answers = [PublishOutcomeUnknown("lost")]
    change = await thread.asked(NEW)

    async def not_read(_: OutgoingReply) -> ParsedBatch:
        if not unparsed:
            raise ReadFailed("access denied", permanent=True)
        found = ParsedBatch()
        found.parse(lambda raw: raw["text"], {"id": 31})
        return found

    thread.scenario.network.on_read = not_read
    for _ in range(3):
        with pytest.raises(RetryLater):
            await thread.changer.process(change)
        await thread.end_lease()
    thread.scenario.network.on_read = thread.read
    assert (await thread.run_to_end(change))["status"] == "done"
    assert len(thread.scenario.network.changes) == 1


async def test_worker_does_not_read_the_thread_while_a_change_call_may_take_effect(
    thread: ThreadUnderChange,
) -> None:
    thread.answers = [PublishOutcomeUnknown("lost")]
    thread.scenario.network.seconds = 60
    change = await thread.asked(NEW)
    reads = thread.scenario.network.reads
    for _ in range(2):
        with pytest.raises(RetryLater):
            await thread.changer.process(change)
    assert thread.scenario.network.reads == reads
    assert (await thread.run_to_end(change))["attempts"] == 1


async def test_change_call_without_effect_is_made_again(thread: ThreadUnderChange) -> None:
    async def lost(_: ReplyToChange, __: str | None) -> None:
        thread.scenario.network.on_change = thread.change
        raise PublishOutcomeUnknown("never arrived")

    thread.scenario.network.on_change = lost
    done = await thread.run_to_end(await thread.asked(NEW))
    assert (done["status"], done["attempts"], thread.texts) == ("done", 2, [NEW])


async def test_change_call_ends_before_other_workers_stop_waiting_for_it(thread: ThreadUnderChange) -> None:
    deadlines: list[float] = []

    async def change(reply: ReplyToChange, text: str | None) -> None:
        deadlines.append(reply.send_deadline)
        await thread.change(reply, text)

    thread.scenario.network.on_change = change
    began = boottime_seconds()
    await thread.run_to_end(await thread.asked(NEW))
    assert began < deadlines[0] <= boottime_seconds() + thread.scenario.network.publish_timeout()


async def test_refused_withdrawal_does_not_count_as_made_if_the_thread_cannot_be_read(
    thread: ThreadUnderChange,
) -> None:
    async def not_read(_: OutgoingReply) -> ParsedBatch:
        raise ReadFailed("timeout")

    thread.answers = [PublishRejected("vk:243", "Не удалилось.", permanent=True)]
    thread.scenario.network.on_read = not_read
    failed = await thread.run_to_end(await thread.asked(None))
    assert (failed["status"], thread.texts) == ("failed", ["Ответ"])
    assert "vk:243" in failed["failure"]


async def test_edit_after_the_edit_window_fails_with_the_reason(thread: ThreadUnderChange) -> None:
    thread.answers = [PublishRejected("ok:704", "Время для правки вышло.", permanent=True)]
    failed = await thread.run_to_end(await thread.asked(NEW))
    assert failed["status"] == "failed"
    assert "ok:704" in failed["failure"]
    assert thread.texts == ["Ответ"]
    publication = await thread.scenario.system.publication(str(thread.scenario.publication_id))
    assert publication["text"] == "Ответ"
    assert len(await thread.events("change_failed")) == 1


@pytest.mark.parametrize(("words", "status"), [(NEW, "failed"), (None, "done")])
async def test_edit_of_a_manually_deleted_reply_fails_and_its_withdrawal_succeeds(
    thread: ThreadUnderChange, words: str | None, status: str
) -> None:
    thread.items.clear()
    ended = await thread.run_to_end(await thread.asked(words))
    assert ended["status"] == status
    assert words is None or "reply_gone" in ended["failure"]


async def test_second_change_is_refused_while_the_first_is_unfinished(thread: ThreadUnderChange) -> None:
    first = uuid4()
    assert (await thread.ask(NEW, first)).status_code == 201
    assert (await thread.ask(NEW, first)).status_code == 200
    assert (await thread.ask("Иначе", first)).status_code == 422
    assert (await thread.ask("Иначе")).status_code == 409
    await thread.run_to_end(first)
    await thread.run_to_end(await thread.asked("Иначе"))
    assert thread.scenario.network.changes == [("-101_31", NEW), ("-101_31", "Иначе")]


async def test_concurrent_workers_make_one_change_call(thread: ThreadUnderChange) -> None:
    change = await thread.asked(NEW)
    results = await asyncio.gather(*(thread.changer.process(change) for _ in range(3)), return_exceptions=True)
    assert all(result is None or isinstance(result, RetryLater) for result in results), results
    await thread.run_to_end(change)
    assert thread.scenario.network.changes == [("-101_31", NEW)]


async def test_change_fails_after_an_hour_of_temporary_refusals(thread: ThreadUnderChange) -> None:
    thread.answers = [PublishRejected("no_usable_token", "Нет ключа.", permanent=False, was_sent=False)] * 2
    change = await thread.asked(NEW)
    with pytest.raises(RetryLater):
        await thread.changer.process(change)
    await thread.execute("UPDATE publication_changes SET created_at = created_at - interval '2 hours'")
    failed = await thread.run_to_end(change)
    assert (failed["status"], thread.texts) == ("failed", ["Ответ"])
    assert "no_usable_token" in failed["failure"]


async def test_outage_of_the_connection_does_not_fail_a_change(thread: ThreadUnderChange) -> None:
    code, message = "network_unreachable", "Сеть недоступна."
    outage = PublishRejected(code, message, permanent=False, was_sent=False, is_outage=True)
    thread.answers = [outage] * 3
    change = await thread.asked(NEW)
    with pytest.raises(RetryLater):
        await thread.changer.process(change)
    await thread.execute("UPDATE publication_changes SET created_at = created_at - interval '2 hours'")
    done = await thread.run_to_end(change)
    assert (done["status"], done["attempts"], thread.texts) == ("done", 1, [NEW])


@pytest.mark.parametrize("reads", [True, False])
async def test_time_of_an_outage_does_not_count_against_a_change(
    thread: ThreadUnderChange, *, reads: bool
) -> None:
    code, message = "network_unreachable", "Сеть недоступна."
    outage = PublishRejected(code, message, permanent=False, was_sent=False, is_outage=True)
    later = PublishRejected("vk:9", "Позже.", permanent=False)
    thread.answers = [outage, later]
    change = await thread.asked(NEW)
    with pytest.raises(RetryLater):
        await thread.changer.process(change)
    await thread.execute(
        "UPDATE publication_changes SET created_at = created_at - interval '5 hours',"
        " unreachable_since = unreachable_since - interval '5 hours'"
    )
    if reads:
        # The call after the outage is lost, and the thread cannot be read at first.
        await thread.execute(
            "UPDATE publication_changes SET status = 'uncertain', sending_since = now() - interval '1 hour'"
        )
        thread.scenario.network.on_read = mock.AsyncMock(side_effect=ReadFailed("timeout"))
        with pytest.raises(RetryLater):
            await thread.changer.process(change)
        thread.scenario.network.on_read = thread.read
    with pytest.raises(RetryLater):
        await thread.changer.process(change)
    done = await thread.run_to_end(change)
    assert (done["status"], thread.texts) == ("done", [NEW])


async def test_change_fails_after_three_days_without_a_connection(thread: ThreadUnderChange) -> None:
    code, message = "network_unreachable", "Сеть недоступна."
    thread.answers = [PublishRejected(code, message, permanent=False, was_sent=False, is_outage=True)] * 2
    change = await thread.asked(NEW)
    with pytest.raises(RetryLater):
        await thread.changer.process(change)
    await thread.execute("UPDATE publication_changes SET unreachable_since = now() - interval '73 hours'")
    failed = await thread.run_to_end(change)
    assert (failed["status"], thread.texts) == ("failed", ["Ответ"])
    assert "network_unreachable" in failed["failure"]


async def test_dead_lettered_change_fails(thread: ThreadUnderChange) -> None:
    change = await thread.asked(NEW)
    async with thread.scenario.system.ingest.service.database.write() as session:
        await Worker().jobs.on_dead_letter[CHANGE_JOB](session, {"change_id": str(change)}, "a bug")
    assert (await thread.run_to_end(change))["status"] == "failed"
    assert thread.scenario.network.changes == []


async def test_edit_that_needs_more_parts_than_the_reply_has_is_refused(thread: ThreadUnderChange) -> None:
    refused = await thread.ask("д" * 4_097)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/text"


PARTS = [letter * 4_000 for letter in "абв"]


@pytest.fixture
async def long_thread(database: TestDatabase, keys_dir: Path) -> AsyncIterator[ThreadUnderChange]:
    """A thread with our reply in three parts."""
    longest = mock.patch.object(ScriptedNetwork, "max_text_length", return_value=4_096)
    async with build_scenario(database, keys_dir, " ".join(PARTS)) as scenario:
        made = ThreadUnderChange(scenario)
        with longest:
            for part in await scenario.parts():
                assert (await scenario.run_to_end(UUID(part["id"])))["status"] == "published"
        assert made.texts == PARTS
        await scenario.receive(*made.items.values())
        yield made


async def shown_parts(thread: ThreadUnderChange) -> list[str | None]:
    """Return the texts of the parts that are not withdrawn, as the API shows them."""
    return [part["text"] for part in await thread.scenario.parts() if part["withdrawn_at"] is None]


async def test_edit_of_parts_changes_each_changed_part_once(long_thread: ThreadUnderChange) -> None:
    new = [PARTS[0], "г" * 4_000, "д" * 4_000]
    long_thread.answers = [PublishRejected("vk:9", "Позже.", permanent=False), PublishOutcomeUnknown("lost")]
    done = await long_thread.run_to_end(await long_thread.asked("\n\n".join(new)))
    assert (done["status"], long_thread.texts) == ("done", new)
    # The second part is called twice: refused, then made with a lost response that the thread shows.
    assert [text for _, text in long_thread.scenario.network.changes] == [new[1], new[1], new[2]]
    assert await shown_parts(long_thread) == new
    assert len(await long_thread.events("edited")) == 1
    assert len(await long_thread.scenario.system.events("message.edited")) == 2


@pytest.mark.parametrize("calls", [1, 2, 3])
async def test_edit_of_parts_continues_after_the_parts_made_before_a_kill(
    long_thread: ThreadUnderChange, calls: int
) -> None:
    new = [letter * 4_000 for letter in "где"]

    async def killed(reply: ReplyToChange, text: str | None) -> None:
        await long_thread.change(reply, text)
        if len(long_thread.scenario.network.changes) == calls:
            raise Killed

    long_thread.scenario.network.on_change = killed
    change = await long_thread.asked(" ".join(new))
    with pytest.raises(Killed):
        await long_thread.changer.process(change)
    assert long_thread.texts == new[:calls] + PARTS[calls:]
    done = await long_thread.run_to_end(change)
    assert (done["status"], done["attempts"], long_thread.texts) == ("done", 3, new)
    assert [text for _, text in long_thread.scenario.network.changes] == new


async def test_shorter_edit_deletes_the_superfluous_parts(long_thread: ThreadUnderChange) -> None:
    long_thread.answers = [PublishOutcomeUnknown("lost"), PublishOutcomeUnknown("lost")]
    assert (await long_thread.run_to_end(await long_thread.asked(NEW)))["status"] == "done"
    assert long_thread.texts == [NEW]
    assert [text for _, text in long_thread.scenario.network.changes] == [NEW, None, None]
    assert await shown_parts(long_thread) == [NEW]
    assert (await long_thread.events("withdrawn"), len(await long_thread.events("edited"))) == ([], 1)
    # Deleted parts cannot be published again: the reply has one part from now on.
    refused = await long_thread.ask(" ".join(PARTS))
    assert refused.status_code == 422
    assert "the reply has 1" in refused.json()["errors"][0]["detail"]
    await long_thread.run_to_end(await long_thread.asked(None))
    assert long_thread.texts == []


async def test_partly_made_edit_is_retried_for_a_day_then_fails_with_the_published_text(
    long_thread: ThreadUnderChange,
) -> None:
    new = [letter * 4_000 for letter in "где"]
    later = PublishRejected("vk:9", "Позже.", permanent=False)
    long_thread.answers = [cast("Exception", None), *[later] * 3]
    change = await long_thread.asked(" ".join(new))
    with pytest.raises(RetryLater):
        await long_thread.changer.process(change)
    # After an hour only a change that has changed no part fails.
    await long_thread.execute("UPDATE publication_changes SET created_at = created_at - interval '2 hours'")
    with pytest.raises(RetryLater):
        await long_thread.changer.process(change)
    await long_thread.execute("UPDATE publication_changes SET created_at = created_at - interval '1 day'")
    failed = await long_thread.run_to_end(change)
    assert failed["status"] == "failed"
    assert "Исправлено частей ответа: 1 из 3" in failed["failure"]
    assert await shown_parts(long_thread) == [new[0], *PARTS[1:]] == long_thread.texts
    # The same edit requested again edits only the remaining parts.
    long_thread.answers = []
    long_thread.scenario.network.changes.clear()
    assert (await long_thread.run_to_end(await long_thread.asked(" ".join(new))))["status"] == "done"
    assert [text for _, text in long_thread.scenario.network.changes] == new[1:]


async def test_edit_of_parts_fails_if_a_part_was_deleted_manually(long_thread: ThreadUnderChange) -> None:
    del long_thread.items[next(reversed(long_thread.items))]
    failed = await long_thread.run_to_end(await long_thread.asked(" ".join(letter * 4_000 for letter in "где")))
    assert failed["status"] == "failed"
    assert "reply_gone" in failed["failure"]
    assert "2 из 3" in failed["failure"]


def photos(*ids: UUID) -> list[dict[str, str]]:
    """Return photos as the appeals service describes them in a request."""
    return [{"id": str(one), "name": "двор.jpg", "content_type": "image/jpeg"} for one in ids]


async def test_edit_replaces_the_photos_of_a_reply(thread: ThreadUnderChange) -> None:
    async def upload(photo: Any) -> str:
        return f"photo{UUID(bytes=photo.content)}"

    thread.scenario.network.on_upload = upload
    first, second = uuid4(), uuid4()
    await thread.run_to_end(await thread.asked(NEW, attachments=photos(first)))
    # The text stays and the response is lost: the thread does not show the photos, so the call is repeated.
    thread.answers = [PublishOutcomeUnknown("lost")]
    await thread.run_to_end(await thread.asked(NEW, attachments=photos(second, first)))
    await thread.run_to_end(await thread.asked("Иначе"))
    await thread.run_to_end(await thread.asked(NEW, attachments=[]))
    both = (f"photo{second}", f"photo{first}")
    assert thread.media == [(f"photo{first}",), both, both, both, ()]
    assert thread.scenario.network.uploads == 2
    (part,) = await thread.scenario.parts()
    assert part["attachments"] == []


async def test_edit_with_a_refused_photo_fails_before_anything_is_changed(thread: ThreadUnderChange) -> None:
    async def refuse(_: Any) -> str:
        raise PublishRejected("vk:photo_refused", "Фото не принято.", permanent=True, was_sent=False)

    thread.scenario.network.on_upload = refuse
    failed = await thread.run_to_end(await thread.asked(NEW, attachments=photos(uuid4())))
    assert failed["status"] == "failed"
    assert "photo_refused" in failed["failure"]
    assert (thread.texts, thread.scenario.network.changes) == (["Ответ"], [])
