"""Receive pushed events: authenticate the sender, store the event, answer confirmation requests."""

import asyncio
import hashlib
import hmac
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import update

from services.ingest.callbacks.endpoint_cache import CallbackEndpoint, EndpointCache
from services.ingest.callbacks.repository import CallbackRepository, confirmation_expected, record_events
from services.ingest.callbacks.sender_rate_limit import RejectedSenderLimit
from services.ingest.callbacks.write_batcher import EventNotStored, WriteBatcher
from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks.calls import CallError, NoUsableToken, NoValidResponse
from services.ingest.networks.ok import ok_payloads as ok
from services.ingest.networks.port import CallbackState, ParsedBatch
from services.ingest.networks.retry import TRANSIENT_ERRORS
from services.ingest.networks.vk import vk_push as vk
from services.ingest.networks.vk.callback_servers import fetch_confirmation_code
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.settings import IngestSettings
from services.ingest.tokens.token_pool import DatabaseTokenPool
from shared import clock
from shared.http.json_depth import DEEPEST, too_deep
from shared.http.problems import BadRequest, FieldError, Forbidden, Problem, TooLarge, TooManyRequests
from shared.logs import logger
from shared.service import Service
from shared.tables.ingest import CallbackRegistration

log = logger(__name__)

ACCEPTED = "ok"
CONFIRMATION = "confirmation"
CONFIRMATION_TIMEOUT = 3.0
LAST_EVENT_WRITE_SECONDS = 30.0
# How long a confirmation code is cached for unauthenticated requests, so that they cannot cause network calls.
CODE_CACHE_SECONDS = 1.0
# A long post with all its attachments is about a tenth of this.
MAX_EVENT_BYTES = 512 * 1024
REJECTED_TEXT = "Events of this community are not accepted with this secret"

PUSHED_EVENTS = Counter("gospablik_callbacks_total", "Pushed events by outcome", ["network", "outcome"])


class PushReceiver:
    """Receives events of both networks in any process that serves the API."""

    def __init__(self, service: Service, settings: IngestSettings) -> None:
        self._service = service
        self._settings = settings
        self._lookup = EndpointCache(service.database)
        self._token_pool = DatabaseTokenPool(service.database)
        self._tokens_at: float | None = None
        self._renewing = asyncio.Lock()
        self._batches = WriteBatcher(
            DatabaseIntakeStore(service.database),
            self._heard,
            backlog=settings.callbacks_backlog,
            page_backlog=settings.callbacks_page_backlog,
        )
        self._refusals = RejectedSenderLimit()
        self._heard_at: dict[UUID, float] = {}
        self._answered_codes: dict[UUID, str] = {}
        self._told_at: dict[UUID, tuple[float, str]] = {}

    async def receive_vk(self, body: bytes, sender: str | None) -> str:
        """Process a VK event; return the response text. Raises `EventNotStored` or a problem."""
        event = _object(body)
        kind, group = _kind(event), _group(event)
        given = event.pop("secret", None)
        known = await self._authenticate(group, given, sender, optional=kind == CONFIRMATION)
        if kind == CONFIRMATION:
            return await self._code(known) if given is not None else await self._code_awaited(known, sender)
        parsed = ParsedBatch()
        parsed.parse(vk.parse_event, event, known.page)
        parsed.items = [
            item if item.push_event_id else replace(item, push_event_id=_synthetic_event_id(event))
            for item in parsed.items
        ]
        return await self._store("vk", known, parsed)

    async def receive_ok(self, secret: str, body: bytes, sender: str | None) -> str:
        """Process an OK event; return the response text. Raises like `receive_vk`."""
        allowed = _sender_allowed(sender, self._settings.ok_webhook_networks)
        known = await self._by_secret_path(secret, sender) if allowed else None
        if known is None:
            raise self._rejection("ok", sender)
        event = _object(body)
        parsed = ParsedBatch()
        parsed.parse(ok.parse_webhook, event, known.page)
        return await self._store("ok", known, parsed)

    async def _store(self, network: str, known: CallbackEndpoint, parsed: ParsedBatch) -> str:
        if not parsed.items and not parsed.unparsed:
            PUSHED_EVENTS.labels(network, "ignored").inc()
            return ACCEPTED
        try:
            await self._batches.store(known.page, parsed)
        except EventNotStored:
            PUSHED_EVENTS.labels(network, "postponed").inc()
            raise
        PUSHED_EVENTS.labels(network, "stored").inc()
        return ACCEPTED

    def _rejection(self, network: str, sender: str | None) -> Problem:
        """Return the problem for an unauthenticated event: the same for any cause, 429 after too many attempts."""
        PUSHED_EVENTS.labels(network, "refused").inc()
        if self._refusals.exceeded(sender):
            return TooManyRequests("Too many rejected events from this address", headers={"Retry-After": "60"})
        self._refusals.record(sender)
        return Forbidden(REJECTED_TEXT)

    async def _authenticate(
        self, group: str, given: object, sender: str | None, *, optional: bool
    ) -> CallbackEndpoint:
        try:
            # A sender that was rejected too often causes no reload.
            for again in (False,) if self._refusals.exceeded(sender) else (False, True):
                if again:
                    await self._lookup.refresh()
                known = await self._lookup.by_page(group)
                if known is not None and _secret_matches(given, known.secret, optional=optional):
                    return known
                if known is None:
                    # Constant time: the response time must not show whether the community is known.
                    _secret_matches(given, group, optional=False)
        except TRANSIENT_ERRORS as error:
            raise EventNotStored("the database is unavailable") from error
        raise self._rejection("vk", sender)

    async def _by_secret_path(self, secret: str, sender: str | None) -> CallbackEndpoint | None:
        try:
            known = await self._lookup.by_secret(secret)
            if known is None and not self._refusals.exceeded(sender):
                await self._lookup.refresh()
                known = await self._lookup.by_secret(secret)
        except TRANSIENT_ERRORS as error:
            raise EventNotStored("the database is unavailable") from error
        return known

    async def _code_awaited(self, known: CallbackEndpoint, sender: str | None) -> str:
        """Return the confirmation code without a secret, only while a new server waits for its confirmation."""
        if self._refusals.exceeded(sender):
            raise self._rejection("vk", sender)
        try:
            async with self._service.database.read() as session:
                expected = await confirmation_expected(session, known.page.id)
        except TRANSIENT_ERRORS as error:
            raise EventNotStored("the database is unavailable") from error
        if not expected:
            raise self._rejection("vk", sender)
        now = asyncio.get_running_loop().time()
        at, code = self._told_at.get(known.page.id, (-CODE_CACHE_SECONDS, None))
        if code is None or now - at >= CODE_CACHE_SECONDS:
            code = await self._code(known)
            self._told_at[known.page.id] = now, code
        return code

    async def _code(self, known: CallbackEndpoint) -> str:
        """Return the current confirmation code: fetched from the network, else the stored one."""
        asked = await self._asked(known)
        code = asked or known.confirmation_code
        if code is None:
            PUSHED_EVENTS.labels("vk", "postponed").inc()
            raise EventNotStored("the confirmation code is not known")
        page_id = known.page.id
        if asked and known.manual and known.confirmation_code and known.confirmation_code != asked:
            # A server created on the settings page needs the code shown there, which may differ from the API's
            # code: the two are returned alternately.
            code = known.confirmation_code if self._answered_codes.get(page_id) == asked else asked
        elif asked and asked != known.confirmation_code:
            await self._keep(known, asked)
        self._answered_codes[page_id] = code
        PUSHED_EVENTS.labels("vk", "confirmed").inc()
        return code

    async def _asked(self, known: CallbackEndpoint) -> str | None:
        try:
            async with asyncio.timeout(CONFIRMATION_TIMEOUT):
                await self._fresh_tokens()
                client = VkClient(self._service.http, self._token_pool, self._settings)
                return await fetch_confirmation_code(client, known.page)
        except (NoUsableToken, CallError, NoValidResponse, *TRANSIENT_ERRORS) as error:
            log.info(
                "the confirmation code could not be fetched", page_id=str(known.page.id), error=repr(error)[:200]
            )
            return None

    async def _fresh_tokens(self) -> None:
        # Servers of many pages may be confirmed at the same time.
        async with self._renewing:
            now = asyncio.get_running_loop().time()
            if self._tokens_at is None or now - self._tokens_at > self._settings.registry_seconds:
                await self._token_pool.refresh()
                self._tokens_at = now

    async def _keep(self, known: CallbackEndpoint, code: str) -> None:
        try:
            async with asyncio.timeout(CONFIRMATION_TIMEOUT):
                book = CallbackRepository(self._service.database)
                kept = (await book.by_page("vk", [known.page.id])).get(known.page.id)
                if kept is not None:
                    await book.save("vk", replace(kept, confirmation_code=code))
        except TRANSIENT_ERRORS as error:
            log.warning("the confirmation code could not be saved", error=repr(error)[:200])

    async def _heard(self, pages: set[UUID]) -> None:
        now = asyncio.get_running_loop().time()
        due = [
            one
            for one in pages
            if now - self._heard_at.get(one, -LAST_EVENT_WRITE_SECONDS) >= LAST_EVENT_WRITE_SECONDS
        ]
        if not due:
            return
        async with self._service.database.write() as session:
            await record_events(session, due, clock.now())
            # The state of a monitored registration comes from the network instead.
            await session.execute(
                update(CallbackRegistration)
                .where(CallbackRegistration.page_id.in_(due), CallbackRegistration.by_hand)
                .values(state=CallbackState.WORKING.value, reason=None)
            )
        self._heard_at |= dict.fromkeys(due, now)


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


def _kind(event: Mapping[str, Any]) -> str:
    kind = event.get("type")
    if not isinstance(kind, str) or not kind:
        raise _wrong("/type", "must be a string with the type of the event")
    return kind


def _group(event: Mapping[str, Any]) -> str:
    group = event.get("group_id")
    if isinstance(group, str) and group.isascii() and group.isdecimal():
        return group
    if not isinstance(group, int) or isinstance(group, bool) or group <= 0:
        raise _wrong("/group_id", "must be a positive number: the id of the community")
    return str(group)


def _wrong(pointer: str, detail: str) -> BadRequest:
    return BadRequest(f"{pointer} {detail}", errors=[FieldError(pointer=pointer, detail=detail)])


def _secret_matches(given: object, secret: str, *, optional: bool) -> bool:
    if given is None:
        return optional
    # No secret contains a surrogate; one in the input must not raise before the comparison.
    text = given if isinstance(given, str) else ""
    return hmac.compare_digest(text.encode(errors="replace"), secret.encode())


def _synthetic_event_id(event: Mapping[str, Any]) -> str:
    """Return an id for an event of an old API version without one: a digest of its type and object."""
    told = {"type": event.get("type"), "object": event.get("object")}
    return "digest:" + hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _sender_allowed(sender: str | None, networks: str) -> bool:
    allowed = [ipaddress.ip_network(one.strip()) for one in networks.split(",") if one.strip()]
    if not allowed:
        return True
    try:
        address = ipaddress.ip_address(sender or "")
    except ValueError:
        return False
    return any(address in network for network in allowed)
