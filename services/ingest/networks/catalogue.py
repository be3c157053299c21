"""The networks that ingest speaks to. A third one is one line here, beside its name in `shared.networks`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import aiohttp

from services.ingest.networks.lookup_port import PageLookup
from services.ingest.networks.ok import ok_network as ok
from services.ingest.networks.ok import ok_payloads as ok_parse
from services.ingest.networks.ok.ok_page_lookup import OkPageLookup
from services.ingest.networks.port import IntakeStore, MessageKind, NetworkAdapter, TokenPool
from services.ingest.networks.vk import vk_network as vk
from services.ingest.networks.vk import vk_payloads as vk_parse
from services.ingest.networks.vk.vk_page_lookup import VkPageLookup
from services.ingest.settings import IngestSettings

AdapterFactory = Callable[[aiohttp.ClientSession, TokenPool, IntakeStore, IngestSettings], NetworkAdapter]
PageLookupFactory = Callable[[aiohttp.ClientSession, TokenPool, IngestSettings], PageLookup]


def trailing_number(external_id: str, _written_at: datetime) -> int:
    """The number that an id ends in: later items of a thread have greater ones."""
    found = re.search(r"\d+$", external_id)
    return int(found.group()) if found else 0


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """How a network's adapter is made, and what is to be known of it without one.

    `max_length`: the longest answer it takes, in characters, by kind (comment, message). `directory`: how what it
    tells of its pages is asked for; None: it tells nothing. `position`: where an item stands in its thread, of its
    id and the network's own time; positions are compared with each other only. `slack`: by how much a later item
    may yet have a smaller one. `tells_target`: whether comments of a thread name the comment they answer.
    """

    build: AdapterFactory
    max_length: Mapping[str, int]
    directory: PageLookupFactory | None = None
    position: Callable[[str, datetime], int] = trailing_number
    slack: int = 0
    tells_target: Callable[[str], bool] = lambda _thread_key: True


NETWORKS: dict[str, NetworkSpec] = {
    "vk": NetworkSpec(vk.VkNetwork, vk.MAX_LENGTH, VkPageLookup, tells_target=vk_parse.reports_reply_to),
    "ok": NetworkSpec(
        ok.OkNetwork,
        ok.MAX_LENGTH,
        OkPageLookup,
        position=ok_parse.thread_position,
        slack=ok_parse.POSITION_TOLERANCE_MS,
    ),
}


def create_adapter(
    name: str, http: aiohttp.ClientSession, accounts: TokenPool, feed: IntakeStore, settings: IngestSettings
) -> NetworkAdapter:
    """The adapter of one network. Raises KeyError for a name that is not in the catalogue."""
    return NETWORKS[name].build(http, accounts, feed, settings)


def create_adapters(
    http: aiohttp.ClientSession, accounts: TokenPool, feed: IntakeStore, settings: IngestSettings
) -> dict[str, NetworkAdapter]:
    """The adapters of all networks, by name."""
    return {name: create_adapter(name, http, accounts, feed, settings) for name in NETWORKS}


def create_page_lookups(
    http: aiohttp.ClientSession, accounts: TokenPool, settings: IngestSettings
) -> dict[str, PageLookup]:
    """What the networks that tell of their pages are asked through, by name."""
    return {
        name: entry.directory(http, accounts, settings)
        for name, entry in NETWORKS.items()
        if entry.directory is not None
    }


def max_text_length(network: str, kind: MessageKind) -> int:
    """The longest answer that the network takes, in characters."""
    return NETWORKS[network].max_length[kind]
