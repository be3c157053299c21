"""What the registry keeps for a term only."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import aliased

from shared import clock
from shared.database.purge import Rule, Terms, expired
from shared.tables.registry import PageCheck


def purge_rules(terms: Terms) -> Sequence[Rule]:
    """Return the rules of the registry's tables: the last check of a page stays, however old."""
    later = aliased(PageCheck)
    newer = select(later.id).where(later.page_id == PageCheck.page_id, later.day > PageCheck.day).exists()
    kept = timedelta(days=terms.page_checks_days)
    return (expired(PageCheck, PageCheck.day, lambda: [PageCheck.day < clock.today() - kept, newer]),)
