"""The supported networks: those of `shared.networks`, each with the `SPEC` of its folder."""

from importlib import import_module

import aiohttp

from services.ingest.networks.lookup_port import PageLookup
from services.ingest.networks.network_spec import NetworkSpec
from services.ingest.networks.port import IntakeStore, NetworkAdapter, TokenPool
from services.ingest.networks.push_port import PushSpec
from services.ingest.settings import IngestSettings
from shared import networks
from shared.contracts.values import MessageKind


def _spec(name: str) -> NetworkSpec:
    # Imported by name, because the list is in `shared`, which may not import a service.
    spec: NetworkSpec = import_module(f"services.ingest.networks.{name}.{name}_spec").SPEC
    return spec


NETWORKS: dict[str, NetworkSpec] = {name: _spec(name) for name in networks.NETWORKS}


def create_adapter(
    name: str, http: aiohttp.ClientSession, token_pool: TokenPool, intake: IntakeStore, settings: IngestSettings
) -> NetworkAdapter:
    """Return the adapter of one network. Raises KeyError for an unknown network."""
    return NETWORKS[name].create_adapter(http, token_pool, intake, settings)


def create_adapters(
    http: aiohttp.ClientSession, token_pool: TokenPool, intake: IntakeStore, settings: IngestSettings
) -> dict[str, NetworkAdapter]:
    """Return the adapters of all networks, by name."""
    return {name: create_adapter(name, http, token_pool, intake, settings) for name in NETWORKS}


def create_page_lookups(
    http: aiohttp.ClientSession, token_pool: TokenPool, settings: IngestSettings
) -> dict[str, PageLookup]:
    """Return the page lookups of the networks that have one, by name."""
    return {
        name: entry.create_page_lookup(http, token_pool, settings)
        for name, entry in NETWORKS.items()
        if entry.create_page_lookup is not None
    }


def push_spec(network: str) -> PushSpec | None:
    """Return how the network pushes events by HTTP; None if it does not, or is unknown."""
    found = NETWORKS.get(network)
    return found.push if found is not None else None


def max_text_length(network: str, kind: MessageKind) -> int:
    """Return the longest reply that the network accepts, in characters."""
    return NETWORKS[network].max_length[kind]
