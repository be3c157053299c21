"""A running process follows the promotion of a standby without losing or dead-lettering anything."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from cli.deployment import provisioning as bootstrap
from cli.embedded.temporary_postgres import TEST_PASSWORD, migrate
from shared.database.outages import is_outage
from shared.database.sessions import Database, WriteSession
from shared.events.consumer import Consumer
from shared.events.listen_notify import NotificationListener
from shared.events.outbox import NewEvent, emit
from shared.events.relay import EPOCH_BITS, relay
from shared.jobs import Jobs
from shared.tables.appeals import AppealsConsumerOffset
from shared.tables.common import Event
from tests.support.eventually import HANG_SECONDS
from tests.support.postgres_pair import make_traversable, postgres_pair
from tests.support.sample_events import sample_data


@pytest.mark.long
async def test_promotion_neither_loses_nor_dead_letters_an_event_or_job() -> None:
    """With synchronous replication every committed event survives; an event whose commit failed may survive."""
    with tempfile.TemporaryDirectory(prefix="gospablik-", ignore_cleanup_errors=True) as folder:
        async with postgres_pair(make_traversable(folder)) as servers:
            await migrate(servers.primary.url)
            await servers.replicate()
            url = bootstrap.with_login(servers.admin_url, "appeals", TEST_PASSWORD)
            pool = Database(url, 6, name="test")
            wakeups, jobs = NotificationListener(), Jobs("appeals")
            seen: Counter[UUID] = Counter()
            worked: set[str] = set()
            committed: list[UUID] = []
            in_doubt: set[UUID] = set()

            @jobs.handler("work")
            async def work(payload: dict[str, Any]) -> None:
                async with pool.write() as session:
                    await session.get(AppealsConsumerOffset, "none")
                worked.add(payload["subject"])

            async def take(_session: WriteSession, events: Sequence[Event]) -> None:
                seen.update(found.subject_id for found in events)

            async def write(stop: asyncio.Event) -> None:
                while not stop.is_set():
                    subject = uuid4()
                    try:
                        async with pool.write() as session:
                            await emit(
                                session,
                                NewEvent(
                                    data=sample_data("appeal.opened"),
                                    subject_id=subject,
                                    organisation_id=None,
                                    actor="test",
                                ),
                            )
                            await jobs.enqueue(session, "work", {"subject": str(subject)})
                    except Exception as error:
                        if not is_outage(error):
                            raise
                        in_doubt.add(subject)
                        await asyncio.sleep(0.2)
                    else:
                        committed.append(subject)
                        await asyncio.sleep(0.02)

            consumer = Consumer("reader", AppealsConsumerOffset, ("appeal.opened",), take, jobs)
            stop = asyncio.Event()
            running = [
                asyncio.create_task(wakeups.run(url)),
                asyncio.create_task(relay(pool, wakeups)),
                asyncio.create_task(consumer.run(pool, wakeups, lambda *_: None)),
                asyncio.create_task(jobs.run(url, pool)),
            ]
            writing = asyncio.create_task(write(stop))
            async with asyncio.timeout(HANG_SECONDS):
                while len(seen) < 20:
                    await asyncio.sleep(0.05)
                await servers.promote_standby()
                before = len(committed)
                while len(committed) < before + 20:
                    await asyncio.sleep(0.05)
                stop.set()
                await writing
                wanted = {str(subject) for subject in committed}
                while not (seen.keys() >= set(committed) and worked >= wanted):
                    await asyncio.sleep(0.05)
            assert not any(task.done() for task in running), [task for task in running if task.done()]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await pool.close()

            assert set(seen) - set(committed) <= in_doubt
            fetch = servers.standby.fetch
            failed = await fetch("SELECT FROM appeals_jobs.pgqueuer WHERE status = 'failed'", bootstrap.DATABASE)
            assert failed == []
            dead = await fetch(
                "SELECT FROM appeals_jobs.pgqueuer_log WHERE entrypoint = 'event:reader'", bootstrap.DATABASE
            )
            assert dead == []
            numbers = await fetch("SELECT position FROM events ORDER BY position", bootstrap.DATABASE)
            positions = [row["position"] for row in numbers]
            assert None not in positions
            assert positions[-1] >> EPOCH_BITS > positions[0] >> EPOCH_BITS
