"""Internal routes of page lookup, called by the registry."""

from typing import Annotated

from fastapi import APIRouter

from services.ingest.page_lookup import address_resolution, profiles
from services.ingest.page_lookup.lookup_clients import PageLookupClientsDep
from services.ingest.schemas.page_lookup import (
    AddressResolution,
    AddressResolutionRequest,
    PageProfiles,
    PageProfilesRequest,
)
from shared.auth.callers import ServiceCaller, require_service
from shared.service import ServiceDep

internal = APIRouter(prefix="/internal/pages", include_in_schema=False)
RegistryService = Annotated[ServiceCaller, require_service("registry")]


@internal.post("/describe")
async def describe_pages(
    body: PageProfilesRequest, caller: RegistryService, service: ServiceDep, clients: PageLookupClientsDep
) -> PageProfiles:
    """Return the current profiles of these pages in the networks, and the number of calls made.

    Leaves out pages that are not active in the registry, and those for which no call is left; `error` says why
    other pages are missing.
    """
    return await profiles.describe_pages(service.database, clients, body)


@internal.post("/resolve")
async def resolve_address(
    body: AddressResolutionRequest, caller: RegistryService, clients: PageLookupClientsDep
) -> AddressResolution:
    """Return the community that the id or short name currently refers to in its network."""
    return await address_resolution.resolve_address(clients, body)
