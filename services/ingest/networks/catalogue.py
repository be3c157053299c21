"""Registry of the supported networks. A new network needs one entry here and its name in `shared.networks`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import aiohttp

from services.ingest.networks.lookup_port import PageLookup
from services.ingest.networks.ok import ok_network as ok
from services.ingest.networks.ok import ok_payloads as ok_parse
from services.ingest.networks.ok import ok_push
from services.ingest.networks.ok.ok_page_lookup import OkPageLookup
from services.ingest.networks.port import IntakeStore, NetworkAdapter, TokenPool
from services.ingest.networks.push_port import PushSpec
from services.ingest.networks.vk import callback_events as vk_push
from services.ingest.networks.vk import vk_network as vk
from services.ingest.networks.vk import vk_payloads as vk_parse
from services.ingest.networks.vk.vk_page_lookup import VkPageLookup
from services.ingest.settings import IngestSettings
from shared.contracts.values import MessageKind

AdapterFactory = Callable[[aiohttp.ClientSession, TokenPool, IntakeStore, IngestSettings], NetworkAdapter]
PageLookupFactory = Callable[[aiohttp.ClientSession, TokenPool, IngestSettings], PageLookup]


def trailing_number(external_id: str, _written_at: datetime) -> int:
    """Return the number at the end of an id, 0 if there is none; within a thread later ids have larger numbers."""
    found = re.search(r"\d+$", external_id)
    return int(found.group()) if found else 0


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Factories and constants of one network.

    `max_length`: the longest reply in characters, by kind (comment, message). `create_page_lookup`: None if the
    network has no page lookup. `thread_position`: an item's order in its thread, from its id and the network's
    time; positions are only compared with each other. `position_tolerance`: how much smaller the position of a
    later item may be. `reports_reply_to`: whether comments of a thread name the comment they reply to. `push`: how
    the network pushes events by HTTP; None if it does not.
    """

    create_adapter: AdapterFactory
    max_length: Mapping[str, int]
    create_page_lookup: PageLookupFactory | None = None
    thread_position: Callable[[str, datetime], int] = trailing_number
    position_tolerance: int = 0
    reports_reply_to: Callable[[str], bool] = lambda _thread_key: True
    push: PushSpec | None = None


NETWORKS: dict[str, NetworkSpec] = {
    "vk": NetworkSpec(
        vk.VkNetwork,
        vk.MAX_LENGTH,
        VkPageLookup,
        reports_reply_to=vk_parse.reports_reply_to,
        push=vk_push.PUSH,
    ),
    "ok": NetworkSpec(
        ok.OkNetwork,
        ok.MAX_LENGTH,
        OkPageLookup,
        thread_position=ok_parse.thread_position,
        position_tolerance=ok_parse.POSITION_TOLERANCE_MS,
        push=ok_push.PUSH,
    ),
}


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
