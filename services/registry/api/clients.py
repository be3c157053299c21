"""API clients."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.registry import clients
from services.registry.api.answers import BODY, COMMON, ONE, ClientsManager, ClientsReader
from services.registry.schemas.access import ClientNew, ClientShown, ClientWithSecret
from shared.pagination import Page, PagingDep
from shared.service import Reading, Writing

router = APIRouter(prefix="/clients", tags=["access"], responses=COMMON)


@router.get("", summary="API clients, newest first")
async def list_clients(
    session: Reading,
    _caller: ClientsReader,
    paging: PagingDep,
    response: Response,
    organisation_id: UUID | None = None,
) -> Page[ClientShown]:
    """Clients that may sign in; never their secrets."""
    rows = await clients.listed(session, organisation_id=organisation_id, paging=paging)
    kept, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    return Page(items=[ClientShown.model_validate(row) for row in kept], next_cursor=cursor)


@router.post("", summary="Make an API client", status_code=201, responses=BODY)
async def post_client(
    body: ClientNew, session: Writing, _caller: ClientsManager, response: Response
) -> ClientWithSecret:
    """The secret is in this answer and nowhere else, so a repeated request makes another client."""
    client, secret = await clients.register(session, body)
    response.headers["Cache-Control"] = "no-store"
    shown = ClientShown.model_validate(client)
    return ClientWithSecret(**shown.model_dump(), secret=secret)


@router.delete("/{client_id}", summary="Take an API client's access away", status_code=204, responses=ONE)
async def delete_client(client_id: UUID, session: Writing, _caller: ClientsManager) -> None:
    """The client can no longer sign in; a token given before lives on for 15 minutes at most."""
    await clients.remove(session, client_id)
