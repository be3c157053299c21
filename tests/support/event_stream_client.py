"""A client of the event stream; parses server-sent events as the HTML standard defines."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

ENDED = "stream.ended"


@dataclass
class Message:
    """One message of the stream; a message that is only a comment has no event."""

    event: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    id: str | None = None
    comment: str | None = None

    @classmethod
    def parse(cls, block: str) -> "Message":
        """Return the message that these lines contain."""
        found, data = cls(), ""
        for line in block.splitlines():
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            match name:
                case "":
                    found.comment = value
                case "event":
                    found.event = value
                case "id":
                    found.id = value
                case "data":
                    data += value
        found.data = json.loads(data) if data else {}
        return found


@dataclass
class StreamClient:
    """An open stream. `last_id` is what a browser would send as `Last-Event-ID`."""

    response: aiohttp.ClientResponse
    last_id: str | None = None

    async def message(self) -> Message:
        """Return the next message. Raises `EOFError` at the end of the stream."""
        block = b""
        while (line := await self.response.content.readline()) not in {b"\n", b""}:
            block += line
        if not line:
            raise EOFError(block)
        found = Message.parse(block.decode())
        self.last_id = found.id or self.last_id
        return found

    async def events(self, count: int) -> list[Message]:
        """Return the next `count` events, without heartbeats; fewer if the stream ends earlier."""
        found: list[Message] = []
        while len(found) < count:
            message = await self.message()
            if message.event == ENDED:
                break
            if message.event:
                found.append(message)
        return found

    async def ended(self) -> dict[str, Any]:
        """Return the data of the last message; fail if anything follows it."""
        while (message := await self.message()).event != ENDED:
            pass
        try:
            extra = await self.message()
        except EOFError:
            return message.data
        raise AssertionError(f"a message after the end: {extra}")


@asynccontextmanager
async def open_stream(
    http: aiohttp.ClientSession, base: str, headers: dict[str, str] | None = None, **query: Any
) -> AsyncIterator[StreamClient]:
    """Open a stream and read its first message; close the stream after the block."""
    async with http.get(f"{base}/api/v1/stream", headers=headers or {}, params=query) as response:
        assert response.status == 200, f"{response.status} {await response.text()}"
        assert response.content_type == "text/event-stream"
        client = StreamClient(response)
        opened = await client.message()
        assert opened.event == "stream.opened", opened
        yield client
