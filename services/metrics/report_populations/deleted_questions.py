"""The citizens' questions that pages deleted in a period."""

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import aliased

from services.metrics.report_populations.reported_time import in_period
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_classification import Classification, Topic
from shared.tables.ingest import Message
from shared.tables.registry import Organisation, Page

_PageOwner = aliased(Organisation)


@cache
def deleted() -> Select[Any]:
    """Return the SQL query for citizens' questions that the page deleted in the period, with the page's owner."""
    columns: list[ColumnElement[Any]] = [
        Message.id.label("row_id"),
        AppealMessage.appeal_id.label("appeal_id"),
        Appeal.number.label("number"),
        Message.network.label("channel"),
        Message.organisation_id.label("organisation_id"),
        func.coalesce(Appeal.municipality, _PageOwner.municipality).label("oktmo"),
        Appeal.settlement.label("settlement"),
        func.coalesce(Topic.group_id, Topic.id).label("topic_group_id"),
        Classification.topic_id.label("topic_id"),
        Message.deleted_at.label("at"),
        Page.name.label("page"),
    ]
    return (
        select(*columns)
        .select_from(Message)
        .join(Classification, Classification.message_id == Message.id)
        .join(Page, Page.id == Message.page_id)
        .outerjoin(_PageOwner, _PageOwner.id == Message.organisation_id)
        .outerjoin(AppealMessage, AppealMessage.message_id == Message.id)
        .outerjoin(Appeal, Appeal.id == AppealMessage.appeal_id)
        .outerjoin(Topic, Topic.id == Classification.topic_id)
        .where(
            Message.deleted_by == "community",
            in_period(Message.deleted_at),
            Message.from_community.is_(False),
            Classification.needs_answer == "yes",
            or_(Appeal.id.is_(None), Appeal.status != "not_required"),
        )
    )
