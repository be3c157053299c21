"""Read topics and comments of discussions; used by all pollers and scans."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.ingest.networks.calls import NoValidResponse
from services.ingest.networks.ok import ok_payloads
from services.ingest.networks.ok.ok_client import OkClient
from services.ingest.networks.ok.ok_errors import NETWORK
from services.ingest.networks.port import IncomingItem, IntakeStore, PageRef, ParsedBatch
from shared import clock
from shared.contracts.values import MessageKind

COMMENTS_PER_CALL = 100
TOPICS_PER_CALL = 50
COMMENT_FIELDS = "comment.*,date_ms"
# Maximum media blocks per topic in a request for several topics.
MAX_MEDIA_BLOCKS = 3
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

    def __init__(self, client: OkClient) -> None:
        self._client = client

    async def comments(self, page: PageRef, discussion: str, anchor: str | None) -> tuple[ParsedBatch, str | None]:
        """Return the comments after an anchor (None: all) and the last anchor; removed comments are deletions."""
        parsed = ParsedBatch()
        start = anchor or "FIRST"
        while True:
            answer = await self._comments(discussion, start, "FORWARD", removed=True)
            rows = _rows(answer, "comments")
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

        The network lists removed comments only for some time. A missing comment counts as removed only if as many
        comments are returned as the network counts, because groups may show fewer than exist.
        """
        observed_at = clock.now()
        # Load stored ids first: messages stored meanwhile may be newer than the read.
        held = await intake.undeleted_ids(page, "comment", thread_key=f"ok:{discussion}")
        parsed, anchor = await self.comments(page, discussion, None)
        named = {item.external_id for item in parsed.items}
        removed = {item.external_id for item in parsed.items if item.change == "deleted"}
        if not parsed.unparsed and len(named - removed) == count:
            parsed.items += [
                deletion(page, "comment", one, discussion, at)
                for one, at in sorted(held.items())
                if one not in named and at < observed_at - RECENT
            ]
        return parsed, anchor

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
            rows = _rows(answer, "comments")
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
        return await self._client.read_with_any_session(
            "discussions.getComments",
            discussionId=ident,
            discussionType=kind,
            anchor=anchor,
            direction=direction,
            count=COMMENTS_PER_CALL,
            fields=COMMENT_FIELDS,
            includeRemoved=removed,
        )

    async def topics(self, page: PageRef, anchor: str | None = None) -> TopicPage:
        """Return a page of a group's topics, newest first."""
        answer = await self._client.read_with_any_session(
            "mediatopic.getTopics", gid=page.external_id, count=TOPICS_PER_CALL, anchor=anchor
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
        answer = await self._client.read_with_any_session(
            "mediatopic.getByIds", topic_ids=",".join(pages), media_limit=MAX_MEDIA_BLOCKS
        )
        found: dict[str, tuple[PageRef, ParsedBatch]] = {}
        for raw in extract_topics(answer):
            page = pages.get(str(raw.get("id"))) if isinstance(raw, dict) else None
            if page is None:
                continue
            whole = raw
            if (
                len(raw.get("media") or []) >= MAX_MEDIA_BLOCKS
            ):  # maybe cut off; a request for this topic alone returns it completely
                single = await self._client.read_with_any_session("mediatopic.getByIds", topic_ids=raw["id"])
                whole = next(iter(extract_topics(single)), raw)
            _, parsed = found.setdefault(page.external_id, (page, ParsedBatch()))
            parsed.parse(ok_payloads.parse_topic, whole, page, ok_payloads.author_names(answer))
        return list(found.values())

    async def discussions(self, types: str, anchor: str | None) -> tuple[list[Any], str | None]:
        """Return a page of all groups' discussions, most recent first, and the next anchor.

        The list contains the groups of the session's user; all sessions of a pool have the same groups.
        """
        answer = await self._client.read_with_any_session(
            "discussions.getList", category="GROUP", types=types, count=COMMENTS_PER_CALL, anchor=anchor
        )
        if not isinstance(answer, dict):
            raise NoValidResponse(NETWORK, "discussions.getList", "the response is not an object")
        rows = answer.get("discussions")
        rows = rows if isinstance(rows, list) else []
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
    """Return the topics of a response. Raises `NoValidResponse` if the response is not an object."""
    if not isinstance(answer, dict):
        raise NoValidResponse(NETWORK, "mediatopic", "the response is not an object")
    found = answer.get("media_topics")
    return found if isinstance(found, list) else []


def _rows(answer: Any, name: str) -> list[Any]:
    if not isinstance(answer, dict) or not isinstance(answer.get(name), list):
        raise NoValidResponse(NETWORK, "discussions.getComments", f"no {name} in the response")
    rows: list[Any] = answer[name]
    return rows
