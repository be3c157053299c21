"""Compare conversations with the stored messages, using the community's own token."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.ingest.networks.calls import CallError, NoValidResponse
from services.ingest.networks.port import IntakeStore, PageRef, ParsedBatch, ThreadState, TokenKind
from services.ingest.networks.vk import vk_payloads
from services.ingest.networks.vk.reading.wall_reader import int_field, list_items, next_offset
from services.ingest.networks.vk.vk_client import CONTENT_TREATMENTS, LIST_CONVERSATIONS, VkClient
from services.ingest.networks.vk.vk_errors import NETWORK
from shared import clock
from shared.logs import get_logger

log = get_logger(__name__)

SOURCE = "conversations_poll"
PAGE_SIZE = 200
SCAN_PAGE = 20
# How many conversations are read and stored together.
STORE_BATCH = 10
MAX_DEPTH = 5_000
MAX_CONVERSATIONS = 100_000


@dataclass(frozen=True)
class Conversation:
    """A conversation and its last message."""

    key: str
    peer: int
    last_message_id: int
    last_at: datetime | None


@dataclass
class ConversationPage:
    """A result page of `total` conversations, with their messages; `next_offset`: where the next page starts."""

    parsed: ParsedBatch
    next_offset: int
    total: int
    is_last: bool


class ConversationReader:
    """Reads conversations of a page with the page's own token."""

    def __init__(self, client: VkClient, intake: IntakeStore) -> None:
        self._client = client
        self._intake = intake

    def has_token(self, page: PageRef) -> bool:
        """Return whether the page has a token that may read conversations, even if it is not usable now."""
        return self._client.has_token(LIST_CONVERSATIONS, TokenKind.GROUP, page_id=page.id)

    async def check_page(self, page: PageRef) -> None:
        """Read the conversations with new messages.

        They are listed first, most recent first, until a result page has none, and then read oldest first: after
        an interruption, those not read yet are still at the top of the list. Those that the network refuses are
        left out until their next message; `/sources` shows the refusals.
        """
        news: dict[str, tuple[Conversation, int]] = {}
        offset, is_last = 0, False
        while not is_last and offset < MAX_CONVERSATIONS:
            answer = await self._conversations(page, offset, PAGE_SIZE)
            listed = list_items(answer, LIST_CONVERSATIONS)
            offset, is_last = next_offset(answer, listed, offset, PAGE_SIZE)
            talks = _talks(listed, page)
            known = await self._intake.thread_states([talk.key for talk in talks])
            here = {
                talk.key: (talk, int(mark.marker or 0) if (mark := known.get(talk.key)) else 0)
                for talk in talks
                if talk.key not in known or int(known[talk.key].marker or 0) < talk.last_message_id
            }
            news |= here
            if not here:
                break
        oldest_first = sorted(news.values(), key=lambda one: one[0].last_message_id)
        refusals: list[CallError] = []
        for start in range(0, len(oldest_first), STORE_BATCH):
            refusals += await self._catch_up(page, oldest_first[start : start + STORE_BATCH])
        if refusals:
            self._report_refusals(page, refusals)
        else:
            self._intake.report_success(page, SOURCE)

    async def _catch_up(self, page: PageRef, news: Sequence[tuple[Conversation, int]]) -> list[CallError]:
        """Store the new messages of conversations; return the refusals of those that we may not read."""
        observed_at = clock.now()
        answers = await self._first(page, [talk for talk, _ in news])
        parsed, marks, refusals = ParsedBatch(), [], []
        for (talk, after), answer in zip(news, answers, strict=True):
            found, refusal = await self._history_if_open(page, talk, answer, after=after)
            parsed.extend(found)
            if refusal is not None:
                refusals.append(refusal)
            marks.append(ThreadState(talk.key, str(talk.last_message_id)))
        await self._intake.store(page, SOURCE, parsed, observed_at=observed_at, thread_states=marks)
        return refusals

    def _report_refusals(self, page: PageRef, refusals: Sequence[CallError]) -> None:
        """Report conversations that the network refuses. They are not named: a direct one has a person's id."""
        codes = sorted({one.code for one in refusals})
        log.warning("conversations refused", page_id=str(page.id), codes=codes, conversations=len(refusals))
        numbers = ", ".join(str(code) for code in codes)
        remark = f"ВКонтакте не показывает бесед: {len(refusals)} (ошибки: {numbers}). Остальные прочитаны."
        self._intake.report_success(page, SOURCE, remark=remark)

    async def _history_if_open(
        self, page: PageRef, talk: Conversation, first: Any, **until: Any
    ) -> tuple[ParsedBatch, CallError | None]:
        """Return `history` from the first response on, as far as we may read it, and the refusal of the rest."""
        parsed = ParsedBatch()
        if isinstance(first, CallError):
            return parsed, first
        try:
            await self.history(page, talk.peer, first=first, parsed=parsed, **until)
        except CallError as error:
            if error.treatment not in CONTENT_TREATMENTS:
                raise
            return parsed, error
        return parsed, None

    async def _first(self, page: PageRef, talks: Sequence[Conversation]) -> list[Any]:
        """Return the newest messages of each conversation, or a `CallError` if it may not be read."""
        calls = [{"group_id": page.external_id} | _history(talk.peer, 0) for talk in talks]
        return await self._client.read_batch("messages.getHistory", calls, TokenKind.GROUP, page_id=page.id)

    async def read_since(self, page: PageRef, since: datetime, offset: int) -> ConversationPage:
        """Return conversations from `offset` on, most recent first, with their messages from `since` on."""
        answer = await self._conversations(page, offset, SCAN_PAGE)
        listed = list_items(answer, LIST_CONVERSATIONS)
        parsed = ParsedBatch()
        refusals: list[CallError] = []
        talks = _talks(listed, page)
        fresh = [talk for talk in talks if talk.last_at is None or talk.last_at >= since]
        for talk, first in zip(fresh, await self._first(page, fresh), strict=True):
            found, refusal = await self._history_if_open(page, talk, first, since=since)
            parsed.extend(found)
            if refusal is not None:
                refusals.append(refusal)
        if refusals:
            self._report_refusals(page, refusals)
        following, is_last = next_offset(answer, listed, offset, SCAN_PAGE)
        # The network may count more conversations than it ever lists.
        is_last = is_last or following >= MAX_CONVERSATIONS or (bool(talks) and not fresh)
        return ConversationPage(parsed, following, int_field(answer, "count"), is_last)

    async def history(
        self,
        page: PageRef,
        peer: int,
        *,
        after: int = 0,
        since: datetime | None = None,
        first: Any = None,
        parsed: ParsedBatch | None = None,
    ) -> ParsedBatch:
        """Return messages of one conversation, newest first, back to the message `after` or to `since`.

        May return earlier ones too. `first`: the response of the first call, if it was already made. `parsed`: the
        batch to fill, which has what was read before an error.
        """
        parsed = ParsedBatch() if parsed is None else parsed
        offset, is_last = 0, False
        while not is_last and offset < MAX_DEPTH:
            answer = first if offset == 0 else None
            if answer is None:
                answer = await self._read(page, "messages.getHistory", **_history(peer, offset))
            names = vk_payloads.author_names(answer)
            listed = list_items(answer, "messages.getHistory")
            here = ParsedBatch()
            for raw in listed:
                here.parse(vk_payloads.parse_message, raw, page, names, "observed")
            parsed.extend(here)
            offset, is_last = next_offset(answer, listed, offset, PAGE_SIZE)
            oldest = min((int_field(raw, "id") for raw in listed if isinstance(raw, dict)), default=None)
            earliest = min((item.written_at for item in here.items), default=None)
            if (oldest is not None and oldest <= after) or (
                since is not None and earliest is not None and earliest < since
            ):
                break
        return parsed

    async def read_after(self, page: PageRef, peer: int, after: int) -> ParsedBatch:
        """Return all messages of one conversation with a number greater than `after`; may return earlier ones too.

        Raises `NoValidResponse` if there are more than the read limit.
        """
        parsed = ParsedBatch()
        offset = 0
        while offset < MAX_DEPTH:
            answer = await self._read(page, "messages.getHistory", **_history(peer, offset))
            names = vk_payloads.author_names(answer)
            listed = list_items(answer, "messages.getHistory")
            for raw in listed:
                parsed.parse(vk_payloads.parse_message, raw, page, names, "observed")
            offset, is_last = next_offset(answer, listed, offset, PAGE_SIZE)
            numbers = [int_field(raw, "conversation_message_id") for raw in listed if isinstance(raw, dict)]
            if is_last or (numbers and min(numbers) <= after):
                return parsed
        raise NoValidResponse(NETWORK, "messages.getHistory", "the conversation is longer than the read limit")

    async def _conversations(self, page: PageRef, offset: int, count: int) -> Any:
        return await self._read(page, LIST_CONVERSATIONS, offset=offset, count=count, extended=1, filter="all")

    async def _read(self, page: PageRef, method: str, **params: Any) -> Any:
        return await self._client.read_with_any_token(
            method, TokenKind.GROUP, page_id=page.id, group_id=page.external_id, **params
        )


def _history(peer: int, offset: int) -> dict[str, Any]:
    return {"peer_id": peer, "offset": offset, "count": PAGE_SIZE, "extended": 1}


def _talks(listed: list[Any], page: PageRef) -> list[Conversation]:
    found = []
    for item in listed:
        conversation = item.get("conversation") if isinstance(item, dict) else None
        peer = conversation.get("peer") if isinstance(conversation, dict) else None
        if not isinstance(conversation, dict) or not isinstance(peer, dict) or not isinstance(peer.get("id"), int):
            continue
        latest = item.get("last_message")
        date = latest.get("date") if isinstance(latest, dict) else None
        found.append(
            Conversation(
                key=f"vk:{page.external_id}_{peer['id']}",
                peer=peer["id"],
                last_message_id=int_field(conversation, "last_message_id"),
                last_at=datetime.fromtimestamp(date, UTC) if isinstance(date, int) else None,
            )
        )
    return found
