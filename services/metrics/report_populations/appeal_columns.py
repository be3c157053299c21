"""The common columns of appeals by which rows are counted, and the conditions for counted appeals."""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_

from services.metrics.indicators.channels import CHANNEL
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Topic
from shared.tables.registry import Organisation

# Appeals that need no answer, and merged ones: the appeal that they were merged into is counted instead.
_NEEDS_NO_ANSWER = ("not_required", "merged")
# An appeal that only moderators have had so far. An appeal that was returned to them is counted.
NEVER_ASSIGNED = and_(Appeal.status == "triage", Appeal.assigned_at.is_(None), Appeal.first_response_at.is_(None))
COUNTED = Appeal.status.not_in(_NEEDS_NO_ANSWER)


def appeal_dimensions(row_id: ColumnElement[Any], organisation_id: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """Return the columns by which rows are counted; the location is the appeal's, otherwise that of its
    organisation.

    `row_id` identifies the row in its population.
    """
    return [
        row_id.label("row_id"),
        Appeal.id.label("appeal_id"),
        Appeal.number.label("number"),
        CHANNEL.label("channel"),
        organisation_id.label("organisation_id"),
        func.coalesce(Appeal.municipality, Organisation.municipality).label("oktmo"),
        Appeal.settlement.label("settlement"),
        func.coalesce(Topic.group_id, Topic.id).label("topic_group_id"),
        Appeal.topic_id.label("topic_id"),
    ]


def of_appeals(query: Select[Any]) -> Select[Any]:
    """Return the query joined with the tables that the dimensions of appeals need."""
    return (
        query.select_from(Appeal)
        .outerjoin(Organisation, Organisation.id == Appeal.organisation_id)
        .outerjoin(Topic, Topic.id == Appeal.topic_id)
    )


def open_at(moment: Any) -> ColumnElement[bool]:
    """Return the SQL condition that the appeal is open now or was closed at the moment or later."""
    return or_(Appeal.closed_at.is_(None), Appeal.closed_at >= moment)
