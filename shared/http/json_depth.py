"""How deep a JSON text nests, found without recursion: parsers and writers of JSON recurse and fail midway."""

import re
from itertools import accumulate

# Deeper than any body that our API or a network has: forwarded messages nest tens of levels.
DEEPEST = 200

# One that is not closed reaches to the end. Possessive, so that no text makes it go back.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_STEPS = bytes.maketrans(b"[{]}", b"\1\1\2\2")
_OTHERS = bytes(set(range(256)) - set(b"[{]}"))
_STEP = (0, 1, -1)


def too_deep(body: bytes, most: int = DEEPEST) -> bool:
    """Return whether arrays and objects lie in one another deeper than `most` levels. Linear in the length."""
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    steps = _STRING.sub(b"", body).translate(_STEPS, delete=_OTHERS)
    return max(accumulate(map(_STEP.__getitem__, steps)), default=0) > most
