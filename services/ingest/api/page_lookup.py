"""Routes by which the registry asks what the networks say of pages."""

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
from shared.auth.callers import ServiceCaller, internal_caller
from shared.service import ServiceDep

internal = APIRouter(prefix="/internal/pages", include_in_schema=False)
RegistryService = Annotated[ServiceCaller, internal_caller("registry")]


@internal.post("/describe")
async def describe_pages(
    wanted: PageProfilesRequest, caller: RegistryService, service: ServiceDep, desk: PageLookupClientsDep
) -> PageProfiles:
    """What the networks say of these pages now, and how many calls it took; `trouble` says why some are left out.

    Pages that the registry does not hold as active are left out.
    """
    return await profiles.describe_pages(service.database, desk, wanted)


@internal.post("/resolve")
async def resolve_address(
    wanted: AddressResolutionRequest, caller: RegistryService, desk: PageLookupClientsDep
) -> AddressResolution:
    """Which community the id or the short name stands for, as its network says now."""
    return await address_resolution.resolve_address(desk, wanted)
