"""Stored message → routed appeal with its events: with the plain rule of words, then with the model that reads.

Ours: the appeals consumer on messages that stand in the database, numbered events included. The floor without
the model: the very rows it made, inserted by asyncpg in batches of 100 into an equal, empty database. The floor
with it: the model alone on the same texts, in one process. Unit: messages a second.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import asyncpg
import uvloop

from bench.measure import Part, main
from cli.deployment import provisioning as bootstrap
from cli.deployment.signing_keys import ensure_keys
from cli.embedded.temporary_postgres import PASSWORD, migrate, scratch_server
from services.appeals.classification.model.message_classifier import MessageClassifier
from services.appeals.classification.training.examples import load_examples
from services.appeals.classification.types import MessageContext
from shared import gc_tuning
from shared.ids import new_id

BATCH = 100
PAGES = 50
MADE = ("appeals", "appeal_messages", "triage", "timeline", "hands", "alerts", "events")


async def _connect(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url)


def written(messages: int) -> list[str]:
    """Texts that need an answer, no two alike: the project's own examples, each with a house number of its own."""
    asking = [
        example.text for example in load_examples() if example.needs_answer and not example.context.post_text
    ]
    return [f"{asking[n % len(asking)]} Дом {n}" for n in range(messages)]


async def _prepare(admin: asyncpg.Connection, texts: Sequence[str]) -> None:
    """Organisations, pages and stored messages with their numbered events, as registry and ingest leave them."""
    now = datetime.now(UTC)
    organisations = [uuid4() for _ in range(PAGES)]
    pages = [uuid4() for _ in range(PAGES)]
    await admin.executemany(
        "INSERT INTO organisations (id, name, sort_key, kind, active, version, created_at, updated_at)"
        " VALUES ($1, 'О', 'о', 'institution', true, 1, $2, $2)",
        [(organisation, now) for organisation in organisations],
    )
    await admin.executemany(
        "INSERT INTO pages (id, organisation_id, network, external_id, name, sort_key, url, live_from, active,"
        " version, created_at, updated_at) VALUES ($1, $2, 'vk', $3, 'П', 'п', '', '2020-01-01', true, 1, $4, $4)",
        [(page, organisations[n], str(n), now) for n, page in enumerate(pages)],
    )
    rows = []
    events = []
    for n in range(len(texts)):
        message, page = new_id(), n % PAGES
        thread = f"vk:-{page}_{n}"
        rows.append(
            (message, f"-{page}_{n}", pages[page], organisations[page], thread, f"author-{n}", texts[n], now)
        )
        events.append((new_id(), n + 1, message, organisations[page], now))
    await admin.executemany(
        "INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key, author_key,"
        " from_community, text, attachments, url, history, way_in, written_at, received_at, version, raw)"
        " VALUES ($1, 'vk', 'comment', $2, $3, $4, $5, $6, false, $7, '[]', '', false, 'bench', $8, $8, 1, '{}')",
        rows,
    )
    await admin.executemany(
        "INSERT INTO events (id, position, type, subject_id, organisation_id, actor, occurred_at, created_at,"
        " data) VALUES ($1, $2, 'message.received', $3, $4, 'ingest', $5, $5, '{}')",
        events,
    )


async def _ours(url: str, messages: int) -> float:
    # Imported late: the services read their settings when they load.
    from services.appeals.classification.classifier_pool import classifier_pool  # noqa: PLC0415
    from services.appeals.inbound import prefetch  # noqa: PLC0415
    from services.appeals.worker import consumers  # noqa: PLC0415
    from shared.database.sessions import Database  # noqa: PLC0415
    from shared.events.relay import number_committed  # noqa: PLC0415

    pool = Database(url, 4, name="bench")
    gc_tuning.settle()

    async def read_ahead() -> None:
        reached = 0
        while True:
            reached = await prefetch.prefetch_backlog(pool, reached)
            await asyncio.sleep(0.05)

    try:
        # The process that reads stands ready, as it does in a service that has begun.
        await classifier_pool().start()
        reader = asyncio.create_task(read_ahead())
        started = time.perf_counter()
        handled = 0
        while handled < messages:
            handled += await consumers[0].step(pool)
        while await number_committed(pool):
            pass
        taken = time.perf_counter() - started
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        return taken
    finally:
        classifier_pool().close()
        await pool.close()


def _alone(texts: Sequence[str]) -> float:
    """The model on the same texts, in portions as the service hands them over."""
    model = MessageClassifier.load()
    items = [(text, MessageContext(page_owner="О")) for text in texts]
    model.classify(items[:BATCH])
    gc_tuning.settle()
    started = time.perf_counter()
    for start in range(0, len(items), BATCH):
        model.classify(items[start : start + BATCH])
    return time.perf_counter() - started


async def _rows(admin: asyncpg.Connection, table: str) -> tuple[list[str], list[Sequence[Any]]]:
    where = "WHERE type <> 'message.received'" if table == "events" else ""
    found = await admin.fetch(f"SELECT * FROM {table} {where}")
    return (list(found[0].keys()) if found else []), [tuple(row.values()) for row in found]


async def _floor(admin: asyncpg.Connection, made: dict[str, tuple[list[str], list[Sequence[Any]]]]) -> float:
    started = time.perf_counter()
    for table, (columns, rows) in made.items():
        if not rows:
            continue
        marks = ", ".join(f"${n + 1}" for n in range(len(columns)))
        always = "OVERRIDING SYSTEM VALUE " if table == "appeals" else ""
        statement = f"INSERT INTO {table} ({', '.join(columns)}) {always}VALUES ({marks})"
        for start in range(0, len(rows), BATCH):
            async with admin.transaction():
                await admin.executemany(statement, rows[start : start + BATCH])
    return time.perf_counter() - started


async def run(messages: int, *, model: bool) -> tuple[float, float]:
    """Messages a second: (floor, ours)."""
    texts = written(messages)
    with scratch_server() as server, TemporaryDirectory() as keys:
        await migrate(server)
        ensure_keys(Path(keys))
        admin = await _connect(server)
        await admin.execute(f"CREATE DATABASE floor TEMPLATE {bootstrap.DATABASE}")
        url = bootstrap.with_login(server, "appeals", PASSWORD)
        os.environ |= {
            "GOSPABLIK_DATABASE_URL": url,
            "GOSPABLIK_KEYS_DIR": keys,
            "GOSPABLIK_CURSOR_KEY": "cursor-key-of-the-bench",
            "GOSPABLIK_AUDIT_KEY": "audit-key-of-the-bench",
            "GOSPABLIK_UNDERSTANDING": "model" if model else "rule",
        }
        ours_db = await _connect(bootstrap.with_database(server, bootstrap.DATABASE))
        await _prepare(ours_db, texts)
        alone = _alone(texts) if model else 0.0
        ours = await _ours(url, messages)
        if model:
            judged = await ours_db.fetchval("SELECT count(*) FROM triage")
            if judged != messages:
                raise SystemExit(f"{judged} of {messages} messages were judged")
        else:
            alone = await _floor_of_rows(server, ours_db, messages)
        for connection in (ours_db, admin):
            await connection.close()
    return messages / alone, messages / ours


async def _floor_of_rows(server: str, ours_db: asyncpg.Connection, messages: int) -> float:
    made = {table: await _rows(ours_db, table) for table in MADE}
    if len(made["triage"][1]) != messages:
        raise SystemExit(f"{len(made['triage'][1])} of {messages} messages were judged")
    floor_db = await _connect(bootstrap.with_database(server, "floor"))
    for table in ("organisations", "pages", "messages"):
        columns, rows = await _rows(ours_db, table)
        marks = ", ".join(f"${n + 1}" for n in range(len(columns)))
        await floor_db.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)
    floor = await _floor(floor_db, made)
    await floor_db.close()
    return floor


def _one_run(messages: int, model: bool) -> tuple[float, float]:
    # The loop that services run on.
    return uvloop.run(run(messages, model=model))


async def in_process(messages: int, *, model: bool) -> tuple[float, float]:
    """A run in a process of its own: a service reads its settings once."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, _one_run, messages, model)


if __name__ == "__main__":
    main(
        "pipeline",
        (
            Part(
                "pipeline, understanding off",
                bar=0.1,
                unit="messages/s",
                full=10_000,
                quick=1_000,
                run=partial(in_process, model=False),
                prefix="off_",
            ),
            Part(
                "pipeline, understanding on",
                bar=0.7,
                unit="messages/s",
                full=10_000,
                quick=2_000,
                run=partial(in_process, model=True),
            ),
        ),
    )
