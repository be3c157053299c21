"""The SQL condition for an operating organisation, used by the registry, routing rules and owners of appeals."""

from datetime import date

from sqlalchemy import ColumnElement, and_, or_

from shared.tables.registry import Organisation


def is_operating(today: date, organisation: type[Organisation] = Organisation) -> ColumnElement[bool]:
    """Return the SQL condition that an organisation is active and not past its last day.

    The registry deactivates an organisation up to an hour after its last day. `organisation` may be an alias of
    the table.
    """
    return and_(organisation.active, or_(organisation.valid_to.is_(None), organisation.valid_to >= today))
