"""Start one service, or the gateway's own service, in this process."""

import typer
import uvicorn

from cli.embedded.settings import SERVICES
from services.gateway.app import create_app
from services.gateway.settings import GatewaySettings
from shared import logs, service


def serve(name: str, process: service.Process) -> None:
    """Serve until a signal stops the process. Raises typer.BadParameter for an unknown service name."""
    if name == "gateway":
        serve_gateway()
    elif name in SERVICES:
        service.serve(name, process)
    else:
        raise typer.BadParameter(
            f"there is no service {name!r}; the services are {', '.join((*SERVICES, 'gateway'))}"
        )


def serve_gateway() -> None:
    """Serve the gateway's own service at GOSPABLIK_HOST and GOSPABLIK_PORT."""
    settings = GatewaySettings()
    logs.configure("gateway", settings.log_level)
    uvicorn.run(
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
