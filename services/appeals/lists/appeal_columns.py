"""The columns of appeals that responses show, and the queries that read them together with the names they refer
to.

`reader`, a parameter of these queries, is the person whose unread mark is shown.
"""

from typing import Any

from sqlalchemy import Label, Select, Text, Uuid, and_, bindparam, exists, func, select, type_coerce
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute, aliased, raiseload

from services.appeals.classification.topics import TopicGroup
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Topic
from shared.tables.appeals_feedback import FeedbackRound
from shared.tables.appeals_lists import AppealTag, UnreadAppeal
from shared.tables.appeals_merges import AppealMerge
from shared.tables.appeals_replies import Promise, Reply, ReplyChange
from shared.tables.appeals_work import AppealWatcher
from shared.tables.registry import Municipality, Organisation, Page, Person

_PageOwner = aliased(Organisation)


def _label(column: InstrumentedAttribute[str], name: str) -> Label[str]:
    return type_coerce(column, Text).label(name)


# The columns of an appeal that responses show unchanged.
SHOWN_COLUMNS = (
    "id", "number", "version", "status", "urgency", "outcome", "text", "written_at", "opened_at",
    "updated_at",
    "first_response_due_at", "first_response_at", "first_response_working_seconds", "next_response_due_at",
    "resolution_due_at", "promised_at", "closed_at", "language", "utility_failure", "incident_id", "transfers",
    "returns", "extensions", "reply_failed", "source", "final_answer_at", "feedback_kind", "erased_at",
)  # fmt: skip
# The columns from which responses derive other fields.
_OTHER_COLUMNS = (
    "organisation_id", "assignee_id", "topic_id", "municipality", "settlement", "street", "house", "network",
    "page_id", "url", "route", "possible_other_matters", "final_answer_due_at",
)  # fmt: skip


# A subquery, not a second query: few appeals have tags.
_TAGS = func.array(
    select(AppealTag.tag).where(AppealTag.appeal_id == Appeal.id).order_by(AppealTag.tag).scalar_subquery(),
    type_=ARRAY(Text),
)


def _with_names(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    # Outer joins: an appeal may have no organisation, topic or location yet.
    return (
        query.add_columns(
            _label(Organisation.name, "organisation"),
            _label(Topic.name, "topic"),
            Topic.group_id.label("topic_group_id"),
            _label(TopicGroup.name, "topic_group"),
            _label(Municipality.name, "municipality_name"),
            _label(Person.full_name, "assignee"),
            _TAGS.label("tags"),
            _label(UnreadAppeal.reason, "unread_reason"),
            UnreadAppeal.last_at.label("unread_at"),
        )
        .select_from(Appeal)
        .outerjoin(Organisation, Organisation.id == Appeal.organisation_id)
        .outerjoin(Topic, Topic.id == Appeal.topic_id)
        .outerjoin(TopicGroup, TopicGroup.id == Topic.group_id)
        .outerjoin(Municipality, Municipality.oktmo == Appeal.municipality)
        .outerjoin(Person, Person.id == Appeal.assignee_id)
        .outerjoin(
            UnreadAppeal,
            and_(UnreadAppeal.appeal_id == Appeal.id, UnreadAppeal.person_id == bindparam("reader", type_=Uuid)),
        )
    )


# Flags for parts that few appeals have: without them a statement per part would be run, mostly without a result.
_RARE_PARTS = {
    "has_watchers": exists().where(AppealWatcher.appeal_id == Appeal.id),
    "has_merges": exists().where(AppealMerge.into_id == Appeal.id, AppealMerge.undone_at.is_(None)),
    "has_promises": exists().where(Promise.appeal_id == Appeal.id),
    "has_feedback": exists().where(FeedbackRound.appeal_id == Appeal.id),
    "has_reply_changes": exists().where(ReplyChange.reply_id == Reply.id, Reply.appeal_id == Appeal.id),
}
SELECT_APPEAL = (
    _with_names(select(Appeal))
    .add_columns(
        _label(Page.name, "page_name"),
        Page.organisation_id.label("page_owner_id"),
        _label(_PageOwner.name, "page_owner"),
        *(condition.label(name) for name, condition in _RARE_PARTS.items()),
    )
    .outerjoin(Page, Page.id == Appeal.page_id)
    .outerjoin(_PageOwner, _PageOwner.id == Page.organisation_id)
    .where(Appeal.id == bindparam("appeal_id"))
    .options(raiseload(Appeal.clocks))
    .execution_options(populate_existing=True)
)
# Columns and not mapped objects: creating objects takes as long as the statement itself.
SELECT_LISTED = _with_names(select(*(Appeal.__table__.c[name] for name in (*SHOWN_COLUMNS, *_OTHER_COLUMNS))))
LISTED_NAMES = SELECT_LISTED.selected_columns.keys()
