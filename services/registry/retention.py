"""Retention of registry tables."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import aliased

from shared import clock
from shared.database.purge import PurgeRule, RetentionSettings, purge_rule
from shared.tables.common import PersonalDataRead
from shared.tables.registry import PageCheck


def purge_rules(terms: RetentionSettings) -> Sequence[PurgeRule]:
    """Return the purge rules of the registry's tables.

    The newest check of each page is kept, whatever its age: the next check is compared with it.
    """
    later = aliased(PageCheck)
    newer = select(later.id).where(later.page_id == PageCheck.page_id, later.day > PageCheck.day).exists()
    max_age = timedelta(days=terms.page_checks_days)
    reads_age = timedelta(days=terms.personal_data_reads_days)
    return (
        purge_rule(PageCheck, PageCheck.day, lambda: [PageCheck.day < clock.today() - max_age, newer]),
        purge_rule(
            PersonalDataRead,
            PersonalDataRead.read_at,
            lambda: [PersonalDataRead.read_at < clock.now() - reads_age],
        ),
    )
