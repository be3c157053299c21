"""Who may read an internal note on an appeal that they may see: one rule for lists, documents and extracts."""

from sqlalchemy import ColumnElement, or_

from shared.auth.callers import Caller
from shared.tables.appeals_work import AppealNote


def is_for_everyone() -> ColumnElement[bool]:
    """Return the condition that a note is for everyone on its appeal."""
    return AppealNote.visibility == "everyone_on_appeal"


def is_readable_note(caller: Caller) -> ColumnElement[bool]:
    """Return the condition that a note on an appeal that the caller may see is for the caller too."""
    return or_(is_for_everyone(), caller.scope(AppealNote.organisation_id))
