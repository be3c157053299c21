"""The server closes the connection of a client that reads nothing, even if the response is complete."""

import socket

import pytest
from starlette.responses import Response

from shared.http import server_protocol
from tests.support.eventually import eventually_true
from tests.support.served_app import served
from tests.support.stuck_reader import stuck_reader


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel has no TCP_USER_TIMEOUT")
async def test_connection_of_a_client_that_reads_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_protocol, "UNREAD_SECONDS", 3)
    async with served(Response(b"x" * 10_000_000)) as base, stuck_reader(base, "/") as reader:
        await eventually_true(lambda: reader.is_served, "it is connected")
        await eventually_true(lambda: not reader.is_served, "its connection is freed")
