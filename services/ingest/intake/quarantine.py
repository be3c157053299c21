"""Quarantined payloads: list them for operators and parse them again with current parsers."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.intake.ingest import IntakeBatch, ingest_batch
from services.ingest.intake.store import DATA_ERRORS, is_data_error
from services.ingest.networks import catalogue
from services.ingest.networks.port import PageRef, ParsedBatch
from services.ingest.schemas.quarantine import (
    QuarantinedPayloadDetail,
    QuarantinedPayloadOut,
    QuarantineRetryResult,
)
from shared.api.pagination import Paging
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, NotFound
from shared.personal_data_reads import note_read
from shared.tables.ingest import QuarantinedPayload
from shared.tables.registry import Page

_SHOWN = [
    getattr(QuarantinedPayload, name) for name in QuarantinedPayloadOut.model_fields if name != "organisation_id"
]


def _visible(caller: Caller, *columns: Any) -> Select[Any]:
    return (
        select(*columns, Page.organisation_id)
        .outerjoin(Page, Page.id == QuarantinedPayload.page_id)
        .where(caller.scope(Page.organisation_id))
    )


async def list_quarantined(
    session: AsyncSession, caller: Caller, paging: Paging, conditions: Sequence[ColumnElement[bool]]
) -> list[QuarantinedPayloadOut]:
    """Return quarantined entries, newest first (page size plus one), without payloads: they are personal data."""
    query = (
        _visible(caller, *_SHOWN)
        .where(*conditions)
        .order_by(QuarantinedPayload.created_at.desc(), QuarantinedPayload.id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after([QuarantinedPayload.created_at, QuarantinedPayload.id], [datetime.fromisoformat, UUID])
    if after is not None:
        query = query.where(after)
    return [QuarantinedPayloadOut.model_validate(row) for row in await session.execute(query)]


async def get_quarantined(session: AsyncSession, caller: Caller, payload_id: UUID) -> QuarantinedPayloadDetail:
    """Return one entry with its payload. Raises `NotFound` for an unknown id or one out of the caller's scope."""
    row = (
        await session.execute(
            _visible(caller, *_SHOWN, QuarantinedPayload.raw).where(QuarantinedPayload.id == payload_id)
        )
    ).one_or_none()
    if row is None:
        raise NotFound("No such quarantined payload")
    note_read(session, caller, "payload", [payload_id])
    return QuarantinedPayloadDetail.model_validate({**row._mapping, "raw": json.loads(row.raw)})


async def retry_quarantined(session: WriteSession, caller: Caller, payload_id: UUID) -> QuarantineRetryResult:
    """Parse and store the payload with the current parsers, then delete the quarantine entry.

    Raises `NotFound`, or `Conflict` with the reason if it still cannot be parsed or stored.
    """
    query = (
        _visible(caller, QuarantinedPayload, Page)
        .where(QuarantinedPayload.id == payload_id)
        .with_for_update(of=QuarantinedPayload)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound("No such quarantined payload")
    item, page = row.QuarantinedPayload, row.Page
    # The parser of pushed payloads: a polled one is not parsed again here, because the next poll reads it anyway.
    push = catalogue.push_spec(item.network)
    if page is None or push is None:
        raise Conflict(
            "The payload cannot be parsed again: its page is not registered, or its network pushes no events"
        )
    ref = PageRef.of(page)
    parsed = ParsedBatch()
    parsed.parse(push.parse, json.loads(item.raw), ref)
    if parsed.unparsed:
        raise Conflict(f"The payload still cannot be parsed: {parsed.unparsed[0].reason}")
    try:
        taken = await ingest_batch(session, IntakeBatch(page=ref, source=item.source_kind, items=parsed.items))
    except DATA_ERRORS as error:
        if not is_data_error(error):
            raise
        raise Conflict(f"The database rejected the payload: {type(error).__name__}") from error
    await session.delete(item)
    return QuarantineRetryResult(
        new=taken.new, edited=taken.edited, deleted=taken.deleted, restored=taken.restored
    )
