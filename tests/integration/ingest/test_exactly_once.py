"""Publishing is exactly once despite retries, clock skew and unreadable threads."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from unittest import mock
from uuid import UUID

import pytest

from services.ingest.networks.port import (
    NetworkAdapter,
    OutgoingReply,
    ParsedBatch,
    PublishedReply,
    PublishOutcomeUnknown,
    PublishRejected,
    ReadFailed,
)
from services.ingest.publishing.publisher import PUBLISH_JOB, Publisher
from services.ingest.worker import Worker
from shared import clock
from shared.jobs import RetryLater
from tests.conftest import TestDatabase
from tests.integration.ingest.scripted_network import Scene, made_scene


@pytest.fixture
async def scene(database: TestDatabase, keys_dir: Path) -> AsyncIterator[Scene]:
    """A queued reply."""
    async with made_scene(database, keys_dir) as made:
        yield made


class Standing:
    """The content of the network's thread; every publishing call takes effect."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.items: list[Any] = []
        self.lost = 0
        scene.network.on_publish = self.publish
        scene.network.thread = ParsedBatch(self.items)

    def stands(self, number: int, text: str, **changes: Any) -> None:
        """Add a comment of the community."""
        self.items.append(self.scene.spoken(number, text, change="observed", **changes))

    async def publish(self, outgoing: OutgoingReply) -> PublishedReply:
        """Publish the reply; the first `lost` calls get no response."""
        number = 30 + self.scene.network.calls
        self.stands(number, outgoing.text)
        if self.scene.network.calls <= self.lost:
            raise PublishOutcomeUnknown("lost")
        return PublishedReply(f"-101_{number}", "u")

    @property
    def texts(self) -> list[str]:
        """Return the texts in the thread."""
        return [item.text for item in self.items]


async def given_up(scene: Scene) -> None:
    """Lose all calls, so that the publication fails; one lost call represents all attempts."""

    async def publish(_: OutgoingReply) -> PublishedReply:
        raise PublishOutcomeUnknown("lost")

    scene.network.on_publish = publish
    with pytest.raises(RetryLater):
        await scene.publisher.process(scene.publication_id)
    with mock.patch("services.ingest.publishing.publisher.MAX_SILENT_ATTEMPTS", 1):
        assert (await scene.carry_through())["failure"]["code"] == "no_response"


async def test_retried_reply_is_published_once_after_late_effect(scene: Scene) -> None:
    await given_up(scene)
    network = Standing(scene)
    network.stands(40, "Ответ")  # the last call took effect after all, unnoticed
    again = await scene.retry()
    assert (again.status_code, again.json()["status"]) == (202, "uncertain")
    done = await scene.carry_through()
    assert (done["status"], done["external_id"]) == ("published", "-101_40")
    assert network.texts == ["Ответ"]
    assert len(await scene.system.events("publication.published")) == 1


async def test_repeated_retry_request_is_processed_once(scene: Scene) -> None:
    await given_up(scene)
    network = Standing(scene)
    first, repeated = await scene.retry("Ответ"), await scene.retry("Ответ")
    assert (first.status_code, repeated.status_code) == (202, 202)
    assert first.json() == repeated.json()
    assert (await scene.retry("Другой ответ")).status_code == 409
    assert (await scene.carry_through())["status"] == "published"
    assert (await scene.retry("Ответ")).json()["status"] == "published"
    assert network.texts == ["Ответ"]


async def test_reply_of_dead_lettered_job_fails_and_retry_publishes_once(scene: Scene) -> None:
    network = Standing(scene)
    network.lost = 1
    with pytest.raises(RetryLater):
        await scene.publisher.process(scene.publication_id)

    async def broken(_: OutgoingReply) -> ParsedBatch:
        raise ValueError("a fault of ours")

    scene.network.on_read = broken
    with pytest.raises(ValueError, match="of ours"):
        await scene.carry_through()
    async with scene.system.ingest.service.database.write() as session:
        await Worker().jobs.on_dead_letter[PUBLISH_JOB](
            session, {"publication_id": str(scene.publication_id)}, "of ours"
        )
    failed = await scene.system.publication(str(scene.publication_id))
    assert (failed["status"], failed["failure"]["code"]) == ("failed", "job_dead_lettered")
    assert len(await scene.system.events("publication.failed")) == 1
    scene.network.on_read = None
    assert (await scene.retry()).json()["status"] == "uncertain"
    assert (await scene.carry_through())["status"] == "published"
    assert network.texts == ["Ответ"]


async def test_failed_reply_is_published_when_its_comment_is_seen(scene: Scene) -> None:
    await given_up(scene)
    await scene.hear(scene.spoken(40))
    assert (await scene.system.publication(str(scene.publication_id)))["external_id"] == "-101_40"
    assert await scene.link(40) == scene.publication_id
    assert len(await scene.system.events("publication.published")) == 1
    assert (await scene.retry()).status_code == 409


async def test_retry_matches_stored_comment_of_reply(scene: Scene) -> None:
    await given_up(scene)
    await scene.hear(scene.spoken(40))
    # As an earlier version left it: failed, and its comment stored without a link.
    await scene.system.eye.execute("UPDATE messages SET publication_id = NULL")
    await scene.system.eye.execute(
        "UPDATE publications SET status = 'failed', external_id = NULL, url = NULL, published_at = NULL"
    )
    network = Standing(scene)
    scene.network.thread = None  # the thread need not be read
    assert (await scene.retry()).status_code == 202
    done = await scene.carry_through()
    assert (done["external_id"], network.texts) == ("-101_40", [])


async def test_deleted_comment_does_not_match_retried_reply(scene: Scene) -> None:
    await given_up(scene)
    await scene.hear(scene.spoken(40, "Другое"))
    await scene.system.eye.execute("UPDATE messages SET text = 'Ответ', deleted_at = now() WHERE from_community")
    network = Standing(scene)
    await scene.retry()
    assert (await scene.carry_through())["external_id"] != "-101_40"
    assert network.texts == ["Ответ"]


@pytest.mark.parametrize("minutes", [-5, -3, 5])
async def test_lost_reply_is_matched_despite_network_clock_skew(scene: Scene, minutes: int) -> None:
    written_at = datetime.now(UTC) + timedelta(minutes=minutes)

    async def publish(outgoing: OutgoingReply) -> PublishedReply:
        network.stands(30 + scene.network.calls, outgoing.text, written_at=written_at)
        raise PublishOutcomeUnknown("lost")

    network = Standing(scene)
    scene.network.on_publish = publish
    done = await scene.carry_through()
    assert (done["external_id"], network.texts) == ("-101_31", ["Ответ"])


@pytest.mark.parametrize("minutes", [-5, 5])
async def test_worker_with_skewed_clock_waits_until_call_is_over(scene: Scene, minutes: int) -> None:
    network = Standing(scene)
    publish = network.publish

    over = asyncio.Event()

    async def slow(outgoing: OutgoingReply) -> PublishedReply:
        await over.wait()
        return await publish(outgoing)

    scene.network.on_publish = slow
    first = asyncio.create_task(scene.carry_through())
    while not scene.network.calls:
        await asyncio.sleep(0.02)
    skewed = clock.now() + timedelta(minutes=minutes)
    with mock.patch("shared.clock.now", return_value=skewed), pytest.raises(RetryLater):
        await scene.publisher.process(scene.publication_id)
    over.set()
    assert (await first)["status"] == "published"
    assert network.texts == ["Ответ"]


async def test_unreadable_thread_prevents_resending(scene: Scene) -> None:
    async def publish(_: OutgoingReply) -> PublishedReply:
        raise PublishOutcomeUnknown("lost")

    async def refuse(_: OutgoingReply) -> ParsedBatch:
        raise ReadFailed("access denied", permanent=True)

    scene.network.on_publish, scene.network.on_read = publish, refuse
    for _ in range(4):
        with pytest.raises(RetryLater):
            await scene.publisher.process(scene.publication_id)
        await scene.end_lease()
    assert (scene.network.calls, scene.network.reads > 0) == (1, True)
    await scene.system.eye.execute("UPDATE publications SET updated_at = updated_at - interval '11 minutes'")
    await scene.publisher.process(scene.publication_id)
    shown = await scene.system.publication(str(scene.publication_id))
    assert (shown["status"], shown["failure"]["code"]) == ("failed", "thread_not_readable")
    # The thread is readable again and does not contain the reply.
    network = Standing(scene)
    scene.network.on_read = None
    await scene.retry()
    assert (await scene.carry_through())["status"] == "published"
    assert network.texts == ["Ответ"]


async def test_unparsed_comment_makes_thread_read_incomplete(scene: Scene) -> None:
    network = Standing(scene)
    network.lost = 1
    stood = network.items[:]
    broken = ParsedBatch(stood)
    broken.parse(lambda raw: raw["text"], {"id": 31})
    scene.network.thread = broken
    for _ in range(3):
        with pytest.raises(RetryLater):
            await scene.publisher.process(scene.publication_id)
        await scene.end_lease()
    assert scene.network.calls == 1
    scene.network.thread = ParsedBatch(network.items)
    assert (await scene.carry_through())["external_id"] == "-101_31"


async def test_read_before_another_workers_call_prevents_resending(scene: Scene) -> None:
    """A worker reads the thread and stalls; it resumes after another worker has made a call."""
    network = Standing(scene)
    network.lost = 2
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def nothing(_: OutgoingReply) -> ParsedBatch:
        return ParsedBatch()

    async def stalls(_: OutgoingReply) -> ParsedBatch:
        if not reading.is_set():
            reading.set()
            await go_on.wait()
        return ParsedBatch()

    async def lost_without_effect(_: OutgoingReply) -> PublishedReply:
        raise PublishOutcomeUnknown("lost")

    async def until_uncertain(calls: int) -> None:
        while scene.network.calls < calls:
            with pytest.raises(RetryLater):
                await scene.publisher.process(scene.publication_id)
            await scene.end_lease()

    scene.network.on_publish, scene.network.on_read = lost_without_effect, nothing
    await until_uncertain(1)
    scene.network.on_read = stalls
    stalled = asyncio.create_task(scene.publisher.process(scene.publication_id))
    await reading.wait()
    scene.network.on_publish = network.publish
    await until_uncertain(2)
    go_on.set()
    await stalled
    assert network.texts == ["Ответ"]
    scene.network.on_read = None
    assert (await scene.carry_through())["status"] == "published"
    assert network.texts == ["Ответ"]


async def test_temporary_rejection_after_lost_call_still_requires_read(scene: Scene) -> None:
    network = Standing(scene)
    publish = network.publish
    late: list[OutgoingReply] = []

    async def lost_then_refused(outgoing: OutgoingReply) -> PublishedReply:
        if scene.network.calls == 1:
            late.append(outgoing)
            raise PublishOutcomeUnknown("lost")
        if scene.network.calls == 2:
            network.stands(30, late[0].text)  # the first call takes effect now
            raise PublishRejected("vk:6", "Медленнее.", permanent=False, retry_after=0.1)
        return await publish(outgoing)

    scene.network.on_publish = lost_then_refused
    assert (await scene.carry_through())["external_id"] == "-101_30"
    assert network.texts == ["Ответ"]


@pytest.mark.parametrize(("code", "sent"), [("vk:6", True), ("network_unreachable", False)])
async def test_rejected_call_is_repeated_without_reading_thread(scene: Scene, code: str, *, sent: bool) -> None:
    network = Standing(scene)
    publish = network.publish
    scene.network.thread = None

    async def refused_first(outgoing: OutgoingReply) -> PublishedReply:
        if scene.network.calls == 1:
            raise PublishRejected(code, "Позже.", permanent=False, retry_after=0.1, was_sent=sent)
        return await publish(outgoing)

    scene.network.on_publish = refused_first
    assert (await scene.carry_through())["status"] == "published"
    assert (network.texts, scene.network.reads) == (["Ответ"], 0)


async def test_earlier_manual_comment_with_same_text_does_not_match(scene: Scene) -> None:
    network = Standing(scene)
    network.stands(20, "Ответ")
    await scene.hear(*network.items)

    async def lost_without_effect(outgoing: OutgoingReply) -> PublishedReply:
        if scene.network.calls == 1:
            raise PublishOutcomeUnknown("lost")
        network.stands(31, outgoing.text)
        return PublishedReply("-101_31", "u")

    scene.network.on_publish = lost_without_effect
    assert (await scene.carry_through())["external_id"] == "-101_31"
    assert network.texts == ["Ответ", "Ответ"]
    assert await scene.link(20) is None


async def test_old_comment_stored_late_does_not_match_failed_reply(scene: Scene) -> None:
    await given_up(scene)
    await scene.hear(scene.spoken(5))  # earlier than the question (number 7): history that was read only now
    assert (await scene.system.publication(str(scene.publication_id)))["status"] == "failed"
    assert await scene.link(5) is None


async def test_manual_comment_with_same_text_after_failure_matches(scene: Scene) -> None:
    await given_up(scene)
    network = Standing(scene)
    network.stands(50, "Ответ")
    await scene.retry()
    assert (await scene.carry_through())["external_id"] == "-101_50"
    assert network.texts == ["Ответ"]


async def test_corrected_reply_is_not_sent_if_former_text_is_published(scene: Scene) -> None:
    await given_up(scene)
    network = Standing(scene)
    network.stands(40, "Ответ")
    await scene.retry("Ответ получше")
    done = await scene.carry_through()
    assert (done["external_id"], done["text"]) == ("-101_40", "Ответ")
    assert network.texts == ["Ответ"]


async def test_lost_reply_is_matched_without_reply_to(scene: Scene) -> None:
    """Push stores the comment before the response is lost; in discussions a comment has no `reply_to`."""
    place: dict[str, Any] = {"thread_key": "vk:-101_board3", "reply_to": None}
    await scene.system.eye.execute("UPDATE publications SET thread_key = 'vk:-101_board3'")

    async def publish(_: OutgoingReply) -> PublishedReply:
        await scene.hear(scene.spoken(31, external_id="-101_board3_31", **place))
        raise PublishOutcomeUnknown("lost")

    scene.network.on_publish = publish
    done = await scene.carry_through()
    assert (done["external_id"], scene.network.calls) == ("-101_board3_31", 1)


async def test_retried_reply_waits_for_later_one_in_flight(scene: Scene) -> None:
    await given_up(scene)
    network = Standing(scene)
    publish = network.publish
    go_on = asyncio.Event()

    async def held(outgoing: OutgoingReply) -> PublishedReply:
        await go_on.wait()
        return await publish(outgoing)

    scene.network.on_publish = held
    calls = scene.network.calls
    later = await scene.system.answer(scene.question_id, "Второй")
    first = asyncio.create_task(scene.publisher.process(UUID(later["id"])))
    while scene.network.calls == calls:
        await asyncio.sleep(0.02)
    assert (await scene.retry()).status_code == 202
    with pytest.raises(RetryLater):
        await scene.publisher.process(scene.publication_id)
    go_on.set()
    await first
    assert (await scene.carry_through())["status"] == "published"
    assert network.texts == ["Второй", "Ответ"]


async def test_response_id_overrides_match_by_text(scene: Scene) -> None:
    """A failed reply and a new one with the same text: each is linked to its own comment."""
    await given_up(scene)
    again = await scene.system.answer(scene.question_id, "Ответ")

    async def publish(_: OutgoingReply) -> PublishedReply:
        await scene.hear(scene.spoken(30))  # the failed reply's late comment, mistaken for the new one's
        await scene.hear(scene.spoken(31))  # the new reply's comment
        return PublishedReply("-101_31", "u")

    scene.network.on_publish = publish
    done = await scene.carry_through(UUID(again["id"]))
    failed = await scene.system.publication(str(scene.publication_id))
    assert (done["external_id"], failed["external_id"]) == ("-101_31", "-101_30")
    assert (await scene.link(30), await scene.link(31)) == (scene.publication_id, UUID(again["id"]))


async def test_worker_stalled_after_sending_state_makes_no_call(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Standing(scene)
    moments = iter([100.0, 100.0 + scene.network.publish_timeout()])
    monkeypatch.setattr("services.ingest.publishing.publisher.boottime_seconds", lambda: next(moments))
    with pytest.raises(RetryLater):
        await scene.publisher.process(scene.publication_id)
    assert (scene.network.calls, network.texts) == (0, [])
    monkeypatch.undo()
    assert (await scene.carry_through())["status"] == "published"
    assert (network.texts, scene.network.reads) == (["Ответ"], 0)


async def test_two_workers_resend_lost_reply_once(scene: Scene) -> None:
    network = Standing(scene)

    async def publish(outgoing: OutgoingReply) -> PublishedReply:
        if scene.network.calls == 1:
            raise PublishOutcomeUnknown("lost")
        await asyncio.sleep(0.1)  # other workers try meanwhile
        network.stands(31, outgoing.text)
        return PublishedReply("-101_31", "u")

    scene.network.on_publish = publish
    with pytest.raises(RetryLater):
        await scene.publisher.process(scene.publication_id)
    await scene.end_lease()
    other = Publisher(
        scene.system.ingest.service.database,
        scene.feed,
        {"vk": cast("NetworkAdapter", scene.network)},
        settle_seconds=0.1,
    )

    async def work(publisher: Publisher) -> None:
        for _ in range(30):
            try:
                await publisher.process(scene.publication_id)
            except RetryLater:
                await asyncio.sleep(0.1)

    await asyncio.gather(work(scene.publisher), work(other), work(other))
    assert (network.texts, scene.network.calls) == (["Ответ"], 2)


LOGGED = """
CREATE TABLE waited (setting text);
CREATE FUNCTION note_wait() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO waited VALUES (current_setting('synchronous_commit'));
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER note_wait AFTER UPDATE ON publications DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.status = 'sending' AND OLD.status <> 'sending') EXECUTE FUNCTION note_wait();
"""


@pytest.mark.parametrize(("usual", "then"), [("off", "on"), ("remote_apply", "remote_apply")])
async def test_sending_state_is_on_standby_before_call(
    database: TestDatabase, keys_dir: Path, usual: str, then: str
) -> None:
    """Even with asynchronous commits elsewhere, `sending` is on the standby before the network is called."""
    owner = await database.connect()
    await owner.execute(f"ALTER DATABASE {database.name} SET synchronous_commit = {usual}")
    await owner.execute(LOGGED)
    async with made_scene(database, keys_dir) as scene:
        Standing(scene)
        assert (await scene.carry_through())["status"] == "published"
    assert await owner.fetch("SELECT setting FROM waited") == [(then,)]
    await owner.close()
