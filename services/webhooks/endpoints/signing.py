"""Signatures of deliveries by Standard Webhooks."""

from datetime import UTC, datetime
from uuid import UUID

from standardwebhooks import Webhook


def signed_headers(event_id: UUID, body: str, keys: list[str]) -> dict[str, str]:
    """Return the headers of one attempt: the id is the same in all attempts, time and signature are new.

    The time is from the system clock, not from the adjustable `shared.clock`: receivers compare it with their
    clock.
    """
    moment = datetime.now(UTC)
    return {
        "webhook-id": str(event_id),
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(str(event_id), moment, body) for key in keys),
    }
