"""HTTP routes of the REST API: `/fb.do?method=` and `/api/<section>/<method>`."""

import importlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from emulators.common.call_params import merged_params
from emulators.common.faults.fault_injector import CallAnswer
from emulators.common.uploads import uploaded_files
from emulators.ok import serializers
from emulators.ok.errors import OkError
from emulators.ok.rest_call import METHODS, Method, RestCall
from emulators.ok.state.network_state import OkState
from emulators.ok.state.tokens import Session

for section in ("discussions", "group", "group_statistics", "mediatopic", "photos", "url", "users"):
    importlib.import_module(f"emulators.ok.methods.{section}")

UPLOAD_METHOD = "upload"


def error_answer(error: OkError) -> CallAnswer:
    """Return an error response as the network sends it: status 200, with the code also in a header."""
    return CallAnswer(error.body(), error.headers())


def error_answer_for_code(code: int | None) -> CallAnswer:
    """Return the error response of an armed fault; SERVICE unless the fault has a code."""
    return error_answer(OkError(code or 2))


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """The data of a call that faults need: its token (not validated), its method and its parameters."""

    token: str | None
    method: str
    params: Mapping[str, str]


async def answer_with_faults(
    world: OkState, call: IncomingCall, work: Callable[[], Awaitable[CallAnswer]]
) -> Response:
    """Answer a call; apply the persistent error of its token and the drawn faults."""
    code = world.faults.persistent.check_call(call.token, call.method, call.params)
    if code is not None:
        return error_answer_for_code(code).response()
    return await world.faults.apply(world.faults.draw(call.method), error_answer_for_code, work)


def _admit(world: OkState, name: str, params: dict[str, str]) -> tuple[Method, Session]:
    """Return the method and the session of a permitted call; count the call even if a limit rejects it."""
    session = world.tokens.session(params)
    function = METHODS.get(name)
    if function is None:
        raise OkError(3)
    slow_enough = world.rate_limit.allow(session.key, world.settings.calls_per_second)
    accepted = slow_enough and world.call_counter.within_day(session.key, name, world.settings.calls_per_day)
    world.call_counter.count(name, session.kind, session.key, accepted=accepted)
    if not accepted:
        raise OkError(11 if slow_enough else 8)
    return function, session


def execute_call(world: OkState, name: str, params: dict[str, str]) -> CallAnswer:
    """Check and execute one call."""
    try:
        function, session = _admit(world, name, params)
        answer = function(RestCall(world, params, session))
        return CallAnswer(serializers.with_empty_lists(answer, world.settings.empty_lists))
    except OkError as error:
        return error_answer(error)


def rest_router(world: OkState) -> APIRouter:
    """Return the routes of both URL forms, by GET and POST; responses are JSON for any `format`."""
    router = APIRouter()

    async def answer(name: str, params: dict[str, str]) -> Response:
        async def work() -> CallAnswer:
            return execute_call(world, name, params)

        token = params.get("access_token") or params.get("session_key")
        return await answer_with_faults(world, IncomingCall(token, name, params), work)

    @router.api_route("/fb.do", methods=["GET", "POST"])
    async def by_parameter(request: Request) -> Response:
        params = await merged_params(request)
        return await answer(params.get("method", ""), params)

    @router.api_route("/api/{section}/{method}", methods=["GET", "POST"])
    async def by_path(request: Request, section: str, method: str) -> Response:
        return await answer(f"{section}.{method}", await merged_params(request))

    @router.post("/upload/{key}")
    async def upload(key: str, request: Request) -> Response:
        files = await uploaded_files(request)

        async def work() -> CallAnswer:
            try:
                return CallAnswer(world.photos.receive(key, files))
            except OkError as error:
                return error_answer(error)

        return await answer_with_faults(world, IncomingCall(None, UPLOAD_METHOD, {}), work)

    @router.get("/photos/{photo_id}")
    async def photo(photo_id: str) -> Response:
        content = world.photos.content(photo_id)
        return Response(content, media_type="image/jpeg") if content is not None else Response(status_code=404)

    return router
