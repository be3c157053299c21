"""Who calls and what they may do: one table of rights by role, one caller object, one way to scope a query."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlowPassword, OAuthFlows
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, OAuth2
from sqlalchemy import ColumnElement, select, true
from sqlalchemy.orm import InstrumentedAttribute, aliased

from shared.audit import recorder
from shared.auth import tokens
from shared.auth.rights import CENTRE_ROLES, RIGHT_DESCRIPTIONS, RIGHTS, Reach, Right, Role
from shared.http.problems import Forbidden, TooManyRequests, Unauthenticated
from shared.http.rate_limit import Quota
from shared.http.request_log import ANSWER_HEADERS, WHO
from shared.settings import ServiceName, settings
from shared.tables.registry import Organisation


@dataclass(frozen=True)
class Caller:
    """A person or system with a good token.

    `organisation_id` null means the centre; `beneath` adds the organisations below the caller's own. `scopes`
    narrow what the role allows, null: they do not. `session_id` is a person's session with the embedded issuer.
    `right` is the one under which the caller acts now.
    """

    subject: str
    name: str
    role: Role
    organisation_id: UUID | None
    beneath: bool = False
    scopes: frozenset[str] | None = None
    session_id: UUID | None = None
    right: Right | None = None

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any]) -> "Caller":
        """The caller that a verified token speaks of. Raises `BadToken` or `ValueError` for one that cannot be."""
        scope = claims.get("scope")
        found = cls(
            subject=str(claims["sub"]),
            name=str(claims.get("name", "")),
            role=Role(claims.get("role", "")),
            organisation_id=tokens.optional_uuid(claims.get("org")),
            beneath=claims.get("beneath") is True,
            scopes=None if scope is None else frozenset(str(scope).split()),
            session_id=tokens.optional_uuid(claims.get("sid")),
        )
        if (found.organisation_id is None) != (found.role in CENTRE_ROLES):
            raise tokens.BadToken("role and organisation do not go together")
        return found

    @property
    def actor(self) -> str:
        """How events and timelines name the caller: an id, never a name."""
        return self.subject

    @property
    def rights(self) -> frozenset[Right]:
        """What the caller's role allows, narrowed to the token's scopes."""
        of_role = frozenset(RIGHTS[self.role])
        return of_role if self.scopes is None else frozenset(right for right in of_role if right in self.scopes)

    def require(self, right: Right) -> None:
        """Raise `Forbidden` without the right."""
        if right not in self.rights:
            if right in RIGHTS[self.role]:
                raise Forbidden(f"The token's scope leaves out the right «{right}»")
            raise Forbidden(f"The role «{self.role}» has no right «{right}»")

    def acting(self, right: Right) -> "Caller":
        """The same caller under this right, which says whose things `scope` keeps. Raises `Forbidden`."""
        self.require(right)
        return replace(self, right=right)

    def reaches(self, right: Right, organisation_id: UUID | None, lineage: Collection[UUID]) -> bool:
        """Whether the caller has the right for things of this organisation; null: for those of the whole region.

        `lineage` holds the ids from the top of its tree down to itself.
        """
        if right not in self.rights:
            return False
        if RIGHTS[self.role][right] is Reach.REGION:
            return True
        if organisation_id is None:
            return False
        return self.organisation_id == organisation_id or (self.beneath and self.organisation_id in lineage)

    @property
    def reaches_region(self) -> bool:
        """Whether the right that the caller acts under is for everybody's things.

        Raises `RuntimeError` in a route that asked for no right.
        """
        if self.right is None:
            raise RuntimeError("a route that scopes asks for a right: `allowed(Right.…)`")
        return RIGHTS[self.role][self.right] is Reach.REGION

    def scope(self, column: "InstrumentedAttribute[Any]") -> ColumnElement[bool]:
        """The condition that keeps a query to what the caller may see; the only way there is.

        `column` names the organisation that the thing belongs to. Raises `RuntimeError` in a route that asked
        for no right.
        """
        if self.reaches_region:
            return true()
        if not self.beneath:
            return column == self.organisation_id
        # An alias of its own: a query that joins organisations must not take this one for its own.
        below = aliased(Organisation)
        return column.in_(select(below.id).where(below.lineage.contains([self.organisation_id])))


@dataclass(frozen=True)
class ServiceCaller:
    """Another service, acting for a person (`act`) or by itself."""

    service: str
    act: str


_TOKEN_URL = "/api/v1/auth/token"  # noqa: S105 — where tokens are given
_SCOPES = {right.value: RIGHT_DESCRIPTIONS[right] for right in Right}
# For the OpenAPI document: how to get a token. `_bearer` reads it.
_oauth = OAuth2(
    flows=OAuthFlows(
        password=OAuthFlowPassword(tokenUrl=_TOKEN_URL, scopes=_SCOPES),
        clientCredentials=OAuthFlowClientCredentials(tokenUrl=_TOKEN_URL, scopes=_SCOPES),
    ),
    auto_error=False,
    scheme_name="oauth2",
    description="People sign in with a password, API clients with a secret. The scope of a client's token may "
    "name fewer rights than its role has; a person's token has all rights of the role",
)
_bearer = HTTPBearer(auto_error=False, scheme_name="bearer")


async def caller(
    request: Request,
    _sign_in: Annotated[str | None, Depends(_oauth)],
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    """The caller of a public route.

    Raises `Unauthenticated` without a good token; for one of an external issuer, `Forbidden` when nobody gave its
    bearer access here, `Unavailable` when that cannot be found out.
    """
    _whose(request, None)
    if credentials is None:
        raise Unauthenticated("The header «Authorization: Bearer …» is missing")
    try:
        claims = await request.app.state.service.identities.claims(credentials.credentials)
        found = Caller.from_claims(claims)
    except (tokens.BadToken, ValueError) as error:
        raise Unauthenticated(f"The token is not accepted: {error}") from error
    recorder.origin(request).actor = found.actor
    _whose(request, found.actor)
    _count(request, found.subject)
    return found


def _whose(request: Request, actor: str | None, on_behalf_of: str | None = None) -> None:
    """Leave for the logs who calls."""
    came_from = recorder.origin(request).came_from
    request.scope[WHO] = {"actor": actor, "on_behalf_of": on_behalf_of, "came_from": came_from}


def _count(request: Request, subject: str) -> None:
    """Count a request of the caller. Raises `TooManyRequests` with when to come again."""
    if ANSWER_HEADERS in request.scope:  # another dependency asked for the caller too
        return
    verdict = _quota(settings().requests_per_minute).take(subject)
    request.scope[ANSWER_HEADERS] = [
        (name.lower().encode(), value.encode()) for name, value in verdict.headers.items()
    ]
    if verdict.wait_seconds:
        raise TooManyRequests(
            f"More than {verdict.allowed} requests in {verdict.window_seconds} s; "
            f"try again in {verdict.wait_seconds} s",
            headers={"Retry-After": str(verdict.wait_seconds)},
        )


@lru_cache(maxsize=1)
def _quota(requests_per_minute: int) -> Quota:
    return Quota(requests_per_minute, 60)


CallerDep = Annotated[Caller, Depends(caller)]


@dataclass(frozen=True)
class RequiredRight:
    """A dependency: the caller, who must have the right and acts under it. The OpenAPI document names it."""

    right: Right

    async def __call__(self, found: CallerDep) -> Caller:
        """Return the caller. Raises `Forbidden` without the right."""
        return found.acting(self.right)


def allowed(right: Right) -> Any:
    """Return the dependency that asks for this right."""
    return Depends(RequiredRight(right))


def internal_caller(*named: ServiceName) -> Any:
    """A dependency of an `/internal` route: the calling service, which must be one of those named.

    Raises `Unauthenticated` without a good token of a service, made for this very route; `Forbidden` for a
    service that is not named.
    """

    async def check(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> ServiceCaller:
        found = _service_caller(request, credentials)
        if found.service not in named:
            raise Forbidden(f"The service «{found.service}» may not call this route")
        return found

    return Depends(check)


def _service_caller(request: Request, credentials: HTTPAuthorizationCredentials | None) -> ServiceCaller:
    _whose(request, None)
    service = request.app.state.service
    if credentials is None:
        raise Unauthenticated("A service token is missing")
    try:
        claims = tokens.verify(credentials.credentials, service.service_keys, audience=service.name)
    except tokens.BadToken as error:
        raise Unauthenticated(f"The service token is not accepted: {error}") from error
    # One that is seen on its way opens nothing else.
    if claims.get("use") != tokens.use_of(request.method, request.url.path):
        raise Unauthenticated("The service token is for another route")
    found = ServiceCaller(service=claims["iss"], act=str(claims.get("act", claims["iss"])))
    source = recorder.origin(request)
    source.actor = found.service
    source.on_behalf_of = found.act if found.act != found.service else None
    _whose(request, source.actor, source.on_behalf_of)
    return found
