"""A network in memory, whose scan yields a few of its items per step."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

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
    PublishRejected,
    ReadFailed,
    ReplyToChange,
    ScanStep,
    SourceLoop,
)
from services.ingest.settings import IngestSettings, ingest_settings
from shared import clock
from shared.contracts.values import MessageKind
from shared.database.sessions import Database
from tests.conftest import TestDatabase
from tests.support.service_under_test import insert_organisation, insert_page

STEP = 3


def comment(number: int, age: timedelta, *, text: str | None = None, change: Any = "observed") -> IncomingItem:
    """Return a citizen's comment that was written this long ago."""
    return IncomingItem(
        change=change,
        kind="comment",
        external_id=f"-101_{number}",
        thread_key="vk:-101_1",
        written_at=clock.now() - age,
        raw={"id": number},
        author=Author(native_id="7", name="Житель"),
        text=f"Комментарий {number}" if text is None else text,
    )


@dataclass
class MemoryNetwork(NetworkAdapter):
    """Holds `items`; the next steps raise `errors`, one each; each step waits until `gate` is set.

    A scan clears `gate` after `stop_after` steps.
    """

    items: list[IncomingItem] = field(default_factory=list)
    name: str = "vk"
    errors: list[Exception] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    stop_after: int | None = None
    asked: list[tuple[datetime, Mapping[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def source_loops(self) -> dict[str, SourceLoop]:
        """Return no loops."""
        return {}

    def max_text_length(self, kind: MessageKind) -> int:
        """Return VK's maximum length."""
        return 4_096

    def publish_timeout(self) -> float:
        """Return a short timeout."""
        return 1.0

    async def upload_photo(self, target: PhotoTarget, photo: Photo) -> str:
        """Refuse every photo."""
        raise PublishRejected("memory", "Сеть только для чтения.", permanent=True)

    async def publish(self, outgoing: OutgoingReply) -> PublishedReply:
        """Refuse every reply."""
        raise PublishRejected("memory", "Сеть только для чтения.", permanent=True)

    async def edit_reply(self, reply: ReplyToChange, text: str) -> None:
        """Refuse every edit."""
        raise PublishRejected("memory", "Сеть только для чтения.", permanent=True)

    async def delete_reply(self, reply: ReplyToChange) -> None:
        """Refuse every deletion."""
        raise PublishRejected("memory", "Сеть только для чтения.", permanent=True)

    async def read_thread(self, outgoing: OutgoingReply) -> ParsedBatch:
        """Raise `ReadFailed`."""
        raise ReadFailed("not here")

    def request_check(self, page: PageRef) -> None:
        """Do nothing."""

    async def scan(self, page: PageRef, since: datetime, cursor: Mapping[str, Any]) -> AsyncIterator[ScanStep]:
        """Yield all items of the page since a moment, three at a time."""
        self.asked.append((since, dict(cursor)))
        held = [item for item in self.items if item.written_at >= since]
        start = int(cursor.get("at", 0))
        steps = 0
        while start < len(held):
            await self.gate.wait()
            if self.errors:
                raise self.errors.pop(0)
            upto = start + STEP
            yield ScanStep(
                batch=ParsedBatch(held[start:upto]),
                observed_at=clock.now(),
                cursor={"at": upto},
                progress=min(upto / len(held), 1.0),
            )
            start = upto
            steps += 1
            if steps == self.stop_after:
                self.gate.clear()


@dataclass(frozen=True)
class SeededPages:
    """Ingest's database and feed, a network in memory, and one page of it."""

    database: Database
    feed: DatabaseIntakeStore
    network: MemoryNetwork
    settings: IngestSettings
    page: PageRef

    async def push(self, *items: IncomingItem) -> None:
        """Store these items as a poll of the wall does."""
        await self.feed.store(self.page, "wall_poll", ParsedBatch(list(items)))


@asynccontextmanager
async def seeded_pages(database: TestDatabase) -> AsyncIterator[SeededPages]:
    """Yield a page whose network is in memory."""
    organisation = await insert_organisation(database)
    ingest_settings.cache_clear()
    page_id = await insert_page(database, organisation, external_id="101")
    own = Database(database.url("ingest"), 6, name="ingest-test")
    try:
        yield SeededPages(
            own,
            DatabaseIntakeStore(own),
            MemoryNetwork(),
            ingest_settings(),
            PageRef(
                id=page_id,
                organisation_id=organisation,
                network="vk",
                external_id="101",
                go_live_at=datetime.fromisoformat("2020-01-01T00:00:00+00:00"),
            ),
        )
    finally:
        await own.close()
        ingest_settings.cache_clear()


async def more_pages(
    database: TestDatabase, like: PageRef, *, network: str, names: str, active: bool = True
) -> None:
    """Register more pages of the organisation; `names` are their ids in the network, separated by spaces."""
    for name in names.split():
        page_id = await insert_page(database, like.organisation_id, network=network, external_id=name)
        if not active:
            registry = await database.connect("registry")
            await registry.execute("UPDATE pages SET active = false WHERE id = $1", page_id)
            await registry.close()


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    """Run a worker loop until the block ends, then cancel it, as a crash would."""
    task = asyncio.create_task(work.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def age_first_read(database: TestDatabase, page_id: UUID, age: timedelta) -> None:
    """Set how long the page has been read: the id of a source's row contains the time of its first read."""
    moment = int((clock.now() - age).timestamp() * 1000)
    raw_connection = await database.connect()
    try:
        for row in await raw_connection.fetch("SELECT id, kind FROM sources WHERE page_id = $1", page_id):
            aged = UUID(int=(moment << 80) | (UUID(str(row["id"])).int & ((1 << 80) - 1)))
            await raw_connection.execute(
                "UPDATE sources SET id = $1 WHERE page_id = $2 AND kind = $3", aged, page_id, row["kind"]
            )
    finally:
        await raw_connection.close()
