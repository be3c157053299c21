"""All checks of a reply's text, in one call. The time is proportional to the length of the text."""

from collections.abc import Sequence

from services.appeals.replies.checks.canned_text import (
    find_canned_phrases,
    find_early_rating,
    find_empty_redirect,
    find_same_text,
)
from services.appeals.replies.checks.hints import Hint, ReplyContext, in_order
from services.appeals.replies.checks.links import find_forbidden_links
from services.appeals.replies.checks.personal_data import find_personal_data
from services.appeals.replies.checks.plain_language import find_hard_text, find_officialese
from services.appeals.replies.checks.politeness import find_impoliteness
from services.appeals.replies.checks.question import find_unanswered
from services.appeals.replies.checks.reply_words import ReplyWords
from services.appeals.replies.checks.substance import find_missing_substance
from services.appeals.reply_templates.template_fields import find_fields


def check_reply(text: str, kind: str, context: ReplyContext) -> list[Hint]:
    """Return the hints for a reply of this kind, blocking ones first."""
    words = ReplyWords.of(text)
    return in_order(
        [
            *blocking_hints(text, context),
            *find_unanswered(words, context),
            *find_missing_substance(words),
            *find_canned_phrases(words),
            *find_same_text(text, context.recent),
            *find_empty_redirect(words),
            *find_early_rating(words, kind, context.outcome),
            *find_officialese(words),
            *find_hard_text(words),
            *find_impoliteness(words),
        ]
    )


def blocking_hints(text: str, context: ReplyContext) -> Sequence[Hint]:
    """Return the hints of the checks that can block publication, also their warnings. These checks need no
    dictionary.
    """
    unfilled = [
        Hint.of("unfilled_field", f"Поле шаблона не заполнено: {{{field.name}}}.", (field.start, field.end))
        for field in find_fields(text)
        if field.known
    ]
    return [*find_personal_data(text, context), *find_forbidden_links(text, context.hosts), *unfilled]
