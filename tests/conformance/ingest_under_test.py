"""A running ingest and one network's emulator, with the operations of both that behaviours use."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import asyncpg

from cli.deployment.provisioning import with_database
from services.ingest.pseudonymisation.author_keys import author_key
from tests.conformance.drivers.base import Deliver, Driver, Kind, What, WrittenMessage
from tests.conftest import TestDatabase
from tests.integration.ingest.http_forwarder import running_forwarder
from tests.integration.ingest.photo_server import PhotoServer, photo_server
from tests.support.eventually import eventually
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, insert_page, service_under_test

T = TypeVar("T")

# The maximum wait in seconds. An edit that changes no count is found only when all threads are read in turn,
# which may take minutes on a busy machine.
PATIENCE = float(os.environ.get("CONFORMANCE_PATIENCE", "300"))
TOKEN_FIELDS = {"kind", "token", "application_key", "application_secret_key", "session_secret_key"}


@dataclass
class IngestUnderTest:
    """The system that a behaviour tests. `page` is shared by all behaviours that do not need their own page."""

    driver: Driver
    database: TestDatabase
    keys_dir: Path
    env: Mapping[str, str]
    raw_connection: asyncpg.Pool
    organisation: UUID
    photos: PhotoServer
    page: str = ""
    page_id: UUID = field(default_factory=uuid4)
    _ingest: ServiceUnderTest | None = None
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)
    _numbers: Any = field(default_factory=count)
    _own: dict[asyncio.Task[Any] | None, list[UUID]] = field(default_factory=dict)
    _callback_registered: bool = False
    _callback_lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    # --- running ------------------------------------------------------------------------------------

    @property
    def ingest(self) -> ServiceUnderTest:
        """Return the running service."""
        assert self._ingest is not None, "ingest is stopped"
        return self._ingest

    async def start(self, **more: str) -> None:
        """Start ingest with its workers; `more`: settings in addition to the suite's."""
        env = {**self.env, **more}
        service = service_under_test("ingest", self.database, self.keys_dir, process="all", **env)
        self._ingest = await self._running.enter_async_context(service)

    @asynccontextmanager
    async def reachable(self, **more: str) -> AsyncIterator[None]:
        """Run ingest at a URL that networks can push to, with `more` settings, until the block ends."""
        await self.stop()
        try:
            async with running_forwarder() as relay:
                await self.start(callbacks_url=relay.url, **more)
                relay.target = self.ingest.client
                yield
                relay.target = None
                await self.stop()
        finally:
            await self.start()

    async def stop(self) -> None:
        """Stop ingest."""
        self._ingest = None
        await self._running.aclose()
        self._running = AsyncExitStack()

    @asynccontextmanager
    async def down(self) -> AsyncIterator[None]:
        """Stop ingest until the block ends."""
        await self.stop()
        try:
            yield
        finally:
            await self.start()

    # --- pages --------------------------------------------------------------------------------------

    async def new_page(self, name: str) -> str:
        """Create a page in the network without registering it."""
        return await self.driver.page(f"{name}_{next(self._numbers)}")

    async def connect(self, page: str, *, go_live_at: str = "2020-01-01T00:00:00+00:00") -> UUID:
        """Register a page and add the credentials that read and write it."""
        page_id = await insert_page(
            self.database, self.organisation, network=self.driver.network, external_id=page, go_live_at=go_live_at
        )
        self._own.setdefault(asyncio.current_task(), []).append(page_id)
        for token in await self.driver.tokens(page):
            await self.add_token(token, page_id)
        return page_id

    async def disconnect(self) -> None:
        """Stop reading the pages that the current behaviour has connected."""
        pages = self._own.pop(asyncio.current_task(), [])
        await self.raw_connection.execute("UPDATE pages SET active = false WHERE id = ANY($1::uuid[])", pages)

    async def connected(self, name: str) -> tuple[str, UUID]:
        """Create and register a page; return its name in the network and its id in ingest."""
        page = await self.new_page(name)
        return page, await self.connect(page)

    async def add_token(self, token: Mapping[str, Any], page_id: UUID) -> None:
        """Add a credential as an operator."""
        body = {key: token[key] for key in token if key in TOKEN_FIELDS} | {"network": self.driver.network}
        if token["kind"] == "group":
            body["page_id"] = str(page_id)
        await self.post("/api/v1/sources/tokens", body, role="moderator")

    async def source(self, page_id: UUID) -> dict[str, Any]:
        """Return the state of the page's sources from the API."""
        items = (await self.get(f"/api/v1/sources?page_id={page_id}"))["items"]
        (found,) = [one for one in items if one["page_id"] == str(page_id)]
        result: dict[str, Any] = found
        return result

    async def source_state(self, page_id: UUID, *states: str) -> dict[str, Any]:
        """Wait until the page's source is in one of these states."""

        async def look() -> dict[str, Any] | None:
            found = await self.source(page_id)
            return found if found["state"] in states else None

        return await self.eventually(look, f"the source is not {' or '.join(states)}")

    async def announce(self, what: What, about: WrittenMessage, event_id: str, text: str | None = None) -> None:
        """Push an event about an object on the shared page."""
        words = about.text if text is None else text
        await self.driver.announce(await self._control(), what, about, words, event_id)

    async def announce_garbage(self, mark: str) -> None:
        """Push an unparsable event to the shared page."""
        await self.driver.announce_garbage(await self._control(), self.page, mark)

    async def _control(self) -> Deliver:
        """Return a function that pushes events of the shared page; register the callback at the first call."""
        path, secret = self.driver.pushed_at, "secret-of-the-suite"
        async with self._callback_lock:
            if path and not self._callback_registered:
                answer = await self.ingest.client.put(
                    f"/api/v1/sources/{self.page_id}/callback",
                    json={"secret": secret},
                    headers=self._headers("moderator"),
                )
                assert answer.status_code == 200, answer.text
                self._callback_registered = True

        async def deliver(body: dict[str, Any]) -> None:
            given = body if "{secret}" in path else body | {"secret": secret}
            answer = await self.ingest.client.post(path.format(secret=secret), json=given)
            assert (answer.status_code, answer.text) == (200, "ok"), answer.text

        return deliver

    # --- the service's API --------------------------------------------------------------------------

    def _headers(self, role: str) -> dict[str, str]:
        """Return headers of this role's person: concurrent behaviours need one person per role."""
        token = self.ingest.token(role, subject=str(uuid5(NAMESPACE_OID, role)))
        return {"Authorization": f"Bearer {token}"}

    async def get(self, path: str) -> dict[str, Any]:
        """Send a GET request as a moderator of the centre."""
        answer = await self.ingest.client.get(path, headers=self._headers("moderator"))
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    async def post(self, path: str, body: Any, *, role: str = "operations") -> dict[str, Any]:
        """Send a POST request as a person of the centre."""
        answer = await self.ingest.client.post(path, json=body, headers=self._headers(role))
        assert answer.status_code in {200, 201, 202}, f"{path}: {answer.status_code} {answer.text}"
        result: dict[str, Any] = answer.json()
        return result

    # --- what is stored -----------------------------------------------------------------------------

    async def eventually(self, look: Callable[[], Awaitable[T | None]], failing: str) -> T:
        """Repeat a check until its result is true; fail with `failing` after `PATIENCE` seconds."""
        try:
            return await eventually(look, seconds=PATIENCE)
        except AssertionError:
            raise AssertionError(failing) from None

    async def stored(self, what: WrittenMessage) -> asyncpg.Record | None:
        """Return the stored row of a written object, or None."""
        return await self.by_id(what.kind, what.external_id)

    async def by_id(self, kind: Kind, external_id: str) -> asyncpg.Record | None:
        """Return the row with this kind and external id, or None."""
        return await self.raw_connection.fetchrow(
            "SELECT * FROM messages WHERE network = $1 AND kind = $2 AND external_id = $3",
            self.driver.network,
            kind,
            external_id,
        )

    async def wait_until_stored(self, what: WrittenMessage, **expected: Any) -> asyncpg.Record:
        """Wait until the object is stored with `expected` in its columns; assert that its thread is right."""

        async def look() -> asyncpg.Record | None:
            row = await self.stored(what)
            return row if row is not None and all(row[key] == value for key, value in expected.items()) else None

        try:
            row = await eventually(look, seconds=PATIENCE)
        except AssertionError:
            raise AssertionError(f"not stored as {expected}: {what}; stored: {await self.stored(what)}") from None
        assert row["thread_key"] == what.thread_key
        return row

    async def wait_until_stored_id(self, message_id: UUID) -> asyncpg.Record:
        """Return the stored message with this id; fail if there is none."""
        row = await self.raw_connection.fetchrow("SELECT * FROM messages WHERE id = $1", message_id)
        assert row is not None
        return row

    async def wait_until_deleted(self, what: WrittenMessage) -> asyncpg.Record:
        """Wait until the message is marked as deleted."""

        async def look() -> asyncpg.Record | None:
            row = await self.stored(what)
            return row if row is not None and row["deleted_at"] is not None else None

        return await self.eventually(look, f"not marked as deleted: {what}")

    async def wait_for_community_message(self, text: str) -> asyncpg.Record:
        """Wait for the community's message with this text."""

        async def look() -> asyncpg.Record | None:
            return await self.raw_connection.fetchrow(
                "SELECT * FROM messages WHERE text = $1 AND from_community AND network = $2",
                text,
                self.driver.network,
            )

        return await self.eventually(look, f"the community's message is not stored: {text}")

    async def in_thread(self, thread_key: str) -> list[asyncpg.Record]:
        """Return the stored messages of a thread without its post, oldest first."""
        return list(
            await self.raw_connection.fetch(
                "SELECT * FROM messages WHERE thread_key = $1 AND kind <> 'wall_post'"
                " ORDER BY written_at, external_id",
                thread_key,
            )
        )

    async def texts_before(self, row: asyncpg.Record) -> list[str]:
        """Return the texts that a message had before its edits, oldest first."""
        detail = await self.get(f"/api/v1/messages/{row['id']}")
        return [version["text"] for version in detail["versions"]]

    async def events(self, subject: UUID, kind: str) -> list[dict[str, Any]]:
        """Return the data of the events of this type about a message or publication, oldest first."""
        rows = await self.raw_connection.fetch(
            "SELECT data FROM events WHERE subject_id = $1 AND type = $2 ORDER BY created_at, id", subject, kind
        )
        return [json.loads(row["data"]) if isinstance(row["data"], str) else row["data"] for row in rows]

    def author_key(self, native_id: str) -> str:
        """Return the pseudonymous key of an author."""
        return author_key(self.driver.network, native_id)

    async def later_comment_arrived(self) -> None:
        """Write a comment and wait until it is stored: the page was read again, so unwanted effects would show."""
        await self.wait_until_stored(await self.driver.citizen(self.page, f"Позже {uuid4().hex}"))

    # --- replies ------------------------------------------------------------------------------------

    async def ask(
        self, message_id: UUID, text: str, *, reply_id: UUID | None = None, photos: Sequence[UUID] = ()
    ) -> UUID:
        """Request a reply as appeals does, with these photos; return the publication's id."""
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
        return UUID(answer.json()["id"])

    async def change(
        self,
        publication: UUID,
        text: str | None,
        *,
        change_id: UUID | None = None,
        photos: Sequence[UUID] | None = None,
    ) -> dict[str, Any]:
        """Request an edit or, without a text, a withdrawal, as appeals does; return its result when it has ended.

        `photos`: the photos of the reply after the edit; None: unchanged.
        """
        ident = change_id or uuid4()
        attachments = None
        if photos is not None:
            named = {"name": "двор.jpg", "content_type": "image/jpeg"}
            attachments = [{"id": str(photo), **named} for photo in photos]
        answer = await self.ingest.client.post(
            f"/internal/publications/{publication}/changes",
            json={"id": str(ident), "text": text, "on_behalf_of": "someone", "attachments": attachments},
            headers=self.ingest.service_headers("appeals"),
        )
        assert answer.status_code in {200, 201}, answer.text

        async def ended() -> dict[str, Any] | None:
            row = await self.raw_connection.fetchrow(
                "SELECT status, failure::text AS failure FROM publication_changes WHERE id = $1", ident
            )
            if row is None or row["status"] not in {"done", "failed"}:
                return None
            return {"status": row["status"], "failure": json.loads(row["failure"] or "null")}

        return await self.eventually(ended, "the change does not end")

    async def attempts(self, publication: UUID) -> int:
        """Return the number of calls that the last change of the publication needed."""
        found: int = await self.raw_connection.fetchval(
            "SELECT attempts FROM publication_changes WHERE publication_id = $1 ORDER BY created_at DESC LIMIT 1",
            publication,
        )
        return found

    async def publication(self, ident: UUID) -> dict[str, Any]:
        """Return a publication from the API."""
        return await self.get(f"/api/v1/publications/{ident}")

    async def wait_until_published(self, ident: UUID, status: str = "published") -> dict[str, Any]:
        """Wait until the publication is published or has failed; assert that its status is `status`."""

        async def look() -> dict[str, Any] | None:
            found = await self.publication(ident)
            return found if found["status"] in {"published", "failed"} else None

        found = await self.eventually(look, f"the publication does not end: {await self.publication(ident)}")
        assert found["status"] == status, found
        return found


@asynccontextmanager
async def running_ingest(
    driver: Driver, database: TestDatabase, keys_dir: Path, env: Mapping[str, str]
) -> AsyncIterator[IngestUnderTest]:
    """Run ingest connected to one network, with one registered page."""
    raw_connection = await asyncpg.create_pool(
        with_database(database.admin_url, database.name), min_size=1, max_size=8
    )
    serving = AsyncExitStack()
    photos = await serving.enter_async_context(photo_server(keys_dir))
    system = IngestUnderTest(
        driver, database, keys_dir, {**env, "appeals_url": photos.url}, raw_connection,
        await insert_organisation(database), photos,
    )  # fmt: skip
    await system.start()
    try:
        system.page = await system.new_page("shared")
        await driver.keep_comments_open(system.page, "Первый!")
        # In its own task, so that no behaviour disconnects the page.
        system.page_id = await asyncio.create_task(system.connect(system.page))
        yield system
    finally:
        await system.stop()
        await serving.aclose()
        await raw_connection.close()
        await driver.control.aclose()
