"""The registry's pages and the tokens that may be used now: a snapshot, renewed every few seconds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from cryptography.fernet import InvalidToken
from sqlalchemy import func, select, update

from services.ingest.networks.port import Credential, PageRef, TokenKind, TokenState
from services.ingest.secrecy import decrypt
from shared import clock
from shared.database import Database
from shared.logs import logger
from shared.tables.ingest import NetworkToken
from shared.tables.registry import Page

log = logger(__name__)


@dataclass
class _Token:
    credential: Credential
    state: str
    limited_until: datetime | None
    updated_at: datetime
    methods: dict[str, datetime] = field(default_factory=dict)

    def usable(self, method: str | None, now: datetime) -> bool:
        if self.state == TokenState.LIMITED:
            return self.limited_until is not None and self.limited_until <= now
        until = self.methods.get(method or "")
        return self.state == TokenState.HEALTHY and (until is None or until <= now)


class AccountBook:
    """Implements `networks.port.Accounts` over the tables of registry and ingest."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pages: dict[tuple[str, str], PageRef] = {}
        self._tokens: dict[UUID, _Token] = {}

    async def refresh(self) -> None:
        """Read pages and tokens again; what could not be decrypted is logged and left out."""
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
            tokens = list(await session.scalars(select(NetworkToken).order_by(NetworkToken.created_at.desc())))
        self._pages = found
        known, self._tokens = self._tokens, {}
        for row in tokens:
            before = known.get(row.id)
            if before is not None and before.updated_at == row.updated_at:
                self._tokens[row.id] = before
                continue
            try:
                self._tokens[row.id] = _token(row)
            except (InvalidToken, ValueError, KeyError) as error:
                log.warning("token cannot be read", token_id=str(row.id), error=type(error).__name__)

    def pages(self, network: str) -> Sequence[PageRef]:
        """Active pages of a network."""
        return [page for page in self._pages.values() if page.network == network]

    def page(self, network: str, external_id: str) -> PageRef | None:
        """An active page by the network's own id."""
        return self._pages.get((network, external_id))

    def credentials(self, network: str, kind: TokenKind, *, method: str | None = None) -> list[Credential]:
        """All usable tokens of a kind, newest first."""
        now = clock.now()
        return [
            token.credential
            for token in self._tokens.values()
            if token.credential.network == network and token.credential.kind == kind and token.usable(method, now)
        ]

    def credential(
        self, network: str, kind: TokenKind, page_id: UUID | None = None, *, method: str | None = None
    ) -> Credential | None:
        """A usable token, None when there is none. With `page_id`, the page's own or one of no page."""
        usable = self.credentials(network, kind, method=method)
        own = [one for one in usable if page_id is not None and one.page_id == page_id]
        common = [one for one in usable if one.page_id is None]
        return next(iter(own or common), None)

    async def trouble(
        self,
        credential: Credential,
        state: TokenState,
        reason: str,
        *,
        seconds: float | None = None,
        method: str | None = None,
    ) -> None:
        """The network refused the token. With `method`, for this method alone and `seconds` long."""
        now = clock.now()
        until = None if seconds is None else now + timedelta(seconds=seconds)
        token = self._tokens.get(credential.id)
        log.warning("token in trouble", token_id=str(credential.id), state=state, reason=reason, method=method)
        changes: dict[str, Any] = {"reason": reason, "updated_at": now}
        if method is not None and until is not None:
            limited = func.coalesce(NetworkToken.usage["limited"], func.jsonb_build_object())
            changes["usage"] = NetworkToken.usage.concat(
                func.jsonb_build_object("limited", limited.op("||")(func.jsonb_build_object(method, str(until))))
            )
        else:
            changes |= {"state": state.value, "limited_until": until}
        try:
            async with self._database.write() as session:
                await session.execute(
                    update(NetworkToken).where(NetworkToken.id == credential.id).values(**changes)
                )
        finally:
            # Last: the supervisor ends the ways of a token it sees dead, this very call among them.
            if token is not None and method is not None and until is not None:
                token.methods[method] = until
            elif token is not None:
                token.state, token.limited_until = state, until


def _token(row: NetworkToken) -> _Token:
    secret = decrypt(row.secret)
    limited: dict[str, str] = row.usage.get("limited", {})
    return _Token(
        credential=Credential(
            id=row.id,
            network=row.network,
            kind=TokenKind(row.kind),
            page_id=row.page_id,
            token=secret["token"],
            application_key=secret.get("application_key"),
            application_secret_key=secret.get("application_secret_key"),
            session_secret_key=secret.get("session_secret_key"),
        ),
        state=row.state,
        limited_until=row.limited_until,
        updated_at=row.updated_at,
        methods={method: datetime.fromisoformat(until) for method, until in limited.items()},
    )
