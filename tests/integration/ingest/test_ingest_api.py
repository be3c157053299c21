"""Routes of ingest: access, filters and invalid input."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks.port import Author, IncomingItem, PageRef, ParsedBatch
from shared.contracts.notice_codes import NOTICES_ACTOR
from shared.settings import ServiceName
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, insert_page, service_under_test

MOMENT = datetime(2026, 3, 2, 4, 5, tzinfo=UTC)


class IngestApi:
    """Two organisations with a page each, and a post and four comments on each page."""

    def __init__(
        self, database: TestDatabase, ingest: ServiceUnderTest, organisations: list[UUID], pages: list[UUID]
    ) -> None:
        self.database = database
        self.ingest = ingest
        self.organisations = organisations
        self.pages = pages

    async def get(self, path: str, role: str = "moderator", organisation: UUID | None = None) -> Any:
        """Send a GET request as a person with this role."""
        return await self.ingest.client.get(f"/api/v1{path}", headers=self.ingest.headers(role, organisation))

    async def add_token(self, body: dict[str, Any], role: str = "moderator") -> Any:
        """Send `POST /sources/tokens`; return the response."""
        return await self.ingest.client.post(
            "/api/v1/sources/tokens", json=body, headers=self.ingest.headers(role)
        )


@pytest.fixture
async def api(database: TestDatabase, keys_dir: Path) -> AsyncIterator[IngestApi]:
    """Ingest's API on a database with pages, posts and comments."""
    organisations = [await insert_organisation(database, name=f"Школа {n}") for n in range(2)]
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest:
        feed = DatabaseIntakeStore(ingest.service.database)
        pages = []
        for number, organisation in enumerate(organisations):
            network, external_id = ("vk", "101") if number == 0 else ("ok", "102")
            page_id = await insert_page(database, organisation, network=network, external_id=external_id)
            page = PageRef(
                id=page_id,
                organisation_id=organisation,
                network=network,
                external_id=external_id,
                go_live_at=MOMENT,
            )
            items = [
                IncomingItem(
                    change="new",
                    kind="comment" if n else "wall_post",
                    external_id=f"{external_id}/{n}",
                    thread_key=f"{network}:{external_id}",
                    written_at=MOMENT + timedelta(hours=n - 1),
                    raw={},
                    author=Author(native_id="1"),
                    from_community=n == 4,
                    text=f"{network} {n}",
                )
                for n in range(5)
            ]
            await feed.store(page, "long_poll", ParsedBatch(items))
            pages.append(page_id)
        yield IngestApi(database, ingest, organisations, pages)


async def test_lists_are_paged_newest_first_and_cursor_is_bound_to_filter(api: IngestApi) -> None:
    first = (await api.get("/messages?limit=4")).json()
    second = (await api.get(f"/messages?limit=4&cursor={first['next_cursor']}")).json()
    third = (await api.get(f"/messages?limit=4&cursor={second['next_cursor']}")).json()
    texts = [one["text"] for page in (first, second, third) for one in page["items"]]
    assert len(texts) == len(set(texts)) == 10
    assert "next_cursor" not in third or third["next_cursor"] is None
    foreign = await api.get(f"/messages?limit=4&kind=comment&cursor={first['next_cursor']}")
    assert foreign.status_code == 422
    assert foreign.json()["errors"][0]["pointer"] == "query/cursor"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("network=vk", 5),
        ("kind=wall_post", 2),
        ("history=true", 2),
        ("from_community=true&network=ok", 1),
        ("deleted_by=community", 0),
        ("thread_key=ok:102", 5),
        ("received_from=2020-01-01T00:00:00Z", 10),
        ("received_to=2020-01-01T00:00:00%2B08:00", 0),
    ],
)
async def test_filters_narrow_message_list(api: IngestApi, query: str, count: int) -> None:
    assert len((await api.get(f"/messages?{query}")).json()["items"]) == count


async def test_organisation_sees_only_its_own_messages(api: IngestApi) -> None:
    mine, foreign = api.organisations
    own = (await api.get("/messages", "executor", mine)).json()["items"]
    assert {one["organisation_id"] for one in own} == {str(mine)}
    assert (await api.get(f"/messages?organisation_id={foreign}", "executor", mine)).json()["items"] == []
    other = (await api.get("/messages?network=ok")).json()["items"][0]
    assert (await api.get(f"/messages/{other['id']}")).status_code == 200
    hidden = await api.get(f"/messages/{other['id']}", "executor", mine)
    assert hidden.status_code == 404
    sources = (await api.get("/sources", "executor", mine)).json()["items"]
    assert [one["page_id"] for one in sources] == [str(api.pages[0])]


@pytest.mark.parametrize(
    ("path", "role", "status"),
    [
        ("/messages", "head", 403),
        ("/messages", "operations", 403),
        ("/sources", "head", 403),
        ("/sources/tokens", "executor", 403),
        ("/publications", "operations", 403),
        ("/publications", "head", 200),
        ("/sources", "operations", 200),
        ("/sources/quarantine", "head", 403),
        ("/sources/quarantine", "operations", 200),
    ],
)
async def test_read_routes_are_refused_without_their_right(
    api: IngestApi, path: str, role: str, status: int
) -> None:
    organisation = api.organisations[0] if role == "executor" else None
    assert (await api.get(path, role, organisation)).status_code == status


async def test_request_without_token_is_rejected(api: IngestApi) -> None:
    for path in ("messages", f"messages/{uuid4()}", "sources", "sources/tokens", "publications"):
        answer = await api.ingest.client.get(f"/api/v1/{path}")
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
    body = {"reply_id": str(uuid4()), "message_id": str(uuid4()), "text": "x", "on_behalf_of": "y"}
    person = api.ingest.headers("moderator")
    refused = await api.ingest.client.post("/internal/publications", json=body, headers=person)
    assert refused.status_code == 401


async def test_token_secrets_are_neither_returned_nor_stored_unencrypted(
    api: IngestApi, database: TestDatabase
) -> None:
    body = {"network": "ok", "kind": "user", "token": "very-secret-token", "session_secret_key": "other-secret"}
    first = await api.add_token(body)
    again = await api.add_token(body, "operations")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    listed = await api.get("/sources/tokens")
    for text in (first.text, again.text, listed.text):
        assert "secret" not in text
    raw_connection = await database.connect()
    row = await raw_connection.fetchrow("SELECT secret, digest FROM network_tokens")
    await raw_connection.close()
    assert row is not None
    assert b"secret" not in row["secret"]
    assert "secret" not in row["digest"]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"network": "fb"}, "/network"),
        ({"kind": "admin"}, "/kind"),
        ({"token": ""}, "/token"),
        ({"kind": "group"}, "/page_id"),
        ({"kind": "group", "page_id": str(uuid4())}, "/page_id"),
        ({"surprise": 1}, "/surprise"),
    ],
)
async def test_invalid_token_request_names_field(api: IngestApi, changes: dict[str, Any], pointer: str) -> None:
    answer = await api.add_token({"network": "vk", "kind": "service", "token": "abc"} | changes)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await api.get("/sources/tokens")).json()["items"] == []


async def test_page_token_of_other_network_is_rejected(api: IngestApi) -> None:
    body = {"network": "vk", "kind": "group", "token": "abc", "page_id": str(api.pages[1])}
    answer = await api.add_token(body)
    assert answer.json()["errors"][0]["pointer"] == "/network"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"text": ""}, "/text"),
        ({"text": " \n"}, "/text"),
        ({"text": "я" * 20_501}, "/text"),
        ({"message_id": str(uuid4())}, "/message_id"),
        ({"message_id": "1"}, "/message_id"),
        ({"reply_id": None}, "/reply_id"),
    ],
)
async def test_invalid_publication_request_is_rejected(
    api: IngestApi, changes: dict[str, Any], pointer: str
) -> None:
    message = (await api.get("/messages")).json()["items"][0]
    body = {"reply_id": str(uuid4()), "message_id": message["id"], "text": "Ответ", "on_behalf_of": "x"}
    answer = await api.ingest.client.post(
        "/internal/publications", json=body | changes, headers=api.ingest.service_headers("appeals")
    )
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await api.get("/publications")).json()["items"] == []


@pytest.mark.parametrize(
    ("service", "on_behalf_of", "status"),
    [("webhooks", "x", 403), ("appeals", "notices", 403), ("webhooks", "notices", 422)],
)
async def test_only_webhooks_publish_notices_and_only_in_conversations(
    api: IngestApi, service: ServiceName, on_behalf_of: str, status: int
) -> None:
    post = (await api.get("/messages?kind=wall_post")).json()["items"][0]
    body = {"reply_id": str(uuid4()), "message_id": post["id"], "text": "Ответ", "on_behalf_of": on_behalf_of}
    answer = await api.ingest.client.post(
        "/internal/publications", json=body, headers=api.ingest.service_headers(service)
    )
    assert answer.status_code == status
    assert (await api.get("/publications")).json()["items"] == []


async def test_publications_are_listed_and_scoped(api: IngestApi) -> None:
    messages = [
        (await api.get(f"/messages?network={name}&kind=wall_post")).json()["items"][0] for name in ("vk", "ok")
    ]
    appeal = str(uuid4())
    for message in messages:
        body = {"reply_id": str(uuid4()), "message_id": message["id"], "text": "Ответ", "on_behalf_of": "x"}
        answer = await api.ingest.client.post(
            "/internal/publications",
            json=body | {"appeal_id": appeal},
            headers=api.ingest.service_headers("appeals"),
        )
        assert answer.status_code == 201
        assert answer.json()["status"] == "queued"
    listed = (await api.get("/publications?status=queued")).json()["items"]
    assert [one["appeal_id"] for one in listed] == [appeal, appeal]
    assert [one["network"] for one in listed] == ["ok", "vk"]
    assert [one["reply_to"] for one in listed] == [None, None]
    own = (await api.get("/publications", "executor", api.organisations[0])).json()["items"]
    assert [one["network"] for one in own] == ["vk"]
    foreign = await api.get(f"/publications/{listed[0]['id']}", "executor", api.organisations[0])
    assert foreign.status_code == 404
    early = await api.ingest.client.post(
        f"/api/v1/publications/{listed[0]['id']}/retry", headers=api.ingest.headers("moderator")
    )
    assert early.status_code == 409


async def _published(api: IngestApi, kind: str) -> str:
    """Publish a reply to a message of this kind with a photo; return the path of the publication."""
    (written,) = (await api.get("/messages?network=vk&kind=wall_post")).json()["items"]
    connection = await api.database.connect("ingest")
    await connection.execute("UPDATE messages SET kind = $2 WHERE id = $1", UUID(written["id"]), kind)
    photo = {"id": str(uuid4()), "name": "Мария Ивановна Петрова.jpg", "content_type": "image/jpeg"}
    body = {"reply_id": str(uuid4()), "appeal_id": str(uuid4()), "message_id": written["id"], "on_behalf_of": "x"}
    asked = await api.ingest.client.post(
        "/internal/publications",
        json=body | {"text": "Мария Ивановна, мастер позвонит на +7 914 123-45-67", "attachments": [photo]},
        headers=api.ingest.service_headers("appeals"),
    )
    assert asked.status_code == 201, asked.text
    await connection.execute(
        "UPDATE publications SET status = 'published', external_id = '101_700/3', url = 'https://vk.com/gim101'"
    )
    await connection.close()
    return f"/publications/{asked.json()['id']}"


@pytest.mark.parametrize(
    ("kind", "role", "shown"),
    [("message", "head", False), ("message", "moderator", True), ("wall_post", "head", True)],
)
async def test_ids_of_replies_in_conversations_are_shown_only_to_readers_of_messages(
    api: IngestApi, kind: str, role: str, shown: bool
) -> None:
    path = await _published(api, kind)
    ids = ("vk:101", "101_700/3", "https://vk.com/gim101") if shown else (None, None, None)
    (listed,) = (await api.get("/publications", role)).json()["items"]
    for found in (listed, (await api.get(path, role)).json()):
        assert (found["thread_key"], found["external_id"], found["url"]) == ids


async def test_publications_are_masked_in_lists_and_one_is_read_on_record(api: IngestApi) -> None:
    path = await _published(api, "message")
    (listed,) = (await api.get("/publications", "head")).json()["items"]
    assert listed["text"] == "[имя], мастер позвонит на [телефон]"
    assert [photo["name"] for photo in listed["attachments"]] == ["[имя].jpg"]
    with capture_logs() as lines:
        found = (await api.get(path, "head")).json()
    assert found["text"] == "Мария Ивановна, мастер позвонит на +7 914 123-45-67"
    (read,) = [line for line in lines if line["event"] == "personal_data_read"]
    assert (read["kind"], read["subjects"]) == ("appeal", [found["appeal_id"]])


async def test_notices_are_shown_to_the_centre_only_and_cannot_be_retried(api: IngestApi) -> None:
    (written,) = (await api.get("/messages?network=vk&kind=wall_post")).json()["items"]
    connection = await api.database.connect("ingest")
    # Notices are sent only in conversations.
    await connection.execute("UPDATE messages SET kind = 'message' WHERE id = $1", UUID(written["id"]))
    body = {"reply_id": str(uuid4()), "message_id": written["id"], "text": "Просрочено № 7"}
    asked = await api.ingest.client.post(
        "/internal/publications",
        json=body | {"on_behalf_of": NOTICES_ACTOR},
        headers=api.ingest.service_headers("webhooks"),
    )
    path = f"/publications/{asked.json()['id']}"
    await connection.execute("UPDATE publications SET status = 'failed'")
    own = ("executor", api.organisations[0])
    assert (await api.get("/publications", *own)).json()["items"] == []
    assert (await api.get(path, *own)).status_code == 404
    assert [one["text"] for one in (await api.get("/publications")).json()["items"]] == ["Просрочено № 7"]
    for (role, organisation), status in ((own, 404), (("moderator", None), 409)):
        headers = api.ingest.headers(role, organisation)
        answer = await api.ingest.client.post(f"/api/v1{path}/retry", headers=headers)
        assert answer.status_code == status, answer.text
    # The conversation of a notice is hidden too; the page's message in it stays hidden after the notice expired.
    assert (await api.get("/messages", *own)).json()["items"] == []
    assert (await api.get(f"/messages/{written['id']}", *own)).status_code == 404
    assert len((await api.get("/messages?network=vk")).json()["items"]) == 5
    await connection.execute(
        "UPDATE messages SET publication_id = (SELECT id FROM publications) WHERE from_community"
    )
    await connection.execute("DELETE FROM publications")
    await connection.close()
    assert len((await api.get("/messages", *own)).json()["items"]) == 4


async def test_openapi_document_contains_public_and_no_internal_routes(api: IngestApi) -> None:
    document = (await api.ingest.client.get("/openapi.json")).json()
    paths = set(document["paths"])
    assert paths >= {
        "/api/v1/messages",
        "/api/v1/messages/{message_id}",
        "/api/v1/sources",
        "/api/v1/sources/quarantine",
        "/api/v1/sources/quarantine/{payload_id}",
        "/api/v1/sources/quarantine/{payload_id}/retry",
        "/api/v1/sources/tokens",
        "/api/v1/publications",
        "/api/v1/publications/{publication_id}",
        "/api/v1/publications/{publication_id}/retry",
    }
    assert not any(path.startswith("/internal") for path in paths)


async def test_list_of_deleted_messages_uses_its_index(api: IngestApi, database: TestDatabase) -> None:
    raw_connection = await database.connect()
    await raw_connection.execute(
        """INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key,
             from_community, text, attachments, url, history, source_kind, written_at, received_at, deleted_at,
             deleted_by, version, raw)
           SELECT gen_random_uuid(), 'vk', 'comment', 'many/' || n, $1, $2, 'vk:many',
             false, 'Текст', '[]', '', false, 'poll', now(), now() - n * interval '1 second',
             CASE WHEN n % 500 = 0 THEN now() END, CASE WHEN n % 500 = 0 THEN 'community' END, 1, '{}'
           FROM generate_series(1, 20000) AS n""",
        api.pages[0],
        api.organisations[0],
    )
    await raw_connection.execute("ANALYZE messages")
    plan = await raw_connection.fetch(
        """EXPLAIN SELECT id FROM messages WHERE deleted_by = 'community'
           ORDER BY received_at DESC, id DESC LIMIT 51"""
    )
    await raw_connection.close()
    assert any("ix_messages_deleted" in row[0] for row in plan), plan
    found = (await api.get("/messages?deleted_by=community&limit=100")).json()["items"]
    assert len(found) == 40
    assert {(one["text"], one["deleted_by"], one["page_id"]) for one in found} == {
        ("Текст", "community", str(api.pages[0]))
    }
    assert all(one["deleted_at"] for one in found)
