"""The condition for an operating organisation, for the registry, routing rules and owners of appeals."""

from datetime import date

from sqlalchemy import ColumnElement, and_, or_

from shared.tables.registry import Organisation


def is_operating(today: date, organisation: type[Organisation] = Organisation) -> ColumnElement[bool]:
    """Return the condition: active and not past its last day (the registry deactivates it up to an hour later).

    `organisation` may be an alias of the table.
    """
    return and_(organisation.active, or_(organisation.valid_to.is_(None), organisation.valid_to >= today))
