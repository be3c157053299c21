"""Build Traefik's static configuration with the addresses and TLS of an installation.

It is generated because Traefik evaluates templates only in the dynamic configuration.
"""

import json
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from services.gateway.traefik.entry_point_settings import EntryPointSettings

_FOLDER = Path(__file__).parent
DYNAMIC_CONFIG = _FOLDER / "dynamic.yml"
_CERTIFICATE_RESOLVER = "acme"


def static_config(
    *,
    public_address: str,
    internal_address: str,
    admin_address: str,
    plain_address: str | None = None,
    dynamic_config: Path = DYNAMIC_CONFIG,
    entry_point: EntryPointSettings | None = None,
) -> str:
    """Return the static configuration, for a file that ends in `.yml`.

    Its entry points listen at `public_address`, `internal_address` and `admin_address` (host:port). With TLS, it
    also listens at `plain_address` and redirects plain HTTP to HTTPS: same host name, port of the public URL.
    """
    document = tomllib.loads((_FOLDER / "traefik.toml").read_text(encoding="utf-8"))
    entry_points = document["entryPoints"]
    entry_points["web"]["address"] = public_address
    entry_points["internal"]["address"] = internal_address
    entry_points["traefik"]["address"] = admin_address
    document["providers"]["file"]["filename"] = str(dynamic_config)
    if entry_point is not None:
        if entry_point.trusted_proxies:
            networks = [str(network) for network in entry_point.trusted_proxies]
            entry_points["web"]["forwardedHeaders"] = {"trustedIPs": networks}
        if entry_point.tls != "off":
            _add_tls(document, entry_point, plain_address)
    # JSON is valid YAML and needs no library.
    return json.dumps(document, indent=2)


def _add_tls(document: dict[str, Any], entry_point: EntryPointSettings, plain_address: str | None) -> None:
    public = urlsplit(entry_point.public_url)
    web = document["entryPoints"]["web"]["http"]
    web["middlewares"].append("hsts@file")
    web["tls"] = {}
    if entry_point.tls == "acme":
        web["tls"] = {"certResolver": _CERTIFICATE_RESOLVER, "domains": [{"main": public.hostname}]}
        acme: dict[str, Any] = {
            "email": entry_point.acme_email,
            "caServer": entry_point.acme_server,
            "storage": str(entry_point.acme_folder / "acme.json"),
            "tlsChallenge": {},
        }
        if entry_point.ca_bundle is not None:
            acme |= {"caCertificates": [str(entry_point.ca_bundle)], "caSystemCertPool": True}
        document["certificatesResolvers"] = {_CERTIFICATE_RESOLVER: {"acme": acme}}
    if plain_address is not None:
        redirection = {"to": f":{public.port or 443}", "scheme": "https", "permanent": True}
        document["entryPoints"]["plain"] = {
            "address": plain_address,
            "http": {"redirections": {"entryPoint": redirection}},
        }
