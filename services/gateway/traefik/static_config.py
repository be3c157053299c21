"""The static configuration with other addresses: Traefik fills in templates in the dynamic one only."""

import json
import tomllib
from pathlib import Path

_FOLDER = Path(__file__).parent


def write_static_config(path: Path, *, public_address: str, admin_address: str) -> Path:
    """Write the static configuration to `path` (.yml) with its entry points at `web` and `own` (host:port)."""
    document = tomllib.loads((_FOLDER / "traefik.toml").read_text(encoding="utf-8"))
    document["entryPoints"]["web"]["address"] = public_address
    document["entryPoints"]["traefik"]["address"] = admin_address
    document["providers"]["file"]["filename"] = str(_FOLDER / "dynamic.yml")
    # JSON is YAML, and needs no library to write.
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")
    return path
