"""Route of the audit trail."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from services.registry.api.common import COMMON_ERRORS
from services.registry.audit import trail
from services.registry.schemas.audit import AuditEntry
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
    """Return changes by people, API clients and operators' commands, visible within a second of their commit.

    Entries never change.
    """
    rows = await trail.list_entries(session, caller, filters, paging)
    items, cursor = paging.page(rows, lambda row: (row.position,), response)
    return Page(items=[AuditEntry.model_validate(row) for row in items], next_cursor=cursor)
