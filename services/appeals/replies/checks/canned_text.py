"""Checks for canned text: canned phrases, texts sent before, redirects without a contact, a rating requested too
early.
"""

from collections.abc import Iterator

from rapidfuzz import fuzz

from services.appeals.replies.checks.hints import Hint, RecentReply
from services.appeals.replies.checks.phrases import phrase_index
from services.appeals.replies.checks.reply_words import ReplyWords
from services.appeals.replies.checks.substance import has_contact

# Minimum similarity, in per cent, of texts that count as the same, and the minimum length: short texts are similar
# by chance.
_SAME = 92
_SHORTEST = 60
# Only this many characters from the start are compared, because the time grows with the product of the lengths.
_COMPARED = 1_500


def find_canned_phrases(words: ReplyWords) -> Iterator[Hint]:
    """Yield a hint for each canned phrase."""
    for advice, span in words.find(phrase_index("canned.csv")):
        yield Hint.of("canned_phrase", f"Пустая фраза. {advice}", span)


def find_same_text(text: str, recent: tuple[RecentReply, ...]) -> Iterator[Hint]:
    """Yield a hint if the text nearly equals a recent reply of the organisation."""
    if len(text) < _SHORTEST:
        return
    compared = text[:_COMPARED]
    for reply in recent:
        if fuzz.ratio(compared, reply.text[:_COMPARED], score_cutoff=_SAME):
            message = (
                f"Почти тот же текст, что в ответе на обращение № {reply.appeal_number}: убедитесь, что он "
                "отвечает и на этот вопрос."
            )
            yield Hint.of("same_as_recent", message)
            return


def find_empty_redirect(words: ReplyWords) -> Iterator[Hint]:
    """Yield a hint if the citizen is sent elsewhere without a phone, address or link."""
    found = words.find(phrase_index("redirects.csv"))
    if found and not has_contact(words):
        message = "Назовите телефон, адрес или ссылку, куда обратиться, или передайте обращение сами."
        yield Hint.of("redirect_without_contact", message, found[0][1])


def find_early_rating(words: ReplyWords, kind: str, outcome: str | None = None) -> Iterator[Hint]:
    """Yield a hint if an interim reply, or one saying that the matter is not solved, asks for a rating."""
    unsolved = kind == "interim" or outcome in {"not_solved", "postponed"}
    if unsolved and (found := words.find(phrase_index("ratings.csv"))):
        message = "Вопрос ещё не решён: просите оценку после окончательного ответа."
        yield Hint.of("rating_asked_early", message, found[0][1])
