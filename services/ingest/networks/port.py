"""The port every network implements: what comes in, what goes out, and how either can end.

An adapter turns a network's wire into `Incoming` and back; everything after that is the same for all networks.
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol
from uuid import UUID

from services.ingest.polling.poll_schedule import PollSchedule

MessageKind = Literal["comment", "wall_post", "message"]
ChangeKind = Literal["new", "seen", "edited", "deleted", "restored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who wrote, by the network's own id; the name where the network told it."""

    native_id: str
    name: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingItem:
    """One thing that a network says.

    `happened`: "new" is an announcement, "seen" is the state that a poll found, which may differ from what is
    stored; "edited", "deleted" and "restored" are announcements of a change. `text` is None where the network
    does not tell it (deletions); such an item stores nothing new. `event_id` is the network's name of a pushed
    event: what came under it once is not taken again.
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
    """A payload that no parser understood, and why; an operator reads the reason."""

    reason: str
    raw: Any


@dataclass(slots=True)
class ParsedBatch:
    """What came out of an answer: readable items, and what was set aside."""

    items: list[IncomingItem] = field(default_factory=list)
    unparsed: list[UnparsedPayload] = field(default_factory=list)

    def parse(self, parse: Callable[..., IncomingItem | None], raw: Any, *args: Any) -> None:
        """Parse one payload; whatever is wrong with it concerns it alone."""
        try:
            item = parse(raw, *args)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError, RecursionError) as error:
            self.unparsed.append(UnparsedPayload(describe_parse_error(error), raw))
        else:
            if item is not None:
                self.items.append(item)

    def extend(self, other: "ParsedBatch") -> None:
        """Take over another answer's items."""
        self.items.extend(other.items)
        self.unparsed.extend(other.unparsed)


def describe_parse_error(error: Exception) -> str:
    """Why a payload could not be read, in words."""
    if isinstance(error, KeyError):
        return f"the field {error.args[0]!r} is missing"
    return str(error) or type(error).__name__


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRef:
    """A page of the registry, as adapters need it."""

    id: UUID
    organisation_id: UUID
    network: str
    external_id: str
    live_from: datetime


class TokenKind(StrEnum):
    """Kinds of credentials."""

    GROUP = "group"
    SERVICE = "service"
    USER = "user"


class TokenState(StrEnum):
    """Whether a credential may be used. `limited` ends by itself, the others need a person."""

    HEALTHY = "healthy"
    LIMITED = "limited"
    CAPTCHA = "captcha"
    REVOKED = "revoked"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A token with what is needed to use it. Never logged: `repr` shows the id alone."""

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
    """An answer to publish. `target` is the external id of the comment it answers, if it answers one.

    `after`: where the thread stood before the answer was first sent, in the network's own order (see `catalogue`);
    None: not known. `not_after`: when it is too late to write anything to the network, as `calls.ticks` counts.
    """

    id: UUID
    page: PageRef
    kind: MessageKind
    thread_key: str
    reply_to: str | None
    text: str
    baseline_position: int | None = None
    send_deadline: float = math.inf


@dataclass(frozen=True, slots=True)
class PublishedReply:
    """It stands in the network under this id."""

    external_id: str
    url: str


class PublishRejected(Exception):  # noqa: N818 — an outcome of publishing
    """It certainly does not stand in the network. `message` is for the person who wrote the answer.

    `sent` is False when nothing was sent to the network at all.
    """

    def __init__(
        self, code: str, message: str, *, permanent: bool, retry_in: float = 2.0, sent: bool = True
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.permanent = permanent
        self.retry_after = retry_in
        self.was_sent = sent


class PublishOutcomeUnknown(Exception):  # noqa: N818 — an outcome of publishing
    """Nobody knows whether it stands in the network: the answer to the call was lost."""


@dataclass(frozen=True, slots=True)
class ThreadState:
    """How far a thread is read: see `shared.tables.ingest.Thread`.

    `count`: after a complete reading alone, how many comments the network had counted before it. What still
    differs from our living rows then is remembered and read again ever more rarely.
    """

    thread_key: str
    marker: str | None
    cursor: str | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What a batch changed in what is stored."""

    new: int = 0
    edited: int = 0
    deleted: int = 0
    restored: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanStep:
    """One step of a walk over all that the network holds of a page.

    `observed_at`: when the network was asked. `cursor`: a walk that is given it goes on after this step; small,
    JSON. `share`: how much of the walk is done by this step, from 0 to 1, as well as it can be told.
    """

    batch: ParsedBatch
    observed_at: datetime
    cursor: Mapping[str, Any]
    progress: float


class CallbackState(StrEnum):
    """Whether a network pushes a page's events: asked for and not confirmed, coming, or not coming."""

    WAITING = "waiting"
    WORKING = "working"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredCallback:
    """Where a network pushes the events of a page to: see `shared.tables.ingest.CallbackRegistration`.

    `awaits`: for so many seconds from the moment it is kept, the network may ask for the confirmation code; None
    leaves that as it was.
    """

    page_id: UUID
    url: str = field(repr=False)
    secret: str = field(repr=False)
    confirmation_code: str | None = field(default=None, repr=False)
    server_id: str | None = None
    manual: bool = False
    state: CallbackState = CallbackState.WAITING
    reason: str | None = None
    checked_at: datetime | None = None
    last_event_at: datetime | None = None
    confirmation_window_seconds: float | None = None


class CallbackRegistrations(Protocol):
    """What is kept of the pages' push. One call is one transaction."""

    async def by_page(
        self, network: str, page_ids: Sequence[UUID] | None = None
    ) -> dict[UUID, RegisteredCallback]:
        """What is kept of a network's pages, or of these alone, by page."""

    async def save(self, network: str, callback: RegisteredCallback) -> None:
        """Write down where a page's events go to, in place of what was kept before."""

    async def record_check(self, page_id: UUID, state: CallbackState, reason: str | None = None) -> None:
        """Write down how a look at a page's push went."""


class TokenPool(Protocol):
    """The registry's pages and the tokens that may be used now."""

    def pages(self, network: str) -> Sequence[PageRef]:
        """Active pages of a network."""

    def page(self, network: str, external_id: str) -> PageRef | None:
        """An active page by the network's own id."""

    def select(
        self, network: str, kind: TokenKind, page_id: UUID | None = None, *, method: str | None = None
    ) -> Credential | None:
        """A usable token, None when there is none: the least lately used, whose budget for `method` is not spent.

        With `page_id`, the page's own or one of no page.
        """

    def idle_tokens(self, network: str, seconds: float) -> Sequence[Credential]:
        """Usable tokens of a network that no call has used for so long."""

    def daily_call_limit(self, network: str, method: str) -> float | None:
        """How many calls of a method all usable tokens together may make in 24 hours; None: no limit."""

    def calls_left(self, network: str, method: str) -> int | None:
        """How many of them are left now; None: no limit."""

    async def begin_call(self, credential: Credential, method: str) -> Mapping[str, str] | None:
        """Right before a call: None when the token may not be used for it any more, or its budget is spent.

        Otherwise what the call has to carry beside its own parameters: the solution of a challenge.
        """

    async def record_success(self, credential: Credential, method: str) -> None:
        """The network took the call: a solved challenge is over, and so are growing pauses."""

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
        """The network refused the token; from this moment on it is not used.

        With `method`, it rests for this method alone and `seconds` long; each time twice as long, up to `longest`.
        `challenge`: what a person has to solve.
        """


class RateStore(Protocol):
    """Keeps what a schedule of polls has learnt over restarts; see `schedule.PollSchedule`."""

    async def load(self) -> Mapping[UUID, dict[str, Any]]:
        """What is kept, by page."""

    def mark_changed(self, page_id: UUID) -> None:
        """The schedule has learnt something about this page."""

    async def save_if_due(self, schedule: PollSchedule[UUID], now: float) -> None:
        """Keep what changed, about once a minute; `now` is any monotonic time in seconds."""


class IntakeStore(Protocol):
    """Where adapters put what came in. One call is one transaction. `callbacks`: where push is kept."""

    callbacks: CallbackRegistrations

    async def store(
        self,
        page: PageRef,
        source: str,
        parsed: ParsedBatch,
        *,
        observed_at: datetime | None = None,
        cursor: Mapping[str, Any] | None = None,
        thread_states: Sequence[ThreadState] = (),
    ) -> StoreResult:
        """Store a batch and move the cursor and the marks with it; answers what it changed.

        `observed_at`: when the network was asked, for polls; a later edit that is already stored wins over it.
        """

    async def store_many(self, arrivals: Sequence[tuple[PageRef, str, ParsedBatch]]) -> Sequence[StoreResult]:
        """Store what was pushed for many pages, (page, way, what came), in one transaction."""

    async def cursor(self, page: PageRef, source: str) -> dict[str, Any]:
        """Where a way into a page stands; empty at first."""

    async def thread_states(self, thread_keys: Sequence[str]) -> dict[str, ThreadState]:
        """How far these threads are read; unknown ones are left out."""

    async def invalidate_threads(self, thread_keys: Sequence[str]) -> None:
        """Have these threads read again."""

    async def threads_with_other_count(
        self, counts: Mapping[str, int], *, include_known: bool = False
    ) -> dict[str, int]:
        """Of these threads, with the comments that the network counts: those of which we hold another number.

        Answers how many living comments we hold. A difference that stayed after a complete reading (comments that
        the network counts and does not show) is left out until it changes or its next reading is due; with `whole`
        it is not.
        """

    async def living_ids(
        self, page: PageRef, kind: MessageKind, *, thread_key: str | None = None, since: datetime | None = None
    ) -> dict[str, datetime]:
        """What is stored and not known as deleted, by external id: when it was written.

        Of one thread, or of the whole page; with `since`, only what was written then or later. A complete read of
        the same range tells what is gone: what stands here and not there, unless it was written meanwhile.
        """

    async def active_pages(self, ways: Sequence[str], since: datetime) -> dict[UUID, datetime]:
        """Pages to which any of these ways brought something new after `since`: when it last did."""

    def rate_store(self, source: str) -> RateStore:
        """What is learnt of how often pages bring something by a way."""

    def report_success(self, page: PageRef, source: str) -> None:
        """A look that found nothing new, or a connection that stands."""

    def report_failure(self, page: PageRef, source: str, error: str) -> None:
        """A look that failed; `/sources` shows it."""


SourceLoop = Callable[[], Awaitable[None]]


class NetworkAdapter(Protocol):
    """A network: the ways into it, and the way out."""

    name: str

    def source_loops(self) -> dict[str, SourceLoop]:
        """What has to run now, by name: the supervisor starts what is new and ends what is gone.

        A way runs for ever, mends itself, and lets only cancellation and bugs through.
        """

    def max_text_length(self, kind: MessageKind) -> int:
        """The longest text the network takes."""

    def publish_timeout(self) -> float:
        """How long a publishing call may last at most."""

    async def publish(self, outgoing: OutgoingReply) -> PublishedReply:
        """Write the answer as the community; past `outgoing.not_after` nothing is sent.

        Raises `Refused` or `Unsure`.
        """

    async def read_thread(self, outgoing: OutgoingReply) -> ParsedBatch:
        """All that is in the answer's thread now and came after `outgoing.after`, or more.

        Raises `NotRead` when that could not be read whole, for whatever reason: a refusal is no empty thread.
        """

    def request_check(self, page: PageRef) -> None:
        """Something of this page may have been missed: compare it as soon as the limits allow."""

    def scan(self, page: PageRef, since: datetime, cursor: Mapping[str, Any]) -> AsyncIterator[ScanStep]:
        """All that the network holds of a page and that was written at `since` or later, step by step.

        Comments count by their own time, under older posts too as far as the network lets them be found. `cursor`
        is empty, or the one of the last step that was stored. Raises what a call raises (see `calls`): the caller
        rests and goes on from its cursor.
        """


class ReadFailed(Exception):  # noqa: N818 — an outcome of reading
    """The network could not be read now; the reason is in the message. `refused`: waiting alone will not help."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.permanent = refused
