"""The nesting depth of a JSON text, found without recursion: parsers and writers of JSON recurse and may fail."""

import re
from itertools import accumulate

# Deeper than any body of our API or of a network: forwarded messages nest tens of levels.
DEEPEST = 200

# An unclosed string extends to the end of the text. Possessive quantifiers prevent backtracking.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_STEPS = bytes.maketrans(b"[{]}", b"\1\1\2\2")
_OTHERS = bytes(set(range(256)) - set(b"[{]}"))
_STEP = (0, 1, -1)


def too_deep(body: bytes, most: int = DEEPEST) -> bool:
    """Return whether arrays and objects nest deeper than `most` levels, in linear time."""
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    steps = _STRING.sub(b"", body).translate(_STEPS, delete=_OTHERS)
    return max(accumulate(map(_STEP.__getitem__, steps)), default=0) > most
