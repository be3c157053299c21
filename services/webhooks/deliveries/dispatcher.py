"""The dispatcher: claims due deliveries, sends them signed, and records the results.

A claim is a lease: it moves `next_attempt_at` past the longest possible attempt and commits. When a worker dies
while sending, its deliveries become due again; a delivery may arrive twice with one `webhook-id`, but is never
lost. `last_attempt_at` is the time of the claim: a result is recorded only while it is unchanged. All these times
are by the database's clock, so that workers whose clocks differ agree.

An attempt counts when its outcome is recorded. One that is cut off, or that a fault of our own prevents, is
repeated without being counted, a limited number of times.
"""

import asyncio
import errno
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import aiohttp
import prometheus_client
from sqlalchemy import DateTime, Integer, Interval, bindparam, column, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.deliveries.attempts import (
    HTTP_GONE,
    RESPONSE_EXCERPT,
    RESPONSE_KEPT,
    Answer,
    AttemptResult,
    ClaimedDelivery,
    record_results,
)
from services.webhooks.deliveries.retry_schedule import (
    ASKS_TO_WAIT,
    MOST_UNCOUNTED,
    SECRET_PAUSE,
    SYSTEM_PAUSE,
    is_last,
    requested_wait,
)
from services.webhooks.endpoints import (
    claim_turns,
    disabling,
    entitlements,
    health,
    pending_deliveries,
    verification,
)
from services.webhooks.endpoints.custom_headers import without_values
from services.webhooks.endpoints.entitlements import Entitlement
from services.webhooks.endpoints.signing import signed_headers
from services.webhooks.endpoints.ssrf_guard import UrlNotAllowed, guarded_socket_factory, parse_url
from services.webhooks.endpoints.verification import AnsweredChallenge
from services.webhooks.event_catalogue.catalogue import mask_personal_data
from services.webhooks.feed.positions import parse_position
from services.webhooks.settings import WebhooksSettings
from shared import clock
from shared.database.sessions import Database, WriteSession
from shared.http.client_tls import client_tls
from shared.http.name_resolution import HostResolver
from shared.logs import get_logger
from shared.signing_secrets import SecretCipher, UndecryptableSecret
from shared.tables.webhooks import WebhookDelivery, WebhookEndpoint

log = get_logger(__name__)

IDLE_SECONDS = 0.5
RECORD_BATCH_SECONDS = 0.02
LEASE_MARGIN = timedelta(seconds=30)
# The maximum number of concurrent attempts of an endpoint whose last attempt failed, so that a receiver that times
# out or answers slowly does not delay the rest. A healthy endpoint gets at most half of all attempts. The
# endpoints of one organisation together get at most a quarter, those with fewer running attempts first.
FAILING_ENDPOINT_CONCURRENCY = 4
# The maximum number of due deliveries of an ordered endpoint that a claim reads. It sets those behind an earlier
# delivery to wait, so the next claim does not read them.
MAX_READ_OF_ORDERED = 250
# How much longer another worker's lease may be: while settings are being changed, workers have different timeouts.
LEASE_DIFFERENCE = timedelta(minutes=1)
# Why a delivery that was claimed again and again without an outcome is not sent again now.
INTERRUPTED = f"{MOST_UNCOUNTED} attempts in a row ended without a result: the worker stopped while it sent them"
# The process or the machine has no free file descriptors, buffers or memory, no network, or no name server. Other
# errors of a connection, such as a missing route, may be the receiver's.
_OWN_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENETDOWN})

OWN_FAULTS = prometheus_client.Counter(
    "gospablik_webhook_own_faults_total",
    "Attempts of deliveries that failed through a fault of our own, by its kind",
    ["kind"],
)

# The condition on endpoints to which something is sent: an unverified one gets only its verification. The
# verification is looked up by its id (a scalar subquery, which is never hashed): reading all waiting deliveries
# takes too long.
_IS_SENDING = """NOT endpoint.paused AND (endpoint.verified_at IS NOT NULL OR (
            SELECT verification.status = 'pending' AND verification.next_attempt_at <= now()
            FROM webhook_deliveries AS verification WHERE verification.id = endpoint.verification_id
        ))"""
_ANY_DUE = text(
    f"""SELECT EXISTS (SELECT FROM webhook_endpoints AS endpoint CROSS JOIN LATERAL (
        SELECT FROM webhook_deliveries
        WHERE endpoint_id = endpoint.id AND status = 'pending' AND next_attempt_at <= now() LIMIT 1
    ) AS due WHERE {_IS_SENDING}) AS is_any_due"""  # noqa: S608 — a constant
)
_CLAIM = (
    text(
        f"""
    WITH running AS (
        SELECT endpoint.organisation_id, sum(running.count) AS count
        FROM unnest(CAST(:busy AS uuid[]), CAST(:counts AS int[])) AS running (id, count)
        JOIN webhook_endpoints AS endpoint ON endpoint.id = running.id
        WHERE endpoint.organisation_id IS NOT NULL
        GROUP BY endpoint.organisation_id
    ), endpoint AS MATERIALIZED (
        SELECT endpoint.id, endpoint.organisation_id, endpoint.ordered, endpoint.verified_at,
            endpoint.verification_id, greatest(0, least(
            coalesce(held.room, :share), :limit, turn.room, endpoint.max_concurrency - (
                SELECT count(*) FROM webhook_deliveries
                WHERE endpoint.max_concurrency IS NOT NULL AND endpoint_id = endpoint.id AND status = 'pending'
                    AND next_attempt_at > now() AND next_attempt_at <= now() + :longest_lease
                    AND leased_until = next_attempt_at
            )
        )) AS room, coalesce(held.count, 0) AS under_way
        FROM webhook_endpoints AS endpoint
        LEFT JOIN unnest(CAST(:busy AS uuid[]), CAST(:rooms AS int[]), CAST(:counts AS int[]))
            AS held (id, room, count) ON held.id = endpoint.id
        LEFT JOIN unnest(CAST(:taken AS uuid[]), CAST(:turns AS int[])) AS turn (id, room) ON turn.id = endpoint.id
        WHERE {_IS_SENDING} AND (
            turn.id IS NOT NULL
            OR NOT endpoint.ordered AND endpoint.max_per_second IS NULL AND endpoint.max_concurrency IS NULL
        )
    ), due AS (
        SELECT delivery.id, delivery.next_attempt_at, endpoint.id AS endpoint_id, endpoint.organisation_id,
            endpoint.room, endpoint.under_way, endpoint.ordered AND coalesce(delivery.event_position > (
                SELECT event_position FROM webhook_deliveries
                WHERE endpoint_id = endpoint.id AND ordering_key = delivery.ordering_key AND status = 'pending'
                ORDER BY event_position
                LIMIT 1
            ), false) AS waits
        FROM endpoint
        CROSS JOIN LATERAL (
            SELECT id, next_attempt_at, ordering_key, event_position FROM webhook_deliveries
            WHERE endpoint_id = endpoint.id AND status = 'pending' AND next_attempt_at <= now()
                AND (endpoint.verified_at IS NOT NULL OR id = endpoint.verification_id)
            ORDER BY next_attempt_at
            LIMIT CASE WHEN endpoint.ordered AND endpoint.room > 0 THEN :max_read ELSE endpoint.room END
            FOR UPDATE SKIP LOCKED
        ) AS delivery
    ), waiting AS (
        UPDATE webhook_deliveries SET next_attempt_at = 'infinity'
        WHERE id = ANY(ARRAY(SELECT id FROM due WHERE waits))
    ), first AS (
        SELECT id, organisation_id, next_attempt_at, room, under_way,
            row_number() OVER (PARTITION BY endpoint_id ORDER BY next_attempt_at, id) AS place
        FROM due WHERE NOT waits
    ), claimed AS (
        SELECT id FROM (
            SELECT *, row_number() OVER (
                PARTITION BY organisation_id ORDER BY under_way + place, next_attempt_at, id
            ) AS number
            FROM first WHERE place <= room
        ) AS fair
        LEFT JOIN running USING (organisation_id)
        WHERE organisation_id IS NULL OR number <= :organisation_share - coalesce(running.count, 0)
        ORDER BY next_attempt_at, place
        LIMIT :limit
    )
    UPDATE webhook_deliveries AS delivery
    SET next_attempt_at = now() + :lease, leased_until = now() + :lease, last_attempt_at = now(),
        uncounted_attempts = delivery.uncounted_attempts + 1
    FROM webhook_endpoints AS endpoint
    WHERE delivery.id = ANY(ARRAY(SELECT id FROM claimed)) AND endpoint.id = delivery.endpoint_id
    RETURNING delivery.id, delivery.endpoint_id, delivery.event_id, delivery.event_type, endpoint.url,
        endpoint.secret, endpoint.headers, delivery.payload, delivery.attempts + 1 AS attempts,
        delivery.uncounted_attempts, delivery.last_attempt_at AS claimed_at
    """  # noqa: S608 — a constant
    )
    .bindparams(
        bindparam("lease", type_=Interval),
        bindparam("longest_lease", type_=Interval),
        bindparam("share", type_=Integer),
        bindparam("organisation_share", type_=Integer),
        bindparam("limit", type_=Integer),
        bindparam("max_read", type_=Integer),
    )
    .columns(
        WebhookDelivery.id,
        WebhookDelivery.endpoint_id,
        WebhookDelivery.event_id,
        WebhookDelivery.event_type,
        WebhookEndpoint.url,
        WebhookEndpoint.secret,
        WebhookEndpoint.headers,
        WebhookDelivery.payload,
        WebhookDelivery.attempts,
        WebhookDelivery.uncounted_attempts,
        column("claimed_at", DateTime(timezone=True)),
    )
)


class Dispatcher:
    """Sends deliveries with an HTTP client that cannot connect to internal addresses."""

    def __init__(self, database: Database, settings: WebhooksSettings, *, https_only: bool) -> None:
        self._database = database
        # Cached, because decrypting takes a fifth of the time of an attempt.
        cipher = SecretCipher(settings.encryption_keys)
        self._decrypt = lru_cache(maxsize=1_024)(cipher.decrypt)
        self._decrypt_headers = lru_cache(maxsize=1_024)(cipher.decrypt_headers)
        self._allowed = settings.webhooks_allowed_networks
        self._hosts = settings.webhooks_personal_data_hosts
        self._timeout = settings.webhooks_timeout_seconds
        self._disable_after = timedelta(days=settings.webhooks_disable_after_days)
        self._concurrency = settings.webhooks_concurrency
        self._share = max(self._concurrency // 2, 1)
        self._organisation_share = max(self._concurrency // 4, 1)
        self._failing_endpoints: set[UUID] = set()
        self._https_only = https_only

    @asynccontextmanager
    async def client(self) -> AsyncIterator[aiohttp.ClientSession]:
        """Yield the HTTP client: no proxy, no cookies, and each address is checked when its socket is created."""
        resolver = HostResolver()
        connector = aiohttp.TCPConnector(
            limit=self._concurrency,
            socket_factory=guarded_socket_factory(self._allowed),
            resolver=resolver,
            use_dns_cache=False,
            ssl=client_tls(),
        )
        try:
            async with aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._timeout, connect=min(5, self._timeout)),
                headers={"User-Agent": "Gospablik-Webhooks/1", "Content-Type": "application/json"},
                auto_decompress=False,
                trust_env=False,
            ) as http:
                yield http
        finally:
            await resolver.close()

    async def claim(self, limit: int, in_flight: Mapping[UUID, int] | None = None) -> list[ClaimedDelivery]:
        """Claim up to `limit` due deliveries, earliest due first, and commit. Return those that may be sent.

        `in_flight` counts the running attempts of each endpoint, so that no endpoint gets more than its share, nor
        the endpoints of an organisation more than theirs. Of an ordered endpoint, only the first pending delivery
        of each subject is claimed. A claimed delivery of an endpoint with a rate has the time at which it may be
        sent, about a second ahead at most.
        """
        async with self._database.write() as session:
            claims = await self.lease(session, limit, in_flight or {})
        return await self._filter_entitled(claims)

    async def lease(
        self, session: WriteSession, limit: int, in_flight: Mapping[UUID, int]
    ) -> list[ClaimedDelivery]:
        """Lease up to `limit` due deliveries, within the shares of endpoints and organisations."""
        rooms = dict.fromkeys(self._failing_endpoints, FAILING_ENDPOINT_CONCURRENCY)
        for endpoint, count in in_flight.items():
            rooms[endpoint] = max(rooms.get(endpoint, self._share) - count, 0)
        lease = timedelta(seconds=self._timeout) + LEASE_MARGIN
        turns = {turn.endpoint_id: turn for turn in await claim_turns.take_due(session)}
        taken_at = asyncio.get_running_loop().time()
        # A separate statement, so that it sees what other workers committed before they released the turns.
        rows = await session.execute(
            _CLAIM,
            {
                "busy": list(rooms),
                "rooms": list(rooms.values()),
                "counts": [in_flight.get(endpoint, 0) for endpoint in rooms],
                "taken": list(turns),
                "turns": [turn.room for turn in turns.values()],
                "share": self._share,
                "organisation_share": self._organisation_share,
                "limit": limit,
                "max_read": MAX_READ_OF_ORDERED,
                "lease": lease,
                "longest_lease": lease + LEASE_DIFFERENCE,
            },
        )
        claimed: Counter[UUID] = Counter()
        claims = []
        for row in rows:
            send_at = taken_at
            if (turn := turns.get(row.endpoint_id)) is not None:
                send_at += turn.seconds_until(claimed[row.endpoint_id])
                claimed[row.endpoint_id] += 1
            claims.append(ClaimedDelivery(**row._mapping, send_at=send_at))
        await claim_turns.reserve(session, list(turns.values()), claimed)
        return claims

    async def _filter_entitled(self, claims: Sequence[ClaimedDelivery]) -> list[ClaimedDelivery]:
        """Return the claims whose endpoint's owner may read the event now.

        Fail the other deliveries and suspend endpoints whose owner lacks the rights.
        """
        if not claims:
            return []
        async with self._database.read() as session:
            by_endpoint = await entitlements.load_entitlements(
                session, self._hosts, {claim.endpoint_id for claim in claims}
            )
            subordinate = await _of_subordinates(session, claims, by_endpoint)
        refused: dict[UUID, str] = {}
        for claim in claims:
            entitled = by_endpoint.get(claim.endpoint_id)
            # Without an entitlement: the endpoint was deleted meanwhile, together with its deliveries.
            why = "the endpoint was deleted" if entitled is None else entitled.refusal_reason(claim.event_type)
            if why is None and entitled is not None and claim.id in subordinate:
                why = entitled.subordinate_refusal_reason(claim.event_type, *subordinate[claim.id])
            if why is not None:
                refused[claim.id] = why
        if refused:
            # A separate transaction, because endpoints must be locked before deliveries, which the claim locks.
            async with self._database.write() as session:
                await entitlements.suspend_unentitled(session, by_endpoint)
                await pending_deliveries.fail_deliveries(session, refused)
        return [
            replace(claim, personal_data=by_endpoint[claim.endpoint_id].masking_reason is None)
            for claim in claims
            if claim.id not in refused
        ]

    async def _is_any_due(self) -> bool:
        return bool((await self._database.execute_alone(_ANY_DUE)).is_any_due)

    async def attempt(self, http: aiohttp.ClientSession, claim: ClaimedDelivery) -> AttemptResult:
        """Send the delivery once, at its time, and return the result, even if the receiver or connection fails."""
        await asyncio.sleep(claim.send_at - asyncio.get_running_loop().time())
        started_at, begun = clock.now(), time.perf_counter()
        if claim.uncounted_attempts > MOST_UNCOUNTED:
            answer = _own_fault("interrupted", claim, INTERRUPTED, SYSTEM_PAUSE)
        else:
            try:
                keys = self._decrypt(claim.secret).active(clock.now())
                own = {} if claim.headers is None else self._decrypt_headers(claim.headers)
            except UndecryptableSecret as error:
                answer = _own_fault("secret", claim, str(error), SECRET_PAUSE)
            else:
                answer = await self._send(http, claim, keys, own)
        return AttemptResult(claim, started_at, time.perf_counter() - begun, answer)

    async def _send(
        self, http: aiohttp.ClientSession, claim: ClaimedDelivery, keys: list[str], own: Mapping[str, str]
    ) -> Answer:
        # jsonb does not keep the order of keys; put the type first for human readers.
        ordered = {
            "type": claim.payload["type"],
            "timestamp": claim.payload["timestamp"],
            "id": str(claim.event_id),
            "position": claim.payload.get("position"),
            "sequence": _sequence(claim.payload),
            "data": claim.payload["data"],
        }
        if not claim.personal_data:
            # The body may have been stored while the endpoint was still allowed to receive unmasked texts.
            ordered["data"] = mask_personal_data(ordered["data"])
        body = json.dumps(ordered, ensure_ascii=False, separators=(",", ":"))
        try:
            url = parse_url(claim.url, https_only=self._https_only)
            async with http.post(
                url,
                data=body.encode(),
                headers={**own, **signed_headers(claim.event_id, body, keys)},
                allow_redirects=False,
            ) as response:
                return await _answer(response, own, claim.challenge)
        except TimeoutError:
            return Answer(error=f"no answer within {self._timeout:g} s")
        except aiohttp.ClientResponseError as error:
            # Its message quotes what the receiver sent, which may be one of our headers, cut anywhere.
            return Answer(error=f"the response is not valid HTTP ({type(error).__name__}, {error.status})")
        except (aiohttp.ClientError, OSError, ValueError, UrlNotAllowed) as error:
            text = without_values(_printable(str(error) or type(error).__name__), own)[:RESPONSE_EXCERPT].strip()
            if isinstance(error, OSError) and error.errno in _OWN_ERRNOS:
                return _own_fault("system", claim, text, SYSTEM_PAUSE)
            return Answer(error=text)

    async def record(self, results: Sequence[AttemptResult]) -> None:
        """Store the attempts and their results; disable endpoints that are gone or have failed for too long."""
        for result in results:
            of = result.claim.endpoint_id
            if not result.answer.own_fault:
                (self._failing_endpoints.discard if result.error is None else self._failing_endpoints.add)(of)
        gone = {
            result.claim.endpoint_id: result.claim.url for result in results if result.answer.status == HTTP_GONE
        }
        verified = [
            AnsweredChallenge(result.claim.endpoint_id, result.claim.id, result.claim.url)
            for result in results
            if result.claim.challenge is not None and result.error is None
        ]
        if verified:
            # Before the results are recorded: if the worker dies in between, the challenge is sent again, and no
            # endpoint stays unverified although it has answered.
            async with self._database.write() as session:
                await verification.confirm(session, verified)
        unverified = {
            result.claim.endpoint_id: result.claim.id
            for result in results
            if result.claim.challenge is not None
            and result.error is not None
            and result.counts
            and is_last(result.claim.attempts)
        }
        failing = {
            result.claim.endpoint_id
            for result in results
            if result.error is not None and not result.answer.own_fault
        } - gone.keys()
        async with self._database.write() as session:
            await record_results(session, results)
            if failing:
                await health.restart_unreachable(session, failing)
            dead = await health.failing_for(session, failing, self._disable_after) if failing else ()
        if gone or dead or unverified:
            # A separate transaction: the first one holds shared locks of the endpoints, and so may other workers;
            # upgrading them to exclusive locks could deadlock.
            async with self._database.write() as session:
                await disabling.disable_gone(session, gone)
                await disabling.disable_failing(session, dead, self._disable_after)
                await disabling.disable_unverified(session, unverified)

    async def run(self) -> None:
        """Deliver until cancelled, at most `webhooks_concurrency` attempts at a time."""
        in_flight: dict[asyncio.Task[AttemptResult], UUID] = {}
        async with self.client() as http:
            try:
                while True:
                    room = self._concurrency - len(in_flight)
                    if not in_flight and not await self._is_any_due():
                        await asyncio.sleep(IDLE_SECONDS)
                        continue
                    claims = await self.claim(room, Counter(in_flight.values())) if room else []
                    for claim in claims:
                        in_flight[asyncio.create_task(self.attempt(http, claim))] = claim.endpoint_id
                    if not in_flight:
                        await asyncio.sleep(IDLE_SECONDS)
                        continue
                    done, _ = await asyncio.wait(
                        in_flight, timeout=IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED
                    )
                    if done:
                        # Fast receivers answer almost at once: wait a little, to record many results in one
                        # transaction.
                        await asyncio.sleep(RECORD_BATCH_SECONDS)
                        done = {task for task in in_flight if task.done()}
                        for task in done:
                            del in_flight[task]
                        await self.record([task.result() for task in done])
            finally:
                for task in in_flight:
                    task.cancel()
                await asyncio.gather(*in_flight, return_exceptions=True)


def _own_fault(kind: str, claim: ClaimedDelivery, error: str, pause: timedelta) -> Answer:
    """Return the answer of an attempt that failed through our own fault; count and log it for the operator."""
    OWN_FAULTS.labels(kind).inc()
    log.error("delivery not sent", fault=kind, error=error, endpoint_id=str(claim.endpoint_id), id=str(claim.id))
    return Answer(error=error, own_fault=True, requested_wait=pause)


async def _of_subordinates(
    session: AsyncSession, claims: Sequence[ClaimedDelivery], by_endpoint: Mapping[UUID, Entitlement]
) -> dict[UUID, tuple[UUID, Sequence[UUID]]]:
    """Return the organisations, with their lineages, of the claims that are not about the endpoint's own
    organisation, by delivery id.
    """
    found = {}
    for claim in claims:
        entitled, organisation_id = by_endpoint.get(claim.endpoint_id), claim.organisation_id
        if entitled is None or organisation_id is None:
            continue
        if entitled.organisation_id not in {None, organisation_id}:
            found[claim.id] = organisation_id
    lineages = await entitlements.lineages_of(session, set(found.values()))
    return {claim_id: (of, lineages.get(of, ())) for claim_id, of in found.items()}


def _sequence(payload: Mapping[str, Any]) -> int | None:
    """Return the number of the event in the feed, also for a body that an earlier version stored without it."""
    position = payload.get("position")
    return None if position is None else parse_position(position)


async def _answer(response: aiohttp.ClientResponse, own: Mapping[str, str], challenge: str | None) -> Answer:
    accepted = 200 <= response.status < 300
    # Keep only the start of the body. If the delivery was accepted, do not wait for a body that does not matter:
    # take what came with the head.
    content = response.content
    if accepted and challenge is None:
        start = content.read_nowait(RESPONSE_KEPT)
    else:
        start = await _read_start(content)
    head = "\n".join(
        _printable(f"{name}: {value}") for name, value in response.headers.items() if name.lower() != "set-cookie"
    )
    body = _printable(start.decode("utf-8", errors="replace"))
    kept = Answer(
        status=response.status,
        head=without_values(head, own)[:RESPONSE_KEPT],
        body=without_values(body, own)[:RESPONSE_KEPT].strip() or None,
    )
    if accepted and challenge is not None and not verification.repeats_challenge(start, challenge):
        return replace(kept, error=verification.WRONG_RESPONSE)
    if accepted:
        return kept
    asks = response.status in ASKS_TO_WAIT
    wait = requested_wait(response.headers.get("Retry-After"), clock.now()) if asks else None
    return replace(kept, error=f"HTTP {response.status}", requested_wait=wait)


async def _read_start(content: aiohttp.StreamReader) -> bytes:
    """Return the first bytes of a body, which may come in several parts."""
    start = b""
    while len(start) < RESPONSE_KEPT and (part := await content.read(RESPONSE_KEPT - len(start))):
        start += part
    return start


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
