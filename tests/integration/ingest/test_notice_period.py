"""A message with notices is sent within half an hour or not at all."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from services.ingest.networks.port import OutgoingReply, PublishedReply, PublishOutcomeUnknown, PublishRejected
from shared.contracts.notice_codes import NOTICES_ACTOR
from shared.jobs import RetryLater
from tests.conftest import TestDatabase
from tests.integration.ingest.scripted_network import PublicationScenario, build_scenario


@pytest.fixture
async def scenario(database: TestDatabase, keys_dir: Path) -> AsyncIterator[PublicationScenario]:
    """A queued reply."""
    async with build_scenario(database, keys_dir) as made:
        yield made


async def _age(scenario: PublicationScenario, minutes: int, on_behalf_of: str = NOTICES_ACTOR) -> None:
    """Set the age of the publication, in minutes, and its author."""
    async with scenario.system.ingest.service.database.write() as session:
        await session.execute(
            text(
                "UPDATE publications SET on_behalf_of = :author,"
                " created_at = created_at - make_interval(mins => :minutes)"
            ),
            {"author": on_behalf_of, "minutes": minutes},
        )


@pytest.mark.parametrize(
    ("author", "minutes", "calls"), [(NOTICES_ACTOR, 31, 1), (NOTICES_ACTOR, 20, 2), ("somebody", 31, 2)]
)
async def test_refused_notice_is_not_sent_after_its_period(
    scenario: PublicationScenario, author: str, minutes: int, calls: int
) -> None:
    async def publish(_: OutgoingReply) -> PublishedReply:
        if scenario.network.calls == 1:
            raise PublishRejected("vk:6", "Позже.", permanent=False, retry_after=0.1)
        return PublishedReply("-101_30", "u")

    scenario.network.on_publish = publish
    with pytest.raises(RetryLater):
        await scenario.publisher.process(scenario.publication_id)
    await _age(scenario, minutes, author)
    done = await scenario.run_to_end()
    assert scenario.network.calls == calls
    if calls == 1:
        assert (done["status"], done["failure"]["code"]) == ("failed", "not_sent_in_time")
        assert done["failure"]["final"]
    else:
        assert done["status"] == "published"


async def test_notice_whose_call_was_lost_is_not_sent_again_after_its_period(
    scenario: PublicationScenario,
) -> None:
    async def publish(_: OutgoingReply) -> PublishedReply:
        raise PublishOutcomeUnknown("lost")

    scenario.network.on_publish = publish
    with pytest.raises(RetryLater):
        await scenario.publisher.process(scenario.publication_id)
    await _age(scenario, 31)
    done = await scenario.run_to_end()
    assert (done["status"], done["failure"]["code"]) == ("failed", "no_response")
    assert scenario.network.calls == 1
