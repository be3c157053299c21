"""Commands to other services after words of an erased person were removed from other people's messages."""

from collections.abc import Sequence
from uuid import UUID

from shared.contracts.erasures import (
    MAX_SUBJECTS,
    DeliveriesErased,
    EraseDeliveries,
    EraseQuotations,
    QuotationsErased,
)
from shared.ids import new_id
from shared.service import Service

# Appeals changes the rows of each message one by one, while its readers of messages wait: more messages could take
# longer than the timeout of a call.
QUOTATIONS_AT_A_TIME = 50


async def erase_quotations(service: Service, message_ids: Sequence[UUID]) -> list[UUID]:
    """Let appeals take over the present texts of these messages; return the ids of their appeals. Idempotent."""
    appeal_ids: list[UUID] = []
    for start in range(0, len(message_ids), QUOTATIONS_AT_A_TIME):
        some = list(message_ids[start : start + QUOTATIONS_AT_A_TIME])
        answer = await service.client().post(
            "appeals",
            "/internal/erasures/quotations",
            EraseQuotations(message_ids=some).model_dump(mode="json"),
            on_behalf_of="ingest",
            idempotency_key=str(new_id()),
        )
        appeal_ids += QuotationsErased.model_validate(answer).appeal_ids
    return appeal_ids


async def erase_deliveries(service: Service, subject_ids: Sequence[UUID], key: str) -> int:
    """Erase the texts in deliveries about these subjects; return how many deliveries had some. `key`: start of the
    idempotency keys of the calls.
    """
    deliveries = 0
    for part, start in enumerate(range(0, len(subject_ids), MAX_SUBJECTS)):
        answer = await service.client().post(
            "webhooks",
            "/internal/erasures/deliveries",
            EraseDeliveries(subject_ids=list(subject_ids[start : start + MAX_SUBJECTS])).model_dump(mode="json"),
            on_behalf_of="ingest",
            idempotency_key=f"{key}:{part}",
        )
        deliveries += DeliveriesErased.model_validate(answer).deliveries
    return deliveries
