"""How a reply ends its matter, and the request for a mark that its author may add.

The request is part of the reply's text, not a comment of its own: it is published exactly once with the reply,
only with a final answer that says that the matter is solved.
"""

from services.appeals.replies.new_reply import NewReply
from services.appeals.settings import settings
from shared.http.problems import FieldError, Invalid
from shared.tables.appeals_replies import Reply


def check_outcome(draft: NewReply) -> None:
    """Raise `Invalid` naming the field when outcome and request for a mark do not fit the reply."""
    errors = []
    if draft.outcome is not None and draft.kind != "final":
        errors.append(FieldError(pointer="/outcome", detail="Only a final reply says how the matter ended"))
    if draft.ask_mark and (draft.kind, draft.outcome) != ("final", "solved"):
        detail = "A mark is asked for only in a final reply with the outcome `solved`"
        errors.append(FieldError(pointer="/ask_mark", detail=detail))
    elif draft.ask_mark and not settings().mark_question:
        detail = "This installation does not ask for marks (GOSPABLIK_MARK_QUESTION is empty)"
        errors.append(FieldError(pointer="/ask_mark", detail=detail))
    if errors:
        names = ", ".join(error.pointer for error in errors)
        raise Invalid(f"Invalid: {names}", errors=errors)


def append_question(reply: Reply) -> None:
    """End the text of a reply that asks for a mark with the request, once."""
    question = settings().mark_question
    if reply.asks_mark and question and not reply.text.endswith(question):
        reply.text = f"{reply.text}\n\n{question}"


def own_text(reply: Reply) -> str:
    """Return the text as its author wrote it, without the request for a mark."""
    question = settings().mark_question
    return reply.text.removesuffix(question) if reply.asks_mark and question else reply.text
