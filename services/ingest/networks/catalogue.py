"""The networks that ingest speaks to. A third one is one line here, beside its name in `shared.networks`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp

from services.ingest.networks.directory import Directory
from services.ingest.networks.ok import adapter as ok
from services.ingest.networks.ok.directory import OkDirectory
from services.ingest.networks.port import Accounts, Feed, Kind, Network
from services.ingest.networks.vk import adapter as vk
from services.ingest.networks.vk.directory import VkDirectory
from services.ingest.settings import IngestSettings

Build = Callable[[aiohttp.ClientSession, Accounts, Feed, IngestSettings], Network]
BuildDirectory = Callable[[aiohttp.ClientSession, Accounts, IngestSettings], Directory]


@dataclass(frozen=True, slots=True)
class Entry:
    """How a network's adapter is made, and what is to be known of it without one.

    `max_length`: the longest answer it takes, in characters, by kind (comment, message). `directory`: how what it
    tells of its pages is asked for; None: it tells nothing.
    """

    build: Build
    max_length: Mapping[str, int]
    directory: BuildDirectory | None = None


NETWORKS: dict[str, Entry] = {
    "vk": Entry(vk.Vk, vk.MAX_LENGTH, VkDirectory),
    "ok": Entry(ok.Ok, ok.MAX_LENGTH, OkDirectory),
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


def directories(http: aiohttp.ClientSession, accounts: Accounts, settings: IngestSettings) -> dict[str, Directory]:
    """What the networks that tell of their pages are asked through, by name."""
    return {
        name: entry.directory(http, accounts, settings)
        for name, entry in NETWORKS.items()
        if entry.directory is not None
    }


def max_length(network: str, kind: Kind) -> int:
    """The longest answer that the network takes, in characters."""
    return NETWORKS[network].max_length[kind]
