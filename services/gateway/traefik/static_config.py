"""Write Traefik's static configuration with other addresses.

Traefik fills in templates only in the dynamic configuration.
"""

import json
import tomllib
from pathlib import Path

_FOLDER = Path(__file__).parent


def write_static_config(path: Path, *, public_address: str, internal_address: str, admin_address: str) -> Path:
    """Write the static configuration to `path` (.yml).

    Its entry points listen at `public_address`, `internal_address` and `admin_address` (host:port).
    """
    document = tomllib.loads((_FOLDER / "traefik.toml").read_text(encoding="utf-8"))
    document["entryPoints"]["web"]["address"] = public_address
    document["entryPoints"]["internal"]["address"] = internal_address
    document["entryPoints"]["traefik"]["address"] = admin_address
    document["providers"]["file"]["filename"] = str(_FOLDER / "dynamic.yml")
    # JSON is valid YAML and needs no library.
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")
    return path
