"""The static configuration with other addresses: Traefik fills in templates in the dynamic one only."""

import json
import tomllib
from pathlib import Path

_FOLDER = Path(__file__).parent


def write_static(path: Path, *, web: str, own: str) -> Path:
    """Write the static configuration to `path` (.yml) with its entry points at `web` and `own` (host:port)."""
    document = tomllib.loads((_FOLDER / "traefik.toml").read_text(encoding="utf-8"))
    document["entryPoints"]["web"]["address"] = web
    document["entryPoints"]["traefik"]["address"] = own
    document["providers"]["file"]["filename"] = str(_FOLDER / "dynamic.yml")
    # JSON is YAML, and needs no library to write.
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")
    return path
