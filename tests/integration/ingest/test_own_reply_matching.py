"""Own replies are matched to stored comments before or without a response; a response corrects the match."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from services.ingest.networks.port import OutgoingReply, ParsedBatch, PublishedReply, PublishOutcomeUnknown
from services.ingest.publishing.publisher import MAX_SILENT_ATTEMPTS, delay_after_no_response
from shared.jobs import RetryLater
from tests.conftest import TestDatabase
from tests.integration.ingest.scripted_network import PublicationScenario, build_scenario
from tests.support.eventually import eventually_true


@pytest.fixture
async def scenario(database: TestDatabase, keys_dir: Path) -> AsyncIterator[PublicationScenario]:
    """A queued reply."""
    async with build_scenario(database, keys_dir) as made:
        yield made


async def test_push_before_response_publishes_reply(scenario: PublicationScenario) -> None:
    async def publish(_: OutgoingReply) -> PublishedReply:
        await scenario.receive(scenario.community_comment(31))
        return PublishedReply("-101_31", "u")

    scenario.network.on_publish = publish
    done = await scenario.run_to_end()
    assert (done["status"], done["external_id"]) == ("published", "-101_31")
    assert await scenario.link(31) == scenario.publication_id
    assert len(await scenario.system.events("publication.published")) == 1
    received = await scenario.system.events("message.received")
    assert f'"publication_id": "{scenario.publication_id}"' in received[-1]["data"]


async def test_id_in_the_response_replaces_a_match_by_text(scenario: PublicationScenario) -> None:
    async def publish(_: OutgoingReply) -> PublishedReply:
        await scenario.receive(
            scenario.community_comment(31)
        )  # staff wrote the same text manually at the same moment
        return PublishedReply("-101_32", "u")

    scenario.network.on_publish = publish
    done = await scenario.run_to_end()
    await scenario.receive(scenario.community_comment(32))
    assert done["external_id"] == "-101_32"
    assert await scenario.link(31) is None
    assert await scenario.link(32) == scenario.publication_id


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "Другой ответ"},
        {"reply_to": None},
        {"reply_to": "-101_8"},
        {"thread_key": "vk:-101_4"},
        {"written_at": datetime.now(UTC) - timedelta(hours=1)},
        {"from_community": False},
    ],
)
async def test_only_same_text_to_same_person_matches(
    scenario: PublicationScenario, changes: dict[str, Any]
) -> None:
    async def publish(_: OutgoingReply) -> PublishedReply:
        await scenario.receive(scenario.community_comment(31, **changes))
        return PublishedReply("-101_32", "u")

    scenario.network.on_publish = publish
    assert (await scenario.run_to_end())["external_id"] == "-101_32"
    assert await scenario.link(31) is None


async def test_changed_whitespace_still_matches(scenario: PublicationScenario) -> None:
    async def publish(_: OutgoingReply) -> PublishedReply:
        await scenario.receive(scenario.community_comment(31, text=" Ответ\r\n"))
        raise PublishOutcomeUnknown("lost")

    scenario.network.on_publish = publish
    done = await scenario.run_to_end()
    assert (done["external_id"], scenario.network.calls) == ("-101_31", 1)


async def test_reply_whose_call_lost_its_response_is_found_by_reading_the_thread(
    scenario: PublicationScenario,
) -> None:
    async def publish(_: OutgoingReply) -> PublishedReply:
        scenario.network.thread = ParsedBatch([scenario.community_comment(31, change="observed")])
        raise PublishOutcomeUnknown("lost")

    scenario.network.on_publish = publish
    done = await scenario.run_to_end()
    assert (done["external_id"], scenario.network.calls) == ("-101_31", 1)
    (event,) = await scenario.system.events("publication.published")
    assert '"matched": true' in event["data"]
    assert len(await scenario.system.events("publication.uncertain")) == 1


async def test_lost_call_without_effect_is_repeated_only_after_reading_the_thread(
    scenario: PublicationScenario,
) -> None:
    async def publish(_: OutgoingReply) -> PublishedReply:
        if scenario.network.calls == 1:
            scenario.network.thread = None  # The thread cannot be read, so nothing may be sent.
            raise PublishOutcomeUnknown("lost")
        return PublishedReply("-101_33", "u")

    scenario.network.on_publish = publish
    for _ in range(6):
        with pytest.raises(RetryLater):
            await scenario.publisher.process(scenario.publication_id)
        await scenario.end_lease()
    assert scenario.network.calls == 1
    scenario.network.thread = ParsedBatch()
    done = await scenario.run_to_end()
    assert (done["external_id"], scenario.network.calls) == ("-101_33", 2)


async def test_hanging_call_times_out_and_thread_is_read(scenario: PublicationScenario) -> None:
    async def publish(_: OutgoingReply) -> PublishedReply:
        if scenario.network.calls == 1:
            await asyncio.Event().wait()
        return PublishedReply("-101_34", "u")

    scenario.network.on_publish, scenario.network.seconds = publish, 0.2
    while not scenario.network.calls:  # on a busy machine the timeout may end before the call
        with pytest.raises(RetryLater):
            await scenario.publisher.process(scenario.publication_id)
    scenario.network.seconds = 60
    done = await scenario.run_to_end()
    assert (done["external_id"], scenario.network.calls) == ("-101_34", 2)


async def test_concurrent_publication_jobs_make_one_call(scenario: PublicationScenario) -> None:
    over = asyncio.Event()

    async def publish(_: OutgoingReply) -> PublishedReply:
        await over.wait()
        return PublishedReply("-101_35", "u")

    scenario.network.on_publish = publish
    jobs = [asyncio.create_task(scenario.publisher.process(scenario.publication_id)) for _ in range(3)]
    await eventually_true(lambda: sum(job.done() for job in jobs) == 2, "the end of the jobs that make no call")
    over.set()
    outcomes = await asyncio.gather(*jobs, return_exceptions=True)
    assert scenario.network.calls == 1
    assert sum(isinstance(outcome, RetryLater) for outcome in outcomes) == 2


async def test_network_without_responses_fails_publication(scenario: PublicationScenario) -> None:
    async def publish(_: OutgoingReply) -> PublishedReply:
        raise PublishOutcomeUnknown("lost")

    scenario.network.on_publish = publish
    with mock.patch("services.ingest.publishing.publisher.MAX_SILENT_ATTEMPTS", 5):
        done = await scenario.run_to_end()
    assert (done["status"], done["failure"]["code"], scenario.network.calls) == ("failed", "no_response", 5)


async def test_reply_is_published_after_nine_calls_without_response(scenario: PublicationScenario) -> None:
    async def publish(_: OutgoingReply) -> PublishedReply:
        if scenario.network.calls <= 9:
            raise PublishOutcomeUnknown("lost")
        return PublishedReply("-101_36", "u")

    scenario.network.on_publish = publish
    done = await scenario.run_to_end()
    assert (done["status"], done["external_id"], scenario.network.calls) == ("published", "-101_36", 10)


def test_pauses_after_missing_responses_grow_and_last_less_than_an_hour_in_total() -> None:
    pauses = [delay_after_no_response(attempt, 20) for attempt in range(1, MAX_SILENT_ATTEMPTS)]
    assert pauses[:6] == [20, 20, 20, 20, 40, 80]
    assert max(pauses) == 300
    assert 2_400 < sum(pauses) < 3_600
