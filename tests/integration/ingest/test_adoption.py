"""Our own words coming back: before the response, instead of it, or contradicting it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.ingest.feed import DatabaseFeed
from services.ingest.networks.port import (
    Author,
    Incoming,
    Kind,
    NotRead,
    Outgoing,
    PageRef,
    Parsed,
    Published,
    Unsure,
    Way,
)
from services.ingest.publish import Publisher
from shared.jobs import TryLater
from tests.conftest import TestDatabase
from tests.harness import insert_organisation, insert_page, service_under_test
from tests.integration.ingest.conftest import KEYS, Connected

THREAD = "vk:-101_3"


class ScriptedNetwork:
    """A network whose calls do what the test says."""

    name = "vk"

    def __init__(self) -> None:
        self.calls = 0
        self.on_publish: Callable[[Outgoing], Awaitable[Published]] | None = None
        self.thread: Parsed | None = Parsed()

    def ways(self) -> dict[str, Way]:
        """Nobody listens."""
        return {}

    def max_length(self, kind: Kind) -> int:
        """Short."""
        return 100

    def call_seconds(self) -> float:
        """Short."""
        return 0.5

    async def publish(self, outgoing: Outgoing) -> Published:
        """What the test says."""
        self.calls += 1
        assert self.on_publish is not None
        return await self.on_publish(outgoing)

    async def read_back(self, outgoing: Outgoing) -> Parsed:
        """What the test says."""
        if self.thread is None:
            raise NotRead("closed")
        return self.thread


class Scene:
    """A question, its answer about to be published, and the network's script."""

    def __init__(self, system: Connected, page: PageRef, network: ScriptedNetwork, publication_id: UUID) -> None:
        self.system = system
        self.network = network
        self.page = page
        self.publication_id = publication_id
        database = system.ingest.service.database
        self.feed = DatabaseFeed(database)
        self.publisher = Publisher(database, self.feed, {"vk": network}, settle=0.1)

    def spoken(self, number: int, text: str = "Ответ", **changes: Any) -> Incoming:
        """The community's comment in the thread, answering the question."""
        values: dict[str, Any] = {
            "happened": "new",
            "kind": "comment",
            "external_id": f"-101_{number}",
            "thread_key": THREAD,
            "written_at": datetime.now(UTC),
            "raw": {},
            "author": Author(native_id="-101"),
            "from_community": True,
            "text": text,
            "reply_to": "-101_7",
            "url": f"https://vk.com/wall-101_3?reply={number}",
        }
        return Incoming(**(values | changes))

    async def hear(self, *items: Incoming) -> None:
        """It comes in by push."""
        await self.feed.store(self.page, "long_poll", Parsed(list(items)))

    async def carry_through(self) -> dict[str, Any]:
        """Run the job as the queue would until it is done."""
        for _ in range(60):
            try:
                await self.publisher.carry_out(self.publication_id)
            except TryLater as later:
                await asyncio.sleep(min(later.delay.total_seconds(), 0.7))
            row = await self.system.publication(str(self.publication_id))
            if row["status"] in {"published", "failed"}:
                return row
        raise AssertionError("the publication never ended")

    async def link(self, number: int) -> UUID | None:
        """The publication a stored comment is recognised as."""
        row = await self.system.stored(f"-101_{number}")
        assert row is not None
        found: UUID | None = row["publication_id"]
        return found


@pytest.fixture
async def scene(database: TestDatabase, keys_dir: Path) -> Any:
    """An answer that is queued."""
    eye = await database.connect()
    organisation = await insert_organisation(database)
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest:
        system = Connected(ingest, database, eye, organisation)
        page_id = await insert_page(database, organisation, external_id="101")
        page = PageRef(
            id=page_id,
            organisation_id=organisation,
            network="vk",
            external_id="101",
            live_from=datetime(2020, 1, 1, tzinfo=UTC),
        )
        question = Incoming(
            happened="new",
            kind="comment",
            external_id="-101_7",
            thread_key=THREAD,
            written_at=datetime.now(UTC),
            raw={},
            author=Author(native_id="5001"),
            text="Вопрос",
        )
        await DatabaseFeed(ingest.service.database).store(page, "long_poll", Parsed([question]))
        stored = await system.stored("-101_7")
        assert stored is not None
        asked = await system.answer(stored["id"], "Ответ")
        yield Scene(system, page, ScriptedNetwork(), UUID(asked["id"]))
    await eye.close()


async def test_push_wins_the_race_with_the_response(scene: Scene) -> None:
    async def publish(_: Outgoing) -> Published:
        await scene.hear(scene.spoken(31))
        return Published("-101_31", "u")

    scene.network.on_publish = publish
    done = await scene.carry_through()
    assert (done["status"], done["external_id"]) == ("published", "-101_31")
    assert await scene.link(31) == scene.publication_id
    assert len(await scene.system.events("publication.published")) == 1
    received = await scene.system.events("message.received")
    assert f'"publication_id": "{scene.publication_id}"' in received[-1]["data"]


async def test_the_response_wins_over_a_likeness(scene: Scene) -> None:
    async def publish(_: Outgoing) -> Published:
        await scene.hear(scene.spoken(31))  # the staff wrote the same words by hand in the same moment
        return Published("-101_32", "u")

    scene.network.on_publish = publish
    done = await scene.carry_through()
    await scene.hear(scene.spoken(32))
    assert done["external_id"] == "-101_32"
    assert await scene.link(31) is None
    assert await scene.link(32) == scene.publication_id


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
async def test_only_the_same_words_to_the_same_person_are_ours(scene: Scene, changes: dict[str, Any]) -> None:
    async def publish(_: Outgoing) -> Published:
        await scene.hear(scene.spoken(31, **changes))
        return Published("-101_32", "u")

    scene.network.on_publish = publish
    assert (await scene.carry_through())["external_id"] == "-101_32"
    assert await scene.link(31) is None


async def test_line_breaks_and_ends_that_the_network_changed_do_not_hide_ours(scene: Scene) -> None:
    async def publish(_: Outgoing) -> Published:
        await scene.hear(scene.spoken(31, text=" Ответ\r\n"))
        raise Unsure("lost")

    scene.network.on_publish = publish
    done = await scene.carry_through()
    assert (done["external_id"], scene.network.calls) == ("-101_31", 1)


async def test_a_lost_call_that_worked_is_found_by_reading(scene: Scene) -> None:
    async def publish(_: Outgoing) -> Published:
        scene.network.thread = Parsed([scene.spoken(31, happened="seen")])
        raise Unsure("lost")

    scene.network.on_publish = publish
    done = await scene.carry_through()
    assert (done["external_id"], scene.network.calls) == ("-101_31", 1)
    (event,) = await scene.system.events("publication.published")
    assert '"adopted": true' in event["data"]
    assert len(await scene.system.events("publication.uncertain")) == 1


async def test_a_lost_call_that_did_not_work_is_made_again_only_after_reading(scene: Scene) -> None:
    async def publish(_: Outgoing) -> Published:
        if scene.network.calls == 1:
            scene.network.thread = None  # nobody can read now: nothing may be sent either
            raise Unsure("lost")
        return Published("-101_33", "u")

    scene.network.on_publish = publish
    for _ in range(6):
        with pytest.raises(TryLater):
            await scene.publisher.carry_out(scene.publication_id)
        await asyncio.sleep(0.2)
    assert scene.network.calls == 1
    scene.network.thread = Parsed()
    done = await scene.carry_through()
    assert (done["external_id"], scene.network.calls) == ("-101_33", 2)


async def test_a_call_that_hangs_is_given_up_and_looked_after(scene: Scene) -> None:
    async def publish(_: Outgoing) -> Published:
        if scene.network.calls == 1:
            await asyncio.sleep(30)
        return Published("-101_34", "u")

    scene.network.on_publish = publish
    done = await scene.carry_through()
    assert (done["external_id"], done["attempts"]) == ("-101_34", 2)


async def test_two_jobs_at_once_call_once(scene: Scene) -> None:
    async def publish(_: Outgoing) -> Published:
        await asyncio.sleep(0.2)
        return Published("-101_35", "u")

    scene.network.on_publish = publish
    outcomes = await asyncio.gather(
        *(scene.publisher.carry_out(scene.publication_id) for _ in range(3)), return_exceptions=True
    )
    assert scene.network.calls == 1
    assert sum(isinstance(outcome, TryLater) for outcome in outcomes) == 2


async def test_a_network_that_never_answers_ends_in_a_failure_that_is_shown(scene: Scene) -> None:
    async def publish(_: Outgoing) -> Published:
        raise Unsure("lost")

    scene.network.on_publish = publish
    done = await scene.carry_through()
    assert (done["status"], done["failure"]["code"], scene.network.calls) == ("failed", "unanswered", 8)
