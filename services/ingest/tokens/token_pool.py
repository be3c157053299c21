"""The registry's pages and the tokens that may be used now: a snapshot, renewed every few seconds."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

import asyncpg
from cryptography.fernet import InvalidToken
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from services.ingest.networks.port import Credential, PageRef, TokenKind, TokenState
from services.ingest.polling.call_budget import CallBudget
from services.ingest.settings import IngestSettings, ingest_settings
from services.ingest.tokens import token_metrics
from services.ingest.tokens.pooled_token import PooledToken, read_token
from services.ingest.tokens.token_states import TokenFailure, clear_challenge, expire_limits, save_failure
from shared import clock
from shared.database.sessions import Database
from shared.logs import logger
from shared.tables.ingest import NetworkToken
from shared.tables.registry import Page

log = logger(__name__)

CLEANUP_INTERVAL = timedelta(hours=1)
# What must not turn a call's outcome into another: the database is away, and the next refresh goes on.
DATABASE_ERRORS = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class DatabaseTokenPool:
    """Implements `networks.port.Accounts` over the tables of registry and ingest."""

    def __init__(self, database: Database, settings: IngestSettings | None = None) -> None:
        self._database = database
        self._settings = settings or ingest_settings()
        self.budget = CallBudget(database, self._settings)
        self._pages: dict[tuple[str, str], PageRef] = {}
        self._tokens: dict[UUID, PooledToken] = {}
        # By network, kind and page: 2,000 pages each ask many times a minute.
        self._by_page: dict[tuple[str, TokenKind, UUID | None], list[PooledToken]] = {}
        self._use_order = count(1)
        self._unsaved: list[TokenFailure] = []
        self._saving: set[asyncio.Task[None]] = set()
        self._swept = clock.now()

    async def refresh(self) -> None:
        """Read pages and tokens again; what could not be decrypted is logged and left out."""
        await self._save_left_over()
        await expire_limits(self._database)
        async with self._database.read() as session:
            pages = await session.execute(
                select(Page.id, Page.organisation_id, Page.network, Page.external_id, Page.live_from).where(
                    Page.active
                )
            )
            found = {
                (row.network, row.external_id): PageRef(
                    id=row.id,
                    organisation_id=row.organisation_id,
                    network=row.network,
                    external_id=row.external_id,
                    live_from=row.live_from,
                )
                for row in pages
            }
            rows = list(await session.scalars(select(NetworkToken).order_by(NetworkToken.created_at.desc())))
        self._pages = found
        self._tokens = dict(self._renewed(rows))
        self._by_page = defaultdict(list)
        for token in self._tokens.values():
            self._by_page[token.credential.network, token.credential.kind, token.credential.page_id].append(token)
        await self.budget.refresh()
        self._update_metrics()
        if clock.now() - self._swept > CLEANUP_INTERVAL:
            self._swept = clock.now()
            await self.budget.delete_expired()

    def _renewed(self, rows: Sequence[NetworkToken]) -> Iterator[tuple[UUID, PooledToken]]:
        for row in rows:
            before = self._tokens.get(row.id)
            # What this process has just seen of a token is younger than the row.
            if before is not None and (before.unsaved_failures or before.updated_at == row.updated_at):
                yield row.id, before
                continue
            try:
                yield row.id, read_token(row, before)
            except (InvalidToken, ValueError, KeyError) as error:
                log.warning("token cannot be read", token_id=str(row.id), error=type(error).__name__)

    def _update_metrics(self) -> None:
        tokens = self._tokens.values()
        token_metrics.set_token_gauge(
            (one.credential.network, one.credential.kind.value, one.state) for one in tokens
        )
        for network in {one.credential.network for one in tokens}:
            for method in self._settings.calls_a_day(network):
                if (left := self.calls_left(network, method)) is not None:
                    token_metrics.set_calls_left_gauge(network, method, left)

    def pages(self, network: str) -> Sequence[PageRef]:
        """Active pages of a network."""
        return [page for page in self._pages.values() if page.network == network]

    def page(self, network: str, external_id: str) -> PageRef | None:
        """An active page by the network's own id."""
        return self._pages.get((network, external_id))

    def select(
        self, network: str, kind: TokenKind, page_id: UUID | None = None, *, method: str | None = None
    ) -> Credential | None:
        """A usable token, None when there is none: the least lately used, whose budget for `method` is not spent.

        With `page_id`, the page's own or one of no page.
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

    def idle_tokens(self, network: str, seconds: float) -> Sequence[Credential]:
        """Usable tokens of a network that no call of this process has used for so long."""
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
        """Calls of a method left of the network's day, over all usable tokens; None: no limit."""
        if self.budget.limit(network, method) is None:
            return None
        return sum(
            self.budget.calls_left(one.credential.id, network, method) or 0 for one in self._able(network, method)
        )

    def daily_call_limit(self, network: str, method: str) -> float | None:
        """How many calls of a method all tokens together may make in 24 hours; None: no limit.

        A token counts while it is alive, even when its calls of today are spent.
        """
        limit = self.budget.limit(network, method)
        if limit is None:
            return None
        days = 86_400 / self._settings.network_day_seconds
        return len(self._able(network, method)) * limit * days

    def _able(self, network: str, method: str) -> list[PooledToken]:
        now = clock.now()
        kinds = {TokenKind.SERVICE, TokenKind.USER}
        return [
            one
            for one in self._tokens.values()
            if one.credential.network == network and one.credential.kind in kinds and one.usable(None, now)
        ]

    async def begin_call(self, credential: Credential, method: str) -> Mapping[str, str] | None:
        """Right before a call: None when the token may not be used for it any more, or its budget is spent.

        Otherwise what the call has to carry beside its own parameters: the solution of a challenge.
        """
        if not await self.budget.reserve_call(credential.id, credential.network, method):
            return None
        token, now = self._tokens.get(credential.id), clock.now()
        if token is None or not token.usable(method, now):
            return None
        token.used_at = now
        return token.solution

    async def record_success(self, credential: Credential, method: str) -> None:
        """The network took the call: a solved challenge is over, and so are growing pauses."""
        token = self._tokens.get(credential.id)
        if token is None:
            return
        token.failures.pop(method, None)
        if token.solution and token.solution_for in {None, method}:
            token.solution = {}
            try:
                await clear_challenge(self._database, credential.id)
            except DATABASE_ERRORS as error:  # the call went well all the same
                log.warning("a solved challenge is still shown", error=type(error).__name__)

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
        now = clock.now()
        token = self._tokens.get(credential.id)
        if token is None or not token.usable(method, now):
            return  # gone meanwhile, or another call was told the same
        until = None
        if pause_seconds is not None:
            until = now + timedelta(seconds=token.next_pause(method or "", pause_seconds, max_pause_seconds))
        token.disable(state, until, method)
        log.warning(
            "token in trouble", token_id=str(credential.id), state=state.value, reason=reason, method=method
        )
        trouble = TokenFailure(credential.id, state, reason, until, method, dict(challenge) if challenge else None)
        token.unsaved_failures += 1
        # On its own: the supervisor ends the ways of a token it sees dead, this very call among them.
        task = asyncio.create_task(self._save(trouble))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)
        await asyncio.shield(task)

    async def _save(self, trouble: TokenFailure) -> None:
        try:
            await save_failure(self._database, trouble)
        except DATABASE_ERRORS as error:
            self._unsaved.append(trouble)
            log.warning("a token's trouble is not saved yet", error=type(error).__name__)
        else:
            self._saved(trouble)

    async def _save_left_over(self) -> None:
        while self._unsaved:
            trouble = self._unsaved[0]
            await save_failure(self._database, trouble)
            self._unsaved.pop(0)
            self._saved(trouble)

    def _saved(self, trouble: TokenFailure) -> None:
        if (token := self._tokens.get(trouble.token_id)) is not None:
            token.unsaved_failures = max(token.unsaved_failures - 1, 0)
