"""The health check of the containers, against real servers."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cli.embedded.temporary_postgres import free_port

pytestmark = pytest.mark.enable_socket  # servers on loopback

_SCRIPT = Path(__file__).parents[3] / "cli/deployment/ready.bash"
_BODY = b'{"status":"pass","checks":{}}'


@asynccontextmanager
async def _server(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Run a server that answers every request in the same way; yield its port and the requests."""
    requests: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], requests


async def _exit_code(*arguments: str) -> int:
    # PATH is empty: the script must start no program but the shell itself.
    process = await asyncio.create_subprocess_exec(
        "/bin/bash", _SCRIPT, *arguments, stderr=asyncio.subprocess.DEVNULL, env={**os.environ, "PATH": ""}
    )
    return await process.wait()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n" + _BODY, 0),
        (b"HTTP/1.1 200 OK\r\n\r\n" + _BODY * 10_000, 0),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n" + _BODY, 1),
        (b"HTTP/1.1 404 Not Found\r\n\r\n200", 1),
        (b"", 1),
    ],
)
async def test_only_a_response_with_200_is_healthy(answer: bytes, code: int) -> None:
    async with _server(answer) as (port, requests):
        assert await _exit_code("/health/ready", str(port)) == code
    assert requests[0].startswith(b"GET /health/ready HTTP/1.0\r\n")


async def test_closed_port_is_unhealthy() -> None:
    assert await _exit_code("/health/ready", str(free_port())) == 1
