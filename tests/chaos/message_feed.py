"""Feed many texts to both networks, and compare the stored messages with the accepted texts."""

import csv
import io
from collections import Counter
from dataclasses import dataclass
from typing import Any

import asyncpg

from tests.e2e.actors import NetworkControl
from tests.e2e.conftest import RunningDemo
from tests.support.eventually import eventually


@dataclass(frozen=True)
class Sent:
    """A text that a network accepted, and where it was written."""

    network: str
    page: str
    kind: str
    native_id: str
    text: str


def as_csv(texts: list[str]) -> bytes:
    """Return the texts as CSV with the column `text`, all cells quoted."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["text"])
    writer.writerows([text] for text in texts)
    return file.getvalue().encode()


async def feed(network: NetworkControl, texts: list[str], *, offset: int, step: int) -> tuple[list[Sent], int]:
    """Feed rows offset, offset+step … in all three kinds. Return the accepted texts and the number of refusals."""
    answer = await network.http.post(
        "/_control/feed",
        params={"column": "text", "kind": "mixed", "offset": offset, "step": step, "detail": 1},
        content=as_csv(texts),
        headers={"content-type": "text/csv; charset=utf-8"},
        timeout=300,
    )
    assert answer.status_code == 200, answer.text[:500]
    body: dict[str, Any] = answer.json()
    sent = [
        Sent(network.name, str(item["page"]), item["kind"], str(item["id"]), texts[item["row"]])
        for item in body["items"]
        if item["id"] is not None
    ]
    assert len(sent) == body["accepted"]
    return sent, body["refused"]


async def stored_messages(demo: RunningDemo) -> list[dict[str, Any]]:
    """Return all messages of citizens that the API lists."""
    return await demo.centre.list_all("/messages", from_community="false")


async def wait_until_stored(demo: RunningDemo, expected: int, *, seconds: float) -> list[dict[str, Any]]:
    """Wait until `expected` messages are stored, then return all messages from the API."""
    reached = 0

    async def all_stored() -> bool:
        nonlocal reached
        try:
            connection = await asyncpg.connect(demo.system.service_database_url("ingest"), timeout=5)
        except (OSError, asyncpg.PostgresError):  # a test may restart the database meanwhile
            return False
        try:
            reached = await connection.fetchval("SELECT count(*) FROM messages WHERE NOT from_community")
        finally:
            await connection.close()
        return bool(reached >= expected)

    try:
        await eventually(all_stored, f"{expected} messages stored", seconds=seconds, every=1)
    except AssertionError as error:
        raise AssertionError(f"{error}; stored {reached}") from error
    return await stored_messages(demo)


def check_stored_exactly(demo: RunningDemo, sent: list[Sent], stored: list[dict[str, Any]]) -> None:
    """Assert that exactly the accepted texts are stored, each once, unchanged and on its page."""
    page_of = {page["id"]: str(page["external_id"]) for page in demo.pages}

    def location(network: str, page: str, kind: str) -> tuple[str, str, str]:
        return network, page, kind

    counts_sent = Counter(location(s.network, s.page, s.kind) for s in sent)
    counts_stored = Counter(location(m["network"], page_of[m["page_id"]], m["kind"]) for m in stored)
    assert counts_stored == counts_sent
    texts_sent = Counter((s.network, s.page, s.kind, s.text.encode()) for s in sent)
    texts_stored = Counter((m["network"], page_of[m["page_id"]], m["kind"], m["text"].encode()) for m in stored)
    assert texts_stored == texts_sent
    assert len({(m["network"], m["kind"], m["external_id"]) for m in stored}) == len(stored) == len(sent)


def native_ids_on_several_pages(sent: list[Sent]) -> int:
    """Return the number of native ids that occur on several pages of their network and kind."""
    pages: dict[tuple[str, str, str], set[str]] = {}
    for item in sent:
        pages.setdefault((item.network, item.kind, item.native_id), set()).add(item.page)
    return sum(len(found) > 1 for found in pages.values())
