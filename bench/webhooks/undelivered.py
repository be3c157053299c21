"""The p95 of API requests with many undelivered deliveries, and without any, measured alternately.

Each side has its own Postgres and its own process of the webhooks service with API and worker, as in the embedded
run. The deliveries are those of an endpoint that has failed for hours: they become due in the next two hours,
and the worker tries them meanwhile.
"""

import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import aiohttp
import asyncpg
from cryptography.fernet import Fernet
from pydantic import SecretStr

from bench.api.processes import running_process, wait_for_status
from bench.api.recorded_requests import moderator_token
from cli.deployment import provisioning as bootstrap
from cli.deployment.signing_keys import ensure_keys
from cli.embedded.temporary_postgres import TEST_PASSWORD, free_port, migrate, temporary_server
from shared.signing_secrets import SecretCipher, SigningSecrets, new_secret

ROUNDS, REQUESTS = 20, 10
PERSON, ENDPOINT = UUID(int=1), UUID(int=2)
# The health of an endpoint is left out: it counts up to 10,000 of the endpoint's deliveries.
PATHS = (
    "/webhooks/endpoints",
    "/webhooks/deliveries",
    "/webhooks/deliveries?status=failed",
    "/events?after=0&limit=50",
)
_PERSON = """INSERT INTO people (id, username, full_name, password_hash, role, include_subordinates, active,
    version, created_at, updated_at)
    VALUES ($1, 'bench', 'Bench', 'none', 'moderator', false, true, 1, now(), now())"""
_ENDPOINT = """INSERT INTO webhook_endpoints (id, url, description, event_types, secret, active, personal_data,
    created_by, owner_id, version, created_at, updated_at)
    VALUES ($1, $2, '', '["appeal.*"]', $3, true, false, 'bench', $4, 1, now(), now())"""
_EVENTS = """INSERT INTO events (id, type, subject_id, actor, occurred_at, created_at, data, position)
    SELECT gen_random_uuid(), 'appeal.answered', gen_random_uuid(), 'bench', now(), now(), '{}', n
    FROM generate_series(1, $1::int) AS n"""
_OFFSETS = """INSERT INTO webhooks_consumer_offsets (consumer, position)
    SELECT consumer, $1::int
    FROM unnest('{webhooks-fanout,webhooks-notices,webhooks-notice-accounts}'::text[]) AS consumer
    ON CONFLICT (consumer) DO UPDATE SET position = excluded.position"""
_DELIVERIES = """INSERT INTO webhook_deliveries (id, endpoint_id, event_id, event_type, ordering_key,
        event_position, payload, status, attempts, next_attempt_at, last_attempt_at, last_error, created_at)
    SELECT gen_random_uuid(), $1, id, type, subject_id, position,
        jsonb_build_object('type', type, 'timestamp', occurred_at, 'id', id, 'position', '0.' || position,
            'data', jsonb_build_object('text', repeat('x', 500))),
        'pending', 4, now() + random() * interval '2 hours', now() - interval '1 hour', 'HTTP 503', created_at
    FROM events"""


@asynccontextmanager
async def _side(events: int, *, undelivered: bool) -> AsyncIterator[aiohttp.ClientSession]:
    """Run Postgres with this many events, and a webhooks service; yield a client of it."""
    key, port = Fernet.generate_key().decode(), free_port()
    with temporary_server() as server, TemporaryDirectory() as folder:
        await migrate(server)
        keys = Path(folder)
        ensure_keys(keys)
        admin = await asyncpg.connect(bootstrap.with_database(server, bootstrap.DATABASE))
        try:
            secret = SecretCipher(SecretStr(key)).encrypt(SigningSecrets(new_secret()))
            await admin.execute(_PERSON, PERSON)
            await admin.execute(_ENDPOINT, ENDPOINT, f"http://127.0.0.1:{free_port()}/", secret, PERSON)
            await admin.execute(_EVENTS, events, timeout=600)
            await admin.execute(_OFFSETS, events)
            if undelivered:
                await admin.execute(_DELIVERIES, ENDPOINT, timeout=600)
            await admin.execute("VACUUM ANALYZE", timeout=600)
        finally:
            await admin.close()
        settings = os.environ | {
            "GOSPABLIK_ENVIRONMENT": "embedded",
            "GOSPABLIK_HOST": "127.0.0.1",
            "GOSPABLIK_PORT": str(port),
            "GOSPABLIK_DATABASE_URL": bootstrap.with_login(server, "webhooks", TEST_PASSWORD),
            "GOSPABLIK_KEYS_DIR": folder,
            "GOSPABLIK_CURSOR_KEY": "cursor-key-of-the-bench",
            "GOSPABLIK_AUDIT_KEY": "audit-key-of-the-bench",
            "GOSPABLIK_ENCRYPTION_KEYS": key,
            "GOSPABLIK_WEBHOOKS_ALLOWED_NETWORKS": "127.0.0.0/8",
            "GOSPABLIK_REQUESTS_PER_MINUTE": "1000000",
            "GOSPABLIK_LOG_LEVEL": "WARNING",
        }
        service = (sys.executable, "-m", "cli.main", "serve", "webhooks")
        url = f"http://127.0.0.1:{port}"
        async with running_process(service, settings, keys / "service.log"):
            await wait_for_status(f"{url}/api/v1/events", status=401)
            headers = {"Authorization": f"Bearer {moderator_token(keys, PERSON)}"}
            async with aiohttp.ClientSession(f"{url}/", headers=headers) as http:
                yield http


async def _time(http: aiohttp.ClientSession) -> list[float]:
    found = []
    for _ in range(REQUESTS):
        for path in PATHS:
            begun = time.perf_counter()
            async with http.get(f"/api/v1{path}") as response:
                response.raise_for_status()
                await response.read()
            found.append(time.perf_counter() - begun)
    return found


async def with_undelivered(count: int) -> tuple[float, float]:
    """Return requests per second at the 95th percentile: (without, with) `count` undelivered deliveries."""
    async with AsyncExitStack() as stack:
        sides = [await stack.enter_async_context(_side(count, undelivered=given)) for given in (False, True)]
        times: list[list[float]] = [[], []]
        for http in sides:
            await _time(http)  # fills caches and pools
        for number in range(ROUNDS):
            for place in (0, 1) if number % 2 else (1, 0):
                times[place] += await _time(sides[place])
    without, including = (statistics.quantiles(seconds, n=20)[-1] for seconds in times)
    return 1 / without, 1 / including
