"""Routes of the audit trail and of reads of personal data."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from services.registry.api.common import COMMON_ERRORS
from services.registry.audit import personal_data_reads, trail
from services.registry.schemas.audit import AuditEntry
from services.registry.schemas.personal_data_reads import PersonalDataReadOut
from shared.api.pagination import Page, PagingDep
from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.service import ReadTransaction

router = APIRouter(prefix="/audit", tags=["audit"], responses=COMMON_ERRORS)

AuditReader = Annotated[Caller, require_right(Right.AUDIT_READ)]


@router.get("", summary="Audit trail, newest first")
async def list_audit_entries(
    session: ReadTransaction,
    caller: AuditReader,
    filters: Annotated[trail.AuditFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[AuditEntry]:
    """Return changes by people, API clients and operators' commands. A change is listed within a second.

    Entries never change.
    """
    rows = await trail.list_entries(session, caller, filters, paging)
    items, cursor = paging.page(rows, lambda row: (row.position,), response)
    return Page(items=[AuditEntry.model_validate(row) for row in items], next_cursor=cursor)


@router.get("/personal-data-reads", summary="Who read or exported which citizens' texts, newest first")
async def list_personal_data_reads(
    session: ReadTransaction,
    caller: AuditReader,
    filters: Annotated[personal_data_reads.PersonalDataReadFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[PersonalDataReadOut]:
    """Return reads of unmasked texts and exports of appeals, with the reader's role and the operation.

    The manager of an organisation sees what its people read. `author_key` finds all reads of a citizen's appeals
    and messages.
    """
    rows = await personal_data_reads.list_reads(session, caller, filters, paging)
    kept, cursor = paging.page(rows, lambda row: (row.read_at, row.id), response)
    names = await personal_data_reads.names_of(session, {row.actor for row in kept})
    items = [
        PersonalDataReadOut.model_validate(row).model_copy(update={"actor_name": names.get(row.actor)})
        for row in kept
    ]
    return Page(items=items, next_cursor=cursor)
