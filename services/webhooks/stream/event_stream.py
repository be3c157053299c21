"""The response of one stream: events from the database up to the live tail, then events from the tail."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi.sse import EventSourceResponse
from starlette.types import Message, Receive, Scope, Send

from services.webhooks.schemas.stream import StreamEndReason
from services.webhooks.settings import webhooks_settings
from services.webhooks.stream.catch_up import read_page
from services.webhooks.stream.frames import ended_frame, event_frame, heartbeat_frame, opened_frame
from services.webhooks.stream.listener import CHUNK, Listener
from services.webhooks.stream.live_stream import ENDED_STREAMS, POLL_SECONDS, STREAM_OVERFLOWS, LiveStream
from shared.database.outages import is_outage
from shared.database.sessions import Database
from shared.http.problems import Gone
from shared.http.server_protocol import abort_connection
from shared.logs import get_logger

log = get_logger(__name__)

# Clients wait a random time before they reconnect, so that they do not all reconnect at once after a restart.
_RETRY_MS = (1_000, 5_000)
# A proxy such as nginx must not buffer the messages.
_HEADERS = {"X-Accel-Buffering": "no"}


# The reason under which a stream is counted whose client did not read a message in time.
_TOO_SLOW = "too_slow"


class _ClientStalledError(Exception):
    """The client did not read a message in time."""


class EventStream(EventSourceResponse):
    """The response with a listener's events after a position. It holds no database connection while it waits."""

    def __init__(
        self, live: LiveStream, database: Database, listener: Listener, after: int, *, at_end: bool = False
    ) -> None:
        """`at_end`: whether `after` is the position of the last event."""
        self._live = live
        self._database = database
        self._listener = listener
        self._send_timeout = webhooks_settings().stream_send_timeout_seconds
        self._stalled = False
        self._stream = self._messages(after, end=after if at_end else None)
        super().__init__(self._stream, headers=_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream, and count how it ended."""
        self._scope = scope
        reason = "closed_by_client"
        try:
            await super().__call__(scope, receive, send)
        except Exception:
            reason = "failed"
            raise
        finally:
            ENDED_STREAMS.labels(_TOO_SLOW if self._stalled else self._listener.end or reason).inc()

    async def stream_response(self, send: Send) -> None:
        """Send the messages one by one; abort the connection if the client does not read a message in time."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async with aclosing(self._stream) as messages:
                async for message in messages:
                    await self._send(send, {"type": "http.response.body", "body": message, "more_body": True})
            await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})
        except _ClientStalledError:
            # The response cannot be completed, so the connection is aborted.
            self._stalled = True
            log.warning("event stream aborted: the client does not read")
            abort_connection(self._scope)

    async def _send(self, send: Send, message: Message) -> None:
        try:
            async with asyncio.timeout(self._send_timeout):
                await send(message)
        except TimeoutError as error:
            raise _ClientStalledError from error

    async def _messages(self, after: int, *, end: int | None) -> AsyncGenerator[bytes, None]:
        listener = self._listener
        yield opened_frame(after, random.randint(*_RETRY_MS))  # noqa: S311 — no secret
        reached = after
        while listener.end is None:
            try:
                async with aclosing(self._catch_up(reached, end=end)) as caught_up:
                    async for message in caught_up:
                        yield message
            except Gone as gone:
                listener.finish(StreamEndReason.GONE)
                yield ended_frame(StreamEndReason.GONE, gone.detail, gone.extra["next_after"])
                return
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("event stream ended: dependency unavailable", error=repr(error)[:300])
                listener.finish(StreamEndReason.UNAVAILABLE)
            async with aclosing(self._follow()) as live:
                async for message in live:
                    yield message
            if listener.end is None:
                # Its buffer was full: it reads the refused events from the database.
                STREAM_OVERFLOWS.inc()
                self._live.tail.detach(listener)
            reached, end = listener.reached, None
        yield ended_frame(listener.end)

    async def _catch_up(self, reached: int, *, end: int | None) -> AsyncGenerator[bytes, None]:
        """Yield messages after the position until the listener is attached to the live tail, or ends.

        `end`: the position of the last event, if it is known that the listener has read up to it.
        """
        listener, moved = self._listener, True
        heartbeat = Heartbeat()
        while listener.end is None and not self._live.tail.attach(listener, reached, end=end):
            if not moved:  # the tail is ahead of what this database shows
                await listener.take(POLL_SECONDS)
            async with self._live.reading():
                # Another listener may have started the tail meanwhile.
                if self._live.tail.attach(listener, reached, end=None):
                    return
                async with self._database.read() as session:
                    page = await read_page(session, listener, reached)
            moved = page.reached > reached
            reached, end = page.reached, page.end
            for start in range(0, len(page.events), CHUNK):
                heartbeat.sent()
                yield b"".join(event_frame(event) for event in page.events[start : start + CHUNK])
                listener.finish_if_expired()
                if listener.end is not None:
                    return
            if heartbeat.seconds_left() <= 0:
                heartbeat.sent()
                yield heartbeat_frame(reached)
            listener.finish_if_expired()

    async def _follow(self) -> AsyncGenerator[bytes, None]:
        """Yield messages from the live tail, and heartbeats, until the listener is behind or ends."""
        listener = self._listener
        heartbeat = Heartbeat()
        while listener.end is None and not listener.is_behind:
            message = await listener.take(heartbeat.seconds_left())
            if not message and listener.end is None and heartbeat.seconds_left() <= 0:
                # All events up to the tail's position were sent: a client can continue from there, not only from
                # its last event.
                message = heartbeat_frame(max(self._live.tail.position, listener.reached))
            if message:
                heartbeat.sent()
                yield message


class Heartbeat:
    """The timer of heartbeats."""

    def __init__(self) -> None:
        self._interval = webhooks_settings().stream_heartbeat_seconds
        self.sent()

    def sent(self) -> None:
        """Restart the interval, because something was sent."""
        self._due = time.monotonic() + self._interval

    def seconds_left(self) -> float:
        """Return the seconds until the next heartbeat; 0 or less when it is due."""
        return self._due - time.monotonic()
