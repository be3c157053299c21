"""How much of a text is read: its beginning. The judgement tells that a rest was left, and a person reads it."""

from dataclasses import replace

from services.appeals.classification.types import Context, Judgement

# Letters. Three pages: hardly any citizen writes more, and a text of this length takes a fraction of a second.
READ = 8_000
# Letters of a word. No word of a language is longer, and caches keep words.
LONGEST_WORD = 64


def part_read(text: str, context: Context) -> tuple[str, Context]:
    """The part of a text and of the post above it that is read."""
    post = context.post_text
    if post is not None and len(post) > READ:
        context = replace(context, post_text=post[:READ])
    return text[:READ], context


def unread(text: str) -> str:
    """What a judgement says of a text that is longer than what is read; empty for others."""
    return f"Прочитано начало: {READ} знаков из {len(text)}" if len(text) > READ else ""


def with_unread(judgement: Judgement, note: str) -> Judgement:
    """The judgement of a text whose rest was not read: a person decides whether the rest asks for something."""
    if not note:
        return judgement
    needs = "unsure" if judgement.needs_answer == "no" else judgement.needs_answer
    return replace(judgement, needs_answer=needs, why=f"{judgement.why}; {note}")
