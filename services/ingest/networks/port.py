"""The port that every network adapter implements, its data types and the services that adapters use.

An adapter converts a network's payloads to `IncomingItem` and replies to calls; all other code is shared.
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol
from uuid import UUID

from services.ingest.polling.poll_schedule import PollSchedule
from shared.contracts.values import MessageKind

ChangeKind = Literal["new", "observed", "edited", "deleted", "restored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """An author by the network's own id, with the name if the network provides it."""

    native_id: str
    name: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingItem:
    """A message, or a change of a message, as a network delivers it.

    `change`: "new" announces a message; "observed" is the current state that a poll found; "edited", "deleted" and
    "restored" announce a change. `text` is None if the network does not provide it (deletions); such an item
    creates no message. `push_event_id`: the network's id of a pushed event, which is processed once.
    """

    change: ChangeKind
    kind: MessageKind
    external_id: str
    thread_key: str
    written_at: datetime
    raw: Mapping[str, Any]
    author: Author | None = None
    from_community: bool = False
    text: str | None = None
    reply_to: str | None = None
    attachments: Sequence[Any] = ()
    url: str = ""
    deleted_by: Author | None = None
    push_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class UnparsedPayload:
    """A payload that could not be parsed, with the reason for the operator."""

    reason: str
    raw: Any


@dataclass(slots=True)
class ParsedBatch:
    """Result of parsing a response: items, and payloads that could not be parsed."""

    items: list[IncomingItem] = field(default_factory=list)
    unparsed: list[UnparsedPayload] = field(default_factory=list)

    def parse(self, parse: Callable[..., IncomingItem | None], raw: Any, *args: Any) -> None:
        """Parse one payload and add the item; a parse error adds it to `unparsed`."""
        try:
            item = parse(raw, *args)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError, RecursionError) as error:
            self.unparsed.append(UnparsedPayload(describe_parse_error(error), raw))
        else:
            if item is not None:
                self.items.append(item)

    def extend(self, other: "ParsedBatch") -> None:
        """Add another batch's items and unparsed payloads."""
        self.items.extend(other.items)
        self.unparsed.extend(other.unparsed)


def describe_parse_error(error: Exception) -> str:
    """Return the reason why a payload could not be parsed, for the operator."""
    if isinstance(error, KeyError):
        return f"the field {error.args[0]!r} is missing"
    return str(error) or type(error).__name__


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRef:
    """A page of the registry, with the fields that adapters need."""

    id: UUID
    organisation_id: UUID
    network: str
    external_id: str
    go_live_at: datetime

    @staticmethod
    def of(row: Any) -> "PageRef":
        """Return the page of a row that has these columns of `pages`."""
        return PageRef(**{column.name: getattr(row, column.name) for column in fields(PageRef)})


class TokenKind(StrEnum):
    """Kinds of network tokens."""

    GROUP = "group"
    SERVICE = "service"
    USER = "user"


class TokenState(StrEnum):
    """State of a token. `limited` expires by itself; the other unusable states last until a person acts."""

    HEALTHY = "healthy"
    LIMITED = "limited"
    CAPTCHA = "captcha"
    REVOKED = "revoked"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A token with the keys needed to use it. `repr` omits all secrets, so it is safe to log."""

    id: UUID
    network: str
    kind: TokenKind
    page_id: UUID | None
    token: str = field(repr=False)
    application_key: str | None = field(default=None, repr=False)
    application_secret_key: str | None = field(default=None, repr=False)
    session_secret_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingReply:
    """A reply to publish. `reply_to`: the external id of the comment it replies to, if any.

    `baseline_position`: the thread's position before the first send, in the network's order (see `catalogue`);
    None if unknown. `send_deadline`: the time, by `calls.boottime_seconds`, after which nothing may be sent.
    `media`: the uploaded photos, as `upload_photo` returned them.
    """

    id: UUID
    page: PageRef
    kind: MessageKind
    thread_key: str
    reply_to: str | None
    text: str
    baseline_position: int | None = None
    send_deadline: float = math.inf
    media: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoTarget:
    """Where a photo will be published: a page, and a thread of comments or messages."""

    page: PageRef
    kind: MessageKind
    thread_key: str


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo to upload to a network."""

    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class PublishedReply:
    """Result of publishing: the id and the URL of the published reply."""

    external_id: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyToChange:
    """A published reply, or a part of it, to edit or delete. `media`: its photos after an edit.

    `send_deadline`: the time, by `calls.boottime_seconds`, after which nothing may be sent.
    """

    page: PageRef
    kind: MessageKind
    thread_key: str
    external_id: str
    media: Sequence[str] = ()
    send_deadline: float = math.inf


class PublishRejected(Exception):  # noqa: N818 — an outcome of publishing
    """The reply is certainly not published. `message` is for the author of the reply.

    `was_sent` is False if nothing was sent to the network; `is_outage`: there was no connection to it, so that the
    attempt does not count; `is_gone`: the message to change no longer exists.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        permanent: bool,
        retry_after: float = 2.0,
        was_sent: bool = True,
        is_outage: bool = False,
        is_gone: bool = False,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.permanent = permanent
        self.retry_after = retry_after
        self.was_sent = was_sent
        self.is_outage = is_outage
        self.is_gone = is_gone


class PublishOutcomeUnknown(Exception):  # noqa: N818 — an outcome of publishing
    """It is unknown whether the reply is published: the response to the call was lost."""


@dataclass(frozen=True, slots=True)
class ThreadState:
    """How far a thread is read: see `shared.tables.ingest.Thread`.

    `count`: set only after a complete read, or one that the network refused: the network's comment count before
    it. If it still differs from the stored undeleted comments, the difference is saved and the thread is read
    again with growing delays. So is a refused one (`is_refused`), whose equal count proves nothing.
    """

    thread_key: str
    marker: str | None
    cursor: str | None = None
    count: int | None = None
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class StoreResult:
    """Numbers of messages that a batch changed in the database.

    `unsettled_threads`: threads to read again, completely and some time later, because a text that was read may be
    outdated; their markers are cleared.
    """

    new: int = 0
    edited: int = 0
    deleted: int = 0
    restored: int = 0
    unsettled_threads: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanStep:
    """One step of a scan over all content of a page.

    `observed_at`: when the network was read. `cursor`: a small JSON object; a scan started with it continues after
    this step. `progress`: estimated share of the scan done after this step, from 0 to 1.
    """

    batch: ParsedBatch
    observed_at: datetime
    cursor: Mapping[str, Any]
    progress: float


class CallbackState(StrEnum):
    """Whether a network pushes a page's events: requested but not confirmed, active, or failed."""

    PENDING = "pending"
    ACTIVE = "active"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredCallback:
    """The address to which a network pushes a page's events: see `shared.tables.ingest.CallbackRegistration`.

    `confirmation_window_seconds`: how long after saving the network may request the confirmation code; None keeps
    the current window.
    """

    page_id: UUID
    url: str = field(repr=False)
    secret: str = field(repr=False)
    confirmation_code: str | None = field(default=None, repr=False)
    server_id: str | None = None
    manual: bool = False
    state: CallbackState = CallbackState.PENDING
    reason: str | None = None
    checked_at: datetime | None = None
    last_event_at: datetime | None = None
    confirmation_window_seconds: float | None = None


class CallbackRegistrations(Protocol):
    """The stored callback registrations of pages. Each call is one transaction."""

    async def by_page(
        self, network: str, page_ids: Sequence[UUID] | None = None
    ) -> dict[UUID, RegisteredCallback]:
        """Return the registrations of a network by page id; `page_ids`: only those of these pages."""

    async def save(self, network: str, callback: RegisteredCallback) -> None:
        """Save a page's registration, replacing the previous one."""

    async def record_check(self, page_id: UUID, state: CallbackState, reason: str | None = None) -> None:
        """Save whether a check found that the network pushes the page's events, and the reason if it does not."""


class TokenPool(Protocol):
    """The active pages and the usable tokens."""

    def pages(self, network: str) -> Sequence[PageRef]:
        """Return the active pages of a network."""

    def page(self, network: str, external_id: str) -> PageRef | None:
        """Return an active page by the network's own id, or None."""

    def select(
        self, network: str, kind: TokenKind, page_id: UUID | None = None, *, method: str | None = None
    ) -> Credential | None:
        """Return the least recently used usable token with calls left for `method`, or None.

        With `page_id`, a token of this page or one that belongs to no page.
        """

    def tokens(self, network: str, kind: TokenKind, page_id: UUID | None = None) -> Sequence[Credential]:
        """Return the tokens among which `select` chooses, in any state."""

    def idle_tokens(self, network: str, seconds: float) -> Sequence[Credential]:
        """Return usable tokens of a network that no call has used for this long."""

    def daily_call_limit(self, network: str, method: str) -> float | None:
        """Return how many calls of a method all usable tokens together may make in 24 hours; None: no limit."""

    def calls_left(self, network: str, method: str) -> int | None:
        """Return how many calls of a method all usable tokens have left now; None: no limit."""

    async def wait_for_turn(self, credential: Credential, calls_per_second: float) -> None:
        """Wait until the token may make its next call; calls of all processes are evenly spaced."""

    async def begin_call(self, credential: Credential, method: str) -> Mapping[str, str] | None:
        """Reserve a call right before it is made; return None if the token may no longer make it.

        Otherwise return parameters to add to the call: the solution of a challenge, if there is one.
        """

    async def record_success(self, credential: Credential, method: str) -> None:
        """Record a successful call: it ends a solved challenge and resets growing pauses."""

    async def record_failure(
        self,
        credential: Credential,
        state: TokenState,
        reason: str,
        *,
        pause_seconds: float | None = None,
        max_pause_seconds: float | None = None,
        method: str | None = None,
        challenge: Mapping[str, Any] | None = None,
    ) -> None:
        """Record that the network rejected the token, so that it is not used until it recovers.

        With `method`, only this method is paused for `pause_seconds`, doubled each time up to `max_pause_seconds`.
        `challenge`: what a person has to solve.
        """


class RateStore(Protocol):
    """Persists the learned state of a poll schedule; see `polling.poll_schedule.PollSchedule`."""

    async def load(self) -> Mapping[UUID, dict[str, Any]]:
        """Return the stored page states, by page id."""

    def mark_changed(self, page_id: UUID) -> None:
        """Mark the state of this page as changed."""

    async def save_if_due(self, schedule: PollSchedule[UUID], now: float) -> None:
        """Save changed state about once a minute. `now`: any monotonic time in seconds."""


class IntakeStore(Protocol):
    """Storage that adapters write to. Each call is one transaction. `callbacks`: the callback registrations."""

    callbacks: CallbackRegistrations

    async def store(
        self,
        page: PageRef,
        source: str,
        parsed: ParsedBatch,
        *,
        observed_at: datetime | None = None,
        edits_are_announced: bool = True,
        cursor: Mapping[str, Any] | None = None,
        thread_states: Sequence[ThreadState] = (),
    ) -> StoreResult:
        """Store a batch with its cursor and thread states; return what it changed.

        `observed_at`: when a poll read the network; a stored edit that is later takes precedence.
        `edits_are_announced`: the network announces edits of these items, so for some minutes after an edit an
        outdated text may come from a cache; otherwise the text of each later read is the newer one.
        """

    async def store_many(self, arrivals: Sequence[tuple[PageRef, str, ParsedBatch]]) -> Sequence[StoreResult]:
        """Store pushed batches of many pages, (page, source, batch), in one transaction."""

    async def cursor(self, page: PageRef, source: str) -> dict[str, Any]:
        """Return the cursor of a page's source; empty before the first read."""

    async def thread_states(self, thread_keys: Sequence[str]) -> dict[str, ThreadState]:
        """Return the stored states of these threads by thread key; unknown threads are left out."""

    async def invalidate_threads(self, thread_keys: Sequence[str]) -> None:
        """Clear the markers of these threads so that they are read again."""

    async def threads_with_other_count(
        self, counts: Mapping[str, int], *, include_known: bool = False
    ) -> dict[str, int]:
        """Return stored comment counts by thread, only where they differ from the network's `counts`.

        A difference that remained after a complete read (comments that the network counts but does not show) is
        left out until it changes or its recheck is due, unless `include_known`.
        """

    async def undeleted_ids(
        self, page: PageRef, kind: MessageKind, *, thread_key: str | None = None, since: datetime | None = None
    ) -> dict[str, datetime]:
        """Return when the stored, undeleted messages of a page or thread were written, by external id.

        `since`: only messages written then or later. Messages returned here but not by a complete read of the same
        range were deleted, unless they were written meanwhile.
        """

    async def active_pages(self, sources: Sequence[str], since: datetime) -> dict[UUID, datetime]:
        """Return by page when these sources last stored a new message, if later than `since`."""

    def rate_store(self, source: str) -> RateStore:
        """Return the store of learned message rates of a source."""

    def report_success(self, page: PageRef, source: str, *, remark: str | None = None) -> None:
        """Record that a check succeeded without new messages, or that the connection is open.

        `remark`: what the network did not show; `/sources` shows it as the last error.
        """

    def report_failure(self, page: PageRef, source: str, error: str) -> None:
        """Record a failed check; `/sources` shows it."""


SourceLoop = Callable[[], Awaitable[None]]


class NetworkAdapter(Protocol):
    """Adapter of one network: reads messages and publishes replies."""

    name: str

    def source_loops(self) -> dict[str, SourceLoop]:
        """Return the loops that have to run now, by name; the supervisor starts new ones and cancels removed ones.

        A loop runs until cancelled, retries transient errors itself, and raises only for bugs.
        """

    def max_text_length(self, kind: MessageKind) -> int:
        """Return the longest text that the network accepts, in characters."""

    def publish_timeout(self) -> float:
        """Return the timeout of a publishing call, in seconds."""

    async def upload_photo(self, target: PhotoTarget, photo: Photo) -> str:
        """Upload a photo without publishing it; return its reference for `OutgoingReply.media`. May be repeated.

        Raises `PublishRejected` if the upload was refused, `PublishOutcomeUnknown` if the response was lost.
        """

    async def publish(self, outgoing: OutgoingReply) -> PublishedReply:
        """Publish the reply as the community; send nothing after `outgoing.send_deadline`.

        Raises `PublishRejected` if nothing was published, `PublishOutcomeUnknown` if the response was lost.
        """

    async def edit_reply(self, reply: ReplyToChange, text: str) -> None:
        """Replace the text and photos of a published reply. Idempotent.

        Raises `PublishRejected` if nothing was changed, `PublishOutcomeUnknown` if the response was lost.
        """

    async def delete_reply(self, reply: ReplyToChange) -> None:
        """Delete a published reply. Raises like `edit_reply`, also if the reply no longer exists."""

    async def read_thread(self, outgoing: OutgoingReply) -> ParsedBatch:
        """Return the current items of the reply's thread after `outgoing.baseline_position`; may return more.

        Raises `ReadFailed` if they could not be read completely: a rejected read is not an empty thread.
        """

    def request_check(self, page: PageRef) -> None:
        """Request a check of this page as soon as the limits allow, because messages may have been missed."""

    def scan(self, page: PageRef, since: datetime, cursor: Mapping[str, Any]) -> AsyncIterator[ScanStep]:
        """Yield all content of a page that was written at `since` or later, step by step.

        Comments under older posts are included if they are recent and the network allows finding them. `cursor`:
        empty, or that of the last stored step. Raises the errors of a call (see `calls`): the caller waits and
        continues from its cursor.
        """


class ReadFailed(Exception):  # noqa: N818 — an outcome of reading
    """The network could not be read now; the message contains the reason. `permanent`: a retry will not help;
    `is_outage`: there was no connection to it.
    """

    def __init__(self, reason: str, *, permanent: bool = False, is_outage: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.is_outage = is_outage
