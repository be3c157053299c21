"""Speed from a stored message to a routed appeal with its events: with the keyword rule, then with the model.

Ours: the appeals consumer processes stored messages, including numbering of events. The floor without the model:
the same rows, inserted by asyncpg in batches of 100 into an equal, empty database. The floor with the model: the
model alone on the same texts, in one process. Unit: messages per second.
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

from bench.measure import Measurement, run_benchmark
from cli.deployment import provisioning as bootstrap
from cli.deployment.signing_keys import ensure_keys
from cli.embedded.temporary_postgres import TEST_PASSWORD, migrate, temporary_server
from services.appeals.classification.model.message_classifier import MessageClassifier
from services.appeals.classification.training.examples import load_examples
from services.appeals.classification.types import MessageContext
from shared import gc_tuning
from shared.events.relay import number_committed_events
from shared.ids import new_id

BATCH_ROWS = 100
PAGES = 50
COMPARED_TABLES = ("appeals", "appeal_messages", "classifications", "timeline", "assignments", "alerts", "events")


async def _connect(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url)


def sample_texts(messages: int) -> list[str]:
    """Return different texts that need an answer: the project's examples, each with a different house number."""
    asking = [
        example.text for example in load_examples() if example.needs_answer and not example.context.post_text
    ]
    return [f"{asking[n % len(asking)]} Дом {n}" for n in range(messages)]


async def _insert_messages(admin: asyncpg.Connection, texts: Sequence[str]) -> None:
    """Insert organisations, pages and messages with numbered events, as registry and ingest store them."""
    now = datetime.now(UTC)
    organisations = [uuid4() for _ in range(PAGES)]
    pages = [uuid4() for _ in range(PAGES)]
    await admin.executemany(
        "INSERT INTO organisations (id, name, sort_key, kind, active, version, created_at, updated_at)"
        " VALUES ($1, 'О', 'о', 'institution', true, 1, $2, $2)",
        [(organisation, now) for organisation in organisations],
    )
    await admin.executemany(
        "INSERT INTO pages (id, organisation_id, network, external_id, name, sort_key, url, go_live_at, active,"
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
        " from_community, text, attachments, url, history, source_kind, written_at, received_at, version, raw)"
        " VALUES ($1, 'vk', 'comment', $2, $3, $4, $5, $6, false, $7, '[]', '', false, 'bench', $8, $8, 1, '{}')",
        rows,
    )
    await admin.executemany(
        "INSERT INTO events (id, position, type, subject_id, organisation_id, actor, occurred_at, created_at,"
        " data) VALUES ($1, $2, 'message.received', $3, $4, 'ingest', $5, $5, '{}')",
        events,
    )


async def _measure_pipeline(url: str, messages: int) -> float:
    # Imported after the environment is set: settings are read once in a process.
    from services.appeals.app import build_service  # noqa: PLC0415
    from services.appeals.classification.classifier_pool import classifier_pool  # noqa: PLC0415
    from services.appeals.inbound.prefetch import run_prefetch  # noqa: PLC0415
    from shared.database.sessions import Database  # noqa: PLC0415

    pool = Database(url, 4, name="bench")
    service = build_service()
    consumer = service.consumers[0]
    gc_tuning.freeze_startup_objects()
    try:
        # The classifier worker is already running, as in a service.
        await classifier_pool().start()
        prefetching = asyncio.create_task(run_prefetch(service))
        started = time.perf_counter()
        handled = 0
        while handled < messages:
            handled += await consumer.process_batch(pool)
        while await number_committed_events(pool):
            pass
        seconds = time.perf_counter() - started
        prefetching.cancel()
        await asyncio.gather(prefetching, return_exceptions=True)
        return seconds
    finally:
        classifier_pool().close()
        await service.database.close()
        await pool.close()


def _measure_model(texts: Sequence[str]) -> float:
    """Return the seconds that the model alone takes for the same texts, in batches as in the service."""
    model = MessageClassifier.load()
    items = [(text, MessageContext(page_owner="О")) for text in texts]
    model.classify(items[:BATCH_ROWS])
    gc_tuning.freeze_startup_objects()
    started = time.perf_counter()
    for start in range(0, len(items), BATCH_ROWS):
        model.classify(items[start : start + BATCH_ROWS])
    return time.perf_counter() - started


async def _rows(admin: asyncpg.Connection, table: str) -> tuple[list[str], list[Sequence[Any]]]:
    where = "WHERE type <> 'message.received'" if table == "events" else ""
    found = await admin.fetch(f"SELECT * FROM {table} {where}")
    return (list(found[0].keys()) if found else []), [tuple(row.values()) for row in found]


async def _insert_rows(
    admin: asyncpg.Connection, rows_by_table: dict[str, tuple[list[str], list[Sequence[Any]]]]
) -> float:
    started = time.perf_counter()
    for table, (columns, rows) in rows_by_table.items():
        if not rows:
            continue
        placeholders = ", ".join(f"${n + 1}" for n in range(len(columns)))
        overriding = "OVERRIDING SYSTEM VALUE " if table == "appeals" else ""
        statement = f"INSERT INTO {table} ({', '.join(columns)}) {overriding}VALUES ({placeholders})"
        for start in range(0, len(rows), BATCH_ROWS):
            async with admin.transaction():
                await admin.executemany(statement, rows[start : start + BATCH_ROWS])
    return time.perf_counter() - started


async def run(messages: int, *, model: bool) -> tuple[float, float]:
    """Return messages per second: (floor, ours)."""
    texts = sample_texts(messages)
    with temporary_server() as server, TemporaryDirectory() as keys:
        await migrate(server)
        ensure_keys(Path(keys))
        admin = await _connect(server)
        await admin.execute(f"CREATE DATABASE floor TEMPLATE {bootstrap.DATABASE}")
        url = bootstrap.with_login(server, "appeals", TEST_PASSWORD)
        os.environ |= {
            "GOSPABLIK_DATABASE_URL": url,
            "GOSPABLIK_KEYS_DIR": keys,
            "GOSPABLIK_CURSOR_KEY": "cursor-key-of-the-bench",
            "GOSPABLIK_AUDIT_KEY": "audit-key-of-the-bench",
            "GOSPABLIK_CLASSIFIER": "model" if model else "rule",
        }
        ours_db = await _connect(bootstrap.with_database(server, bootstrap.DATABASE))
        await _insert_messages(ours_db, texts)
        floor_seconds = _measure_model(texts) if model else 0.0
        seconds = await _measure_pipeline(url, messages)
        if model:
            classified = await ours_db.fetchval("SELECT count(*) FROM classifications")
            if classified != messages:
                raise SystemExit(f"only {classified} of {messages} messages were classified")
        else:
            floor_seconds = await _measure_inserts(server, ours_db, messages)
        for connection in (ours_db, admin):
            await connection.close()
    return messages / floor_seconds, messages / seconds


async def _measure_inserts(server: str, ours_db: asyncpg.Connection, messages: int) -> float:
    rows_by_table = {table: await _rows(ours_db, table) for table in COMPARED_TABLES}
    if len(rows_by_table["classifications"][1]) != messages:
        raise SystemExit(f"{len(rows_by_table['classifications'][1])} of {messages} messages were classified")
    floor_db = await _connect(bootstrap.with_database(server, "floor"))
    for table in ("organisations", "pages", "messages"):
        columns, rows = await _rows(ours_db, table)
        placeholders = ", ".join(f"${n + 1}" for n in range(len(columns)))
        await floor_db.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({placeholders})", rows)
    floor = await _insert_rows(floor_db, rows_by_table)
    await floor_db.close()
    return floor


def _one_run(messages: int, model: bool) -> tuple[float, float]:
    # The event loop that services use.
    return uvloop.run(run(messages, model=model))


async def in_process(messages: int, *, model: bool) -> tuple[float, float]:
    """Call `run` in a new process, because a service reads its settings only once; return its result."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, _one_run, messages, model)


if __name__ == "__main__":
    run_benchmark(
        "pipeline",
        (
            Measurement(
                "pipeline, model off",
                bar=0.1,
                unit="messages/s",
                full=10_000,
                quick=1_000,
                run=partial(in_process, model=False),
                prefix="off_",
            ),
            Measurement(
                "pipeline, model on",
                bar=0.7,
                unit="messages/s",
                full=10_000,
                quick=2_000,
                run=partial(in_process, model=True),
            ),
        ),
    )
