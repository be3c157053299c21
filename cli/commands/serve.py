"""Start one service, or the gateway's own service, in this process."""

# ruff: noqa: PLC0415 - the gateway's service needs no database, and the others nothing of it

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import typer
import uvicorn

from cli.embedded.settings import SERVICES
from shared import logs
from shared.http.idle_server import IdleServer

if TYPE_CHECKING:
    from shared.service import Process


def serve(name: str, process: "Process") -> None:
    """Serve until a signal stops the process. Raises typer.BadParameter for an unknown service name."""
    if name == "gateway":
        serve_gateway()
    elif name in SERVICES:
        from shared import service

        service.serve(name, process)
    else:
        raise typer.BadParameter(
            f"there is no service {name!r}; the services are {', '.join((*SERVICES, 'gateway'))}"
        )


def serve_gateway() -> None:
    """Serve the gateway's own service at GOSPABLIK_HOST and GOSPABLIK_PORT."""
    from services.gateway.app import create_app
    from services.gateway.settings import GatewaySettings

    settings = GatewaySettings()
    logs.configure("gateway", settings.log_level)
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        server_header=False,
    )
    server = IdleServer(config)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit("the server did not start")
