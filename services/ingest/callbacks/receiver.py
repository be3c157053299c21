"""Receive pushed events: authenticate the sender, store the event, answer confirmation requests."""

import asyncio
import hmac
import ipaddress
import json
from typing import Any
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import update

from services.ingest.callback_registrations import CallbackRepository, confirmation_expected, record_events
from services.ingest.callbacks.endpoint_cache import EndpointCache
from services.ingest.callbacks.sender_rate_limit import RejectedSenderLimit
from services.ingest.callbacks.write_batcher import EventNotStored, WriteBatcher
from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks import catalogue
from services.ingest.networks.port import CallbackState, ParsedBatch
from services.ingest.networks.push_port import (
    InvalidPush,
    PushClaim,
    PushConfirmation,
    PushEndpoint,
    PushServices,
    PushSpec,
)
from services.ingest.networks.retry import TRANSIENT_ERRORS
from services.ingest.settings import IngestSettings
from services.ingest.tokens.token_pool import DatabaseTokenPool
from shared import clock
from shared.http.json_depth import DEEPEST, too_deep
from shared.http.problems import BadRequest, FieldError, Forbidden, Problem, TooLarge, TooManyRequests
from shared.logs import get_logger
from shared.service import Service
from shared.tables.ingest import CallbackRegistration

log = get_logger(__name__)

ACCEPTED = "ok"
LAST_EVENT_WRITE_SECONDS = 30.0
# How long a confirmation code is cached for unauthenticated requests, so that they cause few network calls.
CODE_CACHE_SECONDS = 1.0
# About ten times the size of a long post with all its attachments.
MAX_EVENT_BYTES = 512 * 1024
REJECTED_TEXT = "Events of this community are not accepted with this secret"

PUSHED_EVENTS = Counter("gospablik_callback_events_total", "Pushed events by outcome", ["network", "outcome"])


class PushReceiver:
    """Receives events of all networks that push, in any process that serves the API."""

    def __init__(self, service: Service, settings: IngestSettings) -> None:
        self._service = service
        self._settings = settings
        self._lookup = EndpointCache(service.database)
        self._token_pool = DatabaseTokenPool(service.database)
        self._tokens_at: float | None = None
        self._renewing = asyncio.Lock()
        self._batches = WriteBatcher(
            DatabaseIntakeStore(service.database),
            self._record_received,
            backlog=settings.callbacks_backlog,
            page_backlog=settings.callbacks_page_backlog,
        )
        self._refusals = RejectedSenderLimit()
        self._received_at: dict[UUID, float] = {}
        self._confirmations: dict[str, PushConfirmation] = {}
        self._cached_codes: dict[UUID, tuple[float, str]] = {}

    async def receive(self, network: str, body: bytes, sender: str | None, *, path_secret: str | None) -> str:
        """Process an event; return the response text.

        `path_secret`: the last part of the path, None if the network sends its secret in the body.

        Raises `EventNotStored` if the network must deliver the event again, `BadRequest` if it is malformed, and
        `Forbidden` or `TooManyRequests` if it is not authenticated.
        """
        push = catalogue.push_spec(network)
        if push is None or not _sender_allowed(sender, push.sender_networks(self._settings)):
            raise self._rejection(network, sender)
        if push.read_claim is None:
            known = await self._by_secret_path(network, path_secret or "", sender)
            event = _object(body)
        else:
            event = _object(body)
            try:
                claim = push.read_claim(event)
            except InvalidPush as error:
                field = FieldError(pointer=error.pointer, detail=error.detail)
                raise BadRequest(str(error), errors=[field]) from error
            known = await self._authenticate(network, claim, sender)
            if claim.wants_confirmation:
                authenticated = claim.secret is not None
                return await self._confirm(push, known, sender, authenticated=authenticated)
        parsed = ParsedBatch()
        parsed.parse(push.parse, event, known.page)
        return await self._store(network, known, parsed)

    async def _store(self, network: str, known: PushEndpoint, parsed: ParsedBatch) -> str:
        if not parsed.items and not parsed.unparsed:
            PUSHED_EVENTS.labels(network, "ignored").inc()
            return ACCEPTED
        try:
            await self._batches.store(known.page, parsed)
        except EventNotStored:
            PUSHED_EVENTS.labels(network, "not_stored").inc()
            raise
        PUSHED_EVENTS.labels(network, "stored").inc()
        return ACCEPTED

    def _rejection(self, network: str, sender: str | None) -> Problem:
        """Count an unauthenticated event; return its problem: 403 for any cause, 429 after too many attempts."""
        PUSHED_EVENTS.labels(network, "rejected").inc()
        if self._refusals.exceeded(sender):
            return TooManyRequests("Too many rejected events from this address", headers={"Retry-After": "60"})
        self._refusals.record(sender)
        return Forbidden(REJECTED_TEXT)

    async def _authenticate(self, network: str, claim: PushClaim, sender: str | None) -> PushEndpoint:
        optional = claim.wants_confirmation
        try:
            # A sender that was rejected too often causes no reload.
            for again in (False,) if self._refusals.exceeded(sender) else (False, True):
                if again:
                    await self._lookup.refresh()
                known = await self._lookup.by_page(network, claim.page)
                if known is not None and _secret_matches(claim.secret, known.secret, optional=optional):
                    return known
                if known is None:
                    # Compare anyway: the response time must not show whether the page is known.
                    _secret_matches(claim.secret, claim.page, optional=False)
        except TRANSIENT_ERRORS as error:
            raise EventNotStored("the database is unavailable") from error
        raise self._rejection(network, sender)

    async def _by_secret_path(self, network: str, secret: str, sender: str | None) -> PushEndpoint:
        try:
            known = await self._lookup.by_secret(network, secret)
            if known is None and not self._refusals.exceeded(sender):
                await self._lookup.refresh()
                known = await self._lookup.by_secret(network, secret)
        except TRANSIENT_ERRORS as error:
            raise EventNotStored("the database is unavailable") from error
        if known is None:
            raise self._rejection(network, sender)
        return known

    async def _confirm(
        self, push: PushSpec, known: PushEndpoint, sender: str | None, *, authenticated: bool
    ) -> str:
        """Return the confirmation code; to an unauthenticated request only while the page awaits confirmation."""
        if authenticated:
            return await self._code(push, known)
        if self._refusals.exceeded(sender):
            raise self._rejection(known.page.network, sender)
        try:
            async with self._service.database.read() as session:
                expected = await confirmation_expected(session, known.page.id)
        except TRANSIENT_ERRORS as error:
            raise EventNotStored("the database is unavailable") from error
        if not expected:
            raise self._rejection(known.page.network, sender)
        now = asyncio.get_running_loop().time()
        at, code = self._cached_codes.get(known.page.id, (-CODE_CACHE_SECONDS, None))
        if code is None or now - at >= CODE_CACHE_SECONDS:
            code = await self._code(push, known)
            self._cached_codes[known.page.id] = now, code
        return code

    async def _code(self, push: PushSpec, known: PushEndpoint) -> str:
        network = known.page.network
        if network not in self._confirmations and push.create_confirmation is not None:
            self._confirmations[network] = push.create_confirmation(
                PushServices(
                    http=self._service.http,
                    token_pool=self._token_pool,
                    refresh_tokens=self._fresh_tokens,
                    registrations=CallbackRepository(self._service.database),
                    settings=self._settings,
                )
            )
        confirmation = self._confirmations.get(network)
        code = await confirmation.code(known) if confirmation is not None else None
        if code is None:
            PUSHED_EVENTS.labels(network, "not_stored").inc()
            raise EventNotStored("the confirmation code is not known")
        PUSHED_EVENTS.labels(network, "confirmed").inc()
        return code

    async def _fresh_tokens(self) -> None:
        # One refresh at a time: networks may ask to confirm many pages at once.
        async with self._renewing:
            now = asyncio.get_running_loop().time()
            if self._tokens_at is None or now - self._tokens_at > self._settings.page_refresh_seconds:
                await self._token_pool.refresh()
                self._tokens_at = now

    async def _record_received(self, pages: set[UUID]) -> None:
        now = asyncio.get_running_loop().time()
        due = [
            one
            for one in pages
            if now - self._received_at.get(one, -LAST_EVENT_WRITE_SECONDS) >= LAST_EVENT_WRITE_SECONDS
        ]
        if not due:
            return
        async with self._service.database.write() as session:
            await record_events(session, due, clock.now())
            # Only manual registrations: a monitor reads the state of the others from the network.
            await session.execute(
                update(CallbackRegistration)
                .where(CallbackRegistration.page_id.in_(due), CallbackRegistration.manual)
                .values(state=CallbackState.ACTIVE.value, reason=None)
            )
        self._received_at |= dict.fromkeys(due, now)


def _object(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_EVENT_BYTES:
        raise TooLarge(f"The event has {len(body)} bytes; at most {MAX_EVENT_BYTES} are accepted")
    if too_deep(body):
        raise BadRequest(f"The nesting of the body is deeper than {DEEPEST} levels")
    try:
        found = json.loads(body)
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8: byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {error.msg} at character {error.pos}") from error
    except (ValueError, RecursionError) as error:
        raise BadRequest("The body cannot be parsed as JSON: a number or the nesting is too large") from error
    if not isinstance(found, dict):
        raise BadRequest(f"The body is not a JSON object but {_name(found)}")
    return found


def _name(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _secret_matches(given: object, secret: str, *, optional: bool) -> bool:
    if given is None:
        return optional
    # Lone surrogates in the input must not raise; no secret contains any.
    text = given if isinstance(given, str) else ""
    return hmac.compare_digest(text.encode(errors="replace"), secret.encode())


def _sender_allowed(sender: str | None, networks: str) -> bool:
    allowed = [ipaddress.ip_network(one.strip()) for one in networks.split(",") if one.strip()]
    if not allowed:
        return True
    try:
        address = ipaddress.ip_address(sender or "")
    except ValueError:
        return False
    return any(address in network for network in allowed)
