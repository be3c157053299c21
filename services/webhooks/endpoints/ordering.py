"""Order of deliveries: an ordered endpoint gets the events of one subject one after another.

A claim takes the pending delivery of a subject with the lowest position. Those behind it that are due wait: their
`next_attempt_at` becomes infinity, so that later claims do not read them again and again. Code that ends a
delivery makes the first waiting one of its subject due. So while any delivery of a subject waits, another one is
pending that does not wait.
"""

from collections.abc import Sequence
from datetime import MAXYEAR
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, func, text, update

from services.webhooks.endpoints import claim_turns
from shared.audit import recorder
from shared.contracts.appeal_events import AlertRaised
from shared.database.sessions import WriteSession
from shared.tables.common import Event
from shared.tables.webhooks import WebhookDelivery

_ENDPOINTS = text(
    "SELECT DISTINCT endpoint_id FROM webhook_deliveries WHERE id = ANY(:ids) AND ordering_key IS NOT NULL"
).bindparams(bindparam("ids", type_=ARRAY(Uuid)))
# All rows are locked first, by id, as everywhere, to avoid deadlocks; `others` are not made due. `isfinite` keeps
# the planner from the index of due deliveries, whose end contains all waiting ones.
_WAKE = text(
    """
    WITH following AS (
        SELECT next.id
        FROM webhook_deliveries AS ended
        CROSS JOIN LATERAL (
            SELECT id FROM webhook_deliveries
            WHERE endpoint_id = ended.endpoint_id AND ordering_key = ended.ordering_key AND status = 'pending'
                AND NOT isfinite(next_attempt_at) AND id <> ALL(:others)
            ORDER BY event_position
            LIMIT 1
        ) AS next
        WHERE ended.id = ANY(:ids)
    ), locked AS (
        SELECT id FROM webhook_deliveries
        WHERE id = ANY(CAST(:ids AS uuid[]) || CAST(:others AS uuid[]) || ARRAY(SELECT id FROM following))
        ORDER BY id
        FOR NO KEY UPDATE
    )
    UPDATE webhook_deliveries SET next_attempt_at = now()
    WHERE id = ANY(ARRAY(SELECT id FROM locked)) AND id <> ALL(:others)
        AND status = 'pending' AND NOT isfinite(next_attempt_at)
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("others", type_=ARRAY(Uuid)),
)


def ordering_key(event: Event) -> UUID:
    """Return the subject within which an ordered endpoint gets the event in order.

    It is the subject of the event; of an alert, the appeal or the incident that it is about.
    """
    if event.type == AlertRaised.event_type:
        about = event.data.get("appeal_id") or event.data.get("incident_id")
        if about is not None:
            return UUID(about)
    return event.subject_id


def waits(delivery: WebhookDelivery) -> bool:
    """Return whether the delivery waits for an earlier one of its subject."""
    # The driver returns the time `infinity` as the latest that Python can represent.
    return delivery.status == "pending" and delivery.next_attempt_at.year == MAXYEAR


async def wake_following(session: WriteSession, ids: Sequence[UUID], *, also_lock: Sequence[UUID] = ()) -> None:
    """Make due the deliveries that wait for these, which end in this transaction.

    The caller has locked no delivery yet: their rows are locked here, together with those that wait and those of
    `also_lock`, which the caller changes too.
    """
    endpoint_ids = (await session.scalars(_ENDPOINTS, {"ids": list(ids)})).all()
    if not endpoint_ids and not also_lock:
        return
    # A separate statement, so that the next one sees the deliveries that earlier claims have set to wait.
    await claim_turns.share(session, endpoint_ids)
    others = sorted(set(also_lock).difference(ids))
    await session.execute(_WAKE, {"ids": list(ids), "others": others})


async def release(session: WriteSession, endpoint_id: UUID) -> None:
    """Make all waiting deliveries of the endpoint due; the caller has locked its turn exclusively."""
    await session.execute(
        update(WebhookDelivery)
        .where(
            WebhookDelivery.endpoint_id == endpoint_id,
            WebhookDelivery.status == "pending",
            WebhookDelivery.next_attempt_at == text("'infinity'"),
        )
        .values(next_attempt_at=func.now())
        .execution_options(synchronize_session=False)
    )
    # No audit rows of deliveries: the endpoint's audit row says that it is no longer ordered.
    await recorder.record(session, WebhookDelivery)
