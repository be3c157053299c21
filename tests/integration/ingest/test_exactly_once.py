"""Publishing is exactly once despite retries, clock skew and unreadable threads."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from unittest import mock
from uuid import UUID

import pytest
import time_machine
from sqlalchemy import text

from services.ingest.networks.calls import boottime_seconds
from services.ingest.networks.port import (
    NetworkAdapter,
    OutgoingReply,
    ParsedBatch,
    PublishedReply,
    PublishOutcomeUnknown,
    PublishRejected,
    ReadFailed,
)
from services.ingest.publishing.publisher import MAX_ATTEMPTS, PUBLISH_JOB, Publisher
from services.ingest.worker import Worker
from shared import clock
from shared.jobs import RetryLater
from tests.conftest import TestDatabase
from tests.integration.ingest.scripted_network import PublicationScenario, build_scenario


@pytest.fixture
async def scenario(database: TestDatabase, keys_dir: Path) -> AsyncIterator[PublicationScenario]:
    """A queued reply."""
    async with build_scenario(database, keys_dir) as made:
        yield made


class PublishedComments:
    """The content of the network's thread, in which every publishing call takes effect."""

    def __init__(self, scenario: PublicationScenario) -> None:
        self.scenario = scenario
        self.items: list[Any] = []
        self.lost = 0
        scenario.network.on_publish = self.publish
        scenario.network.thread = ParsedBatch(self.items)

    def add_comment(self, number: int, text: str, **changes: Any) -> None:
        """Add a comment of the community to the thread."""
        self.items.append(self.scenario.community_comment(number, text, change="observed", **changes))

    async def publish(self, outgoing: OutgoingReply) -> PublishedReply:
        """Publish the reply; the first `lost` calls get no response."""
        number = 30 + self.scenario.network.calls
        self.add_comment(number, outgoing.text)
        if self.scenario.network.calls <= self.lost:
            raise PublishOutcomeUnknown("lost")
        return PublishedReply(f"-101_{number}", "u")

    @property
    def texts(self) -> list[str]:
        """Return the texts in the thread."""
        return [item.text for item in self.items]


async def given_up(scenario: PublicationScenario) -> None:
    """Let the publication fail after a lost call, as after the maximum number of lost calls."""

    async def publish(_: OutgoingReply) -> PublishedReply:
        raise PublishOutcomeUnknown("lost")

    scenario.network.on_publish = publish
    with pytest.raises(RetryLater):
        await scenario.publisher.process(scenario.publication_id)
    with mock.patch("services.ingest.publishing.publisher.MAX_SILENT_ATTEMPTS", 1):
        assert (await scenario.run_to_end())["failure"]["code"] == "no_response"


async def test_retried_reply_is_published_once_after_late_effect(scenario: PublicationScenario) -> None:
    await given_up(scenario)
    network = PublishedComments(scenario)
    network.add_comment(40, "Ответ")  # the last call took effect later, unnoticed
    again = await scenario.retry()
    assert (again.status_code, again.json()["status"]) == (202, "uncertain")
    done = await scenario.run_to_end()
    assert (done["status"], done["external_id"]) == ("published", "-101_40")
    assert network.texts == ["Ответ"]
    assert len(await scenario.system.events("publication.published")) == 1


async def test_repeated_retry_request_is_processed_once(scenario: PublicationScenario) -> None:
    await given_up(scenario)
    network = PublishedComments(scenario)
    first, repeated = await scenario.retry("Ответ"), await scenario.retry("Ответ")
    assert (first.status_code, repeated.status_code) == (202, 202)
    assert first.json() == repeated.json()
    assert (await scenario.retry("Другой ответ")).status_code == 409
    assert (await scenario.run_to_end())["status"] == "published"
    assert (await scenario.retry("Ответ")).json()["status"] == "published"
    assert network.texts == ["Ответ"]


async def test_reply_of_dead_lettered_job_fails_and_retry_publishes_once(scenario: PublicationScenario) -> None:
    network = PublishedComments(scenario)
    network.lost = 1
    with pytest.raises(RetryLater):
        await scenario.publisher.process(scenario.publication_id)

    async def broken(_: OutgoingReply) -> ParsedBatch:
        raise ValueError("a fault of ours")

    scenario.network.on_read = broken
    with pytest.raises(ValueError, match="of ours"):
        await scenario.run_to_end()
    async with scenario.system.ingest.service.database.write() as session:
        await Worker().jobs.on_dead_letter[PUBLISH_JOB](
            session, {"publication_id": str(scenario.publication_id)}, "of ours"
        )
    failed = await scenario.system.publication(str(scenario.publication_id))
    assert (failed["status"], failed["failure"]["code"]) == ("failed", "job_dead_lettered")
    assert len(await scenario.system.events("publication.failed")) == 1
    scenario.network.on_read = None
    assert (await scenario.retry()).json()["status"] == "uncertain"
    assert (await scenario.run_to_end())["status"] == "published"
    assert network.texts == ["Ответ"]


async def test_failed_reply_is_recorded_as_published_when_its_comment_is_received(
    scenario: PublicationScenario,
) -> None:
    await given_up(scenario)
    await scenario.receive(scenario.community_comment(40))
    assert (await scenario.system.publication(str(scenario.publication_id)))["external_id"] == "-101_40"
    assert await scenario.link(40) == scenario.publication_id
    assert len(await scenario.system.events("publication.published")) == 1
    assert (await scenario.retry()).status_code == 409


async def test_retry_matches_stored_comment_of_reply(scenario: PublicationScenario) -> None:
    await given_up(scenario)
    await scenario.receive(scenario.community_comment(40))
    # The state that an earlier release left: a failed reply, and its comment stored without a link.
    await scenario.system.raw_connection.execute("UPDATE messages SET publication_id = NULL")
    await scenario.system.raw_connection.execute(
        "UPDATE publications SET status = 'failed', external_id = NULL, url = NULL, published_at = NULL"
    )
    network = PublishedComments(scenario)
    scenario.network.thread = None  # the thread need not be read
    assert (await scenario.retry()).status_code == 202
    done = await scenario.run_to_end()
    assert (done["external_id"], network.texts) == ("-101_40", [])


async def test_deleted_comment_does_not_match_retried_reply(scenario: PublicationScenario) -> None:
    await given_up(scenario)
    await scenario.receive(scenario.community_comment(40, "Другое"))
    await scenario.system.raw_connection.execute(
        "UPDATE messages SET text = 'Ответ', deleted_at = now() WHERE from_community"
    )
    network = PublishedComments(scenario)
    await scenario.retry()
    assert (await scenario.run_to_end())["external_id"] != "-101_40"
    assert network.texts == ["Ответ"]


@pytest.mark.parametrize("minutes", [-5, -3, 5])
async def test_lost_reply_is_matched_despite_network_clock_skew(
    scenario: PublicationScenario, minutes: int
) -> None:
    written_at = datetime.now(UTC) + timedelta(minutes=minutes)

    async def publish(outgoing: OutgoingReply) -> PublishedReply:
        network.add_comment(30 + scenario.network.calls, outgoing.text, written_at=written_at)
        raise PublishOutcomeUnknown("lost")

    network = PublishedComments(scenario)
    scenario.network.on_publish = publish
    done = await scenario.run_to_end()
    assert (done["external_id"], network.texts) == ("-101_31", ["Ответ"])


def _delay_publishing(scenario: PublicationScenario, network: PublishedComments) -> asyncio.Event:
    """Let calls that publish wait for the returned event."""
    publish, over = network.publish, asyncio.Event()

    async def slow(outgoing: OutgoingReply) -> PublishedReply:
        await over.wait()
        return await publish(outgoing)

    scenario.network.on_publish = slow
    return over


@pytest.mark.parametrize("minutes", [-5, 5])
async def test_worker_with_skewed_clock_waits_until_call_is_over(
    scenario: PublicationScenario, minutes: int
) -> None:
    network = PublishedComments(scenario)
    over = _delay_publishing(scenario, network)
    first = asyncio.create_task(scenario.run_to_end())
    while not scenario.network.calls:
        await asyncio.sleep(0.02)
    skewed = clock.now() + timedelta(minutes=minutes)
    with mock.patch("shared.clock.now", return_value=skewed), pytest.raises(RetryLater):
        await scenario.publisher.process(scenario.publication_id)
    over.set()
    assert (await first)["status"] == "published"
    assert network.texts == ["Ответ"]


async def test_call_of_a_worker_with_a_slow_clock_is_waited_for(scenario: PublicationScenario) -> None:
    network = PublishedComments(scenario)
    over = _delay_publishing(scenario, network)
    with mock.patch("shared.clock.now", return_value=clock.now() - timedelta(minutes=5)):
        first = asyncio.create_task(scenario.run_to_end())
        while not scenario.network.calls:
            await asyncio.sleep(0.02)
    with pytest.raises(RetryLater):
        await scenario.publisher.process(scenario.publication_id)
    assert scenario.network.reads == 0
    over.set()
    assert (await first)["status"] == "published"
    assert network.texts == ["Ответ"]


def test_send_deadline_does_not_move_when_the_clock_of_the_machine_is_set() -> None:
    began = boottime_seconds()
    with time_machine.travel(0):
        assert 0 <= boottime_seconds() - began < 60


async def test_unreadable_thread_prevents_resending(scenario: PublicationScenario) -> None:
    async def publish(_: OutgoingReply) -> PublishedReply:
        raise PublishOutcomeUnknown("lost")

    async def refuse(_: OutgoingReply) -> ParsedBatch:
        raise ReadFailed("access denied", permanent=True)

    scenario.network.on_publish, scenario.network.on_read = publish, refuse
    for _ in range(4):
        with pytest.raises(RetryLater):
            await scenario.publisher.process(scenario.publication_id)
        await scenario.end_lease()
    assert (scenario.network.calls, scenario.network.reads > 0) == (1, True)
    await scenario.system.raw_connection.execute(
        "UPDATE publications SET updated_at = updated_at - interval '11 minutes'"
    )
    await scenario.publisher.process(scenario.publication_id)
    shown = await scenario.system.publication(str(scenario.publication_id))
    assert (shown["status"], shown["failure"]["code"]) == ("failed", "thread_not_readable")
    # The thread is readable again and does not contain the reply.
    network = PublishedComments(scenario)
    scenario.network.on_read = None
    await scenario.retry()
    assert (await scenario.run_to_end())["status"] == "published"
    assert network.texts == ["Ответ"]


async def test_reply_requested_again_for_another_thread_is_refused(scenario: PublicationScenario) -> None:
    elsewhere = scenario.community_comment(
        8, "Вопрос", thread_key="vk:-101_4", from_community=False, reply_to=None
    )
    await scenario.receive(elsewhere)
    message = await scenario.system.stored("-101_8")
    reply = UUID((await scenario.system.publication(str(scenario.publication_id)))["reply_id"])
    assert message is not None
    with pytest.raises(AssertionError, match="a different text, photo or message"):
        await scenario.system.answer(message["id"], "Ответ", reply)


async def test_unparsed_comment_makes_thread_read_incomplete(scenario: PublicationScenario) -> None:
    network = PublishedComments(scenario)
    network.lost = 1
    stood = network.items[:]
    broken = ParsedBatch(stood)
    broken.parse(lambda raw: raw["text"], {"id": 31})
    scenario.network.thread = broken
    for _ in range(3):
        with pytest.raises(RetryLater):
            await scenario.publisher.process(scenario.publication_id)
        await scenario.end_lease()
    assert scenario.network.calls == 1
    scenario.network.thread = ParsedBatch(network.items)
    assert (await scenario.run_to_end())["external_id"] == "-101_31"


async def test_reply_skipped_by_one_read_of_the_thread_is_not_sent_again(scenario: PublicationScenario) -> None:
    network = PublishedComments(scenario)
    network.lost = 1

    async def skips_once(_: OutgoingReply) -> ParsedBatch:
        # A comment deleted between two result pages makes a read skip the one after it.
        return ParsedBatch([] if scenario.network.reads == 1 else network.items)

    scenario.network.on_read = skips_once
    assert (await scenario.run_to_end())["external_id"] == "-101_31"
    assert network.texts == ["Ответ"]


async def test_thread_read_before_another_workers_call_does_not_allow_resending(
    scenario: PublicationScenario,
) -> None:
    """A worker stalls after it has read the thread, and resumes after another worker has made a call."""
    network = PublishedComments(scenario)
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
        while scenario.network.calls < calls:
            with pytest.raises(RetryLater):
                await scenario.publisher.process(scenario.publication_id)
            await scenario.end_lease()

    scenario.network.on_publish, scenario.network.on_read = lost_without_effect, nothing
    await until_uncertain(1)
    scenario.network.on_read = stalls
    stalled = asyncio.create_task(scenario.publisher.process(scenario.publication_id))
    await reading.wait()
    scenario.network.on_publish = network.publish
    await until_uncertain(2)
    go_on.set()
    await stalled
    assert network.texts == ["Ответ"]
    scenario.network.on_read = None
    assert (await scenario.run_to_end())["status"] == "published"
    assert network.texts == ["Ответ"]


async def test_temporary_rejection_after_lost_call_does_not_allow_resending_without_a_read(
    scenario: PublicationScenario,
) -> None:
    network = PublishedComments(scenario)
    publish = network.publish
    late: list[OutgoingReply] = []

    async def lost_then_refused(outgoing: OutgoingReply) -> PublishedReply:
        if scenario.network.calls == 1:
            late.append(outgoing)
            raise PublishOutcomeUnknown("lost")
        if scenario.network.calls == 2:
            network.add_comment(30, late[0].text)  # the first call takes effect now
            raise PublishRejected("vk:6", "Медленнее.", permanent=False, retry_after=0.1)
        return await publish(outgoing)

    scenario.network.on_publish = lost_then_refused
    assert (await scenario.run_to_end())["external_id"] == "-101_30"
    assert network.texts == ["Ответ"]


@pytest.mark.parametrize(("code", "sent"), [("vk:6", True), ("network_unreachable", False)])
async def test_rejected_call_is_repeated_without_reading_thread(
    scenario: PublicationScenario, code: str, *, sent: bool
) -> None:
    network = PublishedComments(scenario)
    publish = network.publish
    scenario.network.thread = None

    async def refused_first(outgoing: OutgoingReply) -> PublishedReply:
        if scenario.network.calls == 1:
            raise PublishRejected(code, "Позже.", permanent=False, retry_after=0.1, was_sent=sent)
        return await publish(outgoing)

    scenario.network.on_publish = refused_first
    assert (await scenario.run_to_end())["status"] == "published"
    assert (network.texts, scenario.network.reads) == (["Ответ"], 0)


async def test_earlier_staff_reply_with_the_same_text_is_not_matched(scenario: PublicationScenario) -> None:
    network = PublishedComments(scenario)
    network.add_comment(20, "Ответ")
    await scenario.receive(*network.items)

    async def lost_without_effect(outgoing: OutgoingReply) -> PublishedReply:
        if scenario.network.calls == 1:
            raise PublishOutcomeUnknown("lost")
        network.add_comment(31, outgoing.text)
        return PublishedReply("-101_31", "u")

    scenario.network.on_publish = lost_without_effect
    assert (await scenario.run_to_end())["external_id"] == "-101_31"
    assert network.texts == ["Ответ", "Ответ"]
    assert await scenario.link(20) is None


async def test_old_comment_stored_late_does_not_match_failed_reply(scenario: PublicationScenario) -> None:
    await given_up(scenario)
    await scenario.receive(
        scenario.community_comment(5)
    )  # written before the question (number 7) and read only now, as history
    assert (await scenario.system.publication(str(scenario.publication_id)))["status"] == "failed"
    assert await scenario.link(5) is None


async def test_staff_reply_with_the_same_text_after_a_failure_is_matched(scenario: PublicationScenario) -> None:
    await given_up(scenario)
    network = PublishedComments(scenario)
    network.add_comment(50, "Ответ")
    await scenario.retry()
    assert (await scenario.run_to_end())["external_id"] == "-101_50"
    assert network.texts == ["Ответ"]


async def test_corrected_reply_is_not_sent_if_former_text_is_published(scenario: PublicationScenario) -> None:
    await given_up(scenario)
    network = PublishedComments(scenario)
    network.add_comment(40, "Ответ")
    await scenario.retry("Ответ получше")
    done = await scenario.run_to_end()
    assert (done["external_id"], done["text"]) == ("-101_40", "Ответ")
    assert network.texts == ["Ответ"]


async def test_lost_reply_is_matched_although_its_comment_has_no_reply_to(scenario: PublicationScenario) -> None:
    """Push stores the comment before the response is lost; in discussions a comment has no `reply_to`."""
    place: dict[str, Any] = {"thread_key": "vk:-101_board3", "reply_to": None}
    await scenario.system.raw_connection.execute("UPDATE publications SET thread_key = 'vk:-101_board3'")

    async def publish(_: OutgoingReply) -> PublishedReply:
        await scenario.receive(scenario.community_comment(31, external_id="-101_board3_31", **place))
        raise PublishOutcomeUnknown("lost")

    scenario.network.on_publish = publish
    done = await scenario.run_to_end()
    assert (done["external_id"], scenario.network.calls) == ("-101_board3_31", 1)


async def test_retried_reply_waits_for_a_later_reply_in_flight(scenario: PublicationScenario) -> None:
    await given_up(scenario)
    network = PublishedComments(scenario)
    publish = network.publish
    go_on = asyncio.Event()

    async def held(outgoing: OutgoingReply) -> PublishedReply:
        await go_on.wait()
        return await publish(outgoing)

    scenario.network.on_publish = held
    calls = scenario.network.calls
    later = await scenario.system.answer(scenario.question_id, "Второй")
    first = asyncio.create_task(scenario.publisher.process(UUID(later["id"])))
    while scenario.network.calls == calls:
        await asyncio.sleep(0.02)
    assert (await scenario.retry()).status_code == 202
    with pytest.raises(RetryLater):
        await scenario.publisher.process(scenario.publication_id)
    go_on.set()
    await first
    assert (await scenario.run_to_end())["status"] == "published"
    assert network.texts == ["Второй", "Ответ"]


async def test_response_id_overrides_match_by_text(scenario: PublicationScenario) -> None:
    """A failed reply and a new one with the same text: each is linked to its own comment."""
    await given_up(scenario)
    again = await scenario.system.answer(scenario.question_id, "Ответ")

    async def publish(_: OutgoingReply) -> PublishedReply:
        await scenario.receive(
            scenario.community_comment(30)
        )  # the late comment of the failed reply, first matched to the new reply
        await scenario.receive(scenario.community_comment(31))  # the new reply's comment
        return PublishedReply("-101_31", "u")

    scenario.network.on_publish = publish
    done = await scenario.run_to_end(UUID(again["id"]))
    failed = await scenario.system.publication(str(scenario.publication_id))
    assert (done["external_id"], failed["external_id"]) == ("-101_31", "-101_30")
    assert (await scenario.link(30), await scenario.link(31)) == (scenario.publication_id, UUID(again["id"]))


async def test_worker_stalled_after_sending_state_makes_no_call(
    scenario: PublicationScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = PublishedComments(scenario)
    moments = iter([100.0, 100.0 + scenario.network.publish_timeout()])
    monkeypatch.setattr("services.ingest.publishing.publisher.boottime_seconds", lambda: next(moments))
    with pytest.raises(RetryLater):
        await scenario.publisher.process(scenario.publication_id)
    assert (scenario.network.calls, network.texts) == (0, [])
    monkeypatch.undo()
    assert (await scenario.run_to_end())["status"] == "published"
    assert (network.texts, scenario.network.reads) == (["Ответ"], 0)


async def test_two_workers_resend_lost_reply_once(scenario: PublicationScenario) -> None:
    network = PublishedComments(scenario)

    async def publish(outgoing: OutgoingReply) -> PublishedReply:
        if scenario.network.calls == 1:
            raise PublishOutcomeUnknown("lost")
        await asyncio.sleep(0.1)  # other workers try meanwhile
        network.add_comment(31, outgoing.text)
        return PublishedReply("-101_31", "u")

    scenario.network.on_publish = publish
    with pytest.raises(RetryLater):
        await scenario.publisher.process(scenario.publication_id)
    await scenario.end_lease()
    other = Publisher(
        scenario.system.ingest.service.database,
        scenario.feed,
        {"vk": cast("NetworkAdapter", scenario.network)},
        settle_seconds=0.1,
        read_attachment=scenario.publisher.read_attachment,
    )

    async def work(publisher: Publisher) -> None:
        for _ in range(30):
            try:
                await publisher.process(scenario.publication_id)
            except RetryLater:
                await asyncio.sleep(0.1)

    await asyncio.gather(work(scenario.publisher), work(other), work(other))
    assert (network.texts, scenario.network.calls) == (["Ответ"], 2)


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
async def test_sending_state_is_committed_synchronously_before_the_call(
    database: TestDatabase, keys_dir: Path, usual: str, then: str
) -> None:
    """`sending` is committed synchronously, although other commits of the service are asynchronous."""
    owner = await database.connect()
    await owner.execute(f"ALTER DATABASE {database.name} SET synchronous_commit = {usual}")
    await owner.execute(LOGGED)
    async with build_scenario(database, keys_dir) as scenario:
        PublishedComments(scenario)
        assert (await scenario.run_to_end())["status"] == "published"
    assert await owner.fetch("SELECT setting FROM waited") == [(then,)]
    await owner.close()


def _unreachable() -> PublishRejected:
    code, message = "network_unreachable", "Сеть недоступна."
    return PublishRejected(code, message, permanent=False, was_sent=False, is_outage=True)


async def _set(scenario: PublicationScenario, assignment: str) -> None:
    async with scenario.system.ingest.service.database.write() as session:
        await session.execute(text(f"UPDATE publications SET {assignment}"))


async def _waits_without_connection(scenario: PublicationScenario) -> None:
    """Process the publication while there is no connection to its network."""
    scenario.network.on_publish = mock.AsyncMock(side_effect=_unreachable())
    with pytest.raises(RetryLater):
        await scenario.publisher.process(scenario.publication_id)


async def test_outage_of_the_connection_uses_no_attempt_and_is_shown(scenario: PublicationScenario) -> None:
    network = PublishedComments(scenario)
    publish = scenario.network.on_publish
    await _waits_without_connection(scenario)
    await _set(scenario, "created_at = now() - interval '2 days', unreachable_since = now() - interval '2 days'")
    for _ in range(MAX_ATTEMPTS + 1):
        await _waits_without_connection(scenario)
    waiting = await scenario.system.publication(str(scenario.publication_id))
    assert (waiting["status"], waiting["attempts"], waiting["failure"]["final"]) == ("queued", 0, False)
    health = await scenario.system.ingest.client.get("/health/ready")
    assert (health.status_code, health.json()["status"]) == (200, "warn")
    assert "no connection to vk: replies 1, since" in health.json()["checks"]["networks"]
    scenario.network.on_publish = publish
    done = await scenario.run_to_end()
    assert (done["status"], done["attempts"], network.texts) == ("published", 1, ["Ответ"])
    assert "networks" not in (await scenario.system.ingest.client.get("/health/ready")).json()["checks"]


async def test_time_of_an_outage_does_not_count_against_a_reply(scenario: PublicationScenario) -> None:
    await _waits_without_connection(scenario)
    await _set(scenario, "created_at = now() - interval '2 days', unreachable_since = now() - interval '2 days'")
    later = PublishRejected("no_usable_token", "Нет ключа.", permanent=False, was_sent=False)
    scenario.network.on_publish = mock.AsyncMock(side_effect=later)
    for _ in range(MAX_ATTEMPTS + 1):
        with pytest.raises(RetryLater):
            await scenario.publisher.process(scenario.publication_id)
    waiting = await scenario.system.publication(str(scenario.publication_id))
    assert (waiting["status"], waiting["attempts"]) == ("queued", MAX_ATTEMPTS + 1)
    # A day of refusals ends it, beside the outage.
    await _set(scenario, "created_at = created_at - interval '1 day'")
    assert (await scenario.run_to_end())["status"] == "failed"


async def test_reply_fails_after_three_days_without_a_connection(scenario: PublicationScenario) -> None:
    await _waits_without_connection(scenario)
    await _set(scenario, "unreachable_since = now() - interval '73 hours'")
    failed = await scenario.run_to_end()
    assert (failed["status"], failed["failure"]["code"]) == ("failed", "network_unreachable")
    assert "Трое суток" in failed["failure"]["message"]
    # A retry by a person starts the period again.
    assert (await scenario.retry()).status_code == 202
    await _waits_without_connection(scenario)


async def test_unconfirmed_reply_waits_for_the_end_of_an_outage_longer_than_a_day(
    scenario: PublicationScenario,
) -> None:
    network = PublishedComments(scenario)
    read = scenario.network.on_read
    scenario.network.on_publish = mock.AsyncMock(side_effect=PublishOutcomeUnknown("lost"))
    with pytest.raises(RetryLater):
        await scenario.publisher.process(scenario.publication_id)
    await _set(scenario, "updated_at = now() - interval '2 days', sending_since = now() - interval '2 days'")
    scenario.network.on_read = mock.AsyncMock(side_effect=ReadFailed("no connection", is_outage=True))
    with pytest.raises(RetryLater):
        await scenario.publisher.process(scenario.publication_id)
    scenario.network.on_read = read
    network.add_comment(31, "Ответ")
    assert (await scenario.run_to_end())["external_id"] == "-101_31"
