"""Store payloads that could not be parsed, without personal data of erased people."""

import json
from collections.abc import Sequence

from sqlalchemy import func, select

from services.ingest.intake.batches import IntakeBatch
from services.ingest.networks.sanitize import without_nul
from services.ingest.pseudonymisation.erased_digests import ERASURE_LOCK
from services.ingest.pseudonymisation.people_in_payloads import digests_of_people
from shared import clock
from shared.database.bulk_insert import insert_rows
from shared.database.sessions import WriteSession
from shared.ids import new_id
from shared.tables.ingest import QuarantinedPayload
from shared.tables.ingest_erasure import ErasedKey

_ERASED = "the payload names a person whose data was erased"


async def quarantine_payloads(session: WriteSession, batches: Sequence[IntakeBatch]) -> None:
    """Store the payloads that could not be parsed, without their content if they name an erased person."""
    now = clock.now()
    unreadable = [(batch.page.network, one.raw) for batch in batches for one in batch.unreadable]
    erased = await _erased_people(session, unreadable) if unreadable else set()
    rows = [
        {
            "id": new_id(),
            "network": batch.page.network,
            "page_id": batch.page.id,
            "source_kind": batch.source,
            "reason": without_nul(one.reason),
            "raw": json.dumps(_ERASED)
            if digests_of_people(batch.page.network, one.raw).keys() & erased
            else _written(one.raw),
            "created_at": now,
        }
        for batch in batches
        for one in batch.unreadable
    ]
    await insert_rows(session, QuarantinedPayload, rows)


async def _erased_people(session: WriteSession, payloads: Sequence[tuple[str, object]]) -> set[str]:
    digests = {digest for network, raw in payloads for digest in digests_of_people(network, raw)}
    if not digests:
        return set()
    await session.execute(select(func.pg_advisory_xact_lock_shared(ERASURE_LOCK)))
    return set(await session.scalars(select(ErasedKey.digest).where(ErasedKey.digest.in_(digests))))


def _written(raw: object) -> str:
    """Return a payload as JSON, or a note if it is nested too deeply to be encoded."""
    try:
        return json.dumps(raw, default=repr)
    except RecursionError:
        return json.dumps("the payload is nested too deeply to be stored")
