"""Read access to internal notes of visible appeals: one rule for lists, documents and extracts."""

from sqlalchemy import ColumnElement, or_

from shared.auth.callers import Caller
from shared.tables.appeals_work import AppealNote


def is_for_everyone() -> ColumnElement[bool]:
    """Return the SQL condition that a note is for everyone who reads its appeal."""
    return AppealNote.visibility == "everyone_on_appeal"


def is_readable_note(caller: Caller) -> ColumnElement[bool]:
    """Return the SQL condition that the caller may read a note of an appeal that they may see."""
    return or_(is_for_everyone(), caller.scope(AppealNote.organisation_id))
