"""Internal route for the other services: resolves a token of the external issuer to a person."""

from typing import Annotated

from fastapi import APIRouter

from services.registry.authentication import external_identities
from services.registry.schemas.sessions import ExternalIdentityQuery, PersonClaims
from shared.auth.callers import ServiceCaller, require_service
from shared.http.problems import NotFound
from shared.service import UncheckedWriteTransaction

internal_router = APIRouter(prefix="/internal/identity", include_in_schema=False)
# The other services that accept tokens of people.
AnyOtherService = Annotated[ServiceCaller, require_service("ingest", "appeals", "metrics", "webhooks")]


@internal_router.post("")
async def find_identity(
    body: ExternalIdentityQuery, session: UncheckedWriteTransaction, _caller: AnyOtherService
) -> PersonClaims:
    """Return the claims of the person with this subject at this issuer. Repeating the request changes nothing."""
    claims = await external_identities.find_claims(session, body.issuer, body.subject, body.signed_in_at)
    if claims is None:
        raise NotFound("No person has this external subject")
    return PersonClaims.model_validate(claims)
