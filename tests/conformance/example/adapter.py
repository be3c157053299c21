"""The example network's adapter: everything that a new network must implement, in one module.

Reading: one long-polled list of changes per page; if the network no longer has the changes after our cursor,
the whole page is read and compared. Writing: one call, with the publication's id as the idempotency key.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import aiohttp

from services.ingest.networks.calls import (
    CallError,
    ErrorTreatment,
    NoUsableToken,
    NoValidResponse,
    transport_failure,
)
from services.ingest.networks.error_mapping import UserMessage, mapping_publish_errors, user_message_for
from services.ingest.networks.port import (
    Author,
    ChangeKind,
    IncomingItem,
    IntakeStore,
    OutgoingReply,
    PageRef,
    ParsedBatch,
    Photo,
    PhotoTarget,
    PublishedReply,
    PublishOutcomeUnknown,
    PublishRejected,
    ReadFailed,
    ReplyToChange,
    ScanStep,
    SourceLoop,
    TokenKind,
    TokenPool,
    TokenState,
)
from services.ingest.networks.retry import run_periodically
from services.ingest.settings import IngestSettings
from shared import clock
from shared.contracts.values import MessageKind

NAME = "example"
URL = "http://127.0.0.1:8099"  # an adapter in `services` takes the URL from settings
SOURCE = "changes"
MAX_LENGTH: dict[str, int] = {"comment": 1_000, "message": 500}
CALL_SECONDS = 3.0
KINDS: tuple[MessageKind, ...] = ("wall_post", "comment", "message")
WAIT = 5.0

# By error code: the effect on token and call, and the message for the author of the reply.
T = ErrorTreatment
TREATMENTS = {
    401: T.REVOKED, 403: T.DENIED, 404: T.NOT_FOUND, 409: T.CONTENT_REJECTED, 410: T.NOT_FOUND,
    413: T.CONTENT_REJECTED, 429: T.RATE_LIMITED,
    451: T.CONTENT_REJECTED, 500: T.TRANSIENT,
}  # fmt: skip
USER_MESSAGES = {
    401: UserMessage("Ключ доступа не принимается сетью: сообщите оператору.", False, 5.0),
    403: UserMessage("Страница закрыта.", True),
    409: UserMessage("Комментарии к этой записи закрыты.", True),
    429: UserMessage("Сеть просит отправлять медленнее, отправка повторится.", False, 1.0),
    451: UserMessage("Пользователь запретил писать ему сообщения.", True),
}
HISTORY_EXPIRED = 410


def treatment(code: int) -> ErrorTreatment:
    """Return how to handle an error code; an unknown code is treated as an error to investigate."""
    return TREATMENTS.get(code, T.CLIENT_ERROR)


def user_message(code: int) -> UserMessage:
    """Return the message for the author of a refused reply."""
    return user_message_for(code, USER_MESSAGES, treatment(code), "Сеть отказала")


def parse(raw: dict[str, Any], page: PageRef, change: Mapping[str, Any] | None = None) -> IncomingItem:
    """Parse an item from a change or from the list of items. Raises KeyError, TypeError or ValueError."""
    what: ChangeKind = "observed" if change is None else change["what"]
    by = None if change is None else change.get("by")
    return IncomingItem(
        change=what,
        kind=raw["kind"],
        external_id=_id(page, int(raw["number"])),
        thread_key=f"{NAME}:{page.external_id}/{raw['thread']}",
        written_at=datetime.fromtimestamp(raw["at"] / 1000, UTC),
        raw=raw,
        author=_author(page, str(raw["author"])),
        from_community=raw["author"] == "page",
        text=None if what == "deleted" else str(raw["text"]),
        reply_to=None if raw.get("reply_to") is None else _id(page, int(raw["reply_to"])),
        attachments=raw.get("attachments", ()),
        url=f"https://example.invalid/{page.external_id}/{raw['number']}",
        deleted_by=None if by is None else _author(page, str(by)),
        push_event_id=None if change is None else str(change["id"]),
    )


def _id(page: PageRef, number: int) -> str:
    return f"{page.external_id}/{number}"


def _author(page: PageRef, ident: str) -> Author:
    return Author(native_id=f"page:{page.external_id}" if ident == "page" else f"user:{ident}")


class Example:
    """Implements `networks.port.NetworkAdapter`."""

    name = NAME

    def __init__(
        self, http: aiohttp.ClientSession, tokens: TokenPool, intake: IntakeStore, settings: IngestSettings
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._intake = intake
        self._pages_to_reread: set[UUID] = set()

    def source_loops(self) -> dict[str, SourceLoop]:
        """Return one loop per page with a token, reading the page's changes."""
        return {
            f"{NAME}:{SOURCE}:{page.id}": partial(self._listen, page)
            for page in self._tokens.pages(NAME)
            if self._tokens.select(NAME, TokenKind.GROUP, page.id) is not None
        }

    async def _listen(self, page: PageRef) -> None:
        failed = partial(self._intake.report_failure, page, SOURCE)
        await run_periodically(f"{SOURCE}:{page.external_id}", partial(self._read_changes, page), failed)

    async def _read_changes(self, page: PageRef) -> float:
        """Read the next changes; the cursor moves in the transaction that stores them."""
        position = (await self._intake.cursor(page, SOURCE)).get("last")
        if position is None or page.id in self._pages_to_reread:
            await self._read_all(page)
            return 0
        try:
            answer = await self._call(page, "GET", "changes", after=position, wait=WAIT)
        except CallError as error:
            if error.code != HISTORY_EXPIRED:
                raise
            self._pages_to_reread.add(page.id)
            return 0
        if not answer["changes"]:
            self._intake.report_success(page, SOURCE)
            return 0
        parsed = ParsedBatch()
        for change in answer["changes"]:
            parsed.parse(lambda raw, here: parse(raw["item"], here, raw), change, page)
        await self._intake.store(page, SOURCE, parsed, cursor={"last": position + len(answer["changes"])})
        return 0

    async def _read_all(self, page: PageRef) -> None:
        """Read the whole page; mark stored items that the page no longer shows as deleted."""
        observed_at, last, whole = clock.now(), None, ParsedBatch()
        async for parsed, answer in self._existing_items(page):
            last = answer["last"] if last is None else last
            whole.extend(parsed)
        for kind in KINDS:
            stored = await self._intake.undeleted_ids(page, kind)
            for gone in stored.keys() - {item.external_id for item in whole.items}:
                if stored[gone] < observed_at:
                    whole.items.append(_deleted(kind, gone, stored[gone]))
        await self._intake.store(page, SOURCE, whole, observed_at=observed_at, cursor={"last": last})
        self._pages_to_reread.discard(page.id)

    async def _existing_items(
        self, page: PageRef, after: int = 0
    ) -> AsyncIterator[tuple[ParsedBatch, dict[str, Any]]]:
        """Yield, for each response with items of the page after a number, the parsed items and the response."""
        more = True
        while more:
            answer = await self._call(page, "GET", "items", after=after)
            parsed = ParsedBatch()
            for raw in answer["items"]:
                parsed.parse(parse, raw, page)
            after, more = answer["after"], answer["more"]
            yield parsed, answer

    def max_text_length(self, kind: MessageKind) -> int:
        """Return the maximum text length of the network."""
        return MAX_LENGTH[kind]

    def publish_timeout(self) -> float:
        """Return the maximum duration of a publishing call, in seconds."""
        return CALL_SECONDS

    async def upload_photo(self, target: PhotoTarget, photo: Photo) -> str:
        """Refuse every photo: the network does not support photos."""
        raise PublishRejected("example:no_photos", "Сеть не принимает фото.", permanent=True, was_sent=False)

    async def publish(self, outgoing: OutgoingReply) -> PublishedReply:
        """Publish the reply as the page. Raises `PublishRejected` or `PublishOutcomeUnknown`."""
        body = {
            "page": outgoing.page.external_id,
            "thread": outgoing.thread_key.rpartition("/")[2],
            "kind": outgoing.kind,
            "text": outgoing.text,
            "reply_to": None if outgoing.reply_to is None else int(outgoing.reply_to.rpartition("/")[2]),
            "key": str(outgoing.id),
        }
        with mapping_publish_errors(NAME, user_message):
            answer = await self._call(outgoing.page, "POST", "items", json=body)
            if not isinstance(answer, dict) or "number" not in answer:
                raise PublishOutcomeUnknown("the response names no item")
        item = parse(answer, outgoing.page)
        return PublishedReply(item.external_id, item.url)

    async def edit_reply(self, reply: ReplyToChange, text: str) -> None:
        """Refuse every edit: the network has no edits, as `changeable` of its `NetworkInfo` states."""
        raise PublishRejected("example:no_changes", "Сеть не даёт менять ответы.", permanent=True, was_sent=False)

    async def delete_reply(self, reply: ReplyToChange) -> None:
        """Refuse every deletion: the network has no deletions by the page."""
        raise PublishRejected("example:no_changes", "Сеть не даёт удалять ответы.", permanent=True, was_sent=False)

    async def read_thread(self, outgoing: OutgoingReply) -> ParsedBatch:
        """Return the items of the reply's thread. Raises `ReadFailed`."""
        parsed = ParsedBatch()
        try:
            async for part, _ in self._existing_items(outgoing.page):
                parsed.extend(part)
        except (CallError, NoValidResponse, NoUsableToken) as error:
            raise ReadFailed(str(error)) from error
        parsed.items = [item for item in parsed.items if item.thread_key == outgoing.thread_key]
        return parsed

    def request_check(self, page: PageRef) -> None:
        """Request that the next round reads and compares the whole page."""
        self._pages_to_reread.add(page.id)

    async def scan(self, page: PageRef, since: datetime, cursor: Mapping[str, Any]) -> AsyncIterator[ScanStep]:
        """Yield all items of the page since a moment, a hundred items per step."""
        observed_at = clock.now()
        async for parsed, answer in self._existing_items(page, int(cursor.get("after", 0))):
            parsed.items = [item for item in parsed.items if item.written_at >= since]
            here, share = {"after": answer["after"]}, 0.5 if answer["more"] else 1.0
            yield ScanStep(batch=parsed, observed_at=observed_at, cursor=here, progress=share)

    async def _call(self, page: PageRef, verb: str, path: str, json: Any = None, **query: Any) -> Any:
        credential = self._tokens.select(NAME, TokenKind.GROUP, page.id)
        if credential is None or await self._tokens.begin_call(credential, path) is None:
            raise NoUsableToken("the page has no usable token")
        headers = {"Authorization": f"Bearer {credential.token}"}
        query |= {} if json else {"page": page.external_id}
        timeout = aiohttp.ClientTimeout(total=WAIT + CALL_SECONDS if path == "changes" else CALL_SECONDS)
        try:
            async with self._http.request(
                verb, f"{URL}/{path}", params=query, json=json, headers=headers, timeout=timeout
            ) as answer:
                body = await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise transport_failure(NAME, path, error) from None
        if answer.status != 200:
            code = int(answer.status)
            if treatment(code) is T.REVOKED:
                await self._tokens.record_failure(credential, TokenState.REVOKED, f"error {code} of {path}")
            raise CallError(NAME, path, code, "refused", treatment(code))
        await self._tokens.record_success(credential, path)
        return body


def _deleted(kind: MessageKind, external_id: str, written_at: datetime) -> IncomingItem:
    thread = f"{NAME}:{external_id}"
    return IncomingItem(
        change="deleted", kind=kind, external_id=external_id, thread_key=thread, written_at=written_at, raw={}
    )
