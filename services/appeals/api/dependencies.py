"""Callers with their rights, and error responses, shared by the route modules."""

from typing import Annotated

from shared.auth.callers import Caller, allowed
from shared.auth.rights import Right
from shared.http.problems import BadRequest, Conflict, Forbidden, Invalid, Unauthenticated

Reader = Annotated[Caller, allowed(Right.APPEALS_READ)]
Worker = Annotated[Caller, allowed(Right.APPEALS_WORK)]
Moderator = Annotated[Caller, allowed(Right.APPEALS_TRIAGE)]
READ_PROBLEMS = (Unauthenticated, Forbidden, Invalid)
WRITE_PROBLEMS = (BadRequest, Unauthenticated, Forbidden, Invalid, Conflict)


Replier = Annotated[Caller, allowed(Right.APPEALS_ANSWER)]


ClassificationReader = Annotated[Caller, allowed(Right.UNDERSTANDING_READ)]


RegistryReader = Annotated[Caller, allowed(Right.REGISTRY_READ)]
RuleManager = Annotated[Caller, allowed(Right.RULES_MANAGE)]
