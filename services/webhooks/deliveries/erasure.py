"""Erase the texts of a citizen in stored deliveries, sent or not."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import case, select, update

from services.webhooks.deliveries.fanout import CONSUMER
from shared.api.idempotency import delete_responses_about
from shared.audit import recorder
from shared.contracts.erasures import ERASED_TEXT
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.tables.common import Event
from shared.tables.webhooks import WebhookAttempt, WebhookDelivery, WebhooksConsumerOffset, WebhooksIdempotency

# Fields of deliveries that the erasure of an event replaces (function `erase_events` in the database).
ERASED_FIELDS = frozenset({"url", "reply_url", "reason", "external_ids", "thread_key", "author_key", "reply_to"})


async def erase_deliveries(session: WriteSession, subject_ids: Sequence[UUID]) -> int:
    """Erase texts, fields erased in the events, and responses in deliveries; return the number of deliveries.

    Waits until the fan-out has finished its current batch of events. Idempotent.
    """
    await session.execute(
        select(WebhooksConsumerOffset.position)
        .where(WebhooksConsumerOffset.consumer == CONSUMER)
        .with_for_update()
    )
    rows = await session.execute(
        select(WebhookDelivery, Event.data)
        .join(Event, Event.id == WebhookDelivery.event_id)
        .where(Event.subject_id.in_(subject_ids))
        .order_by(WebhookDelivery.id)
        .with_for_update(of=WebhookDelivery)
    )
    erased = [
        {
            "id": delivery.id,
            "payload": _without_words(delivery.payload, event_data),
            "last_error": None,
            # The result of an attempt that is under way is not stored: the response may repeat the erased text.
            "last_attempt_at": None,
        }
        for delivery, event_data in rows.all()
    ]
    if erased:
        await session.execute(update(WebhookDelivery), erased)
        await session.execute(
            update(WebhookAttempt)
            .where(is_one_of(WebhookAttempt.delivery_id, [row["id"] for row in erased]))
            .values(
                response_head=None,
                response_body=None,
                error=case((WebhookAttempt.error.is_not(None), ERASED_TEXT)),
            )
            .execution_options(synchronize_session=False)
        )
    await recorder.record(session, WebhookDelivery)
    await recorder.record_action(session, WebhookDelivery.__tablename__, *(str(row["id"]) for row in erased))
    await delete_responses_about(session, WebhooksIdempotency, subject_ids)
    return len(erased)


def _without_words(payload: dict[str, Any], erased: dict[str, Any]) -> dict[str, Any]:
    data = {
        name: erased.get(name, value) if name in ERASED_FIELDS else value
        for name, value in payload["data"].items()
    }
    if "text" in data:
        data["text"] = ""
    return payload | {"data": data}
