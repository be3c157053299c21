"""How tokens and calls look from outside: an event when a token's state changes, and figures for Prometheus."""

import time
from collections import Counter as Tally
from collections.abc import Iterable
from uuid import UUID

from prometheus_client import Counter, Gauge, Histogram

from shared.events.outbox import NewEvent

STATE_CHANGED = "token.state_changed"
ACTOR = "ingest"

TOKENS = Gauge("gospablik_tokens", "Credentials by state", ["network", "kind", "state"])
BUDGET_LEFT = Gauge(
    "gospablik_calls_left", "Calls left of the network's day, over all tokens", ["network", "method"]
)
CALLS = Counter("gospablik_network_calls_total", "Calls to networks", ["network", "method", "outcome"])
CALL_SECONDS = Histogram("gospablik_network_call_seconds", "Time until the network answered", ["network"])
EXPECTED_DELAY = Gauge("gospablik_poll_expected_delay_seconds", "How long an average message waits", ["way"])
POLLS_LEFT = Gauge("gospablik_polls_left", "Polls left of today's budget", ["way"])
CEILING_KEPT = Gauge(
    "gospablik_poll_ceiling_kept", "1 while the budget keeps every page below the ceiling", ["way"]
)


def show_expected(way: str, delay_seconds: float, polls_left: int, *, ceiling_kept: bool) -> None:
    """Set the gauges of a way's schedule."""
    EXPECTED_DELAY.labels(way).set(delay_seconds)
    POLLS_LEFT.labels(way).set(polls_left)
    CEILING_KEPT.labels(way).set(ceiling_kept)


def state_changed(
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
    """A credential is in another state: who runs the system must know. With `method`, it rests for this alone."""
    return NewEvent(
        type=STATE_CHANGED,
        subject_id=token_id,
        organisation_id=organisation_id,
        actor=actor,
        data={
            "token_id": str(token_id),
            "network": network,
            "kind": kind,
            "page_id": str(page_id) if page_id else None,
            "state": state,
            "reason": reason,
            "method": method,
        },
    )


def show_tokens(tokens: Iterable[tuple[str, str, str]]) -> None:
    """Set the gauge of credentials by (network, kind, state)."""
    TOKENS.clear()
    for (network, kind, state), count in Tally(tokens).items():
        TOKENS.labels(network, kind, state).set(count)


def show_budget(network: str, method: str, left: int) -> None:
    """Set the gauge of calls left."""
    BUDGET_LEFT.labels(network, method).set(left)


def count_call(network: str, method: str, outcome: str, started: float) -> None:
    """A call to a network ended; `started` by `time.perf_counter`."""
    CALLS.labels(network, method, outcome).inc()
    CALL_SECONDS.labels(network).observe(time.perf_counter() - started)
