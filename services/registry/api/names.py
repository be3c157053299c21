"""The names of an organisation: what it is, was and is called."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.registry.api.common import COMMON, NEW, ONE, Editor, Reader
from services.registry.organisations import names
from services.registry.schemas.names import NameNew, NameShown
from shared.api.idempotency import IdempotencyDep, once
from shared.api.pagination import Page, PagingDep
from shared.http.problems import Conflict, responses
from shared.service import Reading, Writing
from shared.tables.registry import RegistryIdempotency

router = APIRouter(prefix="/organisations/{organisation_id}/names", tags=["organisations"], responses=COMMON | ONE)


@router.get("", summary="Names of an organisation")
async def list_names(
    organisation_id: UUID, session: Reading, _caller: Reader, paging: PagingDep, response: Response
) -> Page[NameShown]:
    """All its names, the newest entry first: those it has, those it had, and those people call it by."""
    rows = await names.listed(session, organisation_id, paging)
    kept, cursor = paging.page(rows, lambda row: (row.id,), response)
    return Page(items=[NameShown.model_validate(row) for row in kept], next_cursor=cursor)


@router.post("", summary="Add a former name or an alias", status_code=201, responses=NEW)
async def post_name(
    *,
    organisation_id: UUID,
    body: NameNew,
    session: Writing,
    caller: Editor,
    key: IdempotencyDep,
    response: Response,
) -> NameShown:
    """Search finds the organisation by it. Renaming an organisation keeps its old name by itself."""

    async def work() -> NameShown:
        return NameShown.model_validate(await names.add(session, organisation_id, body, caller.actor))

    return await once(
        session,
        RegistryIdempotency,
        caller=caller.subject,
        key=key,
        response=response,
        model=NameShown,
        work=work,
    )


@router.delete(
    "/{name_id}", summary="Remove a former name or an alias", status_code=204, responses=responses(Conflict)
)
async def delete_name(organisation_id: UUID, name_id: UUID, session: Writing, caller: Editor) -> None:
    """Its official and its short name go with a change of the organisation, not here."""
    await names.remove(session, organisation_id, name_id, caller.actor)
