"""Ids of made-up rows: the same for the same seed, and in the order of the moments that they name."""

import random
from datetime import datetime
from itertools import count
from uuid import UUID


class RowIds:
    """Makes ids of version 7 from moments of the history."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._numbers = count()

    def new(self, at: datetime) -> UUID:
        """Return the next id; ids of one millisecond are in the order in which they were made."""
        milliseconds = int(at.timestamp() * 1000)
        number = next(self._numbers) & 0xFFF
        return UUID(int=milliseconds << 80 | 7 << 76 | number << 64 | 2 << 62 | self._random.getrandbits(62))
