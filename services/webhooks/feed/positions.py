"""Feed positions as clients store them: opaque strings, the high bits and the low bits of the position.

A position stores the epoch in its high bits. Events lost in a failover are renumbered in a later epoch, so a
client with an older position continues there and skips nothing.
"""

from shared.http.problems import Invalid

MAX_POSITION = 2**63 - 1
# Clients have stored cursors in this form, so it stays, although an epoch has fewer bits (`relay.EPOCH_BITS`).
_LOW_BITS = 32
_MAX_LOW = (1 << _LOW_BITS) - 1


def format_position(position: int) -> str:
    """Return the cursor of a position for clients, who send it as `after` to get the events that follow."""
    return f"{position >> _LOW_BITS}.{position & _MAX_LOW}"


_EXPECTED = "Expected `next_after` of the previous response, `0`, or `now`"


def parse_position(after: str, pointer: str = "query/after", expected: str = _EXPECTED) -> int:
    """Return the position in a cursor. A bare number, which older clients stored, is the position itself.

    Raise `Invalid` for `pointer` with the text `expected` if this is not a cursor.
    """
    high, dot, low = after.rpartition(".")
    parts = [high, low] if dot else ["0", low]
    if all(part.isascii() and part.isdecimal() for part in parts) and (not dot or int(low) <= _MAX_LOW):
        position = (int(parts[0]) << _LOW_BITS) + int(low)
        if position <= MAX_POSITION:
            return position
    raise Invalid.field(pointer, expected)
