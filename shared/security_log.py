"""Security events: who signed in, who was refused, who read a person's words. Lines of the logger `security`.

Each has an `event` of the list in docs/operations/index.md.
Never a text, a token or a password; of what was typed as a name only what somebody is called here.
"""

from collections.abc import Iterable
from typing import Any

from shared.logs import logger

log = logger("security")


def tell_read(actor: str, kind: str, subjects: Iterable[object]) -> None:
    """Write that somebody read citizens' words or who wrote them, unmasked."""
    if ids := [str(subject) for subject in subjects]:
        tell("personal_data_read", actor=actor, kind=kind, subjects=ids)


def tell(event: str, **what: Any) -> None:
    """Write one security event."""
    log.info(event, **what)
