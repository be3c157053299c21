"""Who calls and what they may do: one table of rights by role, one caller object, one way to scope a query."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, OAuth2PasswordBearer
from sqlalchemy import ColumnElement, false, true
from sqlalchemy.orm import InstrumentedAttribute

from shared import tokens
from shared.problems import Forbidden, Unauthenticated


class Right(StrEnum):
    """What a caller may do. A right says what; the caller's scope says to whose things."""

    REGISTRY_READ = "registry:read"
    REGISTRY_WRITE = "registry:write"
    PEOPLE_MANAGE = "people:manage"
    CLIENTS_MANAGE = "clients:manage"
    MESSAGES_READ = "messages:read"
    SOURCES_READ = "sources:read"
    SOURCES_MANAGE = "sources:manage"
    APPEALS_READ = "appeals:read"
    APPEALS_TRIAGE = "appeals:triage"
    APPEALS_WORK = "appeals:work"
    APPEALS_ANSWER = "appeals:answer"
    RULES_MANAGE = "rules:manage"
    METRICS_READ = "metrics:read"
    WEBHOOKS_MANAGE = "webhooks:manage"
    EVENTS_READ = "events:read"


class Role(StrEnum):
    """Roles of people and systems."""

    MODERATOR = "moderator"
    HEAD = "head"
    OPERATIONS = "operations"
    EXECUTOR = "executor"


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.MODERATOR: frozenset(Right) - {Right.PEOPLE_MANAGE, Right.CLIENTS_MANAGE},
    Role.HEAD: frozenset({Right.REGISTRY_READ, Right.METRICS_READ, Right.APPEALS_READ}),
    Role.OPERATIONS: frozenset(
        {
            Right.REGISTRY_READ,
            Right.PEOPLE_MANAGE,
            Right.CLIENTS_MANAGE,
            Right.SOURCES_READ,
            Right.SOURCES_MANAGE,
            Right.WEBHOOKS_MANAGE,
        }
    ),
    Role.EXECUTOR: frozenset(
        {
            Right.REGISTRY_READ,
            Right.MESSAGES_READ,
            Right.SOURCES_READ,
            Right.APPEALS_READ,
            Right.APPEALS_WORK,
            Right.APPEALS_ANSWER,
            Right.METRICS_READ,
            Right.WEBHOOKS_MANAGE,
            Right.EVENTS_READ,
        }
    ),
}
CENTRE_ROLES = frozenset({Role.MODERATOR, Role.HEAD, Role.OPERATIONS})


@dataclass(frozen=True)
class Caller:
    """A person or system with a good token. `organisation_id` null means the centre: it sees everything."""

    subject: str
    name: str
    role: Role
    organisation_id: UUID | None

    @property
    def actor(self) -> str:
        """How events and timelines name the caller: an id, never a name."""
        return self.subject

    @property
    def rights(self) -> frozenset[Right]:
        """What the caller's role allows."""
        return RIGHTS[self.role]

    def require(self, right: Right) -> None:
        """Raise `Forbidden` without the right."""
        if right not in self.rights:
            raise Forbidden(f"The role «{self.role}» has no right «{right}»")

    def sees(self, organisation_id: UUID | None) -> bool:
        """Whether things of this organisation are the caller's to see."""
        return self.organisation_id is None or self.organisation_id == organisation_id

    def scope(self, column: "InstrumentedAttribute[Any]") -> ColumnElement[bool]:
        """The condition that keeps a query to what the caller may see."""
        if self.organisation_id is None:
            return true() if self.role in CENTRE_ROLES else false()
        return column == self.organisation_id


@dataclass(frozen=True)
class ServiceCaller:
    """Another service, acting for a person (`act`) or by itself."""

    service: str
    act: str


_password_flow = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/token", auto_error=False, scheme_name="signIn")
_bearer = HTTPBearer(auto_error=False, scheme_name="bearer")


async def caller(
    request: Request,
    _sign_in: Annotated[str | None, Depends(_password_flow)],
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    """The caller of a public route. Raises `Unauthenticated` without a good token."""
    if credentials is None:
        raise Unauthenticated("The header «Authorization: Bearer …» is missing")
    keys = request.app.state.service.people_keys
    try:
        claims = tokens.verify(
            credentials.credentials, keys, audience=tokens.PEOPLE_AUDIENCE, issuer=tokens.PEOPLE_ISSUER
        )
        found = Caller(
            subject=claims["sub"],
            name=str(claims.get("name", "")),
            role=Role(claims.get("role", "")),
            organisation_id=tokens.optional_uuid(claims.get("org")),
        )
    except (tokens.BadToken, ValueError) as error:
        raise Unauthenticated(f"The token is not accepted: {error}") from error
    if found.organisation_id is None and found.role not in CENTRE_ROLES:
        raise Unauthenticated("The token names no organisation")
    return found


CallerDep = Annotated[Caller, Depends(caller)]


def allowed(right: Right) -> Any:
    """A dependency: the caller, who must have the right."""

    async def check(found: CallerDep) -> Caller:
        found.require(right)
        return found

    return Depends(check)


async def service_caller(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> ServiceCaller:
    """The calling service of an `/internal` route. Raises `Unauthenticated` without a good service token."""
    service = request.app.state.service
    if credentials is None:
        raise Unauthenticated("A service token is missing")
    try:
        claims = tokens.verify(credentials.credentials, service.service_keys, audience=service.name)
    except tokens.BadToken as error:
        raise Unauthenticated(f"The service token is not accepted: {error}") from error
    return ServiceCaller(service=claims["iss"], act=str(claims.get("act", claims["iss"])))


ServiceCallerDep = Annotated[ServiceCaller, Depends(service_caller)]
