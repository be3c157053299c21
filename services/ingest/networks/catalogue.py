"""The networks that ingest speaks to. A third one is one line here, beside its name in `shared.networks`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp

from services.ingest.networks.ok import adapter as ok
from services.ingest.networks.port import Accounts, Feed, Kind, Network
from services.ingest.networks.vk import adapter as vk
from services.ingest.settings import IngestSettings

Build = Callable[[aiohttp.ClientSession, Accounts, Feed, IngestSettings], Network]


@dataclass(frozen=True, slots=True)
class Entry:
    """How a network's adapter is made, and what is to be known of it without one.

    `max_length`: the longest answer it takes, in characters, by kind (comment, message).
    """

    build: Build
    max_length: Mapping[str, int]


NETWORKS: dict[str, Entry] = {
    "vk": Entry(vk.Vk, vk.MAX_LENGTH),
    "ok": Entry(ok.Ok, ok.MAX_LENGTH),
}


def make(
    name: str, http: aiohttp.ClientSession, accounts: Accounts, feed: Feed, settings: IngestSettings
) -> Network:
    """The adapter of one network. Raises KeyError for a name that is not in the catalogue."""
    return NETWORKS[name].build(http, accounts, feed, settings)


def make_all(
    http: aiohttp.ClientSession, accounts: Accounts, feed: Feed, settings: IngestSettings
) -> dict[str, Network]:
    """The adapters of all networks, by name."""
    return {name: make(name, http, accounts, feed, settings) for name in NETWORKS}


def max_length(network: str, kind: Kind) -> int:
    """The longest answer that the network takes, in characters."""
    return NETWORKS[network].max_length[kind]
