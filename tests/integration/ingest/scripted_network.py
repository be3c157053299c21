"""A question, its queued reply, and a network whose calls behave as the test defines."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from sqlalchemy import text

from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks.port import (
    Author,
    IncomingItem,
    NetworkAdapter,
    OutgoingReply,
    PageRef,
    ParsedBatch,
    Photo,
    PhotoTarget,
    PublishedReply,
    ReadFailed,
    ReplyToChange,
    SourceLoop,
)
from services.ingest.publishing.photo_uploads import attachment_reader
from services.ingest.publishing.publisher import Publisher
from shared.contracts.values import MessageKind
from shared.jobs import RetryLater
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS, Connected
from tests.support.eventually import eventually
from tests.support.service_under_test import insert_organisation, insert_page, service_under_test

THREAD = "vk:-101_3"


class ScriptedNetwork:
    """A network whose calls behave as the test defines."""

    name = "vk"

    def __init__(self) -> None:
        self.calls = 0
        self.seconds = 60.0
        self.uploads = 0
        self.on_upload: Callable[[Photo], Awaitable[str]] | None = None
        self.on_publish: Callable[[OutgoingReply], Awaitable[PublishedReply]] | None = None
        self.changes: list[tuple[str, str | None]] = []
        self.on_change: Callable[[ReplyToChange, str | None], Awaitable[None]] | None = None
        self.thread: ParsedBatch | None = ParsedBatch()
        self.reads = 0
        self.on_read: Callable[[OutgoingReply], Awaitable[ParsedBatch]] | None = None

    def source_loops(self) -> dict[str, SourceLoop]:
        """Return no loops."""
        return {}

    def max_text_length(self, kind: MessageKind) -> int:
        """Return a short maximum length."""
        return 100

    def publish_timeout(self) -> float:
        """Return a long timeout by default, so that no response is too late on a busy machine."""
        return self.seconds

    async def upload_photo(self, target: PhotoTarget, photo: Photo) -> str:
        """Call the test's `on_upload`."""
        self.uploads += 1
        assert self.on_upload is not None
        return await self.on_upload(photo)

    async def publish(self, outgoing: OutgoingReply) -> PublishedReply:
        """Call the test's `on_publish`."""
        self.calls += 1
        assert self.on_publish is not None
        return await self.on_publish(outgoing)

    async def edit_reply(self, reply: ReplyToChange, text: str) -> None:
        """Call the test's `on_change` with the new text."""
        self.changes.append((reply.external_id, text))
        assert self.on_change is not None
        await self.on_change(reply, text)

    async def delete_reply(self, reply: ReplyToChange) -> None:
        """Call the test's `on_change` without a text."""
        self.changes.append((reply.external_id, None))
        assert self.on_change is not None
        await self.on_change(reply, None)

    async def read_thread(self, outgoing: OutgoingReply) -> ParsedBatch:
        """Call the test's `on_read`, or return `thread`."""
        self.reads += 1
        if self.on_read is not None:
            return await self.on_read(outgoing)
        if self.thread is None:
            raise ReadFailed("closed")
        return self.thread


class PublicationScenario:
    """A question, its queued reply, and the network's script."""

    def __init__(
        self, system: Connected, page: PageRef, network: ScriptedNetwork, question_id: UUID, publication_id: UUID
    ) -> None:
        self.system = system
        self.network = network
        self.page = page
        self.question_id = question_id
        self.publication_id = publication_id
        database = system.ingest.service.database
        self.feed = DatabaseIntakeStore(database)
        self.publisher = Publisher(
            database,
            self.feed,
            {"vk": cast("NetworkAdapter", network)},
            settle_seconds=0.1,
            read_attachment=attachment_reader(system.ingest.service),
        )

    def community_comment(self, number: int, words: str = "Ответ", **changes: Any) -> IncomingItem:
        """Return the community's comment in the thread, in reply to the question."""
        values: dict[str, Any] = {
            "change": "new",
            "kind": "comment",
            "external_id": f"-101_{number}",
            "thread_key": THREAD,
            "written_at": datetime.now(UTC),
            "raw": {},
            "author": Author(native_id="-101"),
            "from_community": True,
            "text": words,
            "reply_to": "-101_7",
            "url": f"https://vk.com/wall-101_3?reply={number}",
        }
        return IncomingItem(**(values | changes))

    async def receive(self, *items: IncomingItem) -> None:
        """Store these items as received by push."""
        await self.feed.store(self.page, "long_poll", ParsedBatch(list(items)))

    async def end_lease(self, publication_id: UUID | None = None) -> None:
        """Set the start of calls without a response back ten minutes: they can no longer take effect."""
        async with self.system.ingest.service.database.write() as session:
            await session.execute(
                text(
                    "UPDATE publications SET sending_since = sending_since - interval '10 minutes'"
                    " WHERE id = :id AND status IN ('queued', 'uncertain')"
                ),
                {"id": publication_id or self.publication_id},
            )

    async def run_to_end(self, publication_id: UUID | None = None) -> dict[str, Any]:
        """Run the publication job as the queue does until the reply is published or failed; return it."""
        carried = publication_id or self.publication_id

        async def ended() -> dict[str, Any] | None:
            try:
                await self.publisher.process(carried)
            except RetryLater:
                await self.end_lease(carried)
            row = await self.system.publication(str(carried))
            return row if row["status"] in {"published", "failed"} else None

        return await eventually(ended, "the end of the publication", every=0.01)

    async def parts(self) -> list[dict[str, Any]]:
        """Return all parts of the reply, in order, as the API shows them."""
        first = await self.system.publication(str(self.publication_id))
        answer = await self.system.ingest.client.get(
            f"/api/v1/publications?reply_id={first['reply_id']}", headers=self.system.ingest.headers("moderator")
        )
        found: list[dict[str, Any]] = answer.json()["items"]
        return sorted(found, key=lambda one: int(one["part"]))

    async def retry(self, text: str | None = None, publication_id: str | None = None) -> Any:
        """Request a retry of the reply as appeals does; return the response."""
        return await self.system.ingest.client.post(
            f"/internal/publications/{publication_id or self.publication_id}/retry",
            json={"text": text} if text is not None else {},
            headers=self.system.ingest.service_headers("appeals"),
        )

    async def link(self, number: int) -> UUID | None:
        """Return the publication that a stored comment is matched to."""
        row = await self.system.stored(f"-101_{number}")
        assert row is not None
        found: UUID | None = row["publication_id"]
        return found


@asynccontextmanager
async def build_scenario(
    database: TestDatabase, keys_dir: Path, words: str = "Ответ", *, photos: Sequence[UUID] = (), **env: str
) -> AsyncIterator[PublicationScenario]:
    """Queue a reply with this text and these photos, and yield the scenario."""
    raw_connection = await database.connect()
    organisation = await insert_organisation(database)
    async with service_under_test("ingest", database, keys_dir, process="api", **(KEYS | env)) as ingest:
        system = Connected(ingest, database, raw_connection, organisation)
        page_id = await insert_page(database, organisation, external_id="101")
        page = PageRef(
            id=page_id,
            organisation_id=organisation,
            network="vk",
            external_id="101",
            go_live_at=datetime(2020, 1, 1, tzinfo=UTC),
        )
        question = IncomingItem(
            change="new",
            kind="comment",
            external_id="-101_7",
            thread_key=THREAD,
            written_at=datetime.now(UTC),
            raw={},
            author=Author(native_id="5001"),
            text="Вопрос",
        )
        await DatabaseIntakeStore(ingest.service.database).store(page, "long_poll", ParsedBatch([question]))
        stored = await system.stored("-101_7")
        assert stored is not None
        asked = await system.answer(stored["id"], words, photos=photos)
        yield PublicationScenario(system, page, ScriptedNetwork(), stored["id"], UUID(asked["id"]))
    await raw_connection.close()
