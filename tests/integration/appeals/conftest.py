"""Test data for appeals: organisations with pages, and messages of citizens and staff as ingest stores them."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from services.appeals.attachments import image_program, images
from shared.events.consumer import BATCH
from shared.events.relay import number_committed_events
from tests.conftest import TestDatabase
from tests.support.sample_events import sample_data
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, insert_page, service_under_test

# A Wednesday morning in Ulan-Ude, in the past, so that "now" is always later.
WEDNESDAY = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)


@dataclass
class AppealsScenario:
    """The service under test, its organisations and pages, and the actions that tests perform on it."""

    database: TestDatabase
    appeals: ServiceUnderTest
    ingest: asyncpg.Connection
    organisation: UUID
    other_organisation: UUID
    page: UUID
    pages: dict[UUID, tuple[UUID, str]]
    _numbers: dict[str, int] = field(default_factory=dict)
    _read_until: int = 0

    async def handle_job(self, name: str, payload: dict[str, Any]) -> None:
        """Run the handler of a job, as the worker does."""
        queue = self.appeals.service.jobs
        assert queue is not None
        await queue.handlers[name](payload)

    async def handle_schedule(self, name: str) -> None:
        """Run a scheduled job once, as the worker does."""
        queue = self.appeals.service.jobs
        assert queue is not None
        await queue.schedules[name][1]()

    async def insert_message(
        self,
        text: str,
        *,
        page: UUID | None = None,
        kind: str = "comment",
        thread: str = "vk:-101_1",
        author: str | None = "anna",
        from_community: bool = False,
        reply_to: str | None = None,
        at: datetime = WEDNESDAY,
        history: bool = False,
        publication_id: UUID | None = None,
        attachments: list[dict[str, Any]] | None = None,
    ) -> UUID:
        """Insert a message and its event, with the database rights of ingest; return the message's id."""
        message_id = uuid4()
        page = page or self.page
        organisation, network = self.pages[page]
        count = self._numbers[thread] = self._numbers.get(thread, 0) + 1
        external_id = f"{thread}/{count}"
        author_key = None if from_community else author
        async with self.ingest.transaction():
            await self.ingest.execute(
                """INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key,
                   reply_to, author_key, from_community, publication_id, text, attachments, url, history,
                   source_kind, written_at, received_at, version, raw)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
                   $13::text::jsonb, $14, $15, 'poll', $16, $17, 1, '{}')""",
                message_id, network, kind, external_id, page, organisation, thread, reply_to, author_key,
                from_community, publication_id, text, json.dumps(attachments or []),
                f"https://example.invalid/{external_id}", history, at, at + timedelta(minutes=1),
            )  # fmt: skip
            await self.emit(
                "message.received",
                message_id,
                organisation,
                kind=kind,
                thread_key=thread,
                from_community=from_community,
            )
        return message_id

    async def external_id(self, message_id: UUID) -> str:
        """Return the network's id of a stored message."""
        return str(await self.ingest.fetchval("SELECT external_id FROM messages WHERE id = $1", message_id))

    async def emit(self, event: str, subject: UUID, organisation: UUID | None, **data: Any) -> None:
        """Insert an event as ingest does."""
        await self.ingest.execute(
            """INSERT INTO events (id, type, subject_id, organisation_id, actor, occurred_at, created_at, data)
               VALUES ($1, $2, $3, $4, 'ingest', now(), clock_timestamp(), $5::text::jsonb)""",
            uuid4(),
            event,
            subject,
            organisation,
            json.dumps(sample_data(event, **data).to_stored()),
        )

    async def process_events(self) -> None:
        """Number new events and run the consumers until no event is left, including those that consumers emit."""
        database = self.appeals.service.database
        while await self._has_unnumbered_rows() and await number_committed_events(database):
            # A consumer without new events would only advance its offset, which costs more than this query.
            new = await self.ingest.fetch(
                "SELECT type, max(position) AS last FROM events WHERE position > $1 GROUP BY type",
                self._read_until,
            )
            self._read_until = max((row["last"] for row in new), default=self._read_until)
            types = {row["type"] for row in new}
            for consumer in self.appeals.service.consumers:
                # Only tests of search need the search index: they call `index_texts`.
                if consumer.name != "search" and not types.isdisjoint(consumer.types):
                    while await consumer.process_batch(database) == BATCH:
                        pass

    async def _has_unnumbered_rows(self) -> bool:
        # Cheaper than running the relay for nothing, which costs a transaction of six SQLAlchemy statements.
        return bool(
            await self.ingest.fetchval(
                """SELECT EXISTS (SELECT FROM events WHERE position IS NULL)
                   OR EXISTS (SELECT FROM audit WHERE position IS NULL)"""
            )
        )

    async def index_texts(self) -> None:
        """Let the search consumer handle all new events, and run the jobs that it enqueued."""
        (consumer,) = (one for one in self.appeals.service.consumers if one.name == "search")
        while await consumer.process_batch(self.appeals.service.database) == BATCH:
            pass
        connection = await self.database.connect("appeals")
        try:
            queued = await connection.fetch(
                "DELETE FROM appeals_jobs.pgqueuer WHERE entrypoint LIKE 'index_%' RETURNING entrypoint, payload"
            )
        finally:
            await connection.close()
        for job in queued:
            await self.handle_job(job["entrypoint"], json.loads(job["payload"]))

    async def citizen_writes(self, text: str, **details: Any) -> UUID:
        """Insert a message of a citizen (or of the community); let the service handle it; return its id."""
        message_id = await self.insert_message(text, **details)
        await self.process_events()
        return message_id

    async def get(
        self, path: str, *, role: str = "moderator", org: UUID | None = None, **query: Any
    ) -> httpx.Response:
        """Send a GET request."""
        return await self.appeals.client.get(
            f"/api/v1{path}", headers=self.appeals.headers(role, org), params=query or None
        )

    async def post(
        self, path: str, body: Any, *, role: str = "moderator", org: UUID | None = None, **headers: str
    ) -> httpx.Response:
        """Send a POST request; header names are given with underscores."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.appeals.client.post(
            f"/api/v1{path}", json=body, headers=self.appeals.headers(role, org, **more)
        )

    async def all(self, **query: Any) -> list[dict[str, Any]]:
        """Return the first page of the appeals that a moderator sees."""
        answer = await self.get("/appeals", **query)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def single_appeal(self) -> dict[str, Any]:
        """Return the only existing appeal, with all details."""
        (found,) = await self.all()
        return await self.appeal(found["id"])

    async def appeal(self, appeal_id: str) -> dict[str, Any]:
        """Return one appeal with all details."""
        answer = await self.get(f"/appeals/{appeal_id}")
        assert answer.status_code == 200, answer.text
        appeal: dict[str, Any] = answer.json()
        return appeal

    async def move(
        self, appeal: dict[str, Any], to: str, *, role: str = "moderator", **body: Any
    ) -> httpx.Response:
        """Move an appeal to another status, with its version from `appeal` in `If-Match`."""
        return await self.post(
            f"/appeals/{appeal['id']}/moves", {"to": to, **body}, role=role, If_Match=f'"{appeal["version"]}"'
        )

    async def emit_published(self, reply: dict[str, Any], *, at: datetime, external_id: str = "-101_77") -> None:
        """Emit the event saying that ingest published our reply, and let the service handle it."""
        await self.emit(
            "publication.published",
            uuid4(),
            self.organisation,
            reply_id=reply["id"],
            external_ids=[external_id],
            url="https://example.invalid/answer",
            published_at=at.isoformat(),
            matched=False,
        )
        await self.process_events()

    async def events(self, *types: str) -> list[asyncpg.Record]:
        """Return the events of these types, oldest first."""
        rows: list[asyncpg.Record] = await self.ingest.fetch(
            """SELECT type, subject_id, organisation_id, data::text FROM events
               WHERE type = ANY($1) ORDER BY created_at, id""",
            list(types),
        )
        return rows


async def build_scenario(
    database: TestDatabase, appeals: ServiceUnderTest, ingest: asyncpg.Connection
) -> AppealsScenario:
    """Create two organisations, each with a page; return the scenario."""
    organisation = await insert_organisation(database, name="Школа № 1")
    other = await insert_organisation(database, name="Комитет по строительству")
    page = await insert_page(database, organisation, external_id="101")
    other_page = await insert_page(database, other, network="ok", external_id="202")
    return AppealsScenario(
        database=database,
        appeals=appeals,
        ingest=ingest,
        organisation=organisation,
        other_organisation=other,
        page=page,
        pages={page: (organisation, "vk"), other_page: (other, "ok")},
    )


@pytest.fixture
async def scenario(database: TestDatabase, keys_dir: Path) -> AsyncIterator[AppealsScenario]:
    """The running service and a database with two organisations."""
    ingest = await database.connect("ingest")
    try:
        async with service_under_test("appeals", database, keys_dir) as appeals:
            yield await build_scenario(database, appeals, ingest)
    finally:
        await ingest.close()


@pytest.fixture
def images_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encode images in the test's own process: a process per image is slow, and only tests of files need one."""

    async def clean(content: bytes) -> images.CleanImage:
        return images.CleanImage(*image_program.reencode(content))

    monkeypatch.setattr("services.appeals.api.replies.attachments.clean_image", clean)
