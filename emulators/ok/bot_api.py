"""HTTP routes of the Bot API: `/graph/me/<call>[/chat:ID]`."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from emulators.common.faults.fault_injector import CallAnswer
from emulators.ok import serializers
from emulators.ok.bot_methods import GET_METHODS, POST_METHODS, BotCall, BotMethod, parse_body
from emulators.ok.errors import OkError
from emulators.ok.rest_api import IncomingCall, answer_with_faults, error_answer
from emulators.ok.state.network_state import OkState


@dataclass(frozen=True, slots=True)
class BotRequest:
    """A request: verb, first path segment, rest of the path, query and body."""

    verb: str
    name: str
    chat: str | None
    query: dict[str, str]
    raw: bytes
    content_type: str


def _authorize(world: OkState, incoming: BotRequest) -> tuple[BotMethod, str]:
    """Return the function and group of an authorised call; count it even if a limit rejects it."""
    token = incoming.query.get("access_token", "")
    name = call_name(incoming.name, incoming.verb)
    page = world.tokens.bot(token)
    world.rules.check_active(page)
    function = (GET_METHODS if incoming.verb == "GET" else POST_METHODS).get(incoming.name)
    if function is None:
        raise OkError(3)
    slow_enough = world.rate_limit.allow(token, world.settings.bot_calls_per_second)
    accepted = slow_enough and world.call_counter.within_day(token, name, world.settings.bot_calls_per_day)
    world.call_counter.count(name, "group", token, accepted=accepted)
    if not accepted:
        raise OkError(11 if slow_enough else 8)
    return function, page


def _carry_out(world: OkState, incoming: BotRequest) -> CallAnswer:
    """Check and execute one call."""
    try:
        function, page = _authorize(world, incoming)
        body = parse_body(incoming.raw, incoming.content_type) if incoming.verb == "POST" else {}
        answer = function(BotCall(world, page, incoming.query, incoming.chat, body))
        return CallAnswer(serializers.with_empty_lists(answer, world.settings.empty_lists))
    except OkError as error:
        return error_answer(error)


def call_name(name: str, method: str) -> str:
    """Return the name under which calls are counted and faults armed, such as `graph.user.messages.post`."""
    return f"graph.user.{name}.{method.lower()}"


def graph_router(world: OkState) -> APIRouter:
    """Return the routes of all calls of a group's bot, by GET and POST, with and without a slash at the end."""
    router = APIRouter(prefix="/graph/me")

    async def answer(request: Request, name: str, chat: str | None = None) -> Response:
        incoming = BotRequest(
            verb=request.method,
            name=name,
            chat=chat,
            query=dict(request.query_params),
            raw=await request.body(),
            content_type=request.headers.get("content-type", ""),
        )

        async def work() -> CallAnswer:
            return _carry_out(world, incoming)

        incoming_call = IncomingCall(
            incoming.query.get("access_token"), call_name(name, request.method), incoming.query
        )
        return await answer_with_faults(world, incoming_call, work)

    @router.api_route("/{name}", methods=["GET", "POST"])
    async def call(request: Request, name: str) -> Response:
        return await answer(request, name)

    @router.api_route("/{name}/{chat:path}", methods=["GET", "POST"])
    async def call_in_chat(request: Request, name: str, chat: str) -> Response:
        return await answer(request, name, chat.rstrip("/") or None)

    return router
