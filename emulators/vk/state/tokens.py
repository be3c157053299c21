"""Tokens of the emulated VK, and the check that a method may be called with a kind of token."""

import secrets
from dataclasses import dataclass

from emulators.common.network_protocol import TokenKind
from emulators.common.store import EmulatorStore, Row
from emulators.vk.errors import vk_error
from emulators.vk.state.people import STAFF_ID


@dataclass(frozen=True)
class Token:
    """A valid token: of a community (`page`), of a person (`user_id`) or of an application."""

    token: str
    kind: TokenKind
    page: int | None
    user_id: int | None

    def manages(self, page: int) -> bool:
        """Return whether the token may act for the community: its own, or a community its person administers."""
        return self.page == page or (self.kind == "user" and self.page is None)


class TokenStore:
    """All tokens, including revoked tokens."""

    def __init__(self, store: EmulatorStore) -> None:
        self._store = store

    def create(self, kind: TokenKind, page: int | None = None) -> Token:
        """Create a token; a user token without a page belongs to the administrator of all pages."""
        token = f"vk1.a.{secrets.token_urlsafe(48)}"
        user = STAFF_ID if kind == "user" else None
        self._store.execute(
            "INSERT INTO tokens (token, kind, page, user_id) VALUES (?, ?, ?, ?)", (token, kind, page, user)
        )
        return Token(token, kind, page, user)

    def revoke(self, token: str) -> bool:
        """Revoke a token; return False if it does not exist."""
        return self._store.update("UPDATE tokens SET revoked = 1 WHERE token = ?", (token,)) > 0

    def active(self) -> list[Token]:
        """Return the active tokens, oldest first."""
        rows = self._store.all("SELECT * FROM tokens WHERE NOT revoked ORDER BY rowid")
        return [_token(row) for row in rows]

    def authorise(self, token: str | None) -> Token:
        """Return the token of a call; raises error 5 for a wrong or revoked token."""
        if not token:
            raise vk_error(5, "no access_token passed.")
        row = self._store.one("SELECT * FROM tokens WHERE token = ? AND NOT revoked", (token,))
        if row is None:
            raise vk_error(5, "invalid access_token (4).")
        return _token(row)


def check_kind(token: Token, kinds: frozenset[TokenKind]) -> None:
    """Raise error 27 or 28 if the method does not accept this kind of token."""
    if token.kind in kinds:
        return
    if token.kind == "group":
        raise vk_error(27, "method is unavailable with group auth.")
    if token.kind == "service":
        raise vk_error(28, "method is unavailable with service token.")
    raise vk_error(27, "method is available only with group auth.")


def _token(row: Row) -> Token:
    return Token(row["token"], row["kind"], row["page"], row["user_id"])
