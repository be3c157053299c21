"""Internal route: ingest requests the erasure of a citizen's texts in deliveries."""

from typing import Annotated

from fastapi import APIRouter

from services.webhooks.deliveries.erasure import erase_deliveries
from shared.auth.callers import ServiceCaller, require_service
from shared.contracts.erasures import DeliveriesErased, EraseDeliveries
from shared.service import UncheckedWriteTransaction

internal = APIRouter(prefix="/internal/erasures/deliveries", include_in_schema=False)
IngestService = Annotated[ServiceCaller, require_service("ingest")]


@internal.post("")
async def erase_words(
    session: UncheckedWriteTransaction, caller: IngestService, body: EraseDeliveries
) -> DeliveriesErased:
    """Erase the citizen's texts in the deliveries of events about these subjects. Idempotent."""
    return DeliveriesErased(deliveries=await erase_deliveries(session, body.subject_ids))
