"""The condition for an operating organisation, for the registry, routing rules and owners of appeals."""

from datetime import date

from sqlalchemy import ColumnElement, and_, or_

from shared.tables.registry import Organisation


def is_operating(today: date) -> ColumnElement[bool]:
    """Return the condition: active and not past its last day (the registry deactivates it up to an hour later)."""
    return and_(Organisation.active, or_(Organisation.valid_to.is_(None), Organisation.valid_to >= today))
