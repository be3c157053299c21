"""What OK tells of groups: 100 of them in one call, and the newest topics of a group."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

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
    posts_of,
    words,
)
from services.ingest.networks.ok.cooldowns import CLOSED
from services.ingest.networks.ok.discussion_reader import TOPICS_PAGE, topics_in
from services.ingest.networks.ok.ok_client import OkClient
from services.ingest.networks.ok.ok_errors import NETWORK
from services.ingest.networks.port import Accounts, PageRef
from services.ingest.settings import IngestSettings

BATCH = 100
FIELDS = (
    "uid,name,shortname,description,members_count,gos_org,who_can_comment,private,status,disable_reason,"
    "photo_id,main_photo,cover,phone,address,city,homepage_url"
)
# Whether the network has other words for it is not published; what we do not know counts as living.
DEAD = {"DISABLED", "BLOCKED", "DELETED"}
GONE = 160


class OkDirectory:
    """Implements `networks.directory.Directory` for OK; the network's mark is `gos_org`."""

    batch = BATCH

    def __init__(self, http: aiohttp.ClientSession, accounts: Accounts, settings: IngestSettings) -> None:
        self._client = OkClient(http, accounts, settings)

    async def describe(self, pages: Sequence[PageRef]) -> list[Described]:
        """group.getInfo; groups it leaves out are missing."""
        uids = ",".join(page.external_id for page in pages)
        try:
            answer = await self._client.read("group.getInfo", uids=uids, fields=FIELDS)
        except CallError as error:
            if error.code != GONE or len(pages) > 1:
                raise
            answer = []
        groups = groups_in(answer, NETWORK, "group.getInfo")
        found = by_page(groups, "uid", len(pages), NETWORK, "group.getInfo")
        return [_described(page.external_id, found.get(page.external_id)) for page in pages]

    async def posts(self, page: PageRef, since: datetime) -> Posts | None:
        """One mediatopic.getTopics; people's topics are not the group's."""
        try:
            answer = await self._client.read("mediatopic.getTopics", gid=page.external_id, count=TOPICS_PAGE)
        except CallError as error:
            if error.treatment not in CLOSED:
                raise
            return None
        listed = [
            count_of(raw.get("created_ms"))
            for raw in topics_in(answer)
            if isinstance(raw, dict) and str(raw.get("author_ref", "")).startswith("group:")
        ]
        return posts_of([ms / 1000 for ms in listed if ms is not None], since)

    async def resolve(self, external_id: str | None, screen_name: str | None) -> Community:
        """By group.getInfo; a short name by url.getInfo first."""
        if external_id is not None:
            return await by_id(self._client, external_id)
        return await by_name(self._client, screen_name or "")


def _described(external_id: str, raw: Mapping[str, Any] | None) -> Described:
    if raw is None:
        return Described(external_id=external_id, outcome="gone", reason="not_found")
    outcome, reason = _outcome(raw)
    who = raw.get("who_can_comment")
    place = [part for part in (words(raw.get("city")), words(raw.get("address"))) if part]
    return Described(
        external_id=external_id,
        outcome=outcome,
        reason=reason,
        name=words(raw.get("name")),
        screen_name=words(raw.get("shortname")),
        verified=raw.get("gos_org") if isinstance(raw.get("gos_org"), bool) else None,
        # Pictures that a group has not are left out of the answer.
        avatar=bool(raw.get("photo_id") or raw.get("main_photo")),
        cover=bool(raw.get("cover")),
        description=words(raw.get("description"), LONGEST_DESCRIPTION),
        phone=words(raw.get("phone")),
        address=", ".join(place) or None,
        site=words(raw.get("homepage_url")),
        comments_open=who == "EVERYONE" if isinstance(who, str) else None,
        members=count_of(raw.get("members_count")),
    )


def _outcome(raw: Mapping[str, Any]) -> tuple[Outcome, str | None]:
    status = str(raw.get("status") or "").upper()
    if status == "DELETED":
        return "closed", "deleted"
    if status in DEAD or raw.get("disable_reason"):
        return "closed", "banned"
    return ("closed", "private_group") if raw.get("private") is True else ("open", None)


COMMUNITY_FIELDS = "uid,name,shortname,status,disable_reason"


async def by_id(client: OkClient, external_id: str) -> Community:
    """The group with this id. Raises `NoCommunity`, and what a call raises."""
    answer = await _read(client, "group.getInfo", uids=external_id, fields=COMMUNITY_FIELDS)
    for raw in groups_in(answer, NETWORK, "group.getInfo"):
        if str(raw.get("uid")) != external_id:
            continue
        if str(raw.get("status") or "").upper() in DEAD or raw.get("disable_reason"):
            raise NoCommunity("The group is deleted or blocked")
        name = words(raw.get("name"))
        if name is None:
            raise CallLost(NETWORK, "group.getInfo", "no name in the answer")
        return Community(external_id=external_id, name=name, screen_name=words(raw.get("shortname")))
    raise NoCommunity(f"Одноклассники have no group with the id {external_id}")


async def by_name(client: OkClient, name: str) -> Community:
    """The group with this short name. Raises as `by_id` does."""
    answer = await _read(client, "url.getInfo", url=f"https://ok.ru/{name}")
    told = answer if isinstance(answer, dict) else {}
    kind, number = str(told.get("type", "UNKNOWN")).upper(), told.get("objectIdStr") or told.get("objectId")
    if kind == "PROFILE":
        raise NoCommunity(f"«{name}» is a person's page, not a group")
    if kind != "GROUP" or not number:
        raise NoCommunity(f"Одноклассники know no group under the name «{name}»")
    return await by_id(client, str(number))


async def _read(client: OkClient, method: str, **params: Any) -> Any:
    try:
        return await client.read(method, **params)
    except CallError as error:
        if error.treatment is not Treatment.GONE:
            raise
        return []
