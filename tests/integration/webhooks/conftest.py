"""The webhooks service, a receiver that is a real server, and events as appeals would write them."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
import time_machine
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.webhooks.deliveries.attempts import AttemptResult
from services.webhooks.deliveries.dispatcher import Dispatcher
from services.webhooks.settings import webhooks_settings
from shared.contracts.appeal_events import AppealSnapshot
from shared.contracts.catalogue import EVENT_MODELS
from shared.database.sessions import Database
from shared.events.consumer import Consumer
from shared.events.outbox import NewEvent, emit
from shared.events.relay import number_committed_events
from tests.conftest import TestDatabase
from tests.integration.webhooks.notice_office import TUESDAY, Office
from tests.support.mail_server import MailServer, mail_server
from tests.support.sample_events import sample_data
from tests.support.service_under_test import ServiceUnderTest, service_under_test

NAMESPACE = UUID(int=2)


@dataclass
class Received:
    """A received request."""

    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Receiver:
    """A receiver that responds with the given statuses in turn, then with 200."""

    server: TestServer
    received: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""

    @property
    def url(self) -> str:
        return str(self.server.make_url("/hook"))

    async def answer(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(headers, await request.text()))
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, text=self.body, headers=self.headers)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    app = web.Application()
    server = TestServer(app, host="127.0.0.1")
    found = Receiver(server)
    app.router.add_post("/hook", found.answer)
    app.router.add_get("/hook", found.answer)
    async with server:
        yield found


@dataclass
class SilentServer:
    """A server that accepts connections and never responds."""

    url: str = ""
    connections: list[asyncio.StreamWriter] = field(default_factory=list)

    def hang_up(self) -> None:
        """Close all connections."""
        for connection in self.connections:
            connection.close()


@asynccontextmanager
async def silent_server() -> AsyncIterator[SilentServer]:
    """Run a silent server on a free port; its connections are closed at the end."""
    silent = SilentServer()
    server = await asyncio.start_server(lambda _reader, writer: silent.connections.append(writer), "127.0.0.1", 0)
    silent.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield silent
    finally:
        server.close()
        silent.hang_up()
        await server.wait_closed()


@dataclass
class WebhooksHarness:
    """The service under test; tests call each step of its workers themselves."""

    app: ServiceUnderTest
    test_database: TestDatabase

    @property
    def database(self) -> Database:
        return self.app.service.database

    @property
    def consumer(self) -> Consumer:
        """The consumer that creates deliveries."""
        return self.app.service.consumers[0]

    def headers(self, role: str, organisation_id: UUID | str | None = None, **more: str) -> dict[str, str]:
        """Return request headers of a person; each pair of role and organisation is a different person."""
        token = self.app.token(role, organisation_id, subject=self.subject(role, organisation_id))
        return {"Authorization": f"Bearer {token}", **more}

    @staticmethod
    def subject(role: str, organisation_id: UUID | str | None = None) -> str:
        return str(uuid5(NAMESPACE, f"{role} {organisation_id}"))

    async def endpoint(
        self, url: str, *types: str, organisation_id: UUID | None = None, role: str = "moderator", **more: Any
    ) -> dict[str, Any]:
        answer = await self.app.client.post(
            "/api/v1/webhooks/endpoints",
            json={"url": url, "event_types": types or ["appeal.opened"], **more},
            headers=self.headers(role, organisation_id),
        )
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def emit(
        self,
        kind: str = "appeal.opened",
        organisation_id: UUID | None = None,
        *,
        subject_id: UUID | None = None,
        **data: Any,
    ) -> UUID:
        """Write an event, by default about a new appeal; return the id of its subject."""
        subject_id = subject_id or uuid4()
        await self.emit_all([(kind, organisation_id)], subject_id=subject_id, **data)
        return subject_id

    async def emit_all(
        self, events: Sequence[tuple[str, UUID | None]], *, subject_id: UUID | None = None, **data: Any
    ) -> None:
        """Write events of these types and organisations in one transaction."""
        made = []
        for kind, organisation_id in events:
            subject, more = subject_id or uuid4(), {}
            if issubclass(EVENT_MODELS[kind], AppealSnapshot):
                more = {"id": subject, "organisation_id": organisation_id}
            made.append(
                NewEvent(
                    data=sample_data(kind, **more | data),
                    subject_id=subject,
                    organisation_id=organisation_id,
                    actor="appeals",
                )
            )
        async with self.database.write() as session:
            await emit(session, *made)
        await number_committed_events(self.database)

    async def fan_out(self) -> None:
        while await self.consumer.process_batch(self.database):
            pass

    def dispatcher(self, **changes: Any) -> Dispatcher:
        settings = webhooks_settings().model_copy(update=changes)
        return Dispatcher(self.database, settings, https_only=False)

    async def deliver(self, **changes: Any) -> list[AttemptResult]:
        """Run one round: claim due deliveries, send them, record the results."""
        dispatcher = self.dispatcher(**changes)
        async with dispatcher.client() as http:
            outcomes = [await dispatcher.attempt(http, claim) for claim in await dispatcher.claim(100)]
        if outcomes:
            await dispatcher.record(outcomes)
        return outcomes

    async def make_due(self) -> None:
        """Make pending deliveries due, as if their delays or the leases of killed workers had ended."""
        await self.sql(
            "UPDATE webhook_deliveries SET next_attempt_at = now()"
            " WHERE status = 'pending' AND next_attempt_at < 'infinity'"
        )

    async def database_now(self) -> datetime:
        """Return the time of the database, by which deliveries become due."""
        [row] = await self.sql("SELECT clock_timestamp() AS now")
        found: datetime = row["now"]
        return found

    async def sql(self, query: str, *arguments: Any) -> list[Any]:
        connection = await self.test_database.connect()
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def deliveries(self, **query: Any) -> list[dict[str, Any]]:
        answer = await self.app.client.get(
            "/api/v1/webhooks/deliveries", params=query, headers=self.headers("moderator")
        )
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


@pytest.fixture
async def harness(database: TestDatabase, keys_dir: Path) -> AsyncIterator[WebhooksHarness]:
    async with service_under_test("webhooks", database, keys_dir) as app:
        yield WebhooksHarness(app, database)


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    async with mail_server() as found:
        yield found


@pytest.fixture
async def now() -> AsyncIterator[time_machine.Traveller]:
    with time_machine.travel(TUESDAY, tick=False) as traveller:
        yield traveller


@pytest.fixture
async def office(harness: WebhooksHarness, mail: MailServer, monkeypatch: pytest.MonkeyPatch) -> Office:
    found = await Office.open(harness, mail.port)
    monkeypatch.setattr("services.webhooks.notices.recording.webhooks_settings", lambda: found.settings)
    return found
