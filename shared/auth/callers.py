"""The caller of a request: authentication, rights, and the condition that limits a query to the caller's scope."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, TypeVarTuple
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials
from fastapi.security.utils import get_authorization_scheme_param
from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.orm import InstrumentedAttribute, aliased

from shared.audit import recorder
from shared.auth import session_cookies, tokens
from shared.auth.dependency_marks import Mark, RightDependency, marked
from shared.auth.rights import CENTRE_ROLES, RIGHTS, Right, RightScope, Role
from shared.auth.sign_in_schemes import BEARER
from shared.http.problems import Forbidden, TooManyRequests, Unauthenticated
from shared.http.rate_limit import Quota
from shared.http.request_log import ANSWER_HEADERS, WHO
from shared.settings import ServiceName, settings
from shared.tables.registry import Organisation

Columns = TypeVarTuple("Columns")


@dataclass(frozen=True)
class Caller:
    """A person or API client with a valid token.

    `organisation_id` is None for the centre; `include_subordinates` adds the organisations below the caller's own.
    `scopes` limit the rights of the role, unless None. `session_id` is a person's session with the embedded
    issuer, or the id of the secret with which an API client signed in. `right` is the right that the current
    route requires. `expires_at` is when the token expires.
    """

    subject: str
    name: str
    role: Role
    organisation_id: UUID | None
    include_subordinates: bool = False
    scopes: frozenset[str] | None = None
    session_id: UUID | None = None
    right: Right | None = None
    expires_at: datetime | None = None

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any]) -> "Caller":
        """Return the caller of verified claims. Raise `InvalidToken` or `ValueError` for inconsistent claims."""
        scope = claims.get("scope")
        found = cls(
            subject=str(claims["sub"]),
            name=str(claims.get("name", "")),
            role=Role(claims.get("role", "")),
            organisation_id=tokens.optional_uuid(claims.get("org")),
            # Tokens issued before the claim was renamed from `beneath` are valid for up to 15 minutes.
            include_subordinates=claims.get("include_subordinates", claims.get("beneath")) is True,
            scopes=None if scope is None else frozenset(str(scope).split()),
            session_id=tokens.optional_uuid(claims.get("sid")),
            expires_at=None if (expiry := claims.get("exp")) is None else datetime.fromtimestamp(int(expiry), UTC),
        )
        if (found.organisation_id is None) != (found.role in CENTRE_ROLES):
            raise tokens.InvalidToken("role and organisation do not match")
        return found

    @property
    def actor(self) -> str:
        """Return the caller's id for events and timelines; never a name."""
        return self.subject

    @property
    def rights(self) -> frozenset[Right]:
        """Return the rights of the caller's role, limited to the token's scopes."""
        of_role = frozenset(RIGHTS[self.role])
        return of_role if self.scopes is None else frozenset(right for right in of_role if right in self.scopes)

    def require(self, right: Right) -> None:
        """Raise `Forbidden` if the caller does not have the right."""
        if right not in self.rights:
            if right in RIGHTS[self.role]:
                raise Forbidden(f"The token's scope does not include the right «{right}»")
            raise Forbidden(f"The role «{self.role}» has no right «{right}»")

    def token_includes(self, right: Right) -> bool:
        """Return whether the scope of the caller's token includes the right, which the role may lack."""
        return self.scopes is None or right in self.scopes

    def with_right(self, right: Right) -> "Caller":
        """Return the caller with this right, which determines `scope`. Raise `Forbidden` without the right."""
        self.require(right)
        return replace(self, right=right)

    def may_access(self, right: Right, organisation_id: UUID | None, lineage: Collection[UUID]) -> bool:
        """Return whether the caller has the right for this organisation; None means the whole region.

        `lineage` contains the ids from the root of the tree down to the organisation itself.
        """
        if right not in self.rights:
            return False
        if RIGHTS[self.role][right] is RightScope.REGION:
            return True
        if organisation_id is None:
            return False
        return self.organisation_id == organisation_id or (
            self.include_subordinates and self.organisation_id in lineage
        )

    def may_access_subtree(self, right: Right, lineage: Collection[UUID]) -> bool:
        """Return whether the caller has the right for an organisation and all those below it.

        `lineage` is that of the organisation, as for `may_access`.
        """
        if right not in self.rights:
            return False
        return RIGHTS[self.role][right] is RightScope.REGION or (
            self.include_subordinates and self.organisation_id in lineage
        )

    @property
    def is_region_wide(self) -> bool:
        """Return whether the current right applies to the whole region.

        Raise `RuntimeError` in a route that requires no right.
        """
        if self.right is None:
            raise RuntimeError("a route that uses the scope must require a right: `require_right(Right.…)`")
        return RIGHTS[self.role][self.right] is RightScope.REGION

    def scope(self, column: "InstrumentedAttribute[Any]") -> ColumnElement[bool]:
        """Return the SQL condition for the rows that the caller may see. Every query must use it.

        `column` is the organisation of the rows. Raise `RuntimeError` in a route that requires no right.
        """
        if self.is_region_wide:
            return true()
        if not self.include_subordinates:
            return column == self.organisation_id
        # Use an alias, so that a query that joins organisations does not confuse the two.
        below = aliased(Organisation)
        return column.in_(select(below.id).where(below.lineage.contains([self.organisation_id])))

    def restrict(self, query: "Select[*Columns]", column: "InstrumentedAttribute[Any]") -> "Select[*Columns]":
        """Return the query with the condition of `scope`.

        If the scope is the whole region, the query object is returned unchanged: SQLAlchemy reuses its SQL.
        """
        return query if self.is_region_wide else query.where(self.scope(column))


@dataclass(frozen=True)
class ServiceCaller:
    """A calling service, which acts on behalf of a person or of itself."""

    service: str
    on_behalf_of: str


# The ASGI scope key of a caller whom an earlier dependency has authenticated, by a ticket or by a token that is
# not in the header.
AUTHENTICATED = "gospablik.authenticated"


@marked(Mark.CALLER)
async def get_caller(request: Request) -> Caller:
    """Return the caller of a public route, identified by the token in the header, or else in the cookie.

    Raise `Unauthenticated` without a valid token, `Forbidden` for a cookie sent by a page of another origin; for
    a token of an external issuer, `Forbidden` if the person has no access here, `Unavailable` if that cannot be
    checked.
    """
    found: Caller | None = request.scope.get(AUTHENTICATED)
    if found is None:
        set_log_context(request, None)
        found = await read_token(request)
    recorder.request_audit_context(request).actor = found.actor
    set_log_context(request, found.actor)
    check_rate_limit(request, found.subject)
    return found


async def read_token(request: Request) -> Caller:
    """Return the caller of the token in the header or in the cookie, also before a route is chosen.

    Raise like `get_caller`.
    """
    return await _of_token(request, _token(request))


async def identify_by_token(request: Request, token: str) -> None:
    """Let `get_caller` return the caller of a token that is not in the `Authorization` header.

    Raise `Unauthenticated` for an invalid token.
    """
    set_log_context(request, None)
    request.scope[AUTHENTICATED] = await _of_token(request, token)


def _token(request: Request) -> str:
    scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
    if token and scheme.lower() == "bearer":
        return token
    cookie = request.cookies.get(session_cookies.ACCESS_COOKIE)
    if not cookie:
        raise Unauthenticated("The header «Authorization: Bearer …» is missing")
    session_cookies.require_same_origin(request)
    return cookie


async def _of_token(request: Request, token: str) -> Caller:
    try:
        return Caller.from_claims(await request.app.state.service.identities.claims(token))
    except (tokens.InvalidToken, ValueError) as error:
        raise Unauthenticated(f"The token is invalid: {error}") from error


def set_log_context(request: Request, actor: str | None, on_behalf_of: str | None = None) -> None:
    """Store the caller for the logs."""
    ip_address = recorder.request_audit_context(request).ip_address
    request.scope[WHO] = {"actor": actor, "on_behalf_of": on_behalf_of, "ip_address": ip_address}


def check_rate_limit(request: Request, subject: str, limiter: Quota | None = None) -> None:
    """Count a request of the caller, by default against the limit for signed-in callers.

    Raise `TooManyRequests` with the time to wait.
    """
    if ANSWER_HEADERS in request.scope:  # counted already by another dependency
        return
    verdict = (limiter or _rate_limiter(settings().requests_per_minute)).take(subject)
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
def _rate_limiter(requests_per_minute: int) -> Quota:
    return Quota(requests_per_minute, 60)


CallerDep = Annotated[Caller, Depends(get_caller)]


@dataclass(frozen=True)
class RequiredRight(RightDependency):
    """A dependency that returns the caller, who must have the right. The OpenAPI document contains the right."""

    async def __call__(self, found: CallerDep) -> Caller:
        """Return the caller, with the right set. Raise `Forbidden` without the right."""
        return found.with_right(self.right)


def require_right(right: Right) -> Any:
    """Return the dependency that requires this right."""
    return Depends(RequiredRight(right))


def require_service(*named: ServiceName) -> Any:
    """Return a dependency of an `/internal` route that requires one of the named services and returns it.

    It raises `Unauthenticated` without a valid service token for this route, and `Forbidden` for another service.
    """

    async def check(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
    ) -> ServiceCaller:
        found = _service_caller(request, credentials)
        if found.service not in named:
            raise Forbidden(f"The service «{found.service}» may not call this route")
        return found

    return Depends(check)


def _service_caller(request: Request, credentials: HTTPAuthorizationCredentials | None) -> ServiceCaller:
    set_log_context(request, None)
    service = request.app.state.service
    if credentials is None:
        raise Unauthenticated("A service token is missing")
    try:
        claims = tokens.verify(credentials.credentials, service.service_keys, audience=service.name)
    except tokens.InvalidToken as error:
        raise Unauthenticated(f"The service token is invalid: {error}") from error
    # A leaked token must not be valid for another route.
    if claims.get("use") != tokens.route_claim(request.method, request.url.path):
        raise Unauthenticated("The service token is for another route")
    found = ServiceCaller(service=claims["iss"], on_behalf_of=str(claims.get("act", claims["iss"])))
    source = recorder.request_audit_context(request)
    source.actor = found.service
    source.on_behalf_of = found.on_behalf_of if found.on_behalf_of != found.service else None
    set_log_context(request, source.actor, source.on_behalf_of)
    return found
