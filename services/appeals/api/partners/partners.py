"""Routes of partners: create, list, show, change, rotate the secret, take over, delete."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, PartnerManager, PartnerReader
from services.appeals.api.presenters.partners import partner_out, partners_out
from services.appeals.partners import partners
from services.appeals.schemas.partners.partners import PartnerCreate, PartnerOut, PartnerUpdate, PartnerWithSecret
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import OptionalVersion, RequiredVersion, set_etag
from shared.api.response_headers import with_headers
from shared.http import problems
from shared.http.problems import Duplicate, NotFound, PreconditionFailed, PreconditionRequired
from shared.service import Once, ReadTransaction, WriteTransaction
from shared.tables.appeals_partners import Partner

router = APIRouter(prefix="/partners", tags=["partners"])


async def _shown(session: AsyncSession, partner: Partner, response: Response) -> PartnerOut:
    set_etag(response, partner.version)
    return await partner_out(session, partner)


@router.post(
    "",
    status_code=201,
    responses=problems.responses(*WRITE_PROBLEMS, Duplicate) | with_headers(201, "Location"),
    summary="Connect a partner system",
)
async def create_partner(
    *, session: WriteTransaction, caller: PartnerManager, body: PartnerCreate, once: Once, response: Response
) -> PartnerWithSecret:
    """Create a partner of the caller's organisation, or of the centre. Only this response contains the secret.

    The partner sends signed events to `POST /partners/{id}/events`. The caller becomes its owner: its events are
    processed as long as the owner belongs to the organisation and has `webhooks:manage` and the right of the event
    (`appeals:open`, `appeals:work`, `appeals:answer`); without these rights the request is a 403.
    """
    made: list[str] = []

    # The response stored for the idempotency key must not contain the secret, so it is added afterwards.
    async def work() -> PartnerOut:
        partner, secret = await partners.create(session, caller, name=body.name, source=body.source)
        made.append(secret)
        return await partner_out(session, partner)

    shown = await once(PartnerOut, work)
    set_etag(response, shown.version)
    response.headers["Location"] = f"/api/v1/partners/{shown.id}"
    return PartnerWithSecret(**shown.model_dump(), secret=made[0] if made else None)


@router.get("", responses=problems.responses(*READ_PROBLEMS), summary="List partners")
async def list_partners(
    session: ReadTransaction, caller: PartnerReader, paging: PagingDep, response: Response
) -> Page[PartnerOut]:
    """Return partners, newest first, without secrets."""
    rows: Sequence[Partner] = await partners.list_partners(session, caller, paging)
    kept, cursor = paging.page(rows, lambda row: (row.id,), response)
    return Page(items=await partners_out(session, kept), next_cursor=cursor)


@router.get("/{partner_id}", responses=problems.responses(*READ_PROBLEMS, NotFound), summary="Get a partner")
async def get_partner(
    session: ReadTransaction, caller: PartnerReader, partner_id: UUID, response: Response
) -> PartnerOut:
    """Return the partner without its secret. `refusal_reason` says why its events are refused now."""
    return await _shown(session, await partners.get(session, caller, partner_id), response)


@router.patch(
    "/{partner_id}",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired),
    summary="Change a partner",
)
async def update_partner(
    *,
    session: WriteTransaction,
    caller: PartnerManager,
    partner_id: UUID,
    body: PartnerUpdate,
    version: RequiredVersion,
    response: Response,
) -> PartnerOut:
    """Change the given fields. Events of an inactive partner are refused with 403, and it may send them again."""
    changes = body.model_dump(exclude_unset=True)
    partner = await partners.change(session, caller, partner_id, version=version, changes=changes)
    return await _shown(session, partner, response)


@router.delete(
    "/{partner_id}",
    status_code=204,
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="Delete a partner",
)
async def delete_partner(session: WriteTransaction, caller: PartnerManager, partner_id: UUID) -> None:
    """Delete the partner: its events get 401. Its appeals stay, and their timelines keep its name."""
    await partners.delete(session, caller, partner_id)


@router.post(
    "/{partner_id}/take-over",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="Become the owner of a partner",
)
async def take_over_partner(
    session: WriteTransaction, caller: PartnerManager, partner_id: UUID, response: Response
) -> PartnerOut:
    """Make the caller the owner of the partner. The caller must belong to its organisation and have the rights
    that its events need.
    """
    return await _shown(session, await partners.take_over(session, caller, partner_id), response)


@router.post(
    "/{partner_id}/rotate-secret",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, PreconditionFailed),
    summary="Rotate the secret of a partner",
)
async def rotate_partner_secret(
    session: WriteTransaction,
    caller: PartnerManager,
    partner_id: UUID,
    seen: OptionalVersion,
    response: Response,
) -> PartnerWithSecret:
    """Issue a new secret, which only this response contains. The old one is accepted for 24 hours more.

    The caller becomes the owner, and must be allowed to be: the secret gives the owner's rights. With `If-Match` a
    repeated request gets 412 instead of another secret.
    """
    partner, secret = await partners.rotate_secret(session, caller, partner_id, seen.version)
    return PartnerWithSecret(**(await _shown(session, partner, response)).model_dump(), secret=secret)
