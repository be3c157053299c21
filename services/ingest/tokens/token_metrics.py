"""Token metrics for Prometheus, and the event that a token's state changed."""

from collections import Counter as Tally
from collections.abc import Iterable
from uuid import UUID

from prometheus_client import Gauge

from shared.contracts.ingest_events import NetworkTokenStateChanged
from shared.events.outbox import NewEvent

ACTOR = "ingest"

TOKENS = Gauge("gospablik_network_tokens", "Tokens by state", ["network", "kind", "state"])
BUDGET_LEFT = Gauge(
    "gospablik_calls_remaining", "Calls left of the network's day, over all tokens", ["network", "method"]
)


def token_state_event(
    token_id: UUID,
    *,
    network: str,
    kind: str,
    page_id: UUID | None,
    organisation_id: UUID | None,
    state: str,
    reason: str | None,
    actor: str = ACTOR,
    method: str | None = None,
) -> NewEvent:
    """Return the event that a token's state changed; with `method`, the state applies only to this method."""
    return NewEvent(
        data=NetworkTokenStateChanged(
            network=network,
            kind=kind,
            page_id=page_id,
            state=state,
            reason=reason,
            method=method,
        ),
        subject_id=token_id,
        organisation_id=organisation_id,
        actor=actor,
    )


def set_token_gauge(tokens: Iterable[tuple[str, str, str]]) -> None:
    """Set the gauge of tokens by (network, kind, state)."""
    TOKENS.clear()
    for (network, kind, state), count in Tally(tokens).items():
        TOKENS.labels(network, kind, state).set(count)


def set_calls_left_gauge(network: str, method: str, left: int) -> None:
    """Set the gauge of calls left in the network's day."""
    BUDGET_LEFT.labels(network, method).set(left)
