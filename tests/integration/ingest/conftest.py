"""Fixtures of ingest: emulators as processes, and ingest connected to them."""

import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from cli.embedded.temporary_postgres import free_port
from services.ingest.schemas.tokens import NetworkTokenIn
from services.ingest.sync import resumable_runner
from services.ingest.tokens.token_admin import add_token
from services.ingest.worker import Worker
from shared.database.sessions import Database
from tests.conftest import TestDatabase
from tests.support.eventually import eventually_blocking
from tests.support.forked_program import ForkedProgram
from tests.support.service_under_test import (
    CLIENT_LIMITS,
    ServiceUnderTest,
    insert_organisation,
    insert_page,
    service_under_test,
)

KEYS = {
    "PSEUDONYM_KEY": "pseudonym-key-of-the-tests",
    "ENCRYPTION_KEYS": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
}
# Short intervals and timeouts, so that tests do not wait for the schedules of production.
FAST = {
    "page_refresh_seconds": "0.3",
    "ok_discussion_poll_seconds": "0.3",
    "ok_chat_poll_seconds": "0.4",
    "ok_closed_retry_seconds": "2",
    "vk_call_timeout_seconds": "10",
    "ok_call_timeout_seconds": "10",
    "publish_settle_seconds": "0.5",
    "vk_long_poll_wait_seconds": "5",
}


@dataclass(frozen=True)
class Emulator:
    """A running emulator and its control API."""

    url: str
    control: httpx.Client

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """Send a POST request to the control API; return the response body."""
        answer = self.control.post(f"/_control/{path}", json=body)
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def page(self, name: str) -> str:
        """Create a page in the network; return its id as a string."""
        return str(self.post("pages", name=name, screen_name=name)["id"])

    def citizen(self, page: str, text: str, kind: str = "comment", **more: Any) -> dict[str, Any]:
        """Write a message as a citizen; return it."""
        return self.post("citizen", page=page, kind=kind, text=text, **more)

    def tokens(self) -> list[dict[str, Any]]:
        """Return the valid tokens of the network, with the other credentials that they need."""
        items: list[dict[str, Any]] = self.control.get("/_control/tokens").json()["items"]
        return items

    def answers(self, page: str) -> list[dict[str, Any]]:
        """Return the replies that the community published."""
        items: list[dict[str, Any]] = self.control.get("/_control/answers", params={"page": page}).json()["items"]
        return items


@asynccontextmanager
async def without_limits(emulator: Emulator, *limits: str) -> AsyncIterator[None]:
    """Lift these limits of the emulator until the block ends."""
    before = emulator.control.get("/_control/settings").json()
    emulator.post("settings", **dict.fromkeys(limits, 0))
    try:
        yield
    finally:
        emulator.post("settings", **{limit: before[limit] for limit in limits})


@contextmanager
def running_emulator(network: str, folder: Path, **settings: str) -> Iterator[Emulator]:
    """Run `python -m emulators.<network>` on a free port; `settings` are environment variables."""
    port = free_port()
    environment = {
        **os.environ,
        "EMULATOR_PORT": str(port),
        "EMULATOR_DATA": str(folder / f"{network}.sqlite3"),
        "EMULATOR_TIMEOUT_SECONDS": "10",
        **settings,
    }
    process = ForkedProgram(f"emulators.{network}", env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, timeout=30, limits=CLIENT_LIMITS) as control:
            _wait_for(control, process)
            yield Emulator(url, control)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _wait_for(control: httpx.Client, process: ForkedProgram) -> None:
    def answers() -> bool:
        assert process.returncode is None, "the emulator ended"
        try:
            control.get("/_control/pages")
        except httpx.TransportError:
            return False
        return True

    eventually_blocking(answers, "an answer of the emulator")


@pytest.fixture(scope="module")
def vk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The VK emulator."""
    with running_emulator("vk", tmp_path_factory.mktemp("vk")) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def ok(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The OK emulator."""
    with running_emulator("ok", tmp_path_factory.mktemp("ok")) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the delays of scans, for which there are no settings."""
    monkeypatch.setattr(resumable_runner, "POLL_SECONDS", 0.5)
    monkeypatch.setattr(resumable_runner, "FIRST_DELAY", 0.2)


@pytest.fixture(autouse=True)
def _no_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    for name in ("vk", "ok"):
        if name in request.fixturenames:
            request.getfixturevalue(name).control.delete("/_control/faults")


@dataclass(frozen=True)
class Connected:
    """A running ingest, and a direct connection to its database."""

    ingest: ServiceUnderTest
    database: TestDatabase
    raw_connection: asyncpg.Connection
    organisation: UUID

    @property
    def worker(self) -> Worker:
        """Return the worker that reads the networks in this process."""
        worker: object = getattr(self.ingest.service.workers["collector"], "__self__", None)
        assert isinstance(worker, Worker)
        return worker

    async def connect_page(self, network: str, emulator: Emulator, page: str) -> UUID:
        """Register a page and add all tokens that can read and write it; return the page's id."""
        page_id = await insert_page(self.database, self.organisation, network=network, external_id=page)
        for token in emulator.tokens():
            if token["kind"] == "group" and str(token["page"]) != page:
                continue
            await self.add_token(network, token, page_id if token["kind"] == "group" else None)
        return page_id

    async def add_token(self, network: str, token: dict[str, Any], page_id: UUID | None = None) -> None:
        """Add a token of an emulator: of this page, or of no page."""
        body = {key: token[key] for key in token if key in TOKEN_FIELDS}
        body |= {"network": network} | ({"page_id": str(page_id)} if page_id else {})
        answer = await self.ingest.client.post(
            "/api/v1/sources/tokens", json=body, headers=self.ingest.headers("moderator")
        )
        assert answer.status_code in {200, 201}, answer.text

    async def answer(
        self, message_id: UUID, text: str, reply_id: UUID | None = None, *, photos: Sequence[UUID] = ()
    ) -> dict[str, Any]:
        """Request the publication of a reply as appeals does; return the publication."""
        body = {
            "reply_id": str(reply_id or uuid4()),
            "message_id": str(message_id),
            "text": text,
            "on_behalf_of": "someone",
            "attachments": [
                {"id": str(photo), "name": "двор.jpg", "content_type": "image/jpeg"} for photo in photos
            ],
        }
        answer = await self.ingest.client.post(
            "/internal/publications", json=body, headers=self.ingest.service_headers("appeals")
        )
        assert answer.status_code in {200, 201}, answer.text
        result: dict[str, Any] = answer.json()
        return result

    async def publication(self, publication_id: str) -> dict[str, Any]:
        """Return a publication as the API shows it."""
        answer = await self.ingest.client.get(
            f"/api/v1/publications/{publication_id}", headers=self.ingest.headers("moderator")
        )
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    async def stored(self, external_id: str, kind: str = "comment") -> asyncpg.Record | None:
        """Return the stored message with this id in the network, or None."""
        return await self.raw_connection.fetchrow(
            "SELECT * FROM messages WHERE external_id = $1 AND kind = $2", external_id, kind
        )

    async def events(self, kind: str) -> list[asyncpg.Record]:
        """Return the events of a type, oldest first."""
        return list(
            await self.raw_connection.fetch("SELECT * FROM events WHERE type = $1 ORDER BY created_at, id", kind)
        )


TOKEN_FIELDS = {"kind", "token", "application_key", "application_secret_key", "session_secret_key"}


@pytest.fixture
async def tables(database: TestDatabase, keys_dir: Path) -> AsyncIterator[Database]:
    """The connection pool of a running ingest."""
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest:
        yield ingest.service.database


async def add_service_token(tables: Database, name: str = "one") -> UUID:
    """Add a service token of VK and return its id."""
    async with tables.write() as session:
        given = NetworkTokenIn.model_validate({"network": "vk", "kind": "service", "token": name})
        row, _ = await add_token(session, given, "test")
        return row.id


@asynccontextmanager
async def connected(database: TestDatabase, keys_dir: Path, **env: str) -> AsyncIterator[Connected]:
    """Run ingest with its workers and these settings, such as the addresses of the networks."""
    raw_connection = await database.connect()
    organisation = await insert_organisation(database)
    async with service_under_test("ingest", database, keys_dir, process="all", **(KEYS | FAST | env)) as ingest:
        yield Connected(ingest, database, raw_connection, organisation)
    await raw_connection.close()
