"""What became of an organisation, and of whom it took over."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.registry.api.common import COMMON, NEW, ONE, Editor, Reader
from services.registry.organisations import successions
from services.registry.schemas.successions import Party, SuccessionList, SuccessionNew, SuccessionShown
from shared.api.idempotency import IdempotencyDep, once
from shared.api.pagination import Page, PagingDep
from shared.http.problems import Conflict, Duplicate, InFlight, responses
from shared.service import Reading, Writing
from shared.tables.registry import RegistryIdempotency

router = APIRouter(
    prefix="/organisations/{organisation_id}/successions", tags=["organisations"], responses=COMMON | ONE
)


def _shown(row: successions.Shown) -> SuccessionShown:
    found, predecessor, successor = row
    return SuccessionShown(
        id=found.id,
        predecessor=Party(id=found.predecessor_id, name=predecessor),
        successor=Party(id=found.successor_id, name=successor),
        kind=found.kind,
        took_place_on=found.took_place_on,
        document=found.document,
        created_at=found.created_at,
    )


@router.get("", summary="What became of an organisation, and of whom it took over")
async def list_successions(
    organisation_id: UUID, session: Reading, _caller: Reader, paging: PagingDep, response: Response
) -> Page[SuccessionShown]:
    """Both directions, the latest first: where it is the predecessor, and where it is the successor."""
    rows = await successions.listed(session, organisation_id, paging)
    kept, cursor = paging.page(rows, lambda row: (row[0].took_place_on.isoformat(), row[0].id), response)
    return Page(items=[_shown(row) for row in kept], next_cursor=cursor)


@router.post(
    "",
    summary="Write down what becomes of an organisation",
    status_code=201,
    responses=NEW | responses(Conflict, Duplicate, InFlight),
)
async def post_successions(
    *,
    organisation_id: UUID,
    body: SuccessionNew,
    session: Writing,
    caller: Editor,
    key: IdempotencyDep,
    response: Response,
) -> SuccessionList:
    """The organisation ends on the day before: it is made inactive, at once or when that day has passed.

    Its cases stay with it, and so do its pages until they are moved. A second call for the same day and kind adds
    successors; another day or kind is refused with 409, since a body ends once.
    """

    async def work() -> SuccessionList:
        rows = await successions.record(session, organisation_id, body, caller.actor)
        return SuccessionList(items=[_shown(row) for row in rows])

    return await once(
        session,
        RegistryIdempotency,
        caller=caller.subject,
        key=key,
        response=response,
        model=SuccessionList,
        work=work,
    )


@router.delete("/{succession_id}", summary="Take a succession back", status_code=204)
async def delete_succession(organisation_id: UUID, succession_id: UUID, session: Writing, caller: Editor) -> None:
    """For what was written down by mistake. The organisation's last day, and whether it is active, stay."""
    await successions.remove(session, organisation_id, succession_id, caller.actor)
