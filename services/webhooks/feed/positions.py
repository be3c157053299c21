"""Feed positions as clients store them: opaque strings, `epoch.number`.

A position holds the epoch in its high bits. Events lost in a failover are renumbered in a later epoch, so a client
with an older position continues there and skips nothing.
"""

from shared.events.relay import EPOCH_BITS
from shared.http.problems import Invalid

MAX_POSITION = 2**63 - 1
_NUMBER = (1 << EPOCH_BITS) - 1


def format_position(position: int) -> str:
    """Return the position of an event for clients; sent as `after` it selects the events that follow."""
    return f"{position >> EPOCH_BITS}.{position & _NUMBER}"


_EXPECTED = "Expected `next_after` of the previous response, `0`, or `now`"


def parse_position(after: str, pointer: str = "query/after", expected: str = _EXPECTED) -> int:
    """Return the position that a cursor names; a bare number, as older clients stored it, is the position itself.

    Raise `Invalid` that names `pointer`, and what is expected, for text that is not a cursor.
    """
    epoch, dot, number = after.rpartition(".")
    parts = [epoch, number] if dot else ["0", number]
    if all(part.isascii() and part.isdecimal() for part in parts) and (not dot or int(number) <= _NUMBER):
        position = (int(parts[0]) << EPOCH_BITS) + int(number)
        if position <= MAX_POSITION:
            return position
    raise Invalid.field(pointer, expected)
