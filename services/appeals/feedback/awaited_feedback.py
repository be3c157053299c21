"""The final answers of a batch's appeals, and which of them a message is feedback on. A message counts as feedback
only if the answer is certain: the message replies to a message of the appeal, or it contains nothing else and its
author has no other appeal in the thread that it could be about.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from services.appeals.classification.text.tokenizer import CleanText
from services.appeals.feedback.feedback_reading import LOWEST_CONTENT_MARK, FeedbackReading
from services.appeals.feedback.feedback_words import ASKS_FOR_MARK
from services.appeals.lifecycle.workflow import is_reopened_by_dissatisfaction
from shared.database.sessions import WriteSession
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal
from shared.tables.appeals_feedback import FeedbackRound
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Message

# The same as `REOPEN_WINDOW`, within which a message reopens an answered appeal.
_TAKEN_WITHIN = timedelta(days=30)


@dataclass(frozen=True)
class _AwaitedRound:
    row: FeedbackRound
    answer: str
    asks_mark: bool


@dataclass
class AwaitedFeedback:
    """The last final answer of each answered or closed appeal of a batch."""

    _rounds: dict[UUID, _AwaitedRound] = field(default_factory=dict)

    @staticmethod
    async def load(session: WriteSession, appeals: Iterable[Appeal]) -> "AwaitedFeedback":
        """Load the feedback rounds of these locked appeals."""
        answered = {appeal.id for appeal in appeals if is_reopened_by_dissatisfaction(appeal.status)}
        if not answered:
            return AwaitedFeedback()
        rows = await session.execute(
            select(FeedbackRound, Reply.text, Reply.asks_mark)
            .join(Reply, Reply.id == FeedbackRound.reply_id)
            .where(FeedbackRound.appeal_id.in_(answered), Reply.status != "withdrawn")
            .order_by(FeedbackRound.created_at, FeedbackRound.id)
            .execution_options(populate_existing=True)
        )
        return AwaitedFeedback(
            {row.appeal_id: _AwaitedRound(row, answer, asks_mark) for row, answer, asks_mark in rows}
        )

    def round_of(self, appeal: Appeal) -> FeedbackRound | None:
        """Return the round that takes feedback on the appeal's last answer; None if its current status allows no
        feedback.
        """
        found = self._rounds.get(appeal.id)
        return found.row if found is not None and is_reopened_by_dissatisfaction(appeal.status) else None

    def appeal_of(
        self, message: Message, reading: FeedbackReading, appeals: Sequence[Appeal], *, parent: Message | None,
        replied: UUID | None,
    ) -> Appeal | None:  # fmt: skip
        """Return the appeal on whose answer the message is feedback; None if that is not certain. `appeals`: the
        author's appeals in the thread; `replied`: the appeal that `parent`, the message replied to, belongs to.
        """
        answered = [
            appeal
            for appeal in appeals
            if (row := self.round_of(appeal)) is not None and message.written_at - row.answered_at <= _TAKEN_WITHIN
        ]
        if message.reply_to is not None:
            found = next((appeal for appeal in answered if appeal.id == replied), None)
        else:
            is_only = len(answered) == 1 and not any(one.status in OPEN_APPEAL_STATUSES for one in appeals)
            found = answered[0] if is_only and reading.is_alone else None
        return found if found is not None and self.is_about(found, message, reading, parent) else None

    def is_about(self, appeal: Appeal, message: Message, reading: FeedbackReading, parent: Message | None) -> bool:
        """Return whether a message of the appeal can be about its last answer, rather than about something
        earlier. The network's time of the message is compared with the time of the publication. A reply to a
        message of the page always counts as later, even if the clocks differ.
        """
        found = self._rounds.get(appeal.id)
        if found is None:
            return False
        if message.written_at - found.row.answered_at > _TAKEN_WITHIN:
            return False
        is_direct = parent is not None and parent.from_community
        if not is_direct and message.written_at < found.row.answered_at:
            return False
        return not reading.is_bare or _expects_digit(found, reading, is_direct=is_direct)


def _expects_digit(found: _AwaitedRound, reading: FeedbackReading, *, is_direct: bool) -> bool:
    """Return whether a message of one digit is a mark: the answer asked for a mark, or it asked no question and
    the message replies to it or gives a good mark.
    """
    if found.asks_mark or ASKS_FOR_MARK.find(CleanText.of(found.answer).tokens):
        return True
    return "?" not in found.answer and (is_direct or (reading.mark or 0) >= LOWEST_CONTENT_MARK)
