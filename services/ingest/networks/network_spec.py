"""The description of one network for the catalogue: factories of its parts, and its constants."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import aiohttp

from services.ingest.networks.lookup_port import PageLookup
from services.ingest.networks.port import IntakeStore, NetworkAdapter, TokenPool
from services.ingest.networks.push_port import PushSpec
from services.ingest.settings import IngestSettings

AdapterFactory = Callable[[aiohttp.ClientSession, TokenPool, IntakeStore, IngestSettings], NetworkAdapter]
PageLookupFactory = Callable[[aiohttp.ClientSession, TokenPool, IngestSettings], PageLookup]


def trailing_number(external_id: str, _written_at: datetime) -> int:
    """Return the number at the end of an id, 0 without one; within a thread, later ids have larger numbers."""
    found = re.search(r"\d+$", external_id)
    return int(found.group()) if found else 0


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Factories and constants of one network.

    `max_length`: the longest reply in characters, by kind (comment, message). `create_page_lookup`: None if the
    network has no page lookup. `thread_position`: an item's order in its thread, from its id and the network's
    time; positions are only compared with each other. `position_tolerance`: how much smaller the position of a
    later item may be. `page_author_id`: the id that the network gives a page as the author of a message, from the
    page's id in the registry. `reports_reply_to`: whether comments of a thread name the comment they reply to.
    `push`: how the network pushes events by HTTP; None if it does not.
    """

    create_adapter: AdapterFactory
    max_length: Mapping[str, int]
    create_page_lookup: PageLookupFactory | None = None
    page_author_id: Callable[[str], str] = lambda external_id: external_id
    thread_position: Callable[[str, datetime], int] = trailing_number
    position_tolerance: int = 0
    reports_reply_to: Callable[[str], bool] = lambda _thread_key: True
    push: PushSpec | None = None
