"""Read topics and comments of discussions; used by all pollers and scans."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.ingest.networks.calls import CallError, NoUsableToken, NoValidResponse
from services.ingest.networks.ok import ok_payloads
from services.ingest.networks.ok.cooldowns import is_object_error
from services.ingest.networks.ok.ok_client import OkClient
from services.ingest.networks.ok.ok_errors import COMMENT_GONE, NETWORK
from services.ingest.networks.port import IncomingItem, IntakeStore, PageRef, ParsedBatch
from services.ingest.settings import IngestSettings
from shared import clock
from shared.contracts.values import MessageKind
from shared.logs import get_logger

log = get_logger(__name__)

COMMENTS_PER_CALL = 100
TOPICS_PER_CALL = 50
# Maximum media blocks per topic in a request for several topics.
MAX_MEDIA_BLOCKS = 3
# How many missing comments are looked up in one complete read of a discussion.
MAX_COMMENT_CHECKS = 5
# An item this recent may be missing from a response that was generated before it.
RECENT = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class TopicPage:
    """A page of a group's topics, newest first.

    `counts`: comment counts by topic, if known. `is_complete`: the page holds all topics of the group.
    """

    parsed: ParsedBatch
    counts: dict[str, int]
    anchor: str | None
    is_complete: bool


class DiscussionReader:
    """Reads topics and comments with the client and parses them."""

    def __init__(self, client: OkClient, settings: IngestSettings) -> None:
        self._client = client
        self._settings = settings
        self._check_turn: dict[str, int] = {}

    async def comments(self, page: PageRef, discussion: str, anchor: str | None) -> tuple[ParsedBatch, str | None]:
        """Return the comments after an anchor (None: all) and the last anchor; removed comments are deletions."""
        parsed = ParsedBatch()
        start = anchor or "FIRST"
        while True:
            answer = await self._comments(discussion, start, "FORWARD", removed=True)
            rows = answer["comments"]
            names = ok_payloads.author_names(answer)
            for raw in rows:
                parsed.parse(ok_payloads.parse_comment, raw, page, discussion, names)
            reached = answer.get("anchor")
            if reached:
                anchor = str(reached)
            if not answer.get("has_more") or not rows or not reached or reached == start:
                return parsed, anchor
            start = str(reached)

    async def comments_with_deletions(
        self, page: PageRef, discussion: str, count: int | None, intake: IntakeStore
    ) -> tuple[ParsedBatch, str | None]:
        """Return all comments of a discussion with deletions of missing stored ones, and the last anchor.

        The network lists few removed comments: `includeRemoved` covers those of the session's user. Groups may
        show fewer comments than exist, so a missing one counts as removed only if as many are returned as the
        network counts, or if the network says so when asked for this comment.
        """
        observed_at = clock.now()
        # Load stored ids first: messages stored meanwhile may be newer than the read.
        held = await intake.undeleted_ids(page, "comment", thread_key=f"ok:{discussion}")
        parsed, anchor = await self.comments(page, discussion, None)
        named = {item.external_id for item in parsed.items}
        removed = {item.external_id for item in parsed.items if item.change == "deleted"}
        missing = {one: at for one, at in held.items() if one not in named}
        is_whole = not parsed.unparsed and len(named - removed) == count
        gone = {one for one, at in missing.items() if is_whole and at < observed_at - RECENT}
        unsure = {one for one, at in missing.items() if at < observed_at - RECENT} - gone
        gone |= await self._removed(discussion, sorted(unsure, key=lambda one: missing[one]))
        parsed.items += [deletion(page, "comment", one, discussion, missing[one]) for one in sorted(gone)]
        return parsed, anchor

    async def _removed(self, discussion: str, missing: list[str]) -> set[str]:
        """Return those of the missing comments that the network reports as removed; look up a few, in turn."""
        found: set[str] = set()
        turn = self._check_turn.pop(discussion, 0) % max(len(missing), 1)
        for one in (missing[turn:] + missing[:turn])[:MAX_COMMENT_CHECKS]:
            try:
                is_removed = await self._is_removed(discussion, one)
            except (CallError, NoValidResponse, NoUsableToken) as error:
                # The comments read so far are stored; the next complete read looks these up again.
                log.warning("missing comment not looked up", discussion=discussion, error=str(error)[:200])
                if not is_object_error(error):
                    break
                is_removed = False  # the error concerns this comment: the others are looked up
            if is_removed:
                found.add(one)
            else:
                turn += 1
        if turn:
            self._check_turn[discussion] = turn
        return found

    async def _is_removed(self, discussion: str, external_id: str) -> bool:
        kind, ident = ok_payloads.split_discussion_key(discussion)
        try:
            answer = await self._client.read_with_any_session(
                "discussions.getComment",
                discussionId=ident,
                discussionType=kind,
                comment_id=external_id.partition("/")[2],
            )
        except CallError as error:
            if error.code not in COMMENT_GONE:
                raise
            return True
        comment = answer.get("comment", answer) if isinstance(answer, dict) else None
        return isinstance(comment, dict) and ok_payloads.is_removed(comment)

    async def newest_comments(
        self, page: PageRef, discussion: str, since: datetime, *, removed: bool | None = None, whole: bool = False
    ) -> ParsedBatch:
        """Return comments from the newest back to `since`; with `removed` also removed ones, as deletions.

        With `whole`, raises `NoValidResponse` if the network reports more comments but does not return them.
        """
        parsed = ParsedBatch()
        anchor = "LAST"
        while True:
            answer = await self._comments(discussion, anchor, "BACKWARD", removed=removed)
            rows = answer["comments"]
            here, names = ParsedBatch(), ok_payloads.author_names(answer)
            for raw in rows:
                here.parse(ok_payloads.parse_comment, raw, page, discussion, names)
            parsed.extend(here)
            oldest = min((item.written_at for item in here.items), default=None)
            reached = answer.get("anchor")
            if (oldest is not None and oldest < since) or not answer.get("has_more"):
                return parsed
            if not rows or not reached or reached == anchor:
                if whole:
                    raise NoValidResponse(NETWORK, "discussions.getComments", "the next page is missing")
                return parsed
            anchor = str(reached)

    async def _comments(self, discussion: str, anchor: str, direction: str, *, removed: bool | None = None) -> Any:
        kind, ident = ok_payloads.split_discussion_key(discussion)
        return await self._client.read_with_fields(
            "discussions.getComments",
            self._settings.ok_comment_fields,
            discussionId=ident,
            discussionType=kind,
            anchor=anchor,
            direction=direction,
            count=COMMENTS_PER_CALL,
            includeRemoved=removed,
        )

    async def topics(self, page: PageRef, anchor: str | None = None) -> TopicPage:
        """Return a page of a group's topics, newest first."""
        answer = await self._client.read_with_fields(
            "mediatopic.getTopics",
            self._settings.ok_topic_fields,
            gid=page.external_id,
            count=TOPICS_PER_CALL,
            anchor=anchor,
        )
        parsed, counts = ParsedBatch(), {}
        rows = extract_topics(answer)
        for raw in rows:
            parsed.parse(ok_payloads.parse_topic, raw, page, ok_payloads.author_names(answer))
            summary = raw.get("discussion_summary") if isinstance(raw, dict) else None
            count = summary.get("comments_count") if isinstance(summary, dict) else None
            if isinstance(count, int):
                counts[str(raw.get("id"))] = count
        after = answer.get("anchor")
        # Whether this list has further pages is not documented; only a new anchor shows it.
        more = bool(rows) and after is not None and str(after) != anchor
        whole = anchor is None and len(rows) < TOPICS_PER_CALL and not more
        return TopicPage(parsed, counts, str(after) if more else None, whole)

    async def topics_by_ids(self, pages: dict[str, PageRef]) -> list[tuple[PageRef, ParsedBatch]]:
        """Return topics by their ids, grouped by page; missing ones are left out."""
        answer = await self._topics_by_ids(",".join(pages), media_limit=MAX_MEDIA_BLOCKS)
        found: dict[str, tuple[PageRef, ParsedBatch]] = {}
        for raw in extract_topics(answer):
            page = pages.get(str(raw.get("id"))) if isinstance(raw, dict) else None
            if page is None:
                continue
            whole = raw
            if (
                len(raw.get("media") or []) >= MAX_MEDIA_BLOCKS
            ):  # maybe cut off; a request for this topic alone returns it completely
                single = await self._topics_by_ids(raw["id"])
                whole = next(iter(extract_topics(single)), raw)
            _, parsed = found.setdefault(page.external_id, (page, ParsedBatch()))
            parsed.parse(ok_payloads.parse_topic, whole, page, ok_payloads.author_names(answer))
        return list(found.values())

    async def _topics_by_ids(self, topic_ids: str, **params: Any) -> Any:
        fields = self._settings.ok_topic_fields
        return await self._client.read_with_fields("mediatopic.getByIds", fields, topic_ids=topic_ids, **params)

    async def readable_topics(self, pages: dict[str, PageRef]) -> list[tuple[PageRef, ParsedBatch]]:
        """Return topics like `topics_by_ids`; a topic that cannot be read is left out."""
        try:
            return await self.topics_by_ids(pages)
        except CallError as error:
            if not is_object_error(error):
                raise
        # One topic can make the call fail for all. Its error is reported when its comments are read.
        found = []
        for discussion, page in pages.items():
            try:
                found += await self.topics_by_ids({discussion: page})
            except CallError as error:
                if not is_object_error(error):
                    raise
                log.warning("topic read failed", discussion=discussion, error=str(error)[:200])
        return found

    async def discussions(self, types: str, anchor: str | None) -> tuple[list[Any], str | None]:
        """Return a page of all groups' discussions, most recent first, and the next anchor.

        The list contains the groups of the session's user; all sessions of a pool have the same groups.
        """
        answer = await self._client.read_with_any_session(
            "discussions.getList", category="GROUP", types=types, count=COMMENTS_PER_CALL, anchor=anchor
        )
        rows = answer["discussions"]
        after = answer.get("anchor")
        return rows, str(after) if rows and after and str(after) != anchor else None


def deletion(
    page: PageRef, kind: MessageKind, external_id: str, discussion: str, written_at: datetime
) -> IncomingItem:
    """Return the deletion of a missing item; who removed it is unknown."""
    return IncomingItem(
        change="deleted",
        kind=kind,
        external_id=external_id,
        thread_key=f"ok:{discussion}",
        written_at=written_at,
        raw={},
        url=ok_payloads.discussion_url(page, discussion),
    )


def extract_topics(answer: Any) -> list[Any]:
    """Return the topics of a response."""
    found: list[Any] = answer["media_topics"]
    return found
