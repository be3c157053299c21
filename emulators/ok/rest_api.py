"""The REST door: `/fb.do?method=` and `/api/<section>/<method>`."""

import importlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from emulators.common.call_params import merged_params
from emulators.common.faults.fault_injector import Answer
from emulators.ok.errors import OkError
from emulators.ok.rest_call import METHODS, Call, Method
from emulators.ok.state.network_state import OkWorld
from emulators.ok.state.tokens import Session

for section in ("discussions", "group", "mediatopic", "url", "users"):
    importlib.import_module(f"emulators.ok.methods.{section}")


def error_answer(error: OkError) -> Answer:
    """An error as the network sends it: status 200, the code in a header as well."""
    return Answer(error.body(), error.headers())


def refusal(code: int | None) -> Answer:
    """The error of an armed fault; SERVICE unless it names a code."""
    return error_answer(OkError(code or 2))


@dataclass(frozen=True, slots=True)
class Knock:
    """A call as the faults see it: its token, unchecked, its method and its parameters."""

    token: str | None
    method: str
    params: Mapping[str, str]


async def struck(world: OkWorld, knock: Knock, work: Callable[[], Awaitable[Answer]]) -> Response:
    """Answer a call under what stands over its token and what strikes it."""
    code = world.faults.standing.meet(knock.token, knock.method, knock.params)
    if code is not None:
        return refusal(code).response()
    return await world.faults.around(world.faults.draw(knock.method), refusal, work)


def _admit(world: OkWorld, name: str, params: dict[str, str]) -> tuple[Method, Session]:
    """The method and the session of a call that may go on; counts it, refused by a limit or not."""
    session = world.tokens.session(params)
    function = METHODS.get(name)
    if function is None:
        raise OkError(3)
    slow_enough = world.second.allow(session.key, world.settings.calls_per_second)
    accepted = slow_enough and world.calls.within_day(session.key, name, world.settings.calls_per_day)
    world.calls.count(name, session.kind, session.key, accepted=accepted)
    if not accepted:
        raise OkError(11 if slow_enough else 8)
    return function, session


def carry_out(world: OkWorld, name: str, params: dict[str, str]) -> Answer:
    """Check and carry out one call."""
    try:
        function, session = _admit(world, name, params)
        return Answer(function(Call(world, params, session)))
    except OkError as error:
        return error_answer(error)


def rest_router(world: OkWorld) -> APIRouter:
    """Both address forms, by GET and POST; answers are JSON whatever `format` says."""
    router = APIRouter()

    async def answer(name: str, params: dict[str, str]) -> Response:
        async def work() -> Answer:
            return carry_out(world, name, params)

        token = params.get("access_token") or params.get("session_key")
        return await struck(world, Knock(token, name, params), work)

    @router.api_route("/fb.do", methods=["GET", "POST"])
    async def by_parameter(request: Request) -> Response:
        params = await merged_params(request)
        return await answer(params.get("method", ""), params)

    @router.api_route("/api/{section}/{method}", methods=["GET", "POST"])
    async def by_path(request: Request, section: str, method: str) -> Response:
        return await answer(f"{section}.{method}", await merged_params(request))

    return router
