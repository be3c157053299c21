"""The outcome stated in a reply, and the request for a mark that its author may add. The request is part of the
reply's text, not a separate comment, so it is published exactly once, and only with a final answer that says that
the matter is solved.
"""

from services.appeals.replies.new_reply import NewReply
from services.appeals.settings import settings
from shared.http.problems import FieldError, Invalid
from shared.tables.appeals_replies import Reply


def check_outcome(draft: NewReply) -> None:
    """Raise `Invalid` naming the field if outcome or request for a mark does not fit the reply."""
    errors = []
    if draft.outcome is not None and draft.kind != "final":
        errors.append(FieldError(pointer="/outcome", detail="Omit `outcome`: only a final reply has one"))
    if draft.ask_mark and (draft.kind, draft.outcome) != ("final", "solved"):
        detail = "Omit `ask_mark`: only a final reply with the outcome `solved` may ask for a mark"
        errors.append(FieldError(pointer="/ask_mark", detail=detail))
    elif draft.ask_mark and not settings().mark_question:
        detail = "This installation does not ask for marks (GOSPABLIK_MARK_QUESTION is empty)"
        errors.append(FieldError(pointer="/ask_mark", detail=detail))
    if errors:
        names = ", ".join(error.pointer for error in errors)
        raise Invalid(f"Invalid: {names}", errors=errors)


def append_question(reply: Reply) -> None:
    """Append the request for a mark to the text of a reply that asks for one, unless the text already ends with
    it.
    """
    if reply.asks_mark and reply.mark_question is None:
        reply.mark_question = settings().mark_question or None
    reply.text = with_question(reply, reply.text)


def with_question(reply: Reply, text: str) -> str:
    """Return a text for the reply with the request for a mark, if the reply asks for one. A submitted reply keeps
    the words with which it was submitted.
    """
    question = _question_of(reply)
    if not question:
        return text
    return text.rstrip() if text.rstrip().endswith(question) else f"{text}\n\n{question}"


def own_text(reply: Reply) -> str:
    """Return the text as its author wrote it, without the request for a mark."""
    return reply.text.removesuffix(_question_of(reply))


def edited_text(reply: Reply, text: str) -> str:
    """Return the text of an edit of a published reply, with the request for a mark with which it was published:
    citizens may be answering it.
    """
    is_known = reply.mark_question is not None or reply.text.endswith(_question_of(reply))
    return with_question(reply, text) if is_known else text


def _question_of(reply: Reply) -> str:
    if not reply.asks_mark:
        return ""
    return reply.mark_question or settings().mark_question
