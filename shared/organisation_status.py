"""Whether an organisation works: the one rule, for the registry, for rules and for owners of cases."""

from datetime import date

from sqlalchemy import ColumnElement, and_, or_

from shared.tables.registry import Organisation


def works(today: date) -> ColumnElement[bool]:
    """Active, and its last day has not passed: the registry makes it inactive only within an hour after that."""
    return and_(Organisation.active, or_(Organisation.valid_to.is_(None), Organisation.valid_to >= today))
