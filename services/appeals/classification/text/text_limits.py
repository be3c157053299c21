"""How much of a text is read: its beginning. The judgement tells that a rest was left, and a person reads it."""

from dataclasses import replace

from services.appeals.classification.types import ClassificationResult, MessageContext

# Letters. Three pages: hardly any citizen writes more, and a text of this length takes a fraction of a second.
MAX_TEXT_LENGTH = 8_000
# Letters of a word. No word of a language is longer, and caches keep words.
MAX_WORD_LENGTH = 64


def truncate_input(text: str, context: MessageContext) -> tuple[str, MessageContext]:
    """The part of a text and of the post above it that is read."""
    post = context.post_text
    if post is not None and len(post) > MAX_TEXT_LENGTH:
        context = replace(context, post_text=post[:MAX_TEXT_LENGTH])
    return text[:MAX_TEXT_LENGTH], context


def truncation_note(text: str) -> str:
    """What a judgement says of a text that is longer than what is read; empty for others."""
    return f"Прочитано начало: {MAX_TEXT_LENGTH} знаков из {len(text)}" if len(text) > MAX_TEXT_LENGTH else ""


def with_truncation_note(result: ClassificationResult, note: str) -> ClassificationResult:
    """The judgement of a text whose rest was not read: a person decides whether the rest asks for something."""
    if not note:
        return result
    needs = "unsure" if result.needs_answer == "no" else result.needs_answer
    return replace(result, needs_answer=needs, why=f"{result.why}; {note}")
