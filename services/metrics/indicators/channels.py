"""Channels of appeals: the network or, for an appeal outside networks, its source."""

from collections.abc import Mapping

from sqlalchemy import func

from shared.networks import NETWORKS
from shared.tables.appeals import Appeal

# The channel of an appeal without network and source.
NO_CHANNEL = "manual"
CHANNEL = func.coalesce(Appeal.network, Appeal.source, NO_CHANNEL)
# `pos` is «Госуслуги. Решаем вместе»; other systems are shown by the name that they send.
_SOURCES: Mapping[str, str] = {
    "pos": "Госуслуги",
    "phone": "Телефон",
    "reception": "Личный приём",
    "letter": "Письма",
    NO_CHANNEL: "Внесены вручную",
}
# Channels with a name in this system; other systems are shown by the name that they send.
NAMED_CHANNELS = frozenset({*NETWORKS, *_SOURCES})


def channel_name(channel: str) -> str:
    """Return the Russian name of a channel."""
    network = NETWORKS.get(channel)
    return network.title if network else _SOURCES.get(channel, channel)
