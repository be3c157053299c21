"""Routes of API clients and their secrets."""

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
from services.registry.persistence.organisation_names import organisation_names
from services.registry.schemas.clients import (
    Client,
    ClientCreate,
    ClientSecret,
    ClientSecretCreate,
    ClientUpdate,
    ClientWithSecret,
)
from services.registry.schemas.fields import OrganisationRef
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.api.response_headers import with_headers
from shared.database.sessions import ReadSession, WriteSession
from shared.http.problems import Conflict, responses
from shared.service import ReadTransaction, WriteTransaction
from shared.tables.registry import ApiClient

router = APIRouter(prefix="/clients", tags=["access"], responses=COMMON_ERRORS)


async def _shown(session: ReadSession | WriteSession, rows: Sequence[ApiClient]) -> list[Client]:
    secrets_by_client = await client_secrets.active_by_client(session, [row.id for row in rows])
    names = await organisation_names(session, [row.organisation_id for row in rows])
    columns = Client.model_fields.keys() - {"secrets", "organisation"}
    return [
        Client.model_validate(
            {name: getattr(row, name) for name in columns}
            | {"organisation": OrganisationRef.of(row.organisation_id, names)}
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
    session: ReadTransaction,
    caller: ClientsReader,
    paging: PagingDep,
    response: Response,
    organisation_id: UUID | None = None,
    active: Annotated[bool, Query(description="false: deactivated clients")] = True,
) -> Page[Client]:
    """Return clients without their secrets."""
    rows = await clients.list_clients(
        session, caller, organisation_id=organisation_id, active=active, paging=paging
    )
    items, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    return Page(items=await _shown(session, items), next_cursor=cursor)


@router.get("/{client_id}", summary="One API client", responses=NOT_FOUND_ERROR)
async def get_client(
    client_id: UUID, session: ReadTransaction, caller: ClientsReader, response: Response
) -> Client:
    """Return the client, active or not, with its version as `ETag`."""
    client = await clients.get(session, caller, client_id)
    set_etag(response, client.version)
    (shown,) = await _shown(session, [client])
    return shown


@router.post(
    "",
    summary="Create an API client",
    status_code=201,
    responses=BODY_ERRORS | responses(Conflict) | with_headers(201, "Location"),
)
async def create_client(
    body: ClientCreate, session: WriteTransaction, caller: ClientsManager, response: Response
) -> ClientWithSecret:
    """Create a client. Only this response contains the secret, so a repeated request creates another client.

    An organisation, and the centre, has at most 50 active clients unless the operator sets another limit: a
    further one is refused with 409.
    """
    client, secret = await clients.register(session, caller, body)
    response.headers["Location"] = f"/api/v1/clients/{client.id}"
    return await _with_secret(session, client, secret, response)


@router.patch("/{client_id}", summary="Change an API client", responses=NOT_FOUND_ERROR | UPDATE_ERRORS)
async def update_client(
    *,
    client_id: UUID,
    body: ClientUpdate,
    session: WriteTransaction,
    caller: ClientsManager,
    version: RequiredVersion,
    response: Response,
) -> Client:
    """Change the given fields. Tokens issued before keep their scope for at most 15 minutes.

    A client cannot change its own access (409), and a client with an expiry cannot grant access that lasts longer
    (403).
    """
    client = await clients.change(session, caller, client_id, body, version)
    set_etag(response, client.version)
    (shown,) = await _shown(session, [client])
    return shown


@router.post(
    "/{client_id}/secrets",
    summary="Rotate a client's secret",
    status_code=201,
    responses=BODY_ERRORS | NOT_FOUND_ERROR | responses(Conflict),
)
async def rotate_client_secret(
    client_id: UUID,
    body: ClientSecretCreate,
    session: WriteTransaction,
    caller: ClientsManager,
    response: Response,
) -> ClientWithSecret:
    """Issue a new secret, which only this response contains; earlier ones expire after `overlap_hours`.

    Access tokens issued for an expired secret allow reading for at most 15 minutes, and no changes.
    At most five secrets are active at once. If the response was lost, repeat the request: the lost secret expires
    with the earlier ones.
    """
    overlap = timedelta(hours=body.overlap_hours)
    client, secret = await clients.rotate(session, caller, client_id, overlap)
    return await _with_secret(session, client, secret, response)


@router.delete(
    "/{client_id}/secrets/{secret_id}", summary="Revoke one secret", status_code=204, responses=NOT_FOUND_ERROR
)
async def revoke_client_secret(
    client_id: UUID, secret_id: UUID, session: WriteTransaction, caller: ClientsManager
) -> None:
    """Revoke the secret at once. A client without a secret cannot sign in until it gets a new one.

    Access tokens issued for this secret allow reading for at most 15 minutes, and no changes.
    """
    await clients.revoke_secret(session, caller, client_id, secret_id)


@router.delete("/{client_id}", summary="Deactivate an API client", status_code=204, responses=NOT_FOUND_ERROR)
async def deactivate_client(client_id: UUID, session: WriteTransaction, caller: ClientsManager) -> None:
    """Deactivate the client: it can no longer sign in. Its last token allows reading for at most 15 minutes."""
    await clients.deactivate(session, caller, client_id)
