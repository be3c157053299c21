"""The port of networks that push events by HTTP: what differs between them when an event arrives.

Routes, limits, secrets, storage and responses are the same for all networks: see `services/ingest/callbacks/`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import aiohttp

from services.ingest.networks.port import (
    CallbackRegistrations,
    IncomingItem,
    PageRef,
    ParsedBatch,
    ThreadState,
    TokenPool,
)
from services.ingest.settings import IngestSettings


@dataclass(frozen=True, slots=True)
class PushEndpoint:
    """A page whose events are accepted, with the secrets of its callback registration."""

    page: PageRef
    secret: str
    confirmation_code: str | None
    manual: bool
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PushClaim:
    """The page that an event claims to be from, not yet authenticated.

    `page`: the page's external id. `secret`: as sent, None if the event has none. `wants_confirmation`: the
    response has to be the page's confirmation code.
    """

    page: str
    secret: object
    wants_confirmation: bool


class InvalidPush(Exception):  # noqa: N818 — an outcome of reading
    """A field of the event is missing or wrong."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(f"{pointer} {detail}")
        self.pointer = pointer
        self.detail = detail


class PushConfirmation(Protocol):
    """Answers the network's request to confirm the address of a page."""

    async def code(self, endpoint: PushEndpoint) -> str | None:
        """Return the code that the network expects as the response; None if it is not known now."""


@dataclass(frozen=True, slots=True)
class PushServices:
    """The services that a confirmation may use. `refresh_tokens` reloads the tokens if they are stale."""

    http: aiohttp.ClientSession
    token_pool: TokenPool
    refresh_tokens: Callable[[], Awaitable[None]]
    registrations: CallbackRegistrations
    settings: IngestSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSpec:
    """How a network pushes events to `POST /callbacks/<network>`, or `/callbacks/<network>/<secret>`.

    `read_claim` reads page and secret from the body and removes the secret, because the event may be stored; it
    raises `InvalidPush` if a field is missing or wrong. None: the secret is the last part of the path. `parse`
    returns the item of an event, None if it has none; it raises like a parser of `ParsedBatch.parse`.

    `answer_seconds`: the time in which the network gets a response; it must be shorter than the network waits.

    `create_confirmation`: None if the network does not ask to confirm addresses. `sender_networks`: the IP
    networks that may send, separated by commas; empty: any. `thread_states` and `threads_to_reread` return the
    thread states and the threads to read again that follow from a batch. `summary`, `description` and `example`
    document the route.
    """

    parse: Callable[[Any, PageRef], IncomingItem | None]
    summary: str
    description: str
    example: Mapping[str, Any]
    answer_seconds: float
    read_claim: Callable[[dict[str, Any]], PushClaim] | None = None
    create_confirmation: Callable[[PushServices], PushConfirmation] | None = None
    sender_networks: Callable[[IngestSettings], str] = lambda _settings: ""
    thread_states: Callable[[ParsedBatch], Sequence[ThreadState]] = lambda _parsed: ()
    threads_to_reread: Callable[[ParsedBatch], Sequence[str]] = lambda _parsed: ()

    @property
    def has_secret_path(self) -> bool:
        """Return whether the last part of the path is the page's secret."""
        return self.read_claim is None
