"""The measured processes: the appeals service and the bare route, both behind the gateway."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from cli.embedded.programs import traefik_program
from cli.embedded.settings import SERVICES
from cli.embedded.temporary_postgres import free_port
from services.gateway.traefik.static_config import static_config

_START_SECONDS = 60


@asynccontextmanager
async def measured_processes(folder: Path, recorded: Path, settings: Mapping[str, str]) -> AsyncIterator[str]:
    """Run the gateway, the appeals service and the bare route until the block ends; yield the gateway's URL."""
    gateway, internal, admin, appeals, bare = (free_port() for _ in range(5))
    address = dict.fromkeys(SERVICES, "http://127.0.0.1:1")
    address |= {"appeals": f"http://127.0.0.1:{appeals}", "metrics": f"http://127.0.0.1:{bare}"}
    urls = {f"GOSPABLIK_{name.upper()}_URL": url for name, url in address.items()}
    static = folder / "traefik.yml"
    static.write_text(
        static_config(
            public_address=f"127.0.0.1:{gateway}",
            internal_address=f"127.0.0.1:{internal}",
            admin_address=f"127.0.0.1:{admin}",
        ),
        encoding="utf-8",
    )
    service = (sys.executable, "-m", "cli.main", "serve", "appeals", "--process", "api")
    floor = (sys.executable, "-m", "bench.api.bare_route", str(recorded), str(bare))
    proxy = (traefik_program(), f"--configFile={static}")
    settings = {
        **os.environ,
        **settings,
        **urls,
        "GOSPABLIK_HOST": "127.0.0.1",
        "GOSPABLIK_PORT": str(appeals),
        "GOSPABLIK_GATEWAY_SERVICE_URL": "http://127.0.0.1:1",
    }
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running_process(service, settings, folder / "appeals.log"))
        await stack.enter_async_context(running_process(floor, settings, folder / "bare_route.log"))
        # Start the gateway last: failed requests to services that are not ready would open its circuit breaker.
        await wait_for_status(f"{address['appeals']}/api/v1/topics", status=401)
        await wait_for_status(f"{address['metrics']}/", status=404)
        await stack.enter_async_context(running_process(proxy, settings, folder / "traefik.log"))
        await wait_for_status(f"http://127.0.0.1:{gateway}/api/v1/topics", status=401)
        yield f"http://127.0.0.1:{gateway}"


@asynccontextmanager
async def running_process(command: Sequence[str], settings: Mapping[str, str], log: Path) -> AsyncIterator[None]:
    """Run a program until the block ends; its output goes to `log`."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, env=settings, stdout=output, stderr=output)
        try:
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def wait_for_status(url: str, *, status: int) -> None:
    """Wait until the URL responds with this status."""
    async with asyncio.timeout(_START_SECONDS), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(url) as response:
                    if response.status == status:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
