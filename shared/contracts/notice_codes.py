"""Codes that link a person's account in a network with their notices.

The person writes the code to a page of the centre as a direct message, since a network lets a community write only
to people who wrote to it first. Appeals ignores such a message: it is not a citizen's matter.
"""

import re
import secrets

from shared.contracts.values import MessageKind

# The `on_behalf_of` of publications by which ingest sends messages with notices.
NOTICES_ACTOR = "notices"
# The failure code of a message with notices that could not be sent in time, and certainly was not sent.
NOT_SENT_IN_TIME = "not_sent_in_time"
# Only ASCII digits. The flag re.ASCII is not used: it would also disable case folding of Cyrillic letters.
_CODE = re.compile(r"\s*гп[\s\-–—]*([0-9]{5})[\s\-–—]*([0-9]{5})[\s.!]*", re.IGNORECASE)


def new_code() -> str:
    """Return a new code: «ГП 12345 67890»."""
    digits = f"{secrets.randbelow(10**10):010d}"
    return f"ГП {digits[:5]} {digits[5:]}"


def read_code(kind: MessageKind | str, text: str) -> str | None:
    """Return the ten digits of a direct message that is nothing but a code; None for any other message."""
    found = _CODE.fullmatch(text) if kind == "message" else None
    return found[1] + found[2] if found is not None else None
