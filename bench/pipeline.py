"""Stored message → routed appeal with its events, text understanding off.

Ours: the appeals consumer on messages that stand in the database, numbered events included. The floor: the very
rows it made, inserted by asyncpg in batches of 100 into an equal, empty database. Unit: messages a second.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from bench.measure import main
from cli import database as bootstrap
from cli.embedded.scratch import PASSWORD, migrate, scratch_server
from cli.keys import ensure_keys
from shared.ids import new_id

BATCH = 100
PAGES = 50
MADE = ("appeals", "appeal_messages", "triage", "timeline", "events")
_WORDS = "Когда починят свет на улице Ленина? Третий день сидим в темноте, обращение номер {}."


async def _connect(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url)


async def _prepare(admin: asyncpg.Connection, messages: int) -> None:
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
    for n in range(messages):
        message, page = new_id(), n % PAGES
        thread = f"vk:-{page}_{n}"
        rows.append((message, f"-{page}_{n}", pages[page], organisations[page], thread, f"author-{n}", n, now))
        events.append((new_id(), n + 1, message, organisations[page], now))
    await admin.executemany(
        "INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key, author_key,"
        " from_community, text, attachments, url, history, way_in, written_at, received_at, version, raw)"
        " VALUES ($1, 'vk', 'comment', $2, $3, $4, $5, $6, false, replace('" + _WORDS + "', '{}', $7::int::text),"
        " '[]', '', false, 'bench', $8, $8, 1, '{}')",
        rows,
    )
    await admin.executemany(
        "INSERT INTO events (id, position, type, subject_id, organisation_id, actor, occurred_at, created_at,"
        " data) VALUES ($1, $2, 'message.received', $3, $4, 'ingest', $5, $5, '{}')",
        events,
    )


async def _ours(url: str, messages: int) -> float:
    # Imported late: the services read their settings when they load.
    from services.appeals.worker import consumers  # noqa: PLC0415
    from shared.database import Database  # noqa: PLC0415
    from shared.events import number_committed  # noqa: PLC0415

    pool = Database(url, 4, name="bench")
    try:
        started = time.perf_counter()
        handled = 0
        while handled < messages:
            handled += await consumers[0].step(pool)
        while await number_committed(pool):
            pass
        return time.perf_counter() - started
    finally:
        await pool.close()


async def _rows(admin: asyncpg.Connection, table: str) -> tuple[list[str], list[Sequence[Any]]]:
    where = "WHERE type <> 'message.received'" if table == "events" else ""
    found = await admin.fetch(f"SELECT * FROM {table} {where}")
    return list(found[0].keys()), [tuple(row.values()) for row in found]


async def _floor(admin: asyncpg.Connection, made: dict[str, tuple[list[str], list[Sequence[Any]]]]) -> float:
    started = time.perf_counter()
    for table, (columns, rows) in made.items():
        marks = ", ".join(f"${n + 1}" for n in range(len(columns)))
        always = "OVERRIDING SYSTEM VALUE " if table == "appeals" else ""
        statement = f"INSERT INTO {table} ({', '.join(columns)}) {always}VALUES ({marks})"
        for start in range(0, len(rows), BATCH):
            async with admin.transaction():
                await admin.executemany(statement, rows[start : start + BATCH])
    return time.perf_counter() - started


async def run(messages: int) -> tuple[float, float]:
    """Messages a second: (floor, ours)."""
    with scratch_server() as server, TemporaryDirectory() as keys:
        await migrate(server)
        ensure_keys(Path(keys))
        admin = await _connect(server)
        await admin.execute(f"CREATE DATABASE floor TEMPLATE {bootstrap.DATABASE}")
        url = bootstrap.with_login(server, "appeals", PASSWORD)
        os.environ |= {
            "GOSPABLIK_DATABASE_URL": url,
            "GOSPABLIK_KEYS_DIR": keys,
            "GOSPABLIK_CURSOR_KEY": "bench",
            "GOSPABLIK_AUDIT_KEY": "bench",
        }
        ours_db = await _connect(bootstrap.with_database(server, bootstrap.DATABASE))
        floor_db = await _connect(bootstrap.with_database(server, "floor"))
        await _prepare(ours_db, messages)
        ours = await _ours(url, messages)
        made = {table: await _rows(ours_db, table) for table in MADE}
        opened = {row[0] for row in made["appeals"][1] if isinstance(row[0], UUID)}
        if len(opened) != messages:
            raise SystemExit(f"{len(opened)} cases for {messages} messages: the rule judged otherwise")
        for table in ("organisations", "pages", "messages"):
            columns, rows = await _rows(ours_db, table)
            marks = ", ".join(f"${n + 1}" for n in range(len(columns)))
            await floor_db.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)
        floor = await _floor(floor_db, made)
        for connection in (ours_db, floor_db, admin):
            await connection.close()
        await asyncio.sleep(0)
    return messages / floor, messages / ours


if __name__ == "__main__":
    main("pipeline", bar=0.1, unit="messages/s", full=10_000, quick=1_000, run=run)
