"""What an address in VK stands for: one call for an id, two for a short name."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from services.ingest.networks.calls import CallError, CallLost
from services.ingest.networks.lookup_port import Community, NoCommunity, groups_in, words
from services.ingest.networks.port import TokenKind
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.networks.vk.vk_errors import NETWORK
from services.ingest.networks.vk.wall_reader import READERS

# A community's token first: it is allowed more calls a second, and walls are not read with it.
KINDS = (TokenKind.GROUP, *READERS)
COMMUNITIES = {"group", "page", "event"}
# No such community: by their ids, and by what their addresses say.
NOWHERE = {100, 104, 113, 125}
DEAD = {"deleted": "The community is deleted", "banned": "The community is blocked by the network"}


async def by_id(client: VkClient, external_id: str, own: UUID | None) -> Community:
    """The community with this id; `own`: a page whose token may ask where no common one can.

    Raises `NoCommunity`, and what a call raises.
    """
    try:
        answer = await client.ask("groups.getById", *KINDS, page_id=own, group_ids=external_id)
    except CallError as error:
        if error.code not in NOWHERE:
            raise
        answer = {"groups": []}
    for raw in groups_in(answer, NETWORK, "groups.getById"):
        if str(raw.get("id")) == external_id:
            return _community(external_id, raw)
    raise NoCommunity(f"ВКонтакте has no community with the id {external_id}")


async def by_name(client: VkClient, name: str, own: UUID | None) -> Community:
    """The community with this short name. Raises as `by_id` does."""
    try:
        answer = await client.ask("utils.resolveScreenName", *KINDS, page_id=own, screen_name=name)
    except CallError as error:
        if error.code not in NOWHERE:
            raise
        answer = []
    # Nothing is an empty list there, something an object.
    if not isinstance(answer, dict):
        raise NoCommunity(f"ВКонтакте knows nobody under the name «{name}»")
    kind, number = answer.get("type"), answer.get("group_id") or answer.get("object_id")
    if kind == "user":
        raise NoCommunity(f"«{name}» is a person's page, not a community")
    if kind not in COMMUNITIES:
        raise NoCommunity(f"«{name}» is an application, not a community")
    if not isinstance(number, int):
        raise CallLost(NETWORK, "utils.resolveScreenName", "no id in the answer")
    return await by_id(client, str(number), own)


def _community(external_id: str, raw: Mapping[str, Any]) -> Community:
    if (gone := raw.get("deactivated")) is not None:
        raise NoCommunity(DEAD.get(str(gone), DEAD["banned"]))
    name, given = words(raw.get("name")), words(raw.get("screen_name"))
    if name is None:
        raise CallLost(NETWORK, "groups.getById", "no name in the answer")
    # Without a name of its own a community answers to club1, public1 or event1.
    plain = given is None or re.fullmatch(rf"(?:club|public|event){external_id}", given)
    return Community(external_id=external_id, name=name, screen_name=None if plain else given)
