"""Large request bodies: received from signed-in callers only, and few at a time, since each is held in memory."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.auth.callers import AUTHENTICATED, read_token
from shared.caller_queue import CallerQueue, waits_until
from shared.http.body_limit import PathLimits
from shared.http.client_address import client_address
from shared.http.problems import Problem
from shared.http.request_log import WHO

LARGE_AT_ONCE = 4
# A turn is held until the response, for example during calls to networks: one caller must not take all turns.
LARGE_PER_CALLER = 2
# A request that waits holds no body yet.
MAX_WAITING = 64


class LargeBodies:
    """ASGI middleware: a body that may have more than `limit()` bytes is received only from a caller with a valid
    token, in the caller's turn. `large` contains the paths for such bodies, with their limits.

    Otherwise anybody could fill the memory of the service before a route checks the token.
    """

    def __init__(self, app: ASGIApp, limit: Callable[[], int], large: Mapping[str, int]) -> None:
        self.app = app
        self.limit = limit
        self.large = PathLimits(large)
        self._turns = CallerQueue(
            "Too many large files are being received",
            concurrency=LARGE_AT_ONCE,
            max_waiting=MAX_WAITING,
            max_per_caller=LARGE_PER_CALLER,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read and discard the body of a caller who is refused; hold a turn until the app has responded."""
        if scope["type"] != "http" or not self.large.allow_more(scope, self.limit()):
            await self.app(scope, receive, send)
            return
        until = waits_until(scope)  # the time to wait for turns, also for those of the route, begins here
        request = Request(scope)
        scope[WHO] = {"ip_address": client_address(request)}  # for the log of a refusal
        async with AsyncExitStack() as turn:
            try:
                scope[AUTHENTICATED] = caller = await read_token(request)
                await turn.enter_async_context(self._turns.turn(caller, until=until))
            except Problem as refusal:
                await _discard(receive)
                await refusal.response(scope["path"])(scope, receive, send)
                return
            await self.app(scope, receive, send)


async def _discard(receive: Receive) -> None:
    """Read a body to its end: a client that is still sending would not see the response."""
    more = True
    while more:
        more = (await receive()).get("more_body", False)
