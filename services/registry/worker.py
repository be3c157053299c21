"""Periodic work of the registry: purging, coverage, closed organisations, name index, page checks."""

import asyncio

from services.registry import retention
from services.registry.authentication import client_secrets, sessions, throttle
from services.registry.coverage import history
from services.registry.organisations import names, successions
from services.registry.page_checks.daily_run import DailyCheck, via_ingest
from services.registry.settings import registry_settings
from shared import clock
from shared.database.purge import Terms, purge
from shared.service import Service

INTERVAL_SECONDS = 3600


async def purge_expired(service: Service) -> None:
    """Purge expired refresh tokens, client secrets, sign-in failures and page checks, once an hour."""
    while True:
        async with service.database.write() as session:
            await sessions.purge_expired(session)
            await client_secrets.purge_expired(session)
            await throttle.purge_expired(session, clock.now())
        await purge(service.database, retention.purge_rules(Terms()))
        await asyncio.sleep(INTERVAL_SECONDS)


async def record_coverage(service: Service) -> None:
    """Record today's coverage once an hour. The last run of a day overwrites the earlier ones."""
    while True:
        async with service.database.write() as session:
            await history.record_day(session, clock.today())
        await asyncio.sleep(INTERVAL_SECONDS)


async def deactivate_ended_organisations(service: Service) -> None:
    """Deactivate organisations whose last day has passed, once an hour."""
    while True:
        while True:
            async with service.database.write() as session:
                if not await successions.deactivate_ended(session):
                    break
        await asyncio.sleep(INTERVAL_SECONDS)


async def refresh_names(service: Service) -> None:
    """Re-normalise names after a change of the rules and add missing ones, at start and then daily."""
    while True:
        async with service.database.write() as session:
            await names.refresh_normalized_names(session)
        await asyncio.sleep(24 * INTERVAL_SECONDS)


async def check_pages(service: Service) -> None:
    """Check every active page once a day, in batches."""
    checks = DailyCheck(service.database, via_ingest(service.client()), registry_settings())
    pause_seconds = 0.0
    while True:
        await asyncio.sleep(pause_seconds)
        pause_seconds = await checks.run_batch()
