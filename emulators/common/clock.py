"""The clock of an emulator."""

import time


class EmulatorClock:
    """Real time with a fixed offset, so that a demonstration can run on another date."""

    def __init__(self, shift_seconds: float = 0, day_seconds: float = 86_400) -> None:
        self._shift = shift_seconds
        self._day = day_seconds
        self.skipped_days = 0
        """Number of days ended early; the caller that ends a day also saves this number."""

    def now(self) -> float:
        """Return the Unix time in seconds."""
        return time.time() + self._shift

    def now_ms(self) -> int:
        """Return the Unix time in milliseconds."""
        return int(self.now() * 1000)

    def day(self) -> int:
        """Return the number of the emulator's current day."""
        return int(self.now() // self._day) + self.skipped_days
