"""Encode the messages of a stream as server-sent events."""

from datetime import UTC, datetime
from uuid import UUID

from fastapi.sse import format_sse_event

from services.webhooks.feed.positions import format_position
from services.webhooks.schemas.events import FeedEvent
from services.webhooks.schemas.stream import StreamEnded, StreamEndReason, StreamOpened
from shared.contracts.appeal_events import AppealOpened
from shared.tables.common import Event

_DETAILS = {
    StreamEndReason.TOKEN_EXPIRED: "The access token has expired: get a new one and open the stream again",
    StreamEndReason.ACCESS_CHANGED: "Your access was changed or removed: sign in again",
    StreamEndReason.UNAVAILABLE: "Events cannot be read now: open the stream again in a moment",
    StreamEndReason.SHUTDOWN: "The server is shutting down: open the stream again",
}


def event_frame(event: Event) -> bytes:
    """Return the message of a numbered event: its feed position, its type, and the event as in the feed."""
    return _frame(FeedEvent.of_row(event))


def _frame(shown: FeedEvent) -> bytes:
    return format_sse_event(data_str=shown.model_dump_json(), event=shown.type, id=shown.position)


def example_event() -> FeedEvent:
    """Return an example of an event, for documentation."""
    # Without texts that need masking: masking would load a dictionary of names, which takes 25 MB.
    return FeedEvent(
        id=UUID("0198f3a0-9a11-7c52-8d6e-3f0a5f1b2c3d"),
        position=format_position(43),
        type=AppealOpened.event_type,
        subject_id=UUID("0198f3a0-3333-7000-8000-000000000004"),
        organisation_id=UUID("0198f3a0-0000-7000-8000-000000000001"),
        occurred_at=datetime(2026, 11, 23, 2, 0, 4, tzinfo=UTC),
        data=dict(AppealOpened.example),
    )


def example() -> str:
    """Return an example of a stream, for the documentation."""
    messages = (
        opened_frame(42, retry_ms=3_000),
        _frame(example_event()),
        heartbeat_frame(45),
        ended_frame(StreamEndReason.TOKEN_EXPIRED),
    )
    return b"".join(messages).decode()


def opened_frame(position: int, retry_ms: int) -> bytes:
    """Return the first message of a stream of the events after `position`.

    A disconnected client waits `retry_ms` milliseconds before it opens the stream again.
    """
    shown = StreamOpened(position=format_position(position))
    return format_sse_event(
        data_str=shown.model_dump_json(),
        event="stream.opened",
        id=shown.position,
        retry=retry_ms,
    )


def heartbeat_frame(position: int) -> bytes:
    """Return a comment with the position that was reached; a client that reconnects continues from there."""
    return format_sse_event(comment="heartbeat", id=format_position(position))


def ended_frame(reason: StreamEndReason, detail: str | None = None, next_after: str | None = None) -> bytes:
    """Return the last message of a stream that the server ends."""
    shown = StreamEnded(reason=reason, detail=detail or _DETAILS[reason], next_after=next_after)
    return format_sse_event(data_str=shown.model_dump_json(exclude_none=True), event="stream.ended")
