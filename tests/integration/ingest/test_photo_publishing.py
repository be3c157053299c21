"""Photos of replies are published, and the reply is published once despite failed or repeated uploads."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import httpx
import pytest

from services.ingest.networks.port import (
    OutgoingReply,
    ParsedBatch,
    Photo,
    PublishedReply,
    PublishOutcomeUnknown,
    PublishRejected,
)
from services.ingest.publishing import photo_uploads
from services.ingest.publishing.publisher import fail_dead_lettered
from shared.jobs import RetryLater
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS, Connected, Emulator, connected
from tests.integration.ingest.photo_server import PhotoServer, photo_server
from tests.integration.ingest.scripted_network import PublicationScenario, build_scenario
from tests.integration.ingest.test_publishing import ended, linked, question, url
from tests.integration.ingest.worker_process import worker_process
from tests.support.eventually import eventually
from tests.support.service_under_test import CLIENT_LIMITS, insert_organisation, service_under_test


@pytest.fixture
async def photos(keys_dir: Path) -> AsyncIterator[PhotoServer]:
    """The fake of appeals that serves the photos."""
    async with photo_server(keys_dir) as server:
        yield server


@pytest.fixture
def emulator(request: pytest.FixtureRequest) -> Emulator:
    """The emulator named by the test's parameter `network`."""
    found: Emulator = request.getfixturevalue(request.node.callspec.params["network"])
    return found


async def shown_photos(answer: dict[str, Any]) -> list[bytes]:
    """Return the files that the network shows with a published reply."""
    found = []
    async with httpx.AsyncClient(limits=CLIENT_LIMITS) as http:
        for attachment in answer["attachments"]:
            if attachment["type"] == "photo":
                address = attachment["photo"]["sizes"][0]["url"]
            else:
                address = attachment["payload"]["url"]
            response = await http.get(address)
            assert response.status_code == 200
            found.append(response.content)
    return found


@pytest.mark.parametrize(
    ("network", "kind", "count"), [("vk", "comment", 2), ("vk", "message", 3), ("ok", "comment", 1)]
)
async def test_reply_is_published_with_its_photos_in_order(
    emulator: Emulator,
    database: TestDatabase,
    keys_dir: Path,
    photos: PhotoServer,
    *,
    network: str,
    kind: str,
    count: int,
) -> None:
    page = emulator.page(f"photos_{network}_{kind}")
    async with connected(database, keys_dir, appeals_url=photos.url, **url(network, emulator)) as system:
        await system.connect_page(network, emulator, page)
        message = await question(system, emulator, page, kind)
        ids = [photos.add() for _ in range(count)]
        publication = await ended(system, (await system.answer(message, "Яму засыпали", photos=ids))["id"])
        assert publication["status"] == "published", publication["failure"]
        assert [shown["id"] for shown in publication["attachments"]] == [str(photo) for photo in ids]
        (answer,) = emulator.answers(page)
        assert answer["text"] == "Яму засыпали"
        assert await shown_photos(answer) == [photos.photos[photo] for photo in ids]
        assert photos.on_behalf_of == {"someone"}
        assert (await linked(system, publication)) == publication["external_id"], "our own words are recognised"


async def test_photos_are_published_in_a_discussion_of_vk(
    vk: Emulator, database: TestDatabase, keys_dir: Path, photos: PhotoServer
) -> None:
    page = vk.page("photos_board")
    topic = vk.post("board", page=page, title="Дороги", text="Пишите сюда")
    async with connected(
        database, keys_dir, appeals_url=photos.url, vk_api_url=vk.url, vk_board_poll_seconds="0.5"
    ) as system:
        await system.connect_page("vk", vk, page)
        text = f"Вопрос {uuid4()}"
        vk.citizen(page, text, thread=topic["thread"])

        async def stored() -> Any:
            return await system.raw_connection.fetchval("SELECT id FROM messages WHERE text = $1", text)

        photo = photos.add()
        asked = await system.answer(await eventually(stored), "Засыпали", photos=[photo])
        assert (await ended(system, asked["id"]))["status"] == "published"
        (answer,) = vk.answers(page)
        assert await shown_photos(answer) == [photos.photos[photo]]


@pytest.mark.parametrize("network", ["vk", "ok"])
@pytest.mark.parametrize(
    "fault", ["lost_response", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("drop", "truncated"))]
)
async def test_lost_upload_is_repeated_and_the_reply_published_once(
    emulator: Emulator,
    database: TestDatabase,
    keys_dir: Path,
    photos: PhotoServer,
    monkeypatch: pytest.MonkeyPatch,
    *,
    network: str,
    fault: str,
) -> None:
    monkeypatch.setattr(photo_uploads, "RETRY_SECONDS", 0.1)
    page = emulator.page(f"lost_upload_{network}_{fault}")
    async with connected(database, keys_dir, appeals_url=photos.url, **url(network, emulator)) as system:
        await system.connect_page(network, emulator, page)
        message = await question(system, emulator, page, "comment")
        emulator.post("faults", kind=fault, next=1, method="upload")
        photos.failures = 1
        photo = photos.add()
        asked = await system.answer(message, "Яму засыпали", photos=[photo])
        publication = await ended(system, asked["id"])
        assert publication["status"] == "published", publication["failure"]
        (answer,) = emulator.answers(page)
        assert await shown_photos(answer) == [photos.photos[photo]]
        assert len(await system.events("publication.retry_scheduled")) == 1
        assert not await system.events("publication.uncertain"), "nothing was in doubt"


@pytest.mark.long
@pytest.mark.parametrize("network", ["vk", "ok"])
async def test_reply_is_published_once_after_a_kill_between_upload_and_publication(
    emulator: Emulator, database: TestDatabase, keys_dir: Path, photos: PhotoServer, *, network: str
) -> None:
    page = emulator.page(f"killed_{network}")
    saving = {"vk": "photos.saveWallPhoto", "ok": "photosV2.commit"}[network]
    raw_connection = await database.connect()
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest:
        system = Connected(ingest, database, raw_connection, await insert_organisation(database))
        await system.connect_page(network, emulator, page)
        addresses = {**url(network, emulator), "appeals_url": photos.url}
        with worker_process(database, keys_dir, **addresses) as process:
            message = await question(system, emulator, page, "comment")

            def saved() -> int:
                items = emulator.control.get("/_control/calls").json()["items"]
                return sum(int(item["count"]) for item in items if item["method"] == saving)

            # Earlier tests have called the same emulator.
            earlier = saved()

            async def was_saved() -> bool:
                return saved() > earlier

            # The network saves the photo at once and responds only after the kill.
            emulator.post("faults", kind="slow", next=1, seconds=60, method=saving)
            photo = photos.add()
            asked = await system.answer(message, "Яму засыпали", photos=[photo])
            await eventually(was_saved)
            process.kill()
            before = saved()
            assert (await system.publication(asked["id"]))["status"] == "queued"
            process.start()
            publication = await ended(system, asked["id"])
        assert publication["status"] == "published", publication["failure"]
        assert saved() > before, "the photo was not uploaded again"
    (answer,) = emulator.answers(page)
    assert await shown_photos(answer) == [photos.photos[photo]]
    await raw_connection.close()


@pytest.fixture
async def scenario(
    database: TestDatabase, keys_dir: Path, photos: PhotoServer
) -> AsyncIterator[PublicationScenario]:
    """A queued reply with a photo, and a network whose calls behave as the test defines."""
    async with build_scenario(database, keys_dir, photos=[photos.add()], appeals_url=photos.url) as made:
        yield made


class PublishedPhotos:
    """The content of the network's thread, in which uploads and publishing calls take effect."""

    def __init__(self, scenario: PublicationScenario) -> None:
        self.items: list[Any] = []
        self.media: list[list[str]] = []
        self.scenario = scenario
        scenario.network.on_publish = self.publish
        scenario.network.on_upload = self.upload
        scenario.network.thread = ParsedBatch(self.items)

    async def upload(self, _: Photo) -> str:
        """Return a new name for each upload."""
        return f"photo{self.scenario.network.uploads}"

    async def publish(self, outgoing: OutgoingReply) -> PublishedReply:
        """Publish the reply in the thread."""
        number = 30 + self.scenario.network.calls
        self.media.append(list(outgoing.media))
        self.items.append(self.scenario.community_comment(number, outgoing.text, change="observed"))
        return PublishedReply(f"-101_{number}", "u")


async def test_upload_is_repeated_after_a_crash_and_the_reply_published_once(
    scenario: PublicationScenario,
) -> None:
    thread = PublishedPhotos(scenario)

    async def crash(photo: Photo) -> str:
        await thread.upload(photo)
        raise asyncio.CancelledError

    scenario.network.on_upload = crash
    with pytest.raises(asyncio.CancelledError):
        await scenario.publisher.process(scenario.publication_id)
    row = await scenario.system.publication(str(scenario.publication_id))
    assert (row["status"], row["attempts"]) == ("queued", 0)
    scenario.network.on_upload = thread.upload
    assert (await scenario.run_to_end())["status"] == "published"
    assert (scenario.network.uploads, scenario.network.calls, thread.media) == (2, 1, [["photo2"]])


async def test_crash_between_upload_and_publication_keeps_the_upload(scenario: PublicationScenario) -> None:
    thread = PublishedPhotos(scenario)

    async def crash(_: OutgoingReply) -> PublishedReply:
        raise asyncio.CancelledError

    scenario.network.on_publish = crash
    with pytest.raises(asyncio.CancelledError):
        await scenario.publisher.process(scenario.publication_id)
    scenario.network.on_publish = thread.publish
    await scenario.system.raw_connection.execute(
        "UPDATE publications SET sending_since = sending_since - interval '10 minutes'"
    )
    assert (await scenario.run_to_end())["status"] == "published"
    assert (scenario.network.uploads, thread.media) == (1, [["photo1"]])
    assert scenario.network.reads >= 2, "the thread is read before the reply is sent again"


async def test_lost_publication_with_photos_is_found_in_the_thread(scenario: PublicationScenario) -> None:
    thread = PublishedPhotos(scenario)

    async def lost(outgoing: OutgoingReply) -> PublishedReply:
        await thread.publish(outgoing)
        raise PublishOutcomeUnknown("lost")

    scenario.network.on_publish = lost
    assert (await scenario.run_to_end())["status"] == "published"
    assert (scenario.network.uploads, scenario.network.calls) == (1, 1)


async def test_photo_refused_by_the_network_fails_the_reply_before_it_is_sent(
    scenario: PublicationScenario,
) -> None:
    thread = PublishedPhotos(scenario)

    async def refuse(_: Photo) -> str:
        raise PublishRejected("vk:photo_refused", "Фото не принято.", permanent=True, was_sent=False)

    scenario.network.on_upload = refuse
    failed = await scenario.run_to_end()
    assert (failed["status"], failed["failure"]["code"]) == ("failed", "vk:photo_refused")
    assert scenario.network.calls == 0
    scenario.network.on_upload = thread.upload
    assert (await scenario.retry()).status_code == 202
    assert (await scenario.run_to_end())["status"] == "published"
    assert thread.media == [["photo2"]]


async def test_retried_reply_is_searched_in_the_thread_before_photos_are_uploaded_again(
    scenario: PublicationScenario,
) -> None:
    thread = PublishedPhotos(scenario)

    async def publish_and_refuse(outgoing: OutgoingReply) -> PublishedReply:
        await thread.publish(outgoing)
        raise PublishRejected("vk:100", "Сеть не приняла запрос.", permanent=True)

    async def refuse(_: Photo) -> str:
        raise PublishRejected("vk:photo_refused", "Фото не принято.", permanent=True, was_sent=False)

    scenario.network.on_publish = publish_and_refuse
    assert (await scenario.run_to_end())["status"] == "failed"
    scenario.network.on_upload = refuse
    assert (await scenario.retry()).status_code == 202
    await scenario.end_lease()
    assert (await scenario.run_to_end())["status"] == "published"
    assert (scenario.network.uploads, scenario.network.calls) == (1, 1)


async def test_photo_refused_in_one_process_does_not_fail_a_reply_sent_by_another(
    scenario: PublicationScenario,
) -> None:
    thread = PublishedPhotos(scenario)

    async def refuse_after_the_other_process(_: Photo) -> str:
        scenario.network.on_upload = thread.upload
        with pytest.raises(RetryLater):
            await scenario.publisher.process(scenario.publication_id)
        raise PublishRejected("vk:photo_refused", "Фото не принято.", permanent=True, was_sent=False)

    async def publish_meanwhile(outgoing: OutgoingReply) -> PublishedReply:
        await thread.publish(outgoing)
        raise PublishOutcomeUnknown("lost")

    scenario.network.on_upload = refuse_after_the_other_process
    scenario.network.on_publish = publish_meanwhile
    await scenario.publisher.process(scenario.publication_id)
    assert (await scenario.system.publication(str(scenario.publication_id)))["status"] == "uncertain"
    assert (await scenario.run_to_end())["status"] == "published"
    assert scenario.network.calls == 1


async def test_reply_fails_for_a_missing_photo_and_waits_during_an_outage_of_appeals(
    scenario: PublicationScenario, photos: PhotoServer
) -> None:
    thread = PublishedPhotos(scenario)
    photos.failures = 3  # one for each attempt of a read
    with pytest.raises(RetryLater):
        await scenario.publisher.process(scenario.publication_id)
    waiting = await scenario.system.publication(str(scenario.publication_id))
    assert (waiting["status"], waiting["failure"]["final"]) == ("queued", False)
    (found,) = photos.photos
    content = photos.photos.pop(found)
    failed = await scenario.run_to_end()
    assert (failed["status"], failed["failure"]["code"]) == ("failed", "attachment_missing")
    photos.photos[found] = content
    await scenario.retry()
    assert (await scenario.run_to_end())["status"] == "published"
    assert len(thread.media) == 1


async def test_repeated_request_with_another_photo_is_refused(
    scenario: PublicationScenario, photos: PhotoServer
) -> None:
    row = await scenario.system.publication(str(scenario.publication_id))
    reply_id, same = UUID(row["reply_id"]), [UUID(shown["id"]) for shown in row["attachments"]]
    again = await scenario.system.answer(scenario.question_id, "Ответ", reply_id, photos=same)
    assert again["id"] == row["id"]
    with pytest.raises(AssertionError, match="a different text, photo or message"):
        await scenario.system.answer(scenario.question_id, "Ответ", reply_id, photos=[photos.add()])


async def test_long_reply_has_its_photos_with_the_first_part(
    database: TestDatabase, keys_dir: Path, photos: PhotoServer
) -> None:
    words = "Засыпали яму. " * 400
    async with build_scenario(
        database, keys_dir, words, photos=[photos.add()], appeals_url=photos.url
    ) as scenario:
        parts = await scenario.parts()
        assert [len(part["attachments"]) for part in parts] == [1, 0]


async def test_uncertain_reply_is_searched_in_the_thread_before_photos_are_read_again(
    scenario: PublicationScenario, photos: PhotoServer
) -> None:
    thread = PublishedPhotos(scenario)

    async def lost(outgoing: OutgoingReply) -> PublishedReply:
        await thread.publish(outgoing)
        raise PublishOutcomeUnknown("lost")

    scenario.network.on_publish = lost
    with pytest.raises(RetryLater):
        await scenario.publisher.process(scenario.publication_id)
    await fail_and_retry(scenario)
    # Remove the photos: a failure for a missing photo would make the author send the published reply again.
    photos.photos.clear()
    assert (await scenario.run_to_end())["status"] == "published"
    assert (scenario.network.uploads, scenario.network.calls) == (1, 1)


async def test_retry_during_a_read_of_the_thread_does_not_lose_the_photos(scenario: PublicationScenario) -> None:
    thread = PublishedPhotos(scenario)

    async def crash(_: OutgoingReply) -> PublishedReply:
        raise asyncio.CancelledError

    scenario.network.on_publish = crash
    with pytest.raises(asyncio.CancelledError):
        await scenario.publisher.process(scenario.publication_id)

    async def read(_: OutgoingReply) -> ParsedBatch:
        scenario.network.on_read = None
        await fail_and_retry(scenario)
        return ParsedBatch(thread.items)

    scenario.network.on_publish, scenario.network.on_read = thread.publish, read
    await scenario.system.raw_connection.execute(
        "UPDATE publications SET sending_since = sending_since - interval '10 minutes'"
    )
    assert (await scenario.run_to_end())["status"] == "published"
    assert thread.media == [["photo2"]]


async def fail_and_retry(scenario: PublicationScenario) -> None:
    """Fail the publication as its dead-lettered job does, and retry it as a person does."""
    async with scenario.system.ingest.service.database.write() as session:
        await fail_dead_lettered(session, scenario.publication_id)
    assert (await scenario.retry()).status_code == 202


async def test_reply_of_unknown_outcome_waits_for_three_days_while_photos_cannot_be_uploaded(
    scenario: PublicationScenario,
) -> None:
    PublishedPhotos(scenario)

    async def lost(_: OutgoingReply) -> PublishedReply:
        raise PublishOutcomeUnknown("lost")

    async def unreachable(_: Photo) -> str:
        code, message = "network_unreachable", "Сеть недоступна."
        raise PublishRejected(code, message, permanent=False, was_sent=False, is_outage=True)

    scenario.network.on_publish, scenario.network.on_upload = lost, mock.AsyncMock(return_value="photo")
    with pytest.raises(RetryLater):
        await scenario.publisher.process(scenario.publication_id)
    await fail_and_retry(scenario)
    await scenario.end_lease()
    scenario.network.on_upload = unreachable
    connection = scenario.system.raw_connection
    for _ in range(3):
        with pytest.raises(RetryLater):
            await scenario.publisher.process(scenario.publication_id)
    said = "SELECT count(*) FROM events WHERE type = 'publication.uncertain'"
    assert await connection.fetchval(said) == 1
    await connection.execute("UPDATE publications SET unreachable_since = now() - interval '73 hours'")
    failed = await scenario.run_to_end()
    assert (failed["status"], failed["failure"]["code"]) == ("failed", "network_unreachable")
    assert scenario.network.calls == 1
