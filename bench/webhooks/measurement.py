"""One run of the benchmark, in a new process because a service reads its settings only once."""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import aiohttp
import asyncpg
import uvloop
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import text

from bench.server_process import server_process
from cli.deployment import provisioning as bootstrap
from cli.deployment.signing_keys import ensure_keys
from cli.embedded.temporary_postgres import TEST_PASSWORD, migrate, temporary_server
from services.webhooks.endpoints.signing import signed_headers
from shared import gc_tuning
from shared.contracts.appeal_events import AppealAnswered
from shared.database.sessions import Database
from shared.events.listen_notify import NotificationListener
from shared.events.outbox import NewEvent, emit
from shared.events.relay import relay
from shared.ids import new_id
from shared.signing_secrets import SecretCipher, SigningSecrets, new_secret

ENDPOINTS = 5
# The default number of connections of the dispatcher.
CONNECTIONS = 128
EVENTS_PER_TRANSACTION = 20
EVENT_TYPE = "appeal.answered"
_UNRECORDED = text("SELECT EXISTS (SELECT FROM webhook_deliveries WHERE status <> 'delivered') AS left_over")


async def _insert_endpoints(admin: asyncpg.Connection, url: str, encrypted: bytes) -> None:
    """Insert a moderator and endpoints of the centre that this moderator owns."""
    owner = new_id()
    await admin.execute(
        "INSERT INTO people (id, username, full_name, role, active, version, created_at, updated_at)"
        " VALUES ($1, 'bench', 'Б', 'moderator', true, 1, now(), now())",
        owner,
    )
    await admin.executemany(
        "INSERT INTO webhook_endpoints (id, url, description, event_types, secret, active, personal_data,"
        " created_by, owner_id, version, created_at, updated_at)"
        " VALUES ($1, $2, '', $3::text::jsonb, $4, true, false, 'bench', $5, 1, now(), now())",
        [(new_id(), f"{url}/{n}", json.dumps([EVENT_TYPE]), encrypted, owner) for n in range(ENDPOINTS)],
    )


async def _measure_service(url: str, events: int, receiver: str) -> float:
    # Imported after the environment is set: settings are read once in a process.
    from services.webhooks.deliveries.dispatcher import Dispatcher  # noqa: PLC0415
    from services.webhooks.settings import webhooks_settings  # noqa: PLC0415
    from services.webhooks.worker import fanout_consumer  # noqa: PLC0415

    pool = Database(url, 5, name="bench")
    data = AppealAnswered.model_validate(AppealAnswered.example)
    for start in range(0, events, EVENTS_PER_TRANSACTION):
        async with pool.write() as session:
            count = min(EVENTS_PER_TRANSACTION, events - start)
            await emit(
                session,
                *(
                    NewEvent(data=data, subject_id=new_id(), organisation_id=None, actor="bench")
                    for _ in range(count)
                ),
            )
    gc_tuning.freeze_startup_objects()
    wakeups = NotificationListener(polls_outbox=True)
    dispatcher = Dispatcher(pool, webhooks_settings(), https_only=False)
    started = time.perf_counter()
    work = [
        asyncio.create_task(one)
        for one in (
            wakeups.run(url),
            relay(pool, wakeups),
            fanout_consumer().run(pool, wakeups, lambda *_: None),
            dispatcher.run(),
        )
    ]
    try:
        await _verified(receiver, events * ENDPOINTS)
        # No event reports that the last results are recorded, so poll.
        while await _has_unrecorded(pool):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return time.perf_counter() - started
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await pool.close()


async def _has_unrecorded(pool: Database) -> bool:
    return bool((await pool.execute_alone(_UNRECORDED)).left_over)


async def _verified(receiver: str, count: int) -> None:
    timeout = aiohttp.ClientTimeout(total=320)
    async with (
        aiohttp.ClientSession(timeout=timeout) as http,
        http.get(f"{receiver}/verified", params={"count": count}) as response,
    ):
        response.raise_for_status()


async def _measure_floor(
    bodies: Sequence[tuple[UUID, str]], secret: str, receiver: str, connections: int
) -> float:
    """Return the seconds that plain aiohttp takes for the same bodies."""
    requests = iter([(body.encode(), signed_headers(event_id, body, [secret])) for event_id, body in bodies])

    async def send(http: aiohttp.ClientSession) -> None:
        for body, headers in requests:
            async with http.post(f"{receiver}/floor", data=body, headers=headers) as response:
                response.raise_for_status()

    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as http:
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(send(http))
        return time.perf_counter() - started


async def run(deliveries: int) -> tuple[float, float]:
    """Return deliveries per second: (floor, ours)."""
    secret, keys = new_secret(), Fernet.generate_key().decode()
    with (
        temporary_server() as server,
        TemporaryDirectory() as keys_dir,
        server_process("bench.webhooks.receiver", secret) as receiver,
    ):
        await migrate(server)
        ensure_keys(Path(keys_dir))
        url = bootstrap.with_login(server, "webhooks", TEST_PASSWORD)
        os.environ |= {
            "GOSPABLIK_DATABASE_URL": url,
            "GOSPABLIK_KEYS_DIR": keys_dir,
            "GOSPABLIK_CURSOR_KEY": "cursor-key-of-the-bench",
            "GOSPABLIK_AUDIT_KEY": "audit-key-of-the-bench",
            "GOSPABLIK_ENCRYPTION_KEYS": keys,
            "GOSPABLIK_WEBHOOKS_ALLOWED_NETWORKS": "127.0.0.0/8",
        }
        admin = await asyncpg.connect(bootstrap.with_database(server, bootstrap.DATABASE))
        try:
            await _insert_endpoints(admin, receiver, SecretCipher(SecretStr(keys)).encrypt(SigningSecrets(secret)))
            seconds = await _measure_service(url, deliveries // ENDPOINTS, receiver)
            rows = await admin.fetch("SELECT event_id, payload::text AS payload FROM webhook_deliveries")
        finally:
            await admin.close()
        bodies = [(row["event_id"], row["payload"]) for row in rows]
        floor = await _measure_floor(bodies, secret, receiver, CONNECTIONS)
    return len(bodies) / floor, len(bodies) / seconds


def _one_run(deliveries: int) -> tuple[float, float]:
    # The event loop that services use.
    return uvloop.run(run(deliveries))


async def in_process(deliveries: int) -> tuple[float, float]:
    """Call `run` in a new process, because a service reads its settings only once; return its result."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, _one_run, deliveries)
