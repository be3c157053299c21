"""What the registry does by itself: forgets, counts coverage, ends bodies, keeps names findable, checks pages."""

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
    """Delete ended refresh tokens and secrets, old wrong passwords and old checks, every hour, for ever."""
    while True:
        async with service.database.write() as session:
            await sessions.purge_expired(session)
            await client_secrets.purge_expired(session)
            await throttle.purge_expired(session, clock.now())
        await purge(service.database, retention.purge_rules(Terms()))
        await asyncio.sleep(INTERVAL_SECONDS)


async def record_coverage(service: Service) -> None:
    """Write the day's coverage every hour, for ever: a day stays as its last hour found it."""
    while True:
        async with service.database.write() as session:
            await history.record_day(session, clock.today())
        await asyncio.sleep(INTERVAL_SECONDS)


async def deactivate_ended_organisations(service: Service) -> None:
    """Make bodies inactive whose last day has passed, every hour, for ever."""
    while True:
        while True:
            async with service.database.write() as session:
                if not await successions.deactivate_ended(session):
                    break
        await asyncio.sleep(INTERVAL_SECONDS)


async def refresh_names(service: Service) -> None:
    """Fold names anew when the rules of folding have changed, and write down missing ones: at once, then daily."""
    while True:
        async with service.database.write() as session:
            await names.refresh_normalized_names(session)
        await asyncio.sleep(24 * INTERVAL_SECONDS)


async def check_pages(service: Service) -> None:
    """Check all pages against their networks, part by part, once a day, for ever."""
    checks = DailyCheck(service.database, via_ingest(service.client()), registry_settings())
    rest = 0.0
    while True:
        await asyncio.sleep(rest)
        rest = await checks.run_batch()
