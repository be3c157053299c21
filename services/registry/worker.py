"""Periodic work of the registry: purging, coverage, closed organisations, name index, page checks."""

from services.registry import retention
from services.registry.authentication import client_secrets, sessions, throttle
from services.registry.coverage import history
from services.registry.organisations import names, successions
from services.registry.page_checks.daily_run import DailyCheck, via_ingest
from services.registry.settings import registry_settings
from shared import clock
from shared.database.purge import RetentionSettings, purge_tables
from shared.service import Service
from shared.supervision import run_periodically

INTERVAL_SECONDS = 3600


async def purge_expired(service: Service) -> None:
    """Purge expired refresh tokens, client secrets, sign-in failures, page checks and reads of personal data,
    once an hour.
    """

    async def one_round() -> float:
        async with service.database.write() as session:
            await sessions.purge_expired(session)
            await client_secrets.purge_expired(session)
            await throttle.purge_expired(session, clock.now())
        await purge_tables(service.database, retention.purge_rules(RetentionSettings()))
        return INTERVAL_SECONDS

    await run_periodically(one_round)


async def record_coverage(service: Service) -> None:
    """Record today's coverage once an hour. The last run of a day overwrites the earlier ones."""

    async def one_round() -> float:
        async with service.database.write() as session:
            await history.record_day(session, clock.today())
        return INTERVAL_SECONDS

    await run_periodically(one_round)


async def deactivate_ended_organisations(service: Service) -> None:
    """Deactivate organisations whose last day has passed, once an hour."""

    async def one_round() -> float:
        while True:
            async with service.database.write() as session:
                if not await successions.deactivate_ended(session):
                    return INTERVAL_SECONDS

    await run_periodically(one_round)


async def refresh_names(service: Service) -> None:
    """Re-normalise names after a change of the rules and add missing current names, at start and then daily."""

    async def one_round() -> float:
        async with service.database.write() as session:
            await names.refresh_normalized_names(session)
        return 24 * INTERVAL_SECONDS

    await run_periodically(one_round)


async def check_pages(service: Service) -> None:
    """Check every active page once a day, in batches."""
    checks = DailyCheck(service.database, via_ingest(service.client()), registry_settings())
    await run_periodically(checks.run_batch)
