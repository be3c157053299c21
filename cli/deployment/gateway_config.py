"""Write the configuration of the gateway of a deployment, before Traefik starts."""

from pathlib import Path

from cli.atomic_files import atomic_write
from services.gateway.traefik.entry_point_settings import EntryPointSettings
from services.gateway.traefik.static_config import DYNAMIC_CONFIG, static_config


def write_gateway_config(folder: Path, settings: EntryPointSettings) -> None:
    """Write `traefik.yml` and `dynamic.yml` into a folder that Traefik mounts under the same path.

    Ports: 8080 plain HTTP, 8443 HTTPS, 8081 calls by the console, 8107 Traefik's own health and metrics.
    """
    dynamic = folder / DYNAMIC_CONFIG.name
    static = static_config(
        public_address=":8080" if settings.tls == "off" else ":8443",
        plain_address=":8080",
        internal_address=":8081",
        admin_address=":8107",
        dynamic_config=dynamic,
        entry_point=settings,
    )
    # Atomic: a running gateway may restart and read the files at any moment.
    for path, content in ((dynamic, DYNAMIC_CONFIG.read_bytes()), (folder / "traefik.yml", static.encode())):
        with atomic_write(path) as file:
            file.write(content)
