"""Channels of appeals: a network, or else the source that an appeal without a thread names."""

from collections.abc import Mapping

from sqlalchemy import func

from shared.networks import NETWORKS
from shared.tables.appeals import Appeal

# The channel of an appeal that came through no network and names no source.
NO_CHANNEL = "manual"
CHANNEL = func.coalesce(Appeal.network, Appeal.source, NO_CHANNEL)
# `pos` is «Госуслуги. Решаем вместе»; other systems are printed by the name that they give themselves.
_SOURCES: Mapping[str, str] = {
    "pos": "Госуслуги",
    "phone": "Телефон",
    "reception": "Личный приём",
    "letter": "Письма",
    NO_CHANNEL: "Внесены вручную",
}
# Channels that this system names; other systems are shown by their own name.
NAMED_CHANNELS = frozenset({*NETWORKS, *_SOURCES})


def channel_name(channel: str) -> str:
    """Return the Russian name of a channel."""
    network = NETWORKS.get(channel)
    return network.title if network else _SOURCES.get(channel, channel)
