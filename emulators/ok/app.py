"""Builds the Odnoklassniki emulator from its parts."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from fastapi import FastAPI

from emulators.common.citizens import CitizenWriter
from emulators.common.control_api import control_router
from emulators.ok.bot_api import graph_router
from emulators.ok.control_routes import ok_control_routes
from emulators.ok.emulated_ok import EmulatedOk
from emulators.ok.rest_api import rest_router
from emulators.ok.settings import OkSettings
from emulators.ok.state.network_state import OkState

log = logging.getLogger(__name__)


def create_app(settings: OkSettings) -> FastAPI:
    """Return the application with its state, webhooks and citizens."""
    world = OkState(settings)
    network = EmulatedOk(world)
    writer = CitizenWriter(
        network,
        settings.seed,
        settings.citizens_per_minute,
        lambda error: log.info("citizen message rejected: %s", error),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(world.webhooks.run()), asyncio.create_task(writer.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            world.store.close()

    app = FastAPI(title="Odnoklassniki emulator", lifespan=lifespan, openapi_url=None)
    app.state.world = world
    app.include_router(control_router(network, world.faults, writer))
    app.include_router(ok_control_routes(world, network))
    app.include_router(rest_router(world))
    app.include_router(graph_router(world))
    return app
