"""Commands to other services after words of an erased person were removed from other people's messages."""

from collections.abc import Mapping, Sequence, Set
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
from shared.service_client import ServiceRejected, ServiceUnavailable

# Appeals changes the rows of each message one by one, while its readers of messages wait: more messages could take
# longer than the timeout of a call.
QUOTATIONS_AT_A_TIME = 50
# A former release, until it is replaced, knows neither new routes nor new fields.
UNKNOWN_COMMAND = frozenset({404, 422})


async def erase_quotations(
    service: Service, message_ids: Sequence[UUID], replies: Mapping[UUID, Set[str]]
) -> list[UUID]:
    """Let appeals take over the present texts of these messages, and remove links to people from replies; return
    the ids of the appeals of the messages. `replies`: the numbers of the people by reply id. Idempotent.

    Raise `ServiceUnavailable` also if appeals is of a former release that does not know the command.
    """
    appeal_ids: list[UUID] = []
    commands = [EraseQuotations(message_ids=some) for some in _parts(message_ids)]
    commands += [
        EraseQuotations(message_ids=[], replies={one: sorted(replies[one]) for one in some})
        for some in _parts(list(replies))
    ]
    for command in commands:
        try:
            answer = await service.client().post(
                "appeals",
                "/internal/erasures/quotations",
                command.model_dump(mode="json"),
                on_behalf_of="ingest",
                idempotency_key=str(new_id()),
            )
        except ServiceRejected as rejected:
            if rejected.status not in UNKNOWN_COMMAND:
                raise
            raise ServiceUnavailable(f"appeals responded with status {rejected.status}") from rejected
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


def _parts(ids: Sequence[UUID]) -> list[list[UUID]]:
    starts = range(0, len(ids), QUOTATIONS_AT_A_TIME)
    return [list(ids[start : start + QUOTATIONS_AT_A_TIME]) for start in starts]
