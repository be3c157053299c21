"""Callers with their rights, and error responses, shared by the route modules."""

from typing import Annotated

from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.http.problems import BadRequest, Conflict, Forbidden, Invalid, Unauthenticated

Reader = Annotated[Caller, require_right(Right.APPEALS_READ)]
Worker = Annotated[Caller, require_right(Right.APPEALS_WORK)]
Opener = Annotated[Caller, require_right(Right.APPEALS_OPEN)]
Moderator = Annotated[Caller, require_right(Right.APPEALS_TRIAGE)]
READ_PROBLEMS = (Unauthenticated, Forbidden, Invalid)
WRITE_PROBLEMS = (BadRequest, Unauthenticated, Forbidden, Invalid, Conflict)


ClockPauser = Annotated[Caller, require_right(Right.APPEALS_PAUSE)]
ExtensionApprover = Annotated[Caller, require_right(Right.EXTENSIONS_APPROVE)]


Replier = Annotated[Caller, require_right(Right.APPEALS_ANSWER)]
ReplyApprover = Annotated[Caller, require_right(Right.REPLIES_APPROVE)]
ReplyWithdrawer = Annotated[Caller, require_right(Right.REPLIES_WITHDRAW)]


ClassificationReader = Annotated[Caller, require_right(Right.CLASSIFICATIONS_READ)]


RegistryReader = Annotated[Caller, require_right(Right.REGISTRY_READ)]
AssigneeManager = Annotated[Caller, require_right(Right.ASSIGNEES_MANAGE)]
PartnerReader = Annotated[Caller, require_right(Right.WEBHOOKS_READ)]
PartnerManager = Annotated[Caller, require_right(Right.WEBHOOKS_MANAGE)]
RuleManager = Annotated[Caller, require_right(Right.RULES_MANAGE)]
