"""Snapshot of the active pages and usable tokens, reloaded every few seconds."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import asyncpg
from cryptography.fernet import InvalidToken
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from services.ingest.networks.port import Credential, PageRef, TokenKind, TokenState
from services.ingest.networks.sanitize import json_without_nul, without_nul
from services.ingest.polling.call_budget import CallBudget
from services.ingest.settings import IngestSettings, ingest_settings
from services.ingest.tokens import token_metrics
from services.ingest.tokens.call_pacing import CallPacer
from services.ingest.tokens.pooled_token import PooledToken, read_token
from services.ingest.tokens.token_states import TokenFailure, clear_challenge, expire_limits, save_failure
from shared import clock
from shared.database.outages import is_outage
from shared.database.sessions import Database
from shared.logs import get_logger
from shared.tables.ingest import NetworkToken
from shared.tables.registry import Page

log = get_logger(__name__)

CLEANUP_INTERVAL = timedelta(hours=1)
_PAGES = select(Page.id, Page.organisation_id, Page.network, Page.external_id, Page.go_live_at).where(Page.active)
_VERSIONS = select(NetworkToken.id, NetworkToken.updated_at).order_by(NetworkToken.created_at.desc())
# Caught after a call: a database error must not change its outcome; the next refresh retries.
DATABASE_ERRORS = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class DatabaseTokenPool:
    """Implements `networks.port.TokenPool` with the tables of registry and ingest."""

    def __init__(self, database: Database, settings: IngestSettings | None = None) -> None:
        self._database = database
        self._settings = settings or ingest_settings()
        self.budget = CallBudget(database, self._settings)
        self._pacer = CallPacer(database)
        self._pages: dict[tuple[str, str], PageRef] = {}
        self._tokens: dict[UUID, PooledToken] = {}
        # Indexed by network, kind and page: 2,000 pages each select a token many times a minute.
        self._by_page: dict[tuple[str, TokenKind, UUID | None], list[PooledToken]] = {}
        self._use_order = count(1)
        self._unsaved: list[TokenFailure] = []
        self._saving: set[asyncio.Task[None]] = set()
        self._swept = clock.now()

    async def refresh(self) -> None:
        """Reload pages and tokens; tokens that cannot be decrypted are logged and left out."""
        await self._save_left_over()
        await expire_limits(self._database)
        async with self._database.read() as session:
            pages = await session.execute(_PAGES)
            found = {(row.network, row.external_id): PageRef.of(row) for row in pages}
            versions = [(row.id, row.updated_at) for row in await session.execute(_VERSIONS)]
            changed = [token_id for token_id, updated_at in versions if not self._is_current(token_id, updated_at)]
            rows = {}
            if changed:
                read = select(NetworkToken).where(NetworkToken.id.in_(changed))
                rows = {row.id: row for row in await session.scalars(read)}
        self._pages = found
        self._tokens = dict(self._renewed([token_id for token_id, _ in versions], rows))
        self._by_page = defaultdict(list)
        for token in self._tokens.values():
            self._by_page[token.credential.network, token.credential.kind, token.credential.page_id].append(token)
        await self.budget.refresh()
        self._update_metrics()
        if clock.now() - self._swept > CLEANUP_INTERVAL:
            self._swept = clock.now()
            await self.budget.delete_expired()

    def _is_current(self, token_id: UUID, updated_at: datetime) -> bool:
        before = self._tokens.get(token_id)
        # Failures that this process has not saved yet are newer than the row.
        return before is not None and bool(before.unsaved_failures or before.updated_at == updated_at)

    def _renewed(
        self, token_ids: Sequence[UUID], changed: Mapping[UUID, NetworkToken]
    ) -> Iterator[tuple[UUID, PooledToken]]:
        for token_id in token_ids:
            before, row = self._tokens.get(token_id), changed.get(token_id)
            # A failure may have been recorded while the row was read.
            if before is not None and (row is None or before.unsaved_failures):
                yield token_id, before
            elif row is not None:
                try:
                    yield token_id, read_token(row, before)
                except (InvalidToken, ValueError, KeyError) as error:
                    log.warning("token could not be decrypted", token_id=str(token_id), error=type(error).__name__)

    def _update_metrics(self) -> None:
        tokens = self._tokens.values()
        token_metrics.set_token_gauge(
            (one.credential.network, one.credential.kind.value, one.state) for one in tokens
        )
        for network in {one.credential.network for one in tokens}:
            for method in self._settings.calls_per_day(network):
                if (left := self.calls_left(network, method)) is not None:
                    token_metrics.set_calls_left_gauge(network, method, left)

    def pages(self, network: str) -> Sequence[PageRef]:
        """Return the active pages of a network."""
        return [page for page in self._pages.values() if page.network == network]

    def page(self, network: str, external_id: str) -> PageRef | None:
        """Return an active page by the network's own id, or None."""
        return self._pages.get((network, external_id))

    def select(
        self, network: str, kind: TokenKind, page_id: UUID | None = None, *, method: str | None = None
    ) -> Credential | None:
        """Return the least recently used usable token with calls left for `method`, or None.

        With `page_id`, a token of this page or one that belongs to no page.
        """
        own = self._usable(network, kind, page_id, method) if page_id is not None else None
        chosen = own or self._usable(network, kind, None, method)
        if chosen is None:
            return None
        if method is not None:
            chosen.last_use = next(self._use_order)
        return chosen.credential

    def _usable(
        self, network: str, kind: TokenKind, page_id: UUID | None, method: str | None
    ) -> PooledToken | None:
        now = clock.now()
        usable = (
            one
            for one in self._by_page.get((network, kind, page_id), ())
            if one.usable(method, now)
            and not (method and self.budget.is_exhausted(one.credential.id, network, method, now))
        )
        return min(usable, key=lambda one: one.last_use, default=None)

    def tokens(self, network: str, kind: TokenKind, page_id: UUID | None = None) -> Sequence[Credential]:
        """Return the tokens among which `select` chooses, in any state."""
        return [
            one.credential for owner in {page_id, None} for one in self._by_page.get((network, kind, owner), ())
        ]

    def idle_tokens(self, network: str, seconds: float) -> Sequence[Credential]:
        """Return usable tokens of a network that no call of this process has used for this long."""
        now = clock.now()
        since = now - timedelta(seconds=seconds)
        return [
            one.credential
            for one in self._tokens.values()
            if one.credential.network == network
            and one.usable(None, now)
            and (one.used_at is None or one.used_at <= since)
        ]

    def calls_left(self, network: str, method: str) -> int | None:
        """Return the calls of a method left in the network's day, over all usable tokens; None: no limit."""
        if self.budget.limit(network, method) is None:
            return None
        return sum(
            self.budget.calls_left(one.credential.id, network, method) or 0 for one in self._able(network, method)
        )

    def daily_call_limit(self, network: str, method: str) -> float | None:
        """Return how many calls of a method all usable shared tokens may make in 24 hours; None: no limit.

        A valid token counts even if it has no calls left today.
        """
        limit = self.budget.limit(network, method)
        if limit is None:
            return None
        days = 86_400 / self._settings.call_budget_window_seconds
        return len(self._able(network, method)) * limit * days

    def _able(self, network: str, method: str) -> list[PooledToken]:
        now = clock.now()
        kinds = {TokenKind.SERVICE, TokenKind.USER}
        return [
            one
            for one in self._tokens.values()
            if one.credential.network == network and one.credential.kind in kinds and one.usable(None, now)
        ]

    async def wait_for_turn(self, credential: Credential, calls_per_second: float) -> None:
        """Wait until the token may make its next call; calls of all processes are evenly spaced."""
        await self._pacer.wait_for_turn(credential.id, calls_per_second)

    async def begin_call(self, credential: Credential, method: str) -> Mapping[str, str] | None:
        """Reserve a call right before it is made; return None if the token may no longer make it.

        Otherwise return parameters to add to the call: the solution of a challenge, if there is one.
        """
        if not await self.budget.reserve_call(credential.id, credential.network, method):
            return None
        token, now = self._tokens.get(credential.id), clock.now()
        if token is None or not token.usable(method, now):
            return None
        token.used_at = now
        return token.solution

    async def record_success(self, credential: Credential, method: str) -> None:
        """Record a successful call: it ends a solved challenge and resets growing pauses."""
        token = self._tokens.get(credential.id)
        if token is None:
            return
        token.failures.pop(method, None)
        if token.solution and token.solution_for in {None, method}:
            token.solution = {}
            try:
                await clear_challenge(self._database, credential.id)
            except DATABASE_ERRORS as error:  # not raised: the call itself succeeded
                log.warning("solved challenge not cleared", error=type(error).__name__)

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
        now = clock.now()
        token = self._tokens.get(credential.id)
        if token is None or not token.usable(method, now):
            return  # the token was deleted meanwhile, or another call reported its failure
        until = None
        if pause_seconds is not None:
            until = now + timedelta(seconds=token.next_pause(method or "", pause_seconds, max_pause_seconds))
        token.disable(state, until, method)
        log.warning(
            "token rejected by the network",
            token_id=str(credential.id),
            state=state.value,
            reason=reason,
            method=method,
        )
        cleaned = json_without_nul(dict(challenge)) if challenge else None
        failure = TokenFailure(credential.id, state, without_nul(reason), until, method, cleaned)
        token.unsaved_failures += 1
        # A separate task: the supervisor may cancel the calling loop once the token is unusable.
        task = asyncio.create_task(self._save(failure))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)
        await asyncio.shield(task)

    async def _save(self, failure: TokenFailure) -> None:
        try:
            await save_failure(self._database, failure)
        except DATABASE_ERRORS as error:
            self._unsaved.append(failure)
            log.warning("token failure not stored yet", error=type(error).__name__)
        else:
            self._saved(failure)

    async def _save_left_over(self) -> None:
        while self._unsaved:
            failure = self._unsaved[0]
            try:
                await save_failure(self._database, failure)
            except DATABASE_ERRORS as error:
                if is_outage(error):
                    raise
                # The refresh of all tokens must not stop at a failure that can never be stored.
                log.exception("token failure cannot be stored", token_id=str(failure.token_id))
            self._unsaved.pop(0)
            self._saved(failure)

    def _saved(self, failure: TokenFailure) -> None:
        if (token := self._tokens.get(failure.token_id)) is not None:
            token.unsaved_failures = max(token.unsaved_failures - 1, 0)
