"""Builds the VK emulator: API calls, Bots Long Poll and the control API."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, Request, Response

from emulators.common.call_limits import RateLimit
from emulators.common.call_params import merged_params
from emulators.common.citizens import CitizenWriter
from emulators.common.control_api import control_router
from emulators.common.errors import RefusedError
from emulators.common.faults.fault_injector import CallAnswer, FaultInjector
from emulators.common.uploads import uploaded_files
from emulators.vk.callback_control_routes import callback_control_routes
from emulators.vk.control_routes import vk_control_routes
from emulators.vk.emulated_vk import EmulatedVk
from emulators.vk.errors import MESSAGES, envelope, vk_error
from emulators.vk.methods import METHODS, Method, MethodCall
from emulators.vk.methods.execute import ExecuteResult
from emulators.vk.methods.method_table import check_token_and_count
from emulators.vk.push.callback_delivery import CallbackDelivery
from emulators.vk.settings import VkSettings
from emulators.vk.state.tokens import Token

log = logging.getLogger("emulators.vk")
POLL_METHOD = "a_check"
UPLOAD_METHOD = "upload"


def create_app(settings: VkSettings) -> tuple[FastAPI, EmulatedVk]:
    """Return the application and its network state; the state file stays open until the application stops."""
    world = EmulatedVk(settings)
    settings = world.settings
    faults = FaultInjector(
        settings.seed,
        slow_seconds=settings.slow_seconds,
        timeout_seconds=settings.timeout_seconds,
        store=world.store,
        clock=world.clock,
    )
    writer = CitizenWriter(
        world,
        settings.seed,
        settings.citizens_per_minute,
        lambda error: log.info("citizen message rejected: %s", error),
    )

    delivery = CallbackDelivery(world.callbacks, world.clock, settings, faults)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await delivery.start()
        writing = asyncio.create_task(writer.run())
        yield
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await delivery.stop()
        world.store.close()

    app = FastAPI(title="VK emulator", lifespan=lifespan)
    app.include_router(control_router(world, faults, writer))
    app.include_router(vk_control_routes(world))
    app.include_router(callback_control_routes(world))
    ApiEndpoints(world, faults).add_routes(app)
    return app, world


class ApiEndpoints:
    """The network's public routes: `/method/…` and the long poll."""

    def __init__(self, world: EmulatedVk, faults: FaultInjector) -> None:
        self._world = world
        self._faults = faults
        self._seconds = RateLimit(world.settings.rate_window_seconds)

    def add_routes(self, app: FastAPI) -> None:
        """Add the routes; calls and the long poll accept GET and POST."""
        app.add_api_route("/method/{name}", self.call_method, methods=["GET", "POST"])
        app.add_api_route("/whp/{page}", self.long_poll, methods=["GET", "POST"])
        app.add_api_route("/upload/{key}", self.upload, methods=["POST"])
        app.add_api_route("/media/photo{owner}_{number}", self.photo, methods=["GET"])

    async def call_method(self, name: str, request: Request) -> Response:
        """Handle one API call; always responds with HTTP 200 and an envelope."""
        params = await merged_params(request)

        def refuse(code: int | None) -> CallAnswer:
            return self._refusal(vk_error(10 if code is None else code), name, params)

        try:
            method, token = self._authorize(name, params)
        except RefusedError as error:
            return self._refusal(error, name, params).response()

        def persistent_error(inner: str, given: Mapping[str, str]) -> int | None:
            return self._faults.persistent.check_call(token.token, inner, given)

        async def carry_out() -> CallAnswer:
            try:
                result = method.handler(MethodCall(self._world, token, params, persistent_error))
            except RefusedError as error:
                return self._refusal(error, name, params)
            if not isinstance(result, ExecuteResult):
                return CallAnswer({"response": result})
            errors = {"execute_errors": result.errors} if result.errors else {}
            return CallAnswer({"response": result.response, **errors})

        return await self._faults.apply(self._faults.draw(name), refuse, carry_out)

    async def upload(self, key: str, request: Request) -> Response:
        """Receive an uploaded file."""
        files = await uploaded_files(request)

        async def carry_out() -> CallAnswer:
            return CallAnswer(self._world.photos.receive(key, files))

        def refuse(code: int | None) -> CallAnswer:
            return CallAnswer({"error": "ERR_UPLOAD_FILE", "code": code or 1})

        return await self._faults.apply(self._faults.draw(UPLOAD_METHOD), refuse, carry_out)

    async def photo(self, owner: int, number: int) -> Response:
        """Return the file of a saved photo."""
        content = self._world.photos.content(owner, number)
        return Response(content, media_type="image/jpeg") if content is not None else Response(status_code=404)

    async def long_poll(self, page: int, request: Request) -> Response:
        """Handle one `a_check`; for a fault `error`, return `failed` with the fault's code (2 by default)."""
        params = await merged_params(request)
        wait = params.get("wait", "25")
        seconds = float(wait) if wait.isascii() and wait.isdigit() else 25.0

        async def carry_out() -> CallAnswer:
            longpoll = self._world.longpoll
            return CallAnswer(await longpoll.check(page, params.get("key", ""), params.get("ts", ""), seconds))

        def refuse(code: int | None) -> CallAnswer:
            return CallAnswer({"failed": code or 2})

        return await self._faults.apply(self._faults.draw(POLL_METHOD), refuse, carry_out)

    def _authorize(self, name: str, params: dict[str, str]) -> tuple[Method, Token]:
        """Check persistent faults, version, token, rights and limits, and count the call."""
        world, settings = self._world, self._world.settings
        persistent_error = self._faults.persistent.check_call(params.get("access_token"), name, params)
        if persistent_error is not None:
            raise vk_error(persistent_error)
        method = METHODS.get(name)
        if method is None:
            raise vk_error(3)
        if not params.get("v"):
            raise vk_error(8, "v (version) is required")
        token = world.token_store.authorise(params.get("access_token"))
        per_second = settings.group_per_second if token.kind == "group" else settings.user_per_second
        key = f"group:{token.page}" if token.kind == "group" else token.token
        if not self._seconds.allow(key, per_second):
            world.call_counter.count(name, token.kind, token.token, accepted=False)
            raise vk_error(6)
        check_token_and_count(world, token, method)
        return method, token

    def _refusal(self, error: RefusedError, name: str, params: dict[str, str]) -> CallAnswer:
        base_url = self._world.settings.base_url
        return CallAnswer(envelope(error.code, error.message or MESSAGES[1], name, params, base_url))
