"""State of one token in this process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.ingest.networks.port import Credential, TokenKind, TokenState
from services.ingest.tokens.crypto import decrypt
from shared.supervision import Backoff
from shared.tables.ingest import NetworkToken


@dataclass
class PooledToken:
    """A token with its state in this process and the challenge solution to add to its calls."""

    credential: Credential
    state: str
    limited_until: datetime | None
    updated_at: datetime
    limited_methods: dict[str, datetime] = field(default_factory=dict)
    # The solution of a challenge, sent with every call until a call of the challenged method succeeds.
    solution: Mapping[str, str] = field(default_factory=dict, repr=False)
    solution_for: str | None = None
    failures: dict[str, int] = field(default_factory=dict)
    last_use: int = 0
    used_at: datetime | None = None
    unsaved_failures: int = 0

    def usable(self, method: str | None, now: datetime) -> bool:
        """Return whether the token is usable for a method or, without one, in general."""
        if self.state == TokenState.LIMITED:
            if self.limited_until is None or self.limited_until > now:
                return False
        elif self.state != TokenState.HEALTHY:
            return False
        until = self.limited_methods.get(method or "")
        return until is None or until <= now

    def next_pause(self, method: str, seconds: float, longest: float | None) -> float:
        """Return the next pause in seconds: doubled each time, reset by a successful call."""
        strikes = self.failures[method] = self.failures.get(method, 0) + 1
        return Backoff(seconds, longest or seconds).delay(strikes)

    def disable(self, state: TokenState, until: datetime | None, method: str | None) -> None:
        """Disable the token for `method` until `until`; without a method or an end, for all methods."""
        if method is not None and until is not None:
            self.limited_methods[method] = until
        else:
            self.state, self.limited_until, self.solution = state.value, until, {}


def read_token(row: NetworkToken, before: PooledToken | None) -> PooledToken:
    """Return the pooled token of a row, with the in-memory state of `before`.

    Raises `cryptography.fernet.InvalidToken`, `ValueError` or `KeyError` if the secret cannot be decrypted.
    """
    secret = decrypt(row.secret)
    return PooledToken(
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
        limited_methods={method: datetime.fromisoformat(until) for method, until in row.limited_methods.items()},
        solution=secret.get("solution") or {},
        solution_for=(row.challenge or {}).get("method"),
        failures=before.failures if before is not None else {},
        last_use=before.last_use if before is not None else 0,
        used_at=before.used_at if before is not None else None,
    )
