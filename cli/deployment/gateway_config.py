"""Write the configuration of the gateway of a deployment, before Traefik starts."""

import shutil
from pathlib import Path

from services.gateway.traefik.entry_point_settings import EntryPointSettings
from services.gateway.traefik.static_config import DYNAMIC_CONFIG, write_static_config


def write_gateway_config(folder: Path, settings: EntryPointSettings) -> None:
    """Write `traefik.yml` and `dynamic.yml` into a folder that Traefik reads under the same path.

    Plain HTTP is at port 8080, HTTPS at 8443. The console calls 8081; 8107 has Traefik's own health and metrics.
    """
    dynamic = folder / DYNAMIC_CONFIG.name
    shutil.copyfile(DYNAMIC_CONFIG, dynamic)
    write_static_config(
        folder / "traefik.yml",
        public_address=":8080" if settings.tls == "off" else ":8443",
        plain_address=":8080",
        internal_address=":8081",
        admin_address=":8107",
        dynamic_config=dynamic,
        entry_point=settings,
    )
