"""The server wakes once a second, and at once on a signal."""

import asyncio
import os
import signal
import time

import pytest
import uvicorn

from shared.http import idle_server
from shared.http.idle_server import IdleServer


async def _app(scope: object, receive: object, send: object) -> None:
    raise AssertionError("nothing is requested")


def test_a_signal_ends_the_server_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_server, "TICK_SECONDS", 60.0)
    server = IdleServer(uvicorn.Config(_app, port=0, loop="uvloop", lifespan="off", log_config=None))
    ticks = 0

    class SignalledError(Exception):
        pass

    def former_handler(*_: object) -> None:
        raise SignalledError

    async def on_tick(counter: int) -> bool:
        nonlocal ticks
        ticks += 1
        if ticks == 1:
            asyncio.get_running_loop().call_later(0.2, os.kill, os.getpid(), signal.SIGTERM)
        return await IdleServer.on_tick(server, counter)

    monkeypatch.setattr(server, "on_tick", on_tick)
    before = signal.signal(signal.SIGTERM, former_handler)
    began = time.monotonic()
    try:
        # After its shutdown, uvicorn raises the signal again for the handler that was there before.
        with pytest.raises(SignalledError):
            server.run()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert time.monotonic() - began < 20
    assert ticks == 2
    assert server.server_state.default_headers[0][0] == b"date"
