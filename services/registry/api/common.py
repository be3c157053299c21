"""Dependencies and documented errors that registry routes share."""

from typing import Annotated

from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.http.problems import (
    BadRequest,
    Conflict,
    Duplicate,
    Forbidden,
    InFlight,
    Invalid,
    KeyReused,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    Unauthenticated,
    responses,
)

RegistryReader = Annotated[Caller, require_right(Right.REGISTRY_READ)]
RegistryEditor = Annotated[Caller, require_right(Right.REGISTRY_WRITE)]
PeopleReader = Annotated[Caller, require_right(Right.PEOPLE_READ)]
PeopleManager = Annotated[Caller, require_right(Right.PEOPLE_MANAGE)]
ClientsReader = Annotated[Caller, require_right(Right.CLIENTS_READ)]
ClientsManager = Annotated[Caller, require_right(Right.CLIENTS_MANAGE)]

COMMON_ERRORS = responses(Unauthenticated, Forbidden, Invalid)
NOT_FOUND_ERROR = responses(NotFound)
BODY_ERRORS = responses(BadRequest)
CREATE_ERRORS = responses(BadRequest, Duplicate, InFlight) | responses(Invalid, KeyReused)
UPDATE_ERRORS = responses(BadRequest, NotFound, Conflict, Duplicate, PreconditionFailed, PreconditionRequired)
