"""Events of conversations with notices show the account of a colleague, so only the centre may read them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.ingest.networks.port import IncomingItem
from services.ingest.publishing.publisher import fail_dead_lettered
from shared.contracts.notice_codes import NOTICES_ACTOR
from tests.conftest import TestDatabase
from tests.integration.ingest.ingest_harness import MOMENT, IngestHarness, build_harness

CONVERSATION = "101_5001"
CODE = "ГП 12345 67890"
NOTICE = "Просрочено обращение № 7"


@pytest.fixture
async def harness(database: TestDatabase, keys_dir: Path) -> AsyncIterator[IngestHarness]:
    """Ingest without workers and one page."""
    async with build_harness(database, keys_dir) as made:
        yield made


def direct(harness: IngestHarness, number: int, text: str | None, **changes: Any) -> IncomingItem:
    """Return a direct message of the colleague, not yet stored."""
    values = {
        "kind": "message",
        "external_id": f"{CONVERSATION}_{number}",
        "thread_key": f"vk:{CONVERSATION}",
        "url": "https://vk.com/gim101?sel=5001",
    }
    return harness.item(text, **(values | changes))


async def send_notice(harness: IngestHarness, text: str = NOTICE) -> UUID:
    """Request a notice in the conversation as webhooks does; return the publication's id."""
    asked = await harness.ingest.client.post(
        "/internal/publications",
        json={
            "reply_id": str(uuid4()),
            "message_id": str((await harness.row(f"{CONVERSATION}_1"))["id"]),
            "text": text,
            "on_behalf_of": NOTICES_ACTOR,
        },
        headers=harness.ingest.service_headers("webhooks"),
    )
    assert asked.status_code == 201, asked.text
    return UUID(asked.json()["id"])


async def readers(harness: IngestHarness) -> list[tuple[str, str]]:
    """Return type and reader of each event, oldest first: `staff` of the page's organisation, or the `centre`."""
    rows = await harness.raw_connection.fetch("SELECT type, organisation_id FROM events ORDER BY created_at, id")
    names = {None: "centre", harness.page.organisation_id: "staff"}
    return [(row["type"], names[row["organisation_id"]]) for row in rows]


async def test_staff_of_the_page_see_no_event_of_a_code(harness: IngestHarness) -> None:
    await harness.take(direct(harness, 1, CODE))
    await harness.take(direct(harness, 1, None, change="deleted"))
    assert await readers(harness) == [("message.received", "centre"), ("message.deleted", "centre")]


async def test_staff_of_the_page_see_events_of_citizens_messages_and_of_codes_in_public(
    harness: IngestHarness,
) -> None:
    await harness.take(direct(harness, 1, "Когда включат свет?"))
    await harness.take(direct(harness, 1, "Когда дадут свет?", change="edited"))
    await harness.take(harness.item(CODE))
    assert await readers(harness) == [
        ("message.received", "staff"),
        ("message.edited", "staff"),
        ("message.received", "staff"),
    ]


async def test_staff_of_the_page_see_no_events_of_a_conversation_with_notices(harness: IngestHarness) -> None:
    await harness.take(direct(harness, 1, CODE))
    publication = await send_notice(harness)
    await harness.raw_connection.execute(
        "UPDATE publications SET status = 'uncertain', sending_since = now() WHERE id = $1", publication
    )
    await harness.take(direct(harness, 2, NOTICE, author=None, from_community=True))
    await harness.take(direct(harness, 3, "Спасибо"))
    await harness.take(direct(harness, 3, "Спасибо!", change="edited"))
    await harness.take(direct(harness, 3, None, change="deleted"))
    await harness.take(direct(harness, 3, "Спасибо!", change="restored"))
    readable = await readers(harness)
    assert [kind for kind, _ in readable] == [
        "message.received",
        "message.received",
        "publication.published",
        "message.received",
        "message.edited",
        "message.deleted",
        "message.restored",
    ]
    assert {reader for _, reader in readable} == {"centre"}


async def test_staff_of_the_page_see_no_event_of_a_notice_that_failed(harness: IngestHarness) -> None:
    await harness.take(direct(harness, 1, CODE))
    publication = await send_notice(harness)
    async with harness.ingest.service.database.write() as session:
        await fail_dead_lettered(session, publication)
    assert (await readers(harness))[-1] == ("publication.failed", "centre")


async def test_staff_of_the_page_see_no_event_of_a_notice_whose_publication_expired(
    harness: IngestHarness,
) -> None:
    await harness.take(direct(harness, 1, CODE))
    publication = await send_notice(harness)
    await harness.take(direct(harness, 2, NOTICE, author=None, from_community=True))
    await harness.raw_connection.execute(
        "UPDATE messages SET publication_id = $1 WHERE from_community", publication
    )
    await harness.raw_connection.execute("DELETE FROM publications")
    await harness.take(direct(harness, 2, None, change="deleted"))
    assert (await readers(harness))[-1] == ("message.deleted", "centre")


async def test_only_the_centre_sees_events_of_history_in_a_conversation_with_notices(
    harness: IngestHarness,
) -> None:
    old = direct(harness, 1, CODE, written_at=MOMENT.replace(year=2025))
    further = direct(harness, 2, "Спасибо", written_at=MOMENT.replace(year=2025))
    await harness.take(old, further)
    await send_notice(harness)
    await harness.take(further, open_appeals=True)
    assert (await readers(harness))[-1] == ("message.received", "centre")
    assert (await harness.row(f"{CONVERSATION}_2"))["history"] is False
