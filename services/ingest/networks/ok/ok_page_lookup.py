"""Page lookup of OK: profiles of up to 100 groups per call, newest topics, reactions and reach."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import aiohttp

from services.ingest.networks.calls import CallError, ErrorTreatment, NoValidResponse
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
from services.ingest.networks.ok.cooldowns import is_closed_error
from services.ingest.networks.ok.ok_client import OkClient
from services.ingest.networks.ok.ok_errors import NETWORK
from services.ingest.networks.ok.ok_payloads import MOSCOW
from services.ingest.networks.ok.reading.discussion_reader import MAX_MEDIA_BLOCKS, TOPICS_PER_CALL, extract_topics
from services.ingest.networks.port import Credential, PageRef, TokenKind, TokenPool
from services.ingest.settings import IngestSettings

PAGES_PER_CALL = 100
PROFILE_FIELDS = (
    "uid,name,shortname,description,members_count,gos_org,who_can_comment,private,status,disable_reason,"
    "photo_id,main_photo,cover,phone,address,city,homepage_url"
)
# OK does not publish the list of statuses; an unknown status counts as active.
INACTIVE_STATUSES = {"DISABLED", "BLOCKED", "DELETED"}
GROUP_NOT_FOUND = 160
STATISTICS_METHOD = "group.getStatTrends"


class OkPageLookup:
    """Implements `networks.lookup_port.PageLookup` for OK; the verification mark is `gos_org`."""

    max_pages_per_call = PAGES_PER_CALL
    max_posts_per_call = TOPICS_PER_CALL

    def __init__(self, http: aiohttp.ClientSession, token_pool: TokenPool, settings: IngestSettings) -> None:
        self._client = OkClient(http, token_pool, settings)
        self._token_pool = token_pool
        self._topic_fields = settings.ok_topic_fields

    async def describe(self, pages: Sequence[PageRef]) -> list[PageProfile]:
        """Return profiles from one group.getInfo call; groups missing from the response are `gone`."""
        uids = ",".join(page.external_id for page in pages)
        try:
            answer = await self._client.read_with_any_session("group.getInfo", uids=uids, fields=PROFILE_FIELDS)
        except CallError as error:
            if error.code != GROUP_NOT_FOUND or len(pages) > 1:
                raise
            answer = []
        groups = _groups(answer)
        found = groups_by_id(groups, "uid", len(pages), NETWORK, "group.getInfo")
        return [_described(page.external_id, found.get(page.external_id)) for page in pages]

    async def post_activity(self, page: PageRef, since: datetime) -> PostActivity | None:
        """Return the activity of the group's own topics from one mediatopic.getTopics call.

        Citizens' topics do not count.
        """
        try:
            answer = await self._client.read_with_fields(
                "mediatopic.getTopics", self._topic_fields, gid=page.external_id, count=TOPICS_PER_CALL
            )
        except CallError as error:
            if not is_closed_error(error):
                raise
            return None
        listed = [
            (str(raw.get("id")), ms / 1000)
            for raw in extract_topics(answer)
            if isinstance(raw, dict)
            and str(raw.get("author_ref", "")).startswith("group:")
            and (ms := parse_count(raw.get("created_ms"))) is not None
        ]
        return post_activity(listed, since)

    async def post_reactions(self, post_ids: Sequence[str]) -> dict[str, PostReactions]:
        """Return the reactions to topics from one mediatopic.getByIds call; OK does not report views."""
        answer = await self._client.read_with_fields(
            "mediatopic.getByIds",
            self._topic_fields,
            topic_ids=",".join(post_ids),
            media_limit=MAX_MEDIA_BLOCKS,
        )
        found = {}
        for raw in extract_topics(answer):
            if isinstance(raw, dict) and (reactions := _reactions(raw)) is not None:
                found[str(raw.get("id"))] = reactions
        return found

    def statistics_token(self, page: PageRef) -> Credential | None:
        """Return a user session of this page or of no page: only those of administrators may read statistics."""
        return self._token_pool.select(NETWORK, TokenKind.USER, page.id, method=STATISTICS_METHOD)

    async def week_reach(
        self, credential: Credential, page: PageRef, post_ids: Sequence[str], since: datetime, until: datetime
    ) -> WeekReach | None:
        """Return the reach from one group.getStatTrends call: the sum of seven Moscow days including today."""
        midnight = until.astimezone(MOSCOW).replace(hour=0, minute=0, second=0, microsecond=0)
        start, end = (int(at.timestamp() * 1000) for at in (midnight - timedelta(days=6), until))
        answer = await self._client.call(
            credential, STATISTICS_METHOD, gid=page.external_id, start_time=start, end_time=end, fields="reach"
        )
        return _week_reach(answer, start)

    async def resolve(self, external_id: str | None, screen_name: str | None) -> Community:
        """Return the group, read with group.getInfo; a short name is resolved with url.getInfo first."""
        if external_id is not None:
            return await community_by_id(self._client, external_id)
        return await community_by_name(self._client, screen_name or "")


def _described(external_id: str, raw: Mapping[str, Any] | None) -> PageProfile:
    if raw is None:
        return PageProfile(external_id=external_id, availability="gone", reason="not_found")
    outcome, reason = _outcome(raw)
    who = raw.get("who_can_comment")
    address = [part for part in (clean_text(raw.get("city")), clean_text(raw.get("address"))) if part]
    return PageProfile(
        external_id=external_id,
        availability=outcome,
        reason=reason,
        name=clean_text(raw.get("name")),
        screen_name=clean_text(raw.get("shortname")),
        verified=raw.get("gos_org") if isinstance(raw.get("gos_org"), bool) else None,
        # The response omits the fields of pictures that a group does not have.
        avatar=bool(raw.get("photo_id") or raw.get("main_photo")),
        cover=bool(raw.get("cover")),
        description=clean_text(raw.get("description"), MAX_DESCRIPTION),
        phone=clean_text(raw.get("phone")),
        address=", ".join(address) or None,
        site=clean_text(raw.get("homepage_url")),
        comments_open=who == "EVERYONE" if isinstance(who, str) else None,
        members=parse_count(raw.get("members_count")),
    )


def _reactions(raw: Mapping[str, Any]) -> PostReactions | None:
    return reactions_of(
        nested_object(raw.get("like_summary")).get("count"),
        nested_object(raw.get("discussion_summary")).get("comments_count"),
        nested_object(raw.get("reshare_summary")).get("count"),
        None,
    )


def _week_reach(answer: Any, start: int) -> WeekReach:
    """Return the sum of the days since `start` (ms). Raises `NoValidResponse` without a list of days."""
    days = nested_object(answer).get("reach")
    if not isinstance(days, list):
        raise NoValidResponse(NETWORK, STATISTICS_METHOD, "no reach in the response")
    counts = [
        count
        for day in map(nested_object, days)
        if (count := parse_count(day.get("value"))) is not None and (parse_count(day.get("time")) or 0) >= start
    ]
    return WeekReach(reach=sum(counts) if counts else None, counted_by="days")


def _outcome(raw: Mapping[str, Any]) -> tuple[PageAvailability, str | None]:
    status = str(raw.get("status") or "").upper()
    if status == "DELETED":
        return "closed", "deleted"
    if status in INACTIVE_STATUSES or raw.get("disable_reason"):
        return "closed", "banned"
    return ("closed", "private_group") if raw.get("private") is True else ("open", None)


def _groups(answer: Any) -> list[dict[str, Any]]:
    """Return the groups of a response; without a group OK may return null, or an object without the list."""
    return [] if answer in (None, {}, {"groups": None}) else extract_groups(answer, NETWORK, "group.getInfo")


COMMUNITY_FIELDS = "uid,name,shortname,status,disable_reason"


async def community_by_id(client: OkClient, external_id: str) -> Community:
    """Return the group with this id.

    Raises `CommunityNotFound` if there is none or it is deleted or blocked, and the errors of a call.
    """
    answer = await _read(client, "group.getInfo", uids=external_id, fields=COMMUNITY_FIELDS)
    for raw in _groups(answer):
        if str(raw.get("uid")) != external_id:
            continue
        if str(raw.get("status") or "").upper() in INACTIVE_STATUSES or raw.get("disable_reason"):
            raise CommunityNotFound("The group is deleted or blocked")
        name = clean_text(raw.get("name"))
        if name is None:
            raise NoValidResponse(NETWORK, "group.getInfo", "no name in the response")
        return Community(external_id=external_id, name=name, screen_name=clean_text(raw.get("shortname")))
    raise CommunityNotFound(f"No group in Одноклассники has the id {external_id}")


async def community_by_name(client: OkClient, name: str) -> Community:
    """Return the group with this short name. Raises like `community_by_id`."""
    answer = await _read(client, "url.getInfo", url=f"https://ok.ru/{name}")
    found = answer if isinstance(answer, dict) else {}
    kind, number = str(found.get("type", "UNKNOWN")).upper(), found.get("objectIdStr") or found.get("objectId")
    if kind == "PROFILE":
        raise CommunityNotFound(f"«{name}» is a person's page, not a group")
    if kind != "GROUP" or not number:
        raise CommunityNotFound(f"No group in Одноклассники has the short name «{name}»")
    return await community_by_id(client, str(number))


async def _read(client: OkClient, method: str, **params: Any) -> Any:
    try:
        return await client.read_with_any_session(method, **params)
    except CallError as error:
        if error.treatment is not ErrorTreatment.NOT_FOUND:
            raise
        return []
