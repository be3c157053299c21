"""The event stream: each event arrives once and only for callers who may see it; ends and limits of streams."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from services.webhooks.api import stream as stream_api
from services.webhooks.settings import webhooks_settings
from services.webhooks.stream import catch_up, event_stream, live_stream
from services.webhooks.stream.event_stream import EventStream
from services.webhooks.stream.listener import Listener
from services.webhooks.stream.live_stream import LiveStream
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from shared.auth.session_cookies import ACCESS_COOKIE
from shared.http import server_protocol
from shared.service import Process
from tests.conftest import TestDatabase
from tests.integration.webhooks.conftest import WebhooksHarness
from tests.support.event_stream_client import Message, StreamClient, open_stream
from tests.support.eventually import eventually_true
from tests.support.served_app import served
from tests.support.service_under_test import SESSION_ID, insert_organisation, service_under_test
from tests.support.stuck_reader import stuck_reader


@dataclass
class Streams:
    """The webhooks service behind a real server, and a client."""

    harness: WebhooksHarness
    base: str
    http: aiohttp.ClientSession

    @property
    def live(self) -> LiveStream:
        return self.harness.app.service.part(LiveStream)

    async def signed_in(self, role: str, organisation_id: UUID | None = None, **token: Any) -> dict[str, str]:
        """Return the headers of a person who has the access that the token names."""
        subject = self.harness.subject(role, organisation_id)
        signed = self.harness.app.token(role, organisation_id, subject=subject, **token)
        headers = {"Authorization": f"Bearer {signed}"}
        await self.ticket(headers)  # the test client inserts the caller's access only before a change
        return headers

    async def ticket(self, headers: dict[str, str]) -> str:
        answer = await self.harness.app.client.post("/api/v1/stream/tickets", headers=headers)
        assert answer.status_code == 201, answer.text
        assert answer.json()["expires_in"] == 60
        ticket: str = answer.json()["ticket"]
        return ticket

    async def refused(self, headers: dict[str, str] | None = None, **query: Any) -> tuple[int, dict[str, Any]]:
        url = f"{self.base}/api/v1/stream"
        async with self.http.get(url, headers=headers or {}, params=query) as response:
            body: dict[str, Any] = await response.json()
            return response.status, body


@asynccontextmanager
async def streams(
    database: TestDatabase, keys_dir: Path, process: Process = "api", **env: str
) -> AsyncIterator[Streams]:
    async with (
        service_under_test("webhooks", database, keys_dir, process=process, **env) as app,
        served(app.client._transport.app) as base,  # type: ignore[attr-defined]
        aiohttp.ClientSession() as http,
    ):
        found = Streams(WebhooksHarness(app, database), base, http)
        try:
            yield found
        finally:
            app.service.stop_api_parts()


@pytest.fixture
async def running(database: TestDatabase, keys_dir: Path) -> AsyncIterator[Streams]:
    async with streams(database, keys_dir) as found:
        yield found


def positions(messages: list[Message]) -> list[str | None]:
    return [message.id for message in messages]


def numbers(first: int, last: int) -> list[str]:
    return [f"0.{number}" for number in range(first, last + 1)]


async def test_event_arrives_in_the_form_of_the_feed(running: Streams) -> None:
    headers = await running.signed_in("moderator")
    await running.harness.emit("appeal.opened", number=1)
    async with open_stream(running.http, running.base, headers) as stream:
        assert stream.last_id == "0.1"
        await running.harness.emit("appeal.answered", number=2)
        [message] = await stream.events(1)
    feed = await running.harness.app.client.get("/api/v1/events?after=0.1", headers=headers)
    [item] = feed.json()["items"]
    assert (message.id, message.event, message.data) == ("0.2", "appeal.answered", item)


async def test_events_committed_while_catching_up_arrive_once_and_in_order(
    database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "PAGE", 3)
    monkeypatch.setattr(event_stream, "CHUNK", 2)
    monkeypatch.setattr(catch_up, "WINDOW", 5)
    async with (
        streams(database, keys_dir, "all") as one,
        streams(database, keys_dir, "api") as other,
    ):
        headers = await one.signed_in("moderator")
        for number in range(40):
            await one.harness.emit(number=number)

        async def keep_writing() -> None:
            for number in range(40, 80):
                await one.harness.emit(number=number)

        async def read_all(instance: Streams, after: str) -> list[str | None]:
            async with open_stream(instance.http, instance.base, headers, after=after) as stream:
                return positions(await stream.events(80 - int(after.rpartition(".")[2])))

        writer = asyncio.create_task(keep_writing())
        found = await asyncio.gather(
            *(read_all(instance, after) for instance in (one, other) for after in ("0", "0.17", "0.39"))
        )
        await writer
    assert found == [numbers(1, 80), numbers(18, 80), numbers(40, 80)] * 2


async def test_only_events_that_the_caller_may_see_arrive(running: Streams) -> None:
    department = await insert_organisation(running.harness.test_database, name="Управление")
    school = await insert_organisation(running.harness.test_database, name="Школа", parent=department)
    clinic = await insert_organisation(running.harness.test_database, name="Больница")
    readers = {
        "centre": await running.signed_in("moderator"),
        "school": await running.signed_in("executor", school),
        "clinic": await running.signed_in("executor", clinic),
        "above": await running.signed_in("manager", department, include_subordinates=True),
        "narrow": await running.signed_in("analyst", scope="events:read registry:read"),
    }
    # Each stream's last event arrives, so no other event came before it.
    expected = {
        "centre": numbers(1, 5),
        "school": ["0.1", "0.4"],
        "clinic": ["0.2", "0.5"],
        "above": ["0.1", "0.4"],
        "narrow": ["0.4", "0.5"],
    }
    async with AsyncExitStack() as opened:

        async def listen(headers: dict[str, str], **query: str) -> StreamClient:
            return await opened.enter_async_context(open_stream(running.http, running.base, headers, **query))

        live = {name: await listen(headers) for name, headers in readers.items()}
        for organisation_id in (school, clinic, None):
            await running.harness.emit("appeal.opened", organisation_id)
        for organisation_id in (school, clinic):
            await running.harness.emit("page.changed", organisation_id)
        late = {name: await listen(headers, after="0") for name, headers in readers.items()}
        for group in (live, late):
            found = {name: positions(await stream.events(len(expected[name]))) for name, stream in group.items()}
            assert found == expected


async def test_new_subordinate_organisation_is_included_at_once(running: Streams) -> None:
    department = await insert_organisation(running.harness.test_database, name="Управление")
    headers = await running.signed_in("manager", department, include_subordinates=True)
    async with open_stream(running.http, running.base, headers) as stream:
        school = await insert_organisation(running.harness.test_database, name="Школа", parent=department)
        await running.harness.emit("appeal.opened", school)
        assert positions(await stream.events(1)) == ["0.1"]


async def test_stream_is_filtered_by_type_and_appeal(running: Streams) -> None:
    headers = await running.signed_in("moderator")
    appeal_id = await running.harness.emit("appeal.opened")
    by_type = {"type": "appeal.answered, message.*"}
    async with (
        open_stream(running.http, running.base, headers, after="0", **by_type) as of_types,
        open_stream(running.http, running.base, headers, after="0", appeal_id=str(appeal_id)) as of_appeal,
    ):
        await running.harness.emit("appeal.opened")
        await running.harness.emit("appeal.answered")
        await running.harness.emit("message.received")
        await running.harness.emit("appeal.closed", subject_id=appeal_id)
        assert positions(await of_types.events(2)) == ["0.3", "0.4"]
        assert positions(await of_appeal.events(2)) == ["0.1", "0.5"]
    repeated = [("after", "0"), ("type", "appeal.opened"), ("type", "appeal.closed")]
    async with running.http.get(f"{running.base}/api/v1/stream", headers=headers, params=repeated) as response:
        assert positions(await StreamClient(response).events(4)) == ["0.0", "0.1", "0.2", "0.5"]


@pytest.mark.parametrize(
    ("query", "headers", "status", "pointer"),
    [
        ({"after": "first"}, {}, 422, "query/after"),
        ({}, {"Last-Event-ID": "first"}, 422, "header/Last-Event-ID"),
        ({"type": "appeal.openned"}, {}, 422, "query/type"),
        ({"type": "person.changed"}, {}, 403, "query/type"),
        ({"type": "appeals.*"}, {}, 422, "query/type"),
        ({"type": "person.*"}, {}, 403, "query/type"),
        ({"types": "appeal.opened"}, {}, 422, "query/types"),
        ({"appeal_id": "1"}, {}, 422, "query/appeal_id"),
    ],
)
async def test_invalid_parameter_is_refused_naming_the_field(
    running: Streams, query: dict[str, str], headers: dict[str, str], status: int, pointer: str
) -> None:
    found, problem = await running.refused(await running.signed_in("moderator") | headers, **query)
    assert (found, [error["pointer"] for error in problem["errors"]]) == (status, [pointer])


async def test_last_event_id_now_is_refused_and_not_offered_by_the_error(running: Streams) -> None:
    headers = await running.signed_in("moderator")
    status, problem = await running.refused(headers | {"Last-Event-ID": "now"})
    assert (status, problem["errors"][0]["detail"]) == (422, "Expected the `id` of a message")


async def test_reader_continues_after_its_last_event(running: Streams) -> None:
    headers = await running.signed_in("moderator")
    async with open_stream(running.http, running.base, headers) as stream:
        await running.harness.emit()
        await stream.events(1)
    for _ in range(3):
        await running.harness.emit()
    again = headers | {"Last-Event-ID": str(stream.last_id)}
    # On reconnecting the browser repeats the first URL, here with `after=0`.
    async with open_stream(running.http, running.base, again, after="0") as stream:
        await running.harness.emit()
        assert positions(await stream.events(4)) == numbers(2, 5)


async def test_reader_from_beyond_the_last_position_does_not_delay_other_readers(running: Streams) -> None:
    headers = await running.signed_in("moderator")
    await running.harness.emit()
    beyond = headers | {"Last-Event-ID": "2147483647.4294967295"}
    async with (
        open_stream(running.http, running.base, beyond),
        open_stream(running.http, running.base, headers, after="0") as other,
    ):
        assert positions(await other.events(1)) == ["0.1"]
        await eventually_true(lambda: sum(map(len, running.live.tail._listeners.values())) == 2, "both follow")
        assert running.live.tail.position == 1
        await running.harness.emit()
        assert positions(await other.events(1)) == ["0.2"]


async def test_reader_continues_across_a_gap_between_positions(
    running: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "WINDOW", 2)
    headers = await running.signed_in("moderator")
    for _ in range(7):
        await running.harness.emit()
    await running.harness.sql("DELETE FROM events WHERE position BETWEEN 3 AND 5")
    await running.harness.sql("UPDATE events SET position = position + (1::bigint << 32) WHERE position = 7")
    async with open_stream(running.http, running.base, headers, after="0") as stream:
        assert positions(await stream.events(4)) == ["0.1", "0.2", "0.6", "1.7"]


async def test_reader_behind_the_tail_waits_before_the_next_page(
    running: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "POLL_SECONDS", 60.0)
    pages: list[int] = []

    async def counted(session: AsyncSession, listener: Listener, after: int) -> catch_up.CatchUpPage:
        pages.append(after)
        return await catch_up.read_page(session, listener, after)

    monkeypatch.setattr(event_stream, "read_page", counted)
    headers = await running.signed_in("moderator")
    async with open_stream(running.http, running.base, headers):
        running.live.tail._kept_after = 10
        async with open_stream(running.http, running.base, headers, after="0") as stream:
            await eventually_true(lambda: pages == [0], "it has read a page")
            running.harness.app.service.stop_api_parts()
            assert (await stream.ended())["reason"] == "shutdown"
    assert pages == [0]


async def test_reader_that_reconnects_soon_gets_kept_events_without_a_query(
    running: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[int] = []

    async def counted(session: AsyncSession, listener: Listener, after: int) -> catch_up.CatchUpPage:
        pages.append(after)
        return await catch_up.read_page(session, listener, after)

    monkeypatch.setattr(event_stream, "read_page", counted)
    school = await insert_organisation(running.harness.test_database, name="Школа")
    centre, own = await running.signed_in("moderator"), await running.signed_in("executor", school)
    expected = {("centre", "0.1"): ["0.2", "0.3"], ("own", "0.1"): ["0.3"], ("own", "0.0"): ["0.1", "0.3"]}
    async with open_stream(running.http, running.base, centre) as first:
        for organisation_id in (school, None, school):
            await running.harness.emit("appeal.opened", organisation_id)
        await first.events(3)
        for (name, after), found in expected.items():
            headers = centre if name == "centre" else own
            async with open_stream(running.http, running.base, headers, after=after) as stream:
                assert positions(await stream.events(len(found))) == found
        assert pages == []
        # A change of the organisation tree may change who may see kept events, so a page is read.
        await running.harness.emit("organisation.changed")
        await first.events(1)
        async with open_stream(running.http, running.base, own, after="0.1") as stream:
            assert positions(await stream.events(1)) == ["0.3"]
    assert pages == [1]


async def test_reader_with_a_small_buffer_reads_pages_instead_of_kept_events(
    database: TestDatabase, keys_dir: Path
) -> None:
    async with streams(database, keys_dir, stream_buffer_events="3") as running:
        headers = await running.signed_in("moderator")
        async with open_stream(running.http, running.base, headers) as first:
            for number in range(1, 9):
                await running.harness.emit()
                assert positions(await first.events(1)) == [f"0.{number}"]
            async with open_stream(running.http, running.base, headers, after="0.1") as second:
                assert positions(await second.events(7)) == numbers(2, 8)


async def test_heartbeat_advances_the_position_of_a_reader_without_visible_events(
    database: TestDatabase, keys_dir: Path
) -> None:
    async with streams(database, keys_dir, stream_heartbeat_seconds="0.02") as running:
        school = await insert_organisation(database, name="Школа")
        headers = await running.signed_in("executor", school)
        async with open_stream(running.http, running.base, headers) as stream:
            await running.harness.emit()
            while stream.last_id != "0.1":
                message = await stream.message()
                assert (message.event, message.comment) == ("", "heartbeat")


async def test_ticket_opens_one_stream_on_any_instance(database: TestDatabase, keys_dir: Path) -> None:
    async with streams(database, keys_dir, "all") as one, streams(database, keys_dir) as other:
        school = await insert_organisation(database, name="Школа")
        headers = await one.signed_in("executor", school)
        ticket = await one.ticket(headers)
        assert ticket not in str(await one.harness.sql("SELECT * FROM stream_tickets"))
        used = await asyncio.gather(
            *(
                instance.http.get(f"{instance.base}/api/v1/stream", params={"ticket": ticket})
                for instance in (one, other) * 3
            )
        )
        assert sorted(response.status for response in used) == [200] + [401] * 5
        opened = StreamClient(next(response for response in used if response.status == 200))
        await one.harness.emit("appeal.opened")
        await one.harness.emit("appeal.opened", school)
        assert positions(await opened.events(2)) == ["0.0", "0.2"]
        for response in used:
            response.close()
        status, problem = await other.refused(ticket=ticket)
        assert (status, problem["type"]) == (401, "/problems/unauthenticated")


async def test_ticket_expires_by_the_clock_of_the_database(running: Streams) -> None:
    headers = await running.signed_in("moderator")
    ticket = await running.ticket(headers)
    await running.harness.sql("UPDATE stream_tickets SET expires_at = clock_timestamp()")
    assert (await running.refused(ticket=ticket))[0] == 401
    assert (await running.refused())[0] == 401


async def test_forged_ticket_is_refused_without_the_database_and_logged(
    running: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = await running.ticket(await running.signed_in("moderator"))
    monkeypatch.setattr(running.harness.database, "write", None)
    with capture_logs() as logs:
        for forged in ("unknown", "ж", ticket[:-4] + "AAAA", "AAAA" + ticket[4:], ticket[:40]):
            assert (await running.refused(ticket=forged))[0] == 401
    [*refusals] = [line for line in logs if line["event"] == "request_refused"]
    assert [line.get("ip_address") for line in refusals] == ["127.0.0.1"] * 5


async def test_refusal_by_a_limit_leaves_the_ticket_unused(database: TestDatabase, keys_dir: Path) -> None:
    async with streams(database, keys_dir, stream_per_caller="1") as running:
        headers = await running.signed_in("moderator")
        ticket = await running.ticket(headers)
        async with open_stream(running.http, running.base, headers):
            assert (await running.refused(ticket=ticket))[0] == 429
        await eventually_true(lambda: not running.live._open, "the slot is free")
        async with open_stream(running.http, running.base, ticket=ticket):
            pass


async def test_ticket_expires_with_the_token_it_was_issued_for(
    running: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The leeway lets the request itself succeed on a slow machine, although its token has expired.
    monkeypatch.setattr("shared.auth.tokens.EXPIRY_LEEWAY_SECONDS", 300)
    headers = await running.signed_in("moderator", lifetime=timedelta(0))
    status, problem = await running.refused(ticket=await running.ticket(headers))
    assert (status, "expired" in problem["detail"]) == (401, True)


async def test_ticket_without_the_right_to_read_events_is_refused(running: Streams) -> None:
    for role in ("head", "operations"):
        answer = await running.harness.app.client.post(
            "/api/v1/stream/tickets", headers=running.harness.headers(role)
        )
        assert answer.status_code == 403


async def test_position_with_purged_events_gets_410_with_the_next_position(running: Streams) -> None:
    headers = await running.signed_in("moderator")
    for _ in range(5):
        await running.harness.emit()
    await running.harness.sql("DELETE FROM events WHERE position <= 3")
    status, problem = await running.refused(headers | {"Last-Event-ID": "0.2"})
    assert (status, problem["type"], problem["next_after"]) == (410, "/problems/gone", "0.3")
    # `EventSource` sends no header and shows no status to the page.
    cookie = {"Cookie": f"{ACCESS_COOKIE}={headers['Authorization'].removeprefix('Bearer ')}"}
    cookie["Sec-Fetch-Site"] = "same-origin"
    for who, query in ((None, {"ticket": await running.ticket(headers)}), (cookie, {})):
        async with open_stream(running.http, running.base, who, after="0.2", **query) as stream:
            ended = await stream.ended()
        assert (ended["reason"], ended["next_after"]) == ("gone", "0.3")
    async with open_stream(running.http, running.base, headers, after=ended["next_after"]) as stream:
        assert positions(await stream.events(2)) == ["0.4", "0.5"]


async def test_stream_ends_when_the_token_expires(running: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    # The leeway lets the request itself succeed on a slow machine, although its token has expired.
    monkeypatch.setattr("shared.auth.tokens.EXPIRY_LEEWAY_SECONDS", 300)
    headers = await running.signed_in("moderator", lifetime=timedelta(seconds=1))
    async with open_stream(running.http, running.base, headers) as stream:
        assert (await stream.ended())["reason"] == "token_expired"


CHANGES = {
    "locked": "UPDATE people SET locked_at = now() WHERE id = $1",
    "removed": "UPDATE people SET active = false WHERE id = $1",
    "another role": "UPDATE people SET role = 'head' WHERE id = $1",
    "moved": "UPDATE people SET role = 'executor', organisation_id = (SELECT id FROM organisations) WHERE id = $1",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_stream_ends_before_events_after_a_change_of_access(running: Streams, change: str) -> None:
    await insert_organisation(running.harness.test_database)
    headers = await running.signed_in("moderator")
    subject = UUID(running.harness.subject("moderator"))
    async with open_stream(running.http, running.base, headers) as stream:
        await running.harness.sql(CHANGES[change], subject)
        # The change and an event after it are read at once.
        await running.harness.emit_all([("person.changed", None), ("appeal.opened", None)])
        assert (await stream.ended())["reason"] == "access_changed"
        assert stream.last_id == "0.0"
    assert (await running.refused(headers))[0] == 401


async def test_reader_who_loses_access_while_catching_up_gets_no_further_page(
    unchecked: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "PAGE", 1)
    running, connection = unchecked, Connection()
    for _ in range(3):
        await running.harness.emit()

    async def locked(session: AsyncSession, listener: Listener, after: int) -> catch_up.CatchUpPage:
        if after == 1:
            await running.harness.sql(CHANGES["locked"], UUID(listener.caller.subject))
        return await catch_up.read_page(session, listener, after)

    monkeypatch.setattr(event_stream, "read_page", locked)
    connection.gate.set()
    await begin(running, connection)
    *got, ended = connection.messages
    assert (positions(got), ended.data["reason"]) == (["0.0", "0.1"], "access_changed")


async def test_failed_stream_is_not_counted_as_closed_by_its_client(
    unchecked: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    def ended(reason: str) -> float:
        return float(live_stream.ENDED_STREAMS.labels(reason)._value.get())

    monkeypatch.setattr(event_stream, "read_page", fail)
    before = ended("failed"), ended("closed_by_client")
    connection = Connection()
    connection.gate.set()
    with pytest.raises(RuntimeError, match="a defect"):
        await begin(unchecked, connection)
    assert (ended("failed"), ended("closed_by_client")) == (before[0] + 1, before[1])
    assert not unchecked.live._open


async def test_failure_of_the_tail_ends_the_streams(running: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> bool:
        raise RuntimeError("a defect")

    headers = await running.signed_in("moderator")
    async with open_stream(running.http, running.base, headers) as stream:
        monkeypatch.setattr(running.live.tail, "advance", fail)
        await running.harness.emit()
        assert (await stream.ended())["reason"] == "unavailable"


async def test_stream_of_an_ended_session_ends_without_an_event(
    database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "POLL_SECONDS", 0.02)
    async with streams(database, keys_dir, stream_recheck_seconds="0.01") as running:
        headers = await running.signed_in("moderator")
        async with open_stream(running.http, running.base, headers) as stream:
            await running.harness.sql(
                """INSERT INTO refresh_tokens (digest, session_id, person_id, created_at, expires_at, revoked_at)
                   VALUES ('x', $1, $2, now(), now(), now())""",
                UUID(SESSION_ID),
                UUID(running.harness.subject("moderator")),
            )
            assert (await stream.ended())["reason"] == "access_changed"


async def test_streams_beyond_the_limit_of_a_caller_or_process_are_refused(
    database: TestDatabase, keys_dir: Path
) -> None:
    async with streams(database, keys_dir, stream_per_caller="1", stream_per_process="2") as running:
        first, second, third = [await running.signed_in(role) for role in ("moderator", "analyst", "auditor")]
        async with open_stream(running.http, running.base, first):
            status, problem = await running.refused(first)
            assert (status, problem["type"]) == (429, "/problems/too-many-requests")
            async with open_stream(running.http, running.base, second):
                status, problem = await running.refused(third)
                assert (status, problem["type"]) == (503, "/problems/unavailable")
        await eventually_true(lambda: not running.live._open, "closed streams are no longer counted")
        async with open_stream(running.http, running.base, first):
            pass


async def test_streams_beyond_the_limit_of_an_organisation_are_refused(
    database: TestDatabase, keys_dir: Path
) -> None:
    async with streams(database, keys_dir, stream_per_organisation="1") as running:
        place, other = [await insert_organisation(database, name=name) for name in ("Школа", "Больница")]
        first, second = [await running.signed_in(role, place) for role in ("manager", "executor")]
        elsewhere, centre = await running.signed_in("executor", other), await running.signed_in("moderator")
        ticket = await running.ticket(second)
        async with open_stream(running.http, running.base, first):
            async with running.http.get(f"{running.base}/api/v1/stream", headers=second) as response:
                assert response.status == 429
            status, problem = await running.refused(second)
            assert (status, problem["detail"]) == (
                429,
                "Your organisation has 1 open event streams: close one of them",
            )
            assert (await running.refused(ticket=ticket))[0] == 429
            async with (
                open_stream(running.http, running.base, elsewhere),
                open_stream(running.http, running.base, centre),
            ):
                assert (await running.refused(await running.signed_in("analyst")))[0] == 429
        await eventually_true(lambda: not running.live._open, "closed streams are no longer counted")
        assert not running.live._by_organisation
        # The refused ticket is unused.
        async with open_stream(running.http, running.base, ticket=ticket):
            pass


async def test_parallel_requests_cannot_open_more_streams_than_allowed(
    database: TestDatabase, keys_dir: Path
) -> None:
    async with streams(database, keys_dir, stream_per_caller="2", stream_per_process="3") as running:
        first, second = [await running.signed_in(role) for role in ("moderator", "analyst")]
        url = f"{running.base}/api/v1/stream"
        found = await asyncio.gather(*(running.http.get(url, headers=each) for each in [first] * 6 + [second] * 4))
        statuses = [response.status for response in found]
        assert statuses.count(200) == 3
        assert statuses[:6].count(200) <= 2
        for response in found:
            response.close()
        await eventually_true(lambda: not running.live._open, "closed streams are no longer counted")
        # Each early end frees its slot: a refused type, a deleted position, an end before the first query.
        for query in ({"type": "person.changed"}, {"type": "x"}, {"after": "x"}, {"appeal_id": "x"}):
            await running.refused(first, **query)
        assert not running.live._open
        assert not running.live._by_caller


async def test_request_that_waits_too_long_for_a_database_read_is_refused(
    running: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_api, "READ_WAIT_SECONDS", 0.0)
    headers = await running.signed_in("moderator")
    for _ in range(live_stream.CATCH_UP_READS):
        await running.live._reads.acquire()
    assert (await running.refused(headers))[0] == 503
    assert not running.live._open


async def test_open_streams_hold_no_database_connection(running: Streams) -> None:
    headers = await running.signed_in("moderator")
    async with AsyncExitStack() as opened:
        for _ in range(webhooks_settings().stream_per_caller):
            await opened.enter_async_context(open_stream(running.http, running.base, headers))
        pool: Any = running.harness.database.engine.pool
        await eventually_true(lambda: pool.checkedout() == 0, "no connection is in use")
        await running.harness.emit()


async def test_shutdown_ends_streams_and_refuses_new_ones(running: Streams) -> None:
    headers = await running.signed_in("moderator")
    async with open_stream(running.http, running.base, headers) as stream:
        running.harness.app.service.stop_api_parts()
        assert (await stream.ended())["reason"] == "shutdown"
    assert (await running.refused(headers))[0] == 503


@dataclass
class Connection:
    """An ASGI connection whose client receives messages only while the gate is open."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[bytes] = field(default_factory=list)
    complete: bool = False

    async def send(self, message: Any) -> None:
        await self.gate.wait()
        self.sent.append(message.get("body", b""))
        self.complete = message.get("more_body") is False

    async def receive(self) -> Any:
        await asyncio.Event().wait()

    @property
    def messages(self) -> list[Message]:
        return [Message.parse(block) for block in b"".join(self.sent).decode().split("\n\n") if block]


def reader(running: Streams) -> Caller:
    subject = running.harness.subject("moderator")
    return Caller(subject, "", Role.MODERATOR, None, right=Right.EVENTS_READ)


def begin(running: Streams, connection: Connection, after: int = 0, capacity: int = 3) -> "asyncio.Task[None]":
    listener = Listener(reader(running), ["appeal.opened"], capacity=capacity)
    response = EventStream(running.live, running.harness.database, listener, after)

    async def serve() -> None:
        with running.live.reserve(listener.caller.subject) as slot:
            running.live.register_listener(slot, listener)
            await response({"type": "http"}, connection.receive, connection.send)

    return asyncio.create_task(serve())


@pytest.fixture
async def unchecked(database: TestDatabase, keys_dir: Path) -> AsyncIterator[Streams]:
    """Streams without heartbeats whose callers' access is rarely checked again."""
    async with streams(database, keys_dir, stream_recheck_seconds="300", stream_heartbeat_seconds="60") as found:
        await found.signed_in("moderator")
        yield found


async def test_slow_reader_gets_all_events_and_does_not_delay_others(unchecked: Streams) -> None:
    running, slow, quick = unchecked, Connection(), Connection()
    counted = live_stream.STREAM_OVERFLOWS._value.get()
    for each in (slow, quick):
        each.gate.set()
    streams_ = [begin(running, each) for each in (slow, quick)]
    await running.harness.emit()
    for each in (slow, quick):
        await eventually_true(lambda each=each: len(each.messages) == 2, "both follow")  # type: ignore[misc]
    slow.gate.clear()
    for number in range(2, 12):
        await running.harness.emit()
        await eventually_true(lambda number=number: len(quick.messages) == number + 1, "it is not delayed")  # type: ignore[misc]
    [behind] = [each for each in running.live._listeners() if not each.room]
    slow.gate.set()
    await eventually_true(lambda: len(slow.messages) == 12, "the rest")
    assert live_stream.STREAM_OVERFLOWS._value.get() > counted
    # It follows the live tail again.
    await eventually_true(lambda: behind in running.live.tail._listeners[(None, True)], "it follows again")
    await running.harness.emit()
    await eventually_true(lambda: len(slow.messages) == len(quick.messages) == 13, "the next event")
    assert positions(slow.messages) == positions(quick.messages) == numbers(0, 12)
    for stream in streams_:
        stream.cancel()
    await asyncio.gather(*streams_, return_exceptions=True)


async def test_reader_that_receives_nothing_is_disconnected(database: TestDatabase, keys_dir: Path) -> None:
    async with streams(database, keys_dir, stream_send_timeout_seconds="0.02") as running:
        await running.signed_in("moderator")
        stuck = Connection()
        stuck.gate.set()
        stream = begin(running, stuck)
        await running.harness.emit()
        await eventually_true(lambda: len(stuck.messages) == 2, "it follows")
        stuck.gate.clear()
        await running.harness.emit()
        await stream
        assert (positions(stuck.messages), stuck.complete) == (["0.0", "0.1"], False)
        assert not running.live._open


async def test_connection_of_a_reader_that_receives_nothing_is_freed(
    database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_protocol, "UNREAD_SECONDS", 600)
    async with streams(
        database, keys_dir, stream_send_timeout_seconds="0.2", stream_heartbeat_seconds="0.05"
    ) as running:
        headers, counted = (
            await running.signed_in("moderator"),
            live_stream.ENDED_STREAMS.labels("too_slow")._value.get(),
        )
        async with stuck_reader(running.base, "/api/v1/stream", headers) as reader:
            await eventually_true(lambda: bool(running.live.tail._listeners), "it follows")
            [listener] = running.live._listeners()
            assert reader.is_served
            listener.put(1, b"x" * 10_000_000)
            await eventually_true(lambda: not running.live._open, "the stream is cut off")
            await eventually_true(lambda: not reader.is_served, "its connection is freed")
    assert live_stream.ENDED_STREAMS.labels("too_slow")._value.get() == counted + 1


async def test_stream_survives_an_outage_of_the_listening_connection(running: Streams) -> None:
    headers = await running.signed_in("moderator")
    async with open_stream(running.http, running.base, headers) as stream:
        await running.harness.sql(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'gospablik-wakeups'"
        )
        await running.harness.emit()
        assert positions(await stream.events(1)) == ["0.1"]
