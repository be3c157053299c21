"""Page lookup of VK: profiles of up to 500 communities per call, newest posts, reactions and reach."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import aiohttp

from services.ingest.networks.calls import CallError, ErrorTreatment, NoUsableToken, NoValidResponse
from services.ingest.networks.lookup_port import (
    MAX_DESCRIPTION,
    Community,
    CommunityNotFound,
    PageAvailability,
    PageProfile,
    PostActivity,
    PostReactions,
    WeekReach,
    clean_text,
    extract_groups,
    groups_by_id,
    nested_object,
    parse_count,
    post_activity,
    reactions_of,
)
from services.ingest.networks.port import Credential, PageRef, TokenKind, TokenPool
from services.ingest.networks.vk import vk_statistics
from services.ingest.networks.vk.reading.wall_reader import (
    CLOSED_TREATMENTS,
    READER_TOKEN_KINDS,
    int_field,
    list_items,
)
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.networks.vk.vk_errors import NETWORK
from services.ingest.settings import IngestSettings

PAGES_PER_CALL = 500
POSTS_PER_CALL = 100
PROFILE_FIELDS = (
    "verified,has_photo,cover,description,contacts,addresses,site,wall,members_count,"
    "is_closed,deactivated,screen_name"
)
INVALID_PARAMETER = 100
# Whether citizens may comment, by wall state: open and limited walls accept comments, others do not.
_COMMENTS = {0: False, 1: True, 2: True, 3: False}
_CLOSED = {1: "closed_group", 2: "private_group"}


class VkPageLookup:
    """Implements `networks.lookup_port.PageLookup` for VK."""

    max_pages_per_call = PAGES_PER_CALL
    max_posts_per_call = POSTS_PER_CALL

    def __init__(self, http: aiohttp.ClientSession, token_pool: TokenPool, settings: IngestSettings) -> None:
        self._client = VkClient(http, token_pool, settings)
        self._token_pool = token_pool

    async def describe(self, pages: Sequence[PageRef]) -> list[PageProfile]:
        """Return profiles from groups.getById, with a service or user token, else with a page's own token."""
        own = next((one.id for one in pages if self._token_pool.select(NETWORK, TokenKind.GROUP, one.id)), None)
        ids = ",".join(page.external_id for page in pages)
        kinds = (*READER_TOKEN_KINDS, TokenKind.GROUP)
        try:
            answer = await self._client.read_with_any_token(
                "groups.getById", *kinds, page_id=own, group_ids=ids, fields=PROFILE_FIELDS
            )
        except CallError as error:
            # This error means that none of the ids exists, which is not plausible for several ids.
            if error.code != INVALID_PARAMETER or len(pages) > 1:
                raise
            answer = []
        groups = extract_groups(answer, NETWORK, "groups.getById")
        found = groups_by_id(groups, "id", len(pages), NETWORK, "groups.getById")
        return [_described(page.external_id, found.get(page.external_id)) for page in pages]

    async def post_activity(self, page: PageRef, since: datetime) -> PostActivity | None:
        """Return the activity of the community's own posts from one wall.get call."""
        owner = f"-{page.external_id}"
        try:
            answer = await self._client.read_with_any_token(
                "wall.get", *READER_TOKEN_KINDS, owner_id=owner, filter="owner", count=POSTS_PER_CALL
            )
        except CallError as error:
            if error.treatment not in CLOSED_TREATMENTS and error.treatment is not ErrorTreatment.CONTENT_REJECTED:
                raise
            return None
        listed = [raw for raw in list_items(answer, "wall.get") if isinstance(raw, dict)]
        return post_activity([(f"{owner}_{raw.get('id')}", raw.get("date")) for raw in listed], since)

    async def post_reactions(self, post_ids: Sequence[str]) -> dict[str, PostReactions]:
        """Return the reactions to posts from one wall.getById call, which has no daily limit."""
        answer = await self._client.read_with_any_token(
            "wall.getById", *READER_TOKEN_KINDS, posts=",".join(post_ids)
        )
        found = {}
        for raw in list_items(answer, "wall.getById"):
            if isinstance(raw, dict) and (reactions := _reactions(raw)) is not None:
                found[f"{raw.get('owner_id')}_{raw.get('id')}"] = reactions
        return found

    def statistics_token(self, page: PageRef) -> Credential | None:
        """Return a user token: other kinds may not read statistics."""
        return self._token_pool.select(NETWORK, TokenKind.USER, page.id, method="execute")

    async def week_reach(
        self, credential: Credential, page: PageRef, post_ids: Sequence[str], since: datetime, until: datetime
    ) -> WeekReach | None:
        """Return the reach from stats.get and stats.getPostReach inside one execute call."""
        calls = vk_statistics.reach_calls(page.external_id, post_ids, since, until)
        for method, _ in calls:
            # Inner calls count towards the daily limits of their methods, if the settings have any.
            if await self._token_pool.begin_call(credential, method) is None:
                raise NoUsableToken(f"the token is not usable for {method} now")
        answer = await self._client.call(credential, "execute", code=vk_statistics.script(calls))
        return vk_statistics.parse_reach(answer, since, until)

    async def resolve(self, external_id: str | None, screen_name: str | None) -> Community:
        """Return the community from groups.getById; utils.resolveScreenName resolves a short name first."""
        pages = self._token_pool.pages(NETWORK)
        own = next((one.id for one in pages if self._token_pool.select(NETWORK, TokenKind.GROUP, one.id)), None)
        if external_id is not None:
            return await community_by_id(self._client, external_id, own)
        return await community_by_name(self._client, screen_name or "", own)


def _described(external_id: str, raw: Mapping[str, Any] | None) -> PageProfile:
    if raw is None:
        return PageProfile(external_id=external_id, availability="gone", reason="not_found")
    outcome, reason = _outcome(raw)
    return PageProfile(
        external_id=external_id,
        availability=outcome,
        reason=reason,
        name=clean_text(raw.get("name")),
        screen_name=clean_text(raw.get("screen_name")),
        verified=_flag(raw.get("verified")),
        avatar=_flag(raw.get("has_photo")),
        cover=_flag(nested_object(raw.get("cover")).get("enabled")),
        description=clean_text(raw.get("description"), MAX_DESCRIPTION),
        phone=_phone(raw),
        address=_address(raw),
        site=clean_text(raw.get("site")),
        comments_open=_COMMENTS.get(int_field(raw, "wall", -1)),
        members=parse_count(raw.get("members_count")),
    )


def _outcome(raw: Mapping[str, Any]) -> tuple[PageAvailability, str | None]:
    if deactivated := raw.get("deactivated"):
        return "closed", clean_text(deactivated) or "deactivated"
    if (reason := _CLOSED.get(int_field(raw, "is_closed"))) is not None:
        return "closed", reason
    return "open", None


def _reactions(raw: Mapping[str, Any]) -> PostReactions | None:
    counts = (nested_object(raw.get(name)).get("count") for name in ("likes", "comments", "reposts", "views"))
    return reactions_of(*counts)


def _phone(raw: Mapping[str, Any]) -> str | None:
    contacts = raw.get("contacts")
    phones = (
        [clean_text(nested_object(one).get("phone")) for one in contacts] if isinstance(contacts, list) else []
    )
    phones.append(clean_text(_main_address(raw).get("phone")))
    return next((phone for phone in phones if phone), None)


def _address(raw: Mapping[str, Any]) -> str | None:
    main = _main_address(raw)
    city = clean_text(nested_object(main.get("city")).get("title"))
    parts = [part for part in (city, clean_text(main.get("address"))) if part]
    return ", ".join(parts) or None


def _main_address(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    return nested_object(nested_object(raw.get("addresses")).get("main_address"))


def _flag(value: object) -> bool | None:
    return bool(value) if isinstance(value, int) else None


# Group tokens first: they allow more calls per second, and the others are needed to read walls.
LOOKUP_TOKEN_KINDS = (TokenKind.GROUP, *READER_TOKEN_KINDS)
COMMUNITY_TYPES = {"group", "page", "event"}
# Error codes for "no such community", by id and by short name.
NOT_FOUND_CODES = {100, 104, 113, 125}
DEACTIVATED_TEXTS = {"deleted": "The community is deleted", "banned": "The community is blocked by the network"}


async def community_by_id(client: VkClient, external_id: str, own: UUID | None) -> Community:
    """Return the community with this id; `own`: a page with a group token, which is tried first.

    Raises `CommunityNotFound` if there is none, and the errors of a call.
    """
    try:
        answer = await client.read_with_any_token(
            "groups.getById", *LOOKUP_TOKEN_KINDS, page_id=own, group_ids=external_id
        )
    except CallError as error:
        if error.code not in NOT_FOUND_CODES:
            raise
        answer = {"groups": []}
    for raw in extract_groups(answer, NETWORK, "groups.getById"):
        if str(raw.get("id")) == external_id:
            return _community(external_id, raw)
    raise CommunityNotFound(f"ВКонтакте has no community with the id {external_id}")


async def community_by_name(client: VkClient, name: str, own: UUID | None) -> Community:
    """Return the community with this short name. Raises like `community_by_id`."""
    try:
        answer = await client.read_with_any_token(
            "utils.resolveScreenName", *LOOKUP_TOKEN_KINDS, page_id=own, screen_name=name
        )
    except CallError as error:
        if error.code not in NOT_FOUND_CODES:
            raise
        answer = []
    # The response is an empty list if nothing was found, else an object.
    if not isinstance(answer, dict):
        raise CommunityNotFound(f"ВКонтакте has no community with the short name «{name}»")
    kind, number = answer.get("type"), answer.get("group_id") or answer.get("object_id")
    if kind == "user":
        raise CommunityNotFound(f"«{name}» is a person's page, not a community")
    if kind not in COMMUNITY_TYPES:
        raise CommunityNotFound(f"«{name}» is an application, not a community")
    if not isinstance(number, int):
        raise NoValidResponse(NETWORK, "utils.resolveScreenName", "no id in the response")
    return await community_by_id(client, str(number), own)


def _community(external_id: str, raw: Mapping[str, Any]) -> Community:
    if (gone := raw.get("deactivated")) is not None:
        raise CommunityNotFound(DEACTIVATED_TEXTS.get(str(gone), DEACTIVATED_TEXTS["banned"]))
    name, given = clean_text(raw.get("name")), clean_text(raw.get("screen_name"))
    if name is None:
        raise NoValidResponse(NETWORK, "groups.getById", "no name in the response")
    # A community without a short name has the URL club1, public1 or event1.
    plain = given is None or re.fullmatch(rf"(?:club|public|event){external_id}", given)
    return Community(external_id=external_id, name=name, screen_name=None if plain else given)
