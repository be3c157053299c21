"""Route of the audit trail."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from services.registry.api.common import COMMON_ERRORS, FilterText
from services.registry.audit import trail
from services.registry.schemas.audit import AuditEntry
from services.registry.schemas.fields import Moment
from shared.api.pagination import Page, PagingDep
from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.service import ReadTransaction

router = APIRouter(prefix="/audit", tags=["audit"], responses=COMMON_ERRORS)

AuditReader = Annotated[Caller, require_right(Right.AUDIT_READ)]


def _filter(
    *,
    actor: FilterText = None,
    on_behalf_of: FilterText = None,
    action: FilterText = None,
    subject_id: FilterText = None,
    organisation_id: UUID | None = None,
    start: Annotated[Moment | None, Query(alias="from", description="Start of the period, included")] = None,
    end: Annotated[Moment | None, Query(alias="to", description="End of the period, not included")] = None,
) -> trail.AuditFilter:
    return trail.AuditFilter(
        actor=actor,
        on_behalf_of=on_behalf_of,
        action=action,
        subject_id=subject_id,
        organisation_id=organisation_id,
        start=start,
        end=end,
    )


@router.get("", summary="Audit trail, newest first")
async def list_audit_entries(
    session: ReadTransaction,
    caller: AuditReader,
    filters: Annotated[trail.AuditFilter, Depends(_filter)],
    paging: PagingDep,
    response: Response,
) -> Page[AuditEntry]:
    """Return changes by people, API clients and operators' commands, visible within a second of their commit.

    Entries never change.
    """
    rows = await trail.list_entries(session, caller, filters, paging)
    items, cursor = paging.page(rows, lambda row: (row.position,), response)
    return Page(items=[AuditEntry.model_validate(row) for row in items], next_cursor=cursor)
