"""Places in the feed as others keep them: opaque strings, `epoch.number`.

A position holds the epoch in its high bits: what a failover lost is numbered anew in a later one, so a reader of
before goes on with it and passes over nothing.
"""

from shared.events.relay import EPOCH_BITS
from shared.http.problems import Invalid

MAX_POSITION = 2**63 - 1
_NUMBER = (1 << EPOCH_BITS) - 1


def format_position(position: int) -> str:
    """Return the place of an event as it is shown: send it as `after` to read on from there."""
    return f"{position >> EPOCH_BITS}.{position & _NUMBER}"


def parse_position(after: str) -> int:
    """Return the position that a cursor names; a bare number, as older readers kept it, is the position itself.

    Raises `Invalid` for what is no cursor.
    """
    epoch, dot, number = after.rpartition(".")
    parts = [epoch, number] if dot else ["0", number]
    if all(part.isascii() and part.isdecimal() for part in parts) and (not dot or int(number) <= _NUMBER):
        position = (int(parts[0]) << EPOCH_BITS) + int(number)
        if position <= MAX_POSITION:
            return position
    raise Invalid.field("query/after", "Expected `next_after` of the answer before, `0`, or `now`")
