"""What the registry does by itself: it forgets sign-ins that are past."""

import asyncio

from services.registry import client_secrets, sessions, throttle
from services.registry.coverage import history
from shared import clock
from shared.service import Service

PAUSE_SECONDS = 3600


async def forget_past(service: Service) -> None:
    """Delete ended refresh tokens and secrets, and old counts of wrong passwords, every hour, for ever."""
    while True:
        async with service.database.write() as session:
            await sessions.forget_expired(session)
            await client_secrets.forget_expired(session)
            await throttle.forget_old(session, clock.now())
        await asyncio.sleep(PAUSE_SECONDS)


async def record_coverage(service: Service) -> None:
    """Write the day's coverage every hour, for ever: a day stays as its last hour found it."""
    while True:
        async with service.database.write() as session:
            await history.record(session, clock.now().astimezone(clock.REGION_ZONE).date())
        await asyncio.sleep(PAUSE_SECONDS)
