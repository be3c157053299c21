"""Feed positions as clients store them: opaque strings, `epoch.number`.

A position stores the epoch in its high bits. Events lost in a failover are renumbered in a later epoch, so a
client with an older position continues there and skips nothing.
"""

from shared.events.relay import EPOCH_BITS
from shared.http.problems import Invalid

MAX_POSITION = 2**63 - 1
_NUMBER = (1 << EPOCH_BITS) - 1


def format_position(position: int) -> str:
    """Return the cursor of a position for clients, who send it as `after` to get the events that follow."""
    return f"{position >> EPOCH_BITS}.{position & _NUMBER}"


_EXPECTED = "Expected `next_after` of the previous response, `0`, or `now`"


def parse_position(after: str, pointer: str = "query/after", expected: str = _EXPECTED) -> int:
    """Return the position in a cursor. A bare number, which older clients stored, is the position itself.

    Raise `Invalid` for `pointer` with the text `expected` if this is not a cursor.
    """
    epoch, dot, number = after.rpartition(".")
    parts = [epoch, number] if dot else ["0", number]
    if all(part.isascii() and part.isdecimal() for part in parts) and (not dot or int(number) <= _NUMBER):
        position = (int(parts[0]) << EPOCH_BITS) + int(number)
        if position <= MAX_POSITION:
            return position
    raise Invalid.field(pointer, expected)
