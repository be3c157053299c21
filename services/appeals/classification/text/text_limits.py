"""Limit of the classified text: only its beginning is classified. The result of a truncated text says so and is
never `no`: a moderator decides whether the rest needs an answer.
"""

from dataclasses import replace

from services.appeals.classification.types import ClassificationResult, MessageContext

# In characters, about three pages: hardly any citizen writes more, and such a text is classified in a fraction
# of a second.
MAX_TEXT_LENGTH = 8_000
# In characters. No real word is longer, and longer strings would fill the word caches.
MAX_WORD_LENGTH = 64


def truncate_input(text: str, context: MessageContext) -> tuple[str, MessageContext]:
    """Return the text and the post above it, truncated."""
    post = context.post_text
    if post is not None and len(post) > MAX_TEXT_LENGTH:
        context = replace(context, post_text=post[:MAX_TEXT_LENGTH])
    return text[:MAX_TEXT_LENGTH], context


def truncation_note(text: str) -> str:
    """Return the note for the result of a truncated text; empty if the text was not truncated."""
    return f"Прочитано начало: {MAX_TEXT_LENGTH} знаков из {len(text)}" if len(text) > MAX_TEXT_LENGTH else ""


def with_truncation_note(result: ClassificationResult, note: str) -> ClassificationResult:
    """Return the result with the note; `no` becomes `unsure`, because the rest may need an answer."""
    if not note:
        return result
    needs = "unsure" if result.needs_answer == "no" else result.needs_answer
    return replace(result, needs_answer=needs, why=f"{result.why}; {note}")
