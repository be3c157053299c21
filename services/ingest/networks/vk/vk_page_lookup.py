"""What VK tells of communities: 500 of them in one call, and the newest posts of a wall."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import aiohttp

from services.ingest.networks.calls import CallError, CallLost, Treatment
from services.ingest.networks.lookup_port import (
    LONGEST_DESCRIPTION,
    Community,
    Described,
    NoCommunity,
    Outcome,
    Posts,
    by_page,
    count_of,
    groups_in,
    inner,
    posts_of,
    words,
)
from services.ingest.networks.port import Accounts, PageRef, TokenKind
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.networks.vk.vk_errors import NETWORK
from services.ingest.networks.vk.wall_reader import CLOSED, READERS, items, number
from services.ingest.settings import IngestSettings

BATCH = 500
POSTS = 100
FIELDS = (
    "verified,has_photo,cover,description,contacts,addresses,site,wall,members_count,"
    "is_closed,deactivated,screen_name"
)
INVALID = 100
# What the state of a wall lets citizens do: open and limited ones take comments, switched off and closed ones not.
_COMMENTS = {0: False, 1: True, 2: True, 3: False}
_CLOSED = {1: "closed_group", 2: "private_group"}


class VkDirectory:
    """Implements `networks.directory.Directory` for VK."""

    batch = BATCH

    def __init__(self, http: aiohttp.ClientSession, accounts: Accounts, settings: IngestSettings) -> None:
        self._client = VkClient(http, accounts, settings)
        self._accounts = accounts

    async def describe(self, pages: Sequence[PageRef]) -> list[Described]:
        """groups.getById by a service's or a person's token, else by a community's own."""
        own = next((one.id for one in pages if self._accounts.credential(NETWORK, TokenKind.GROUP, one.id)), None)
        ids = ",".join(page.external_id for page in pages)
        kinds = (*READERS, TokenKind.GROUP)
        try:
            answer = await self._client.ask("groups.getById", *kinds, page_id=own, group_ids=ids, fields=FIELDS)
        except CallError as error:
            # Said when none of the ids exists; of many that is not to be believed.
            if error.code != INVALID or len(pages) > 1:
                raise
            answer = []
        groups = groups_in(answer, NETWORK, "groups.getById")
        found = by_page(groups, "id", len(pages), NETWORK, "groups.getById")
        return [_described(page.external_id, found.get(page.external_id)) for page in pages]

    async def posts(self, page: PageRef, since: datetime) -> Posts | None:
        """One wall.get of the community's own posts."""
        owner = f"-{page.external_id}"
        try:
            answer = await self._client.ask("wall.get", *READERS, owner_id=owner, filter="owner", count=POSTS)
        except CallError as error:
            if error.treatment not in CLOSED and error.treatment is not Treatment.REFUSED:
                raise
            return None
        listed = [raw.get("date") for raw in items(answer, "wall.get") if isinstance(raw, dict)]
        return posts_of(listed, since)

    async def resolve(self, external_id: str | None, screen_name: str | None) -> Community:
        """By groups.getById; a short name by utils.resolveScreenName first."""
        pages = self._accounts.pages(NETWORK)
        own = next((one.id for one in pages if self._accounts.credential(NETWORK, TokenKind.GROUP, one.id)), None)
        if external_id is not None:
            return await by_id(self._client, external_id, own)
        return await by_name(self._client, screen_name or "", own)


def _described(external_id: str, raw: Mapping[str, Any] | None) -> Described:
    if raw is None:
        return Described(external_id=external_id, outcome="gone", reason="not_found")
    outcome, reason = _outcome(raw)
    return Described(
        external_id=external_id,
        outcome=outcome,
        reason=reason,
        name=words(raw.get("name")),
        screen_name=words(raw.get("screen_name")),
        verified=_flag(raw.get("verified")),
        avatar=_flag(raw.get("has_photo")),
        cover=_flag(inner(raw.get("cover")).get("enabled")),
        description=words(raw.get("description"), LONGEST_DESCRIPTION),
        phone=_phone(raw),
        address=_address(raw),
        site=words(raw.get("site")),
        comments_open=_COMMENTS.get(number(raw, "wall", -1)),
        members=count_of(raw.get("members_count")),
    )


def _outcome(raw: Mapping[str, Any]) -> tuple[Outcome, str | None]:
    if deactivated := raw.get("deactivated"):
        return "closed", words(deactivated) or "deactivated"
    if (reason := _CLOSED.get(number(raw, "is_closed"))) is not None:
        return "closed", reason
    return "open", None


def _phone(raw: Mapping[str, Any]) -> str | None:
    contacts = raw.get("contacts")
    told = [words(inner(one).get("phone")) for one in contacts] if isinstance(contacts, list) else []
    told.append(words(_place(raw).get("phone")))
    return next((phone for phone in told if phone), None)


def _address(raw: Mapping[str, Any]) -> str | None:
    place = _place(raw)
    city = words(inner(place.get("city")).get("title"))
    parts = [part for part in (city, words(place.get("address"))) if part]
    return ", ".join(parts) or None


def _place(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    return inner(inner(raw.get("addresses")).get("main_address"))


def _flag(value: object) -> bool | None:
    return bool(value) if isinstance(value, int) else None


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
