"""Helpers for tests of the intake: ingest without workers, one page and a database connection."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from services.ingest.intake.ingest import BatchResult, IntakeBatch, ingest_batch
from services.ingest.networks.port import Author, IncomingItem, PageRef
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, insert_page, service_under_test

MOMENT = datetime(2026, 3, 2, 4, 5, tzinfo=UTC)


class IngestHarness:
    """Ingest without workers, one page, and a direct database connection."""

    def __init__(self, ingest: ServiceUnderTest, raw_connection: asyncpg.Connection, page: PageRef) -> None:
        self.ingest = ingest
        self.raw_connection = raw_connection
        self.page = page

    def item(self, text: str | None = "Текст", **changes: Any) -> IncomingItem:
        """Return a comment of a citizen, not yet stored."""
        values: dict[str, Any] = {
            "change": "new",
            "kind": "comment",
            "external_id": "-101_7",
            "thread_key": "vk:-101_3",
            "written_at": MOMENT,
            "raw": {"id": 7, "text": text},
            "author": Author(native_id="5001", name="Имя Фамилия", url="https://vk.com/id5001"),
            "text": text,
            "url": "https://vk.com/wall-101_3?reply=7",
        }
        return IncomingItem(**(values | changes))

    async def take(self, *items: IncomingItem, page: PageRef | None = None, **more: Any) -> BatchResult:
        """Store items through the intake in one transaction."""
        async with self.ingest.service.database.write() as session:
            return await ingest_batch(
                session, IntakeBatch(page=page or self.page, source="test", items=items, **more)
            )

    async def row(self, external_id: str = "-101_7") -> asyncpg.Record:
        """Return the stored message with this id in the network."""
        found = await self.raw_connection.fetchrow("SELECT * FROM messages WHERE external_id = $1", external_id)
        assert found is not None
        return found

    async def events(self) -> list[str]:
        """Return the types of all events, oldest first."""
        return [
            row["type"]
            for row in await self.raw_connection.fetch("SELECT type FROM events ORDER BY created_at, id")
        ]

    async def emitted_events(self, kind: str) -> list[dict[str, Any]]:
        """Return the data of all events of a type, oldest first."""
        rows = await self.raw_connection.fetch(
            "SELECT data FROM events WHERE type = $1 ORDER BY created_at, id", kind
        )
        return [json.loads(row["data"]) for row in rows]

    async def get_json(self, message_id: UUID) -> dict[str, Any]:
        """Return the message as the API shows it."""
        answer = await self.ingest.client.get(
            f"/api/v1/messages/{message_id}", headers=self.ingest.headers("moderator")
        )
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


@asynccontextmanager
async def build_harness(database: TestDatabase, keys_dir: Path) -> AsyncIterator[IngestHarness]:
    """Run ingest and yield the harness until the block ends."""
    raw_connection = await database.connect()
    organisation = await insert_organisation(database)
    page_id = await insert_page(database, organisation, go_live_at="2026-03-01T00:00:00+00:00")
    page = PageRef(
        id=page_id,
        organisation_id=organisation,
        network="vk",
        external_id="101",
        go_live_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest:
        yield IngestHarness(ingest, raw_connection, page)
    await raw_connection.close()
