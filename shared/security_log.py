"""Log security events: sign-ins, refusals, reads of personal data, with the logger `security`.

Each entry has an `event` listed in docs/operations/index.md. Texts, tokens and passwords are never logged; typed
user names are logged only if they exist.
"""

from collections.abc import Iterable
from typing import Any

from shared.logs import get_logger

log = get_logger("security")


def log_personal_data_read(actor: str, kind: str, subjects: Iterable[object]) -> None:
    """Log that `actor` read unmasked texts or authors."""
    if ids := [str(subject) for subject in subjects]:
        log_security_event("personal_data_read", actor=actor, kind=kind, subjects=ids)


def log_security_event(event: str, **fields: Any) -> None:
    """Log one security event."""
    log.info(event, **fields)
