"""Ids of made-up rows: reproducible from a seed, and ordered by the moments they contain."""

import random
from datetime import datetime
from itertools import count
from uuid import UUID


class RowIds:
    """Makes UUIDs of version 7 from moments of the history."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._numbers = count()

    def new(self, at: datetime) -> UUID:
        """Return a new id for this moment; ids of one millisecond are ordered by their creation."""
        milliseconds = int(at.timestamp() * 1000)
        number = next(self._numbers) & 0xFFF
        return UUID(int=milliseconds << 80 | 7 << 76 | number << 64 | 2 << 62 | self._random.getrandbits(62))
