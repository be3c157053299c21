"""Dependencies that return the caller with the right that a webhook route requires."""

from typing import Annotated

from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right

EndpointReader = Annotated[Caller, require_right(Right.WEBHOOKS_READ)]
WebhooksManager = Annotated[Caller, require_right(Right.WEBHOOKS_MANAGE)]
WebhooksConsenter = Annotated[Caller, require_right(Right.WEBHOOKS_CONSENT)]
