"""Pushed events: authentication, responses, and idempotent storage."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from services.ingest.api import callbacks
from services.ingest.callbacks import endpoint_cache, receiver, sender_rate_limit, write_batcher
from shared import clock
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS, Emulator
from tests.integration.ingest.network_double import network_double
from tests.support.eventually import HANG_SECONDS
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, insert_page, service_under_test

GROUP = 900001
SECRET = "s3cret-of-tests"


@dataclass(frozen=True)
class IngestHarness:
    """An API process of ingest with one VK page whose push is set up manually."""

    ingest: ServiceUnderTest
    database: TestDatabase
    raw_connection: asyncpg.Connection
    page_id: UUID

    async def push(self, body: Any, path: str = "/callbacks/vk", **headers: str) -> httpx.Response:
        """Send a POST request as the network does."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json", **headers}
        return await self.ingest.client.post(path, content=content, headers=headers)

    async def by_hand(self, page_id: UUID, **body: str) -> httpx.Response:
        """Set up the callback of a page manually; return the response."""
        return await self.ingest.client.put(
            f"/api/v1/sources/{page_id}/callback", json=body, headers=self.ingest.headers("moderator")
        )

    async def messages(self) -> list[asyncpg.Record]:
        """Return all stored messages."""
        return list(await self.raw_connection.fetch("SELECT * FROM messages ORDER BY external_id"))


@asynccontextmanager
async def harness(database: TestDatabase, keys_dir: Path, **env: str) -> AsyncIterator[IngestHarness]:
    """Ingest's API without its worker, as Compose runs it."""
    organisation = await insert_organisation(database)
    page_id = await insert_page(database, organisation, network="vk", external_id=str(GROUP))
    raw_connection = await database.connect()
    async with service_under_test("ingest", database, keys_dir, process="api", **(KEYS | env)) as ingest:
        one = IngestHarness(ingest, database, raw_connection, page_id)
        answer = await one.by_hand(page_id, secret=SECRET, confirmation_code="c0de1")
        assert answer.status_code == 200, answer.text
        yield one
    await raw_connection.close()


@pytest.fixture(autouse=True)
def _long_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengthen all timeouts, for busy machines; a test of a timeout shortens that one."""
    monkeypatch.setattr(endpoint_cache, "READ_TIMEOUT", HANG_SECONDS)
    monkeypatch.setattr(write_batcher, "STORE_TIMEOUT", HANG_SECONDS)
    monkeypatch.setattr(callbacks, "ANSWER_TIMEOUTS", dict.fromkeys(callbacks.ANSWER_TIMEOUTS, HANG_SECONDS))


def comment(number: int = 31, text: str = "Когда починят?", kind: str = "wall_reply_new", **more: Any) -> Any:
    """Return the event of a comment as VK posts it."""
    content = {
        "id": number,
        "from_id": 700001,
        "date": 1767225600,
        "text": text,
        "post_id": 12,
        "owner_id": -GROUP,
        "post_owner_id": -GROUP,
    }
    return {
        "type": kind,
        "object": content,
        "group_id": GROUP,
        "event_id": uuid4().hex + "0" * 8,
        "v": "5.199",
        "secret": SECRET,
    } | more


def taken(answer: httpx.Response) -> bool:
    """Return True if the response is what the network accepts: exactly `ok`, as plain text."""
    plain = answer.headers["content-type"].startswith("text/plain")
    return answer.status_code == 200 and answer.content == b"ok" and plain


async def test_event_is_stored_before_ok_response(database: TestDatabase, keys_dir: Path) -> None:
    async with harness(database, keys_dir) as one:
        assert taken(await one.push(comment()))
        (row,) = await one.messages()
        assert (row["external_id"], row["text"], row["source_kind"]) == (
            f"-{GROUP}_31",
            "Когда починят?",
            "callback",
        )
        assert SECRET not in row["raw"]
        shown = await one.ingest.client.get(
            f"/api/v1/sources/{one.page_id}/callback", headers=one.ingest.headers("moderator")
        )
        assert (shown.json()["state"], shown.json()["manual"]) == ("active", True)
        assert shown.json()["last_event_at"] is not None
        assert SECRET not in shown.text


async def test_unknown_community_and_wrong_secret_get_same_response(
    database: TestDatabase, keys_dir: Path
) -> None:
    async with harness(database, keys_dir) as one:
        bodies = [
            comment(secret="wrong"),
            comment(secret=None),
            comment(secret={"a": 1}),
            comment(secret="\ud800"),
            comment(group_id=GROUP + 1),
            {"type": "confirmation", "group_id": GROUP, "secret": "wrong"},
            {"type": "confirmation", "group_id": GROUP + 1},
        ]
        answers = [await one.push(body) for body in bodies]
        assert [answer.status_code for answer in answers] == [403] * len(bodies)
        assert len({answer.text for answer in answers}) == 1
        assert await one.messages() == []


async def test_repeated_event_is_stored_once(database: TestDatabase, keys_dir: Path) -> None:
    async with harness(database, keys_dir) as one:
        first = comment()
        edits = [comment(text=text, kind="wall_reply_edit") for text in ("Второй", "Третий")]
        for event in (first, first, *edits, edits[0], first):
            assert taken(await one.push(event))
        (row,) = await one.messages()
        assert (row["text"], row["version"]) == ("Третий", 3)
        kinds = [
            r["type"] for r in await one.raw_connection.fetch("SELECT type FROM events ORDER BY created_at, id")
        ]
        assert sorted(kinds) == ["message.edited", "message.edited", "message.received"]


async def test_repeated_event_without_id_is_stored_once(database: TestDatabase, keys_dir: Path) -> None:
    async with harness(database, keys_dir) as one:
        events = [
            comment(),
            comment(text="Второй", kind="wall_reply_edit"),
            comment(text="Третий", kind="wall_reply_edit"),
        ]
        for event in events:
            del event["event_id"], event["v"]
        for event in (*events, events[1]):
            assert taken(await one.push(event))
        (row,) = await one.messages()
        assert (row["text"], row["version"]) == ("Третий", 3)


UNREADABLE = [
    (b"", "JSON"),
    (b"{", "JSON"),
    (b'{"type": "\xff"}', "UTF-8"),
    (b"[1]", "array"),
    (b"null", "null"),
    (b'"text"', "string"),
    (b"[" * 100_000, "nesting"),
    (b'{"type":"wall_reply_new","group_id":900001,"object":' + b"[" * 800 + b"]" * 800 + b"}", "nesting"),
    (b'{"group_id": 900001}', "/type"),
    (b'{"type": 5, "group_id": 900001}', "/type"),
    (b'{"type": "wall_reply_new"}', "/group_id"),
    (b'{"type": "wall_reply_new", "group_id": true}', "/group_id"),
    (b'{"type": "wall_reply_new", "group_id": ' + b"9" * 5_000 + b"}", "number"),
]


async def test_invalid_body_is_rejected_with_reason(database: TestDatabase, keys_dir: Path) -> None:
    async with harness(database, keys_dir) as one:
        for body, named in UNREADABLE:
            answer = await one.push(body)
            assert answer.status_code == 400, (body[:50], answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert named in answer.json()["detail"], (body[:50], answer.text)


async def test_body_of_five_megabytes_is_rejected(database: TestDatabase, keys_dir: Path) -> None:
    async with harness(database, keys_dir) as one:
        answer = await one.push(comment(text="д" * 2_500_000))
        assert answer.status_code == 413
        assert await one.messages() == []


async def test_events_of_unknown_types_are_accepted_and_invalid_events_quarantined(
    database: TestDatabase, keys_dir: Path
) -> None:
    async with harness(database, keys_dir) as one:
        assert taken(await one.push(comment(kind="never_heard_of")))
        assert taken(await one.push(comment(kind="like_add")))
        assert await one.raw_connection.fetchval("SELECT count(*) FROM quarantine") == 0
        broken = comment()
        broken["object"] = {"text": "без номера"}
        assert taken(await one.push(broken))
        assert taken(await one.push(comment(object=[1, 2])))
        rows = await one.raw_connection.fetch("SELECT reason, raw FROM quarantine ORDER BY reason")
        assert [row["reason"] for row in rows] == ["the event has no object", "the field 'id' is missing"]
        assert all(SECRET not in row["raw"] for row in rows)
        assert await one.messages() == []


async def test_two_hundred_concurrent_events_are_each_stored_once(database: TestDatabase, keys_dir: Path) -> None:
    async with harness(database, keys_dir) as one:
        events = [comment(number) for number in range(1, 201)]
        answers = await asyncio.gather(*(one.push(event) for event in [*events, *events[:50]]))
        assert all(taken(answer) for answer in answers)
        assert len(await one.messages()) == 200
        assert (
            await one.raw_connection.fetchval("SELECT count(*) FROM events WHERE type = 'message.received'") == 200
        )


async def test_confirmation_without_a_pending_server_is_refused_without_a_call(
    database: TestDatabase, keys_dir: Path
) -> None:
    async with network_double() as network, harness(database, keys_dir, vk_api_url=network.url) as one:
        network.answer = lambda _method, _params: {"response": {"code": "fr0m1network"}}
        body = {"network": "vk", "kind": "group", "page_id": str(one.page_id), "token": "t" * 40}
        answer = await one.ingest.client.post(
            "/api/v1/sources/tokens", json=body, headers=one.ingest.headers("moderator")
        )
        assert answer.status_code == 201, answer.text
        ask = {"type": "confirmation", "group_id": GROUP}
        assert (await one.push(ask)).text in {"fr0m1network", "c0de1"}
        await one.raw_connection.execute("UPDATE callback_registrations SET confirmation_until = now()")
        network.calls.clear()
        refused = await one.push(ask)
        assert refused.status_code == 403
        assert refused.text == (await one.push(ask | {"group_id": GROUP + 1})).text
        assert network.calls == []
        assert (await one.push(ask | {"secret": SECRET})).status_code == 200, "no stranger"
        network.calls.clear()
        # After a person has registered the server manually, the network gets the code.
        await one.by_hand(one.page_id, secret=SECRET, confirmation_code="c0de1")
        began = time.monotonic()
        for _ in range(20):
            assert (await one.push(ask)).status_code == 200
        assert len(network.calls) <= 2 + (time.monotonic() - began) / receiver.CODE_CACHE_SECONDS


async def test_sender_of_many_rejected_events_gets_429(database: TestDatabase, keys_dir: Path) -> None:
    async with harness(database, keys_dir) as one:
        guesses = [
            await one.push(comment(secret=f"guess {n}")) for n in range(sender_rate_limit.MAX_REJECTIONS + 5)
        ]
        assert [answer.status_code for answer in guesses] == [403] * sender_rate_limit.MAX_REJECTIONS + [429] * 5
        assert guesses[-1].headers["retry-after"] == "60"
        assert (await one.push({"type": "confirmation", "group_id": GROUP})).status_code == 429
        # One address pushes for many pages: valid events are still accepted, and other senders are not limited.
        assert taken(await one.push(comment()))
        other = {"x-real-ip": "203.0.113.9"}
        assert (await one.push(comment(secret="guess"), **other)).status_code == 403


async def test_deeply_nested_event_does_not_fail_other_events(
    database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Disable the nesting check, to prove that storing fails safely too.
    monkeypatch.setattr(receiver, "too_deep", lambda _body: False)
    monkeypatch.setattr("shared.http.body_limit.too_deep", lambda _body: False)
    async with harness(database, keys_dir) as one:
        deep: Any = "end"
        for _ in range(800):
            deep = [deep]
        bad = comment(900)
        bad["object"]["attachments"] = deep
        answers = await asyncio.gather(*(one.push(event) for event in [*map(comment, range(1, 20)), bad]))
        assert all(taken(answer) for answer in answers), [answer.text for answer in answers if not taken(answer)]
        assert {row["external_id"] for row in await one.messages()} >= {f"-{GROUP}_{n}" for n in range(1, 20)}


async def test_deeply_nested_json_body_is_rejected(database: TestDatabase, keys_dir: Path) -> None:
    async with harness(database, keys_dir) as one:
        body = b'{"secret": ' + b"[" * 800 + b"]" * 800 + b"}"
        headers = one.ingest.headers("moderator")
        for kind in ({"content-type": "application/json"}, {"content-type": "application/x+json"}, {}):
            answer = await one.ingest.client.put(
                f"/api/v1/sources/{one.page_id}/callback", content=body, headers=headers | kind
            )
            assert (answer.status_code, "nesting" in answer.text) == (400, True), answer.text
        answer = await one.push(body, "/callbacks/ok/anything", **{"content-type": "text/plain"})
        assert answer.status_code == 400


async def test_too_large_event_is_rejected(database: TestDatabase, keys_dir: Path) -> None:
    async with harness(database, keys_dir) as one:
        assert (await one.push(comment(text="x" * receiver.MAX_EVENT_BYTES))).status_code == 413


def expire_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expire all caches of the receiver."""
    monkeypatch.setattr(endpoint_cache, "CACHE_SECONDS", 0.0)
    monkeypatch.setattr(receiver, "CODE_CACHE_SECONDS", 0.0)


async def test_confirmation_returns_stored_code(
    database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with harness(database, keys_dir) as one:
        for more in ({}, {"secret": SECRET}, {"event_id": "0" * 40, "v": "5.199", "secret": SECRET}):
            answer = await one.push({"type": "confirmation", "group_id": GROUP, **more})
            assert (answer.status_code, answer.content) == (200, b"c0de1")
            assert answer.headers["content-type"].startswith("text/plain")
        await one.by_hand(one.page_id, secret=SECRET)
        expire_caches(monkeypatch)
        answer = await one.push({"type": "confirmation", "group_id": GROUP})
        assert answer.status_code == 503


async def test_event_without_database_gets_503_with_retry_after(database: TestDatabase, keys_dir: Path) -> None:
    async with harness(database, keys_dir) as one:
        assert taken(await one.push(comment(1)))
        admin = await database.connect()
        # Every write waits for this lock, as for a database that does not respond.
        lock = admin.transaction()
        await lock.start()
        await admin.execute("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
        event = comment(2)
        with mock.patch.object(write_batcher, "STORE_TIMEOUT", 1.0):
            answer = await one.push(event)
        assert answer.status_code == 503
        again = parsedate_to_datetime(answer.headers["retry-after"])
        assert 0 < (again - clock.now()).total_seconds() < 3 * 3_600
        await lock.rollback()
        assert taken(await one.push(event))
        assert [row["external_id"] for row in await one.messages()] == [f"-{GROUP}_1", f"-{GROUP}_2"]
        await admin.close()


async def test_events_during_database_outage_are_stored_later(
    database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with harness(database, keys_dir) as one:
        assert taken(await one.push(comment(1)))
        server = await asyncpg.connect(database.admin_url)
        try:
            await server.execute(f'ALTER DATABASE "{database.name}" ALLOW_CONNECTIONS false')
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
            await server.fetch(ended, database.name)
            # Without this, the cache would refuse unknown senders without a database query.
            monkeypatch.setattr(endpoint_cache, "MIN_REFRESH_SECONDS", 0.0)
            event, stranger = comment(2), comment(3, secret="wrong")
            for answer in [await one.push(event), await one.push(event), await one.push(stranger)]:
                assert answer.status_code == 503
                assert "retry-after" in answer.headers
        finally:
            await server.execute(f'ALTER DATABASE "{database.name}" ALLOW_CONNECTIONS true')
            await server.close()
        # Skip the pause after a database failure.
        monkeypatch.setattr(endpoint_cache, "RETRY_DELAY_SECONDS", 0.0)
        assert taken(await one.push(event))
        raw_connection = await database.connect()
        rows = await raw_connection.fetch("SELECT external_id FROM messages ORDER BY external_id")
        assert [row["external_id"] for row in rows] == [f"-{GROUP}_1", f"-{GROUP}_2"]
        await raw_connection.close()


async def test_events_beyond_backlog_get_503(database: TestDatabase, keys_dir: Path) -> None:
    async with harness(database, keys_dir, callbacks_backlog="5") as one:
        events = [comment(number) for number in range(1, 301)]
        answers = await asyncio.gather(*(one.push(event) for event in events))
        codes = [answer.status_code for answer in answers]
        assert set(codes) == {200, 503}
        assert len(await one.messages()) == codes.count(200)
        assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)


def chat_message(number: int = 1, **more: Any) -> Any:
    """Return the event of a message as OK posts it."""
    return {
        "webhookType": "MESSAGE_CREATED",
        "sender": {"user_id": "user:700001", "name": "Имя"},
        "recipient": {"chat_id": "chat:C0ffee00"},
        "message": {"text": "Здравствуйте", "seq": 115000000000000001, "mid": f"mid:C0ffee00.{number}"},
        "timestamp": 1767225600000,
    } | more


async def test_ok_event_is_authenticated_by_url(database: TestDatabase, keys_dir: Path) -> None:
    async with harness(database, keys_dir, ok_webhook_address_ranges="217.20.145.192/28, 127.0.0.1/32") as one:
        organisation = await one.raw_connection.fetchval("SELECT organisation_id FROM pages LIMIT 1")
        page_id = await insert_page(database, organisation, network="ok", external_id="60000001")
        assert (await one.by_hand(page_id, secret="path-0f-ok")).status_code == 200
        assert (await one.by_hand(page_id, secret="path-of-ok")).json()["url"].endswith("/callbacks/ok/…")
        other = await insert_page(database, organisation, network="ok", external_id="60000002")
        assert (await one.by_hand(other, secret="path-of-ok")).status_code == 409
        path = "/callbacks/ok/path-of-ok"
        outside = {"x-forwarded-for": "217.20.145.200", "x-real-ip": "203.0.113.9"}
        refused = [
            await one.push(chat_message(), "/callbacks/ok/path-0f-ok"),
            await one.push(b"{", "/callbacks/ok/another"),
            await one.push(chat_message(), path, **outside),
        ]
        assert [answer.status_code for answer in refused] == [403] * 3
        assert len({answer.json()["detail"] for answer in refused}) == 1
        for answer in [await one.push(chat_message(), path) for _ in range(2)]:
            assert taken(answer)
        assert taken(await one.push(chat_message(2), path, **{"x-real-ip": "217.20.145.200"}))
        assert (await one.push(b"{", path)).status_code == 400
        rows = await one.messages()
        assert [(row["network"], row["kind"]) for row in rows] == [("ok", "message")] * 2


async def test_event_that_is_not_stored_in_time_gets_503_by_the_limit_of_its_network(
    database: TestDatabase, keys_dir: Path
) -> None:
    async with harness(database, keys_dir) as one:
        organisation = await one.raw_connection.fetchval("SELECT organisation_id FROM pages LIMIT 1")
        page_id = await insert_page(database, organisation, network="ok", external_id="60000001")
        assert (await one.by_hand(page_id, secret="path-0f-ok")).status_code == 200
        admin = await database.connect()
        lock = admin.transaction()
        await lock.start()
        await admin.execute("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
        with mock.patch.dict(callbacks.ANSWER_TIMEOUTS, {"ok": 0.5}):
            slow = asyncio.create_task(one.push(comment()))
            answer = await one.push(chat_message(), "/callbacks/ok/path-0f-ok")
            assert (answer.status_code, slow.done()) == (503, False)
        assert "the time limit was exceeded" in answer.json()["detail"]
        assert "retry-after" in answer.headers
        await lock.rollback()
        await admin.close()
        assert taken(await slow)
        assert taken(await one.push(chat_message(), "/callbacks/ok/path-0f-ok"))
        assert sorted(row["network"] for row in await one.messages()) == ["ok", "vk"]


async def test_manual_registration_is_created_shown_and_removed(
    database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with harness(database, keys_dir) as one:
        client, path = one.ingest.client, f"/api/v1/sources/{one.page_id}/callback"
        manager = one.ingest.headers("moderator")
        for body in ({"secret": "short"}, {"secret": "с кириллицей"}, {"secret": SECRET, "other": 1}, {}):
            assert (await client.put(path, json=body, headers=manager)).status_code == 422
        organisation = await one.raw_connection.fetchval("SELECT organisation_id FROM pages LIMIT 1")
        executor = one.ingest.headers("executor", organisation)
        assert (await client.get(path, headers=executor)).status_code == 200
        assert (await client.put(path, json={"secret": SECRET}, headers=executor)).status_code == 403
        assert (await client.get(path, headers=one.ingest.headers("executor", uuid4()))).status_code == 404
        assert (await client.get(path.replace(str(one.page_id), str(uuid4())), headers=manager)).status_code == 404
        assert (await client.delete(path, headers=manager)).status_code == 204
        assert (await client.get(path, headers=manager)).status_code == 404
        expire_caches(monkeypatch)
        assert (await one.push(comment())).status_code == 403


async def test_confirmation_returns_current_code_of_network(
    vk: Emulator, database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = vk.page("vk_confirmation")
    async with harness(database, keys_dir, vk_api_url=vk.url) as one:
        organisation = await one.raw_connection.fetchval("SELECT organisation_id FROM pages LIMIT 1")
        page_id = await insert_page(database, organisation, network="vk", external_id=page)
        (token,) = [t["token"] for t in vk.tokens() if t["kind"] == "group" and str(t["page"]) == page]
        body = {"network": "vk", "kind": "group", "page_id": str(page_id), "token": token}
        answer = await one.ingest.client.post(
            "/api/v1/sources/tokens", json=body, headers=one.ingest.headers("moderator")
        )
        assert answer.status_code == 201
        await one.by_hand(page_id, secret=SECRET)
        for _ in range(2):
            code = vk.post("callback_code", page=page)["code"]
            answer = await one.push({"type": "confirmation", "group_id": int(page), "secret": SECRET})
            assert (answer.status_code, answer.text) == (200, code)
        # The last code is returned while the network cannot be reached.
        vk.post("faults", kind="drop", rate=1, method="groups.getCallbackConfirmationCode")
        expire_caches(monkeypatch)
        answer = await one.push({"type": "confirmation", "group_id": int(page), "secret": SECRET})
        assert (answer.status_code, answer.text) == (200, code)
