"""API clients and their secrets."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.registry.access import clients
from services.registry.api.common import (
    BODY_ERRORS,
    COMMON_ERRORS,
    NOT_FOUND_ERROR,
    UPDATE_ERRORS,
    ClientsManager,
    ClientsReader,
)
from services.registry.authentication import client_secrets
from services.registry.schemas.clients import (
    Client,
    ClientCreate,
    ClientSecret,
    ClientSecretCreate,
    ClientUpdate,
    ClientWithSecret,
)
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.database.sessions import ReadSession, WriteSession
from shared.http.problems import Conflict, responses
from shared.service import Reading, Writing
from shared.tables.registry import ApiClient

router = APIRouter(prefix="/clients", tags=["access"], responses=COMMON_ERRORS)


async def _shown(session: ReadSession | WriteSession, rows: Sequence[ApiClient]) -> list[Client]:
    secrets_by_client = await client_secrets.active_by_client(session, [row.id for row in rows])
    columns = Client.model_fields.keys() - {"secrets"}
    return [
        Client.model_validate(
            {name: getattr(row, name) for name in columns}
            | {"secrets": [ClientSecret.model_validate(secret) for secret in secrets_by_client[row.id]]}
        )
        for row in rows
    ]


async def _with_secret(
    session: WriteSession, client: ApiClient, secret: str, response: Response
) -> ClientWithSecret:
    response.headers["Cache-Control"] = "no-store"
    set_etag(response, client.version)
    (shown,) = await _shown(session, [client])
    return ClientWithSecret(**shown.model_dump(), secret=secret)


@router.get("", summary="API clients, newest first")
async def list_clients(
    *,
    session: Reading,
    caller: ClientsReader,
    paging: PagingDep,
    response: Response,
    organisation_id: UUID | None = None,
    active: Annotated[bool, Query(description="false: those that were removed")] = True,
) -> Page[Client]:
    """Clients that may sign in; never their secrets."""
    rows = await clients.list_clients(
        session, caller, organisation_id=organisation_id, active=active, paging=paging
    )
    kept, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    return Page(items=await _shown(session, kept), next_cursor=cursor)


@router.get("/{client_id}", summary="One API client", responses=NOT_FOUND_ERROR)
async def get_client(client_id: UUID, session: Reading, caller: ClientsReader, response: Response) -> Client:
    """The client, with its version as `ETag`; a removed one too."""
    client = await clients.get(session, caller, client_id)
    set_etag(response, client.version)
    (shown,) = await _shown(session, [client])
    return shown


@router.post("", summary="Make an API client", status_code=201, responses=BODY_ERRORS)
async def post_client(
    body: ClientCreate, session: Writing, caller: ClientsManager, response: Response
) -> ClientWithSecret:
    """The secret is in this answer and nowhere else, so a repeated request makes another client."""
    client, secret = await clients.register(session, caller, body)
    return await _with_secret(session, client, secret, response)


@router.patch("/{client_id}", summary="Change an API client", responses=NOT_FOUND_ERROR | UPDATE_ERRORS)
async def patch_client(
    *,
    client_id: UUID,
    body: ClientUpdate,
    session: Writing,
    caller: ClientsManager,
    version: RequiredVersion,
    response: Response,
) -> Client:
    """Change the fields given. Tokens given before keep their scope for 15 minutes at most."""
    client = await clients.change(session, caller, client_id, body, version)
    set_etag(response, client.version)
    (shown,) = await _shown(session, [client])
    return shown


@router.post(
    "/{client_id}/secrets",
    summary="Change a client's secret",
    status_code=201,
    responses=BODY_ERRORS | NOT_FOUND_ERROR | responses(Conflict),
)
async def post_secret(
    client_id: UUID, body: ClientSecretCreate, session: Writing, caller: ClientsManager, response: Response
) -> ClientWithSecret:
    """A new secret, in this answer and nowhere else; those before it end after `overlap_hours`.

    At most five work at once. When an answer was lost, ask again: the secret nobody saw ends with the others.
    """
    overlap = timedelta(hours=body.overlap_hours)
    client, secret = await clients.rotate(session, caller, client_id, overlap)
    return await _with_secret(session, client, secret, response)


@router.delete(
    "/{client_id}/secrets/{secret_id}", summary="End one secret", status_code=204, responses=NOT_FOUND_ERROR
)
async def delete_secret(client_id: UUID, secret_id: UUID, session: Writing, caller: ClientsManager) -> None:
    """The secret works no longer, at once; a client without one cannot sign in until it is given another."""
    await clients.revoke_secret(session, caller, client_id, secret_id)


@router.delete(
    "/{client_id}", summary="Take an API client's access away", status_code=204, responses=NOT_FOUND_ERROR
)
async def delete_client(client_id: UUID, session: Writing, caller: ClientsManager) -> None:
    """The client can no longer sign in; a token given before lives on for 15 minutes at most."""
    await clients.deactivate(session, caller, client_id)
