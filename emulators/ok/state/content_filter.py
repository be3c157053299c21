"""Reject texts with forbidden words, and spam."""

from emulators.common.clock import EmulatorClock
from emulators.common.store import EmulatorStore
from emulators.ok.errors import OkError
from emulators.ok.settings import OkSettings

_SAME = (
    "SELECT (SELECT count(*) FROM comments WHERE author = ?1 AND text = ?2 AND created_ms > ?3)"
    " + (SELECT count(*) FROM messages WHERE sender = ?1 AND text = ?2 AND created_ms > ?3)"
)


class ContentFilter:
    """Checks a text before it is written; both checks are off unless a setting enables them."""

    def __init__(self, store: EmulatorStore, settings: OkSettings, clock: EmulatorClock) -> None:
        self.store = store
        self.settings = settings
        self.clock = clock

    def check_words(self, text: str) -> None:
        """Raise error 454 for a text with a forbidden word."""
        folded = text.casefold()
        if any(word.casefold() in folded for word in self.settings.censor_words):
            raise OkError(454)

    def check(self, author: str, text: str) -> None:
        """Raise error 454 for a text with a forbidden word, 511 for a text that its author repeats too often."""
        self.check_words(text)
        allowed = self.settings.antispam_repeats
        if not allowed or not text:
            return
        since = self.clock.now_ms() - int(self.settings.antispam_seconds * 1000)
        if self.store.value(_SAME, (author, text, since)) >= allowed:
            raise OkError(511)
