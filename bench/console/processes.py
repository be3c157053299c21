"""The measured processes: the console, and the services that its pages call, behind the gateway."""

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench.api.processes import running_process, wait_for_status
from cli.deployment import provisioning as bootstrap
from cli.embedded.programs import traefik_program
from cli.embedded.settings import SERVICES
from cli.embedded.temporary_postgres import TEST_PASSWORD, free_port
from services.gateway.traefik.static_config import static_config

CALLED = ("registry", "ingest", "appeals", "webhooks")


@asynccontextmanager
async def console_processes(folder: Path, server: str, settings: Mapping[str, str]) -> AsyncIterator[str]:
    """Run the processes until the block ends; yield the gateway's URL. The console logs to `console.log`."""
    gateway, internal, admin = free_port(), free_port(), free_port()
    base = f"http://127.0.0.1:{gateway}"
    ports = {name: free_port() for name in (*CALLED, "console")}
    addresses = dict.fromkeys(SERVICES, "http://127.0.0.1:1") | {
        name: f"http://127.0.0.1:{port}" for name, port in ports.items()
    }
    common = {
        **os.environ,
        **settings,
        **{f"GOSPABLIK_{name.upper()}_URL": url for name, url in addresses.items()},
        "GOSPABLIK_HOST": "127.0.0.1",
        "GOSPABLIK_GATEWAY_URL": f"http://127.0.0.1:{internal}",
        "GOSPABLIK_GATEWAY_SERVICE_URL": "http://127.0.0.1:1",
    }
    static = folder / "traefik.yml"
    static.write_text(
        static_config(
            public_address=f"127.0.0.1:{gateway}",
            internal_address=f"127.0.0.1:{internal}",
            admin_address=f"127.0.0.1:{admin}",
        ),
        encoding="utf-8",
    )
    async with AsyncExitStack() as stack:
        for name, port in ports.items():
            own = {
                "GOSPABLIK_PORT": str(port),
                "GOSPABLIK_DATABASE_URL": bootstrap.with_login(server, name, TEST_PASSWORD),
            }
            command = (sys.executable, "-m", "cli.main", "serve", name, "--process", "api")
            await stack.enter_async_context(running_process(command, common | own, folder / f"{name}.log"))
        for name in ports:
            await wait_for_status(f"{addresses[name]}/health/live", status=200)
        # Start the gateway last: failed requests to services that are not ready would open its circuit breaker.
        proxy = (traefik_program(), f"--configFile={static}")
        await stack.enter_async_context(running_process(proxy, common, folder / "traefik.log"))
        await wait_for_status(f"{base}/sign-in", status=200)
        yield base
