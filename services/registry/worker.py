"""What the registry does by itself: it forgets sign-ins that are past."""

import asyncio

from services.registry import sign_in, throttle
from shared import clock
from shared.service import Service

PAUSE_SECONDS = 3600


async def forget_past(service: Service) -> None:
    """Delete expired refresh tokens and old counts of wrong passwords, every hour, for ever."""
    while True:
        async with service.database.write() as session:
            await sign_in.forget_expired(session)
            await throttle.forget_old(session, clock.now())
        await asyncio.sleep(PAUSE_SECONDS)
