"""The one clock of an emulator."""

import time


class EmulatorClock:
    """Wall time moved by a fixed shift, so that a demonstration can live on another date."""

    def __init__(self, shift_seconds: float = 0, day_seconds: float = 86_400) -> None:
        self._shift = shift_seconds
        self._day = day_seconds
        self.skipped_days = 0
        """Days that were ended before their time; whoever ends them also keeps the number."""

    def now(self) -> float:
        """Seconds of the Unix epoch."""
        return time.time() + self._shift

    def now_ms(self) -> int:
        """Milliseconds of the Unix epoch."""
        return int(self.now() * 1000)

    def day(self) -> int:
        """Number of the emulator's current day."""
        return int(self.now() // self._day) + self.skipped_days
