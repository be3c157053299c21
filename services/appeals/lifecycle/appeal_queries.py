"""Queries of appeals: lists, counts, and locking one for a change."""

from collections.abc import Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import (
    ColumnElement,
    Label,
    Row,
    Select,
    Text,
    and_,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, raiseload, selectinload
from typing_extensions import TypeAliasType

from services.appeals.assignees.directory import actor_id
from services.appeals.classification import topics
from services.appeals.classification.topics import TopicGroup
from services.appeals.field_types import OKTMO_PATTERN, BoundedDatetime, SingleLine, StorableText
from services.appeals.lifecycle import timeline
from services.appeals.lifecycle.route_snapshot import TRIAGE_REASON_HELP, TriageReason
from services.appeals.search.matching import found_appeals, next_appeals, require_words
from services.appeals.sla.breaches import overdue_condition
from shared import clock
from shared.api import preconditions
from shared.api.pagination import Paging, inline_literal
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.contracts.values import AppealStatus, FeedbackKind, Language, Urgency
from shared.database.sessions import WriteSession
from shared.http.problems import NotFound
from shared.networks import NetworkName
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal, AppealSubmission
from shared.tables.appeals_classification import Topic
from shared.tables.appeals_sla import SlaClock
from shared.tables.registry import Municipality, Organisation, Person

AssigneeFilter = TypeAliasType("AssigneeFilter", Literal["me", "none"])


class AppealFilter(ListFilter):
    """Filter of a list of appeals."""

    status: list[AppealStatus] | None = Field(default=None, description="One or more statuses")
    triage_reason: list[TriageReason] | None = Field(
        default=None, description=f"In `triage`, for one or more of these reasons. {TRIAGE_REASON_HELP}"
    )
    organisation_id: UUID | None = None
    assignee_id: UUID | None = Field(default=None, description="Appeals of this person")
    assignee: AssigneeFilter | None = Field(
        default=None, description="`me`: those of the caller; `none`: open ones that nobody has"
    )
    network: NetworkName | None = None
    source: SingleLine | None = Field(
        default=None, description="`phone`, `reception`, `letter`, or the name of a system", examples=["phone"]
    )
    external_id: SingleLine | None = Field(default=None, description="The id in the source, if it gave one")
    topic_id: UUID | None = Field(default=None, description="A topic; a group takes all its topics")
    municipality: str | None = Field(default=None, pattern=OKTMO_PATTERN, description="OKTMO of the location")
    settlement: SingleLine | None = Field(default=None, description="As shown in `location`")
    language: Language | None = None
    utility_failure: SingleLine | None = Field(default=None, description="The utility failure", examples=["power"])
    urgency: Urgency | None = None
    min_transfers: int | None = Field(
        default=None, ge=1, le=1_000, description="Transferred between organisations at least this often"
    )
    overdue: bool | None = Field(default=None, description="A reply is due and late")
    reply_failed: bool | None = Field(
        default=None, description="The last reply failed, and nobody has sent one since"
    )
    feedback: FeedbackKind | None = Field(
        default=None, description="What the citizen said about the last final answer"
    )
    possible_other_matter: bool | None = Field(
        default=None, description="A message may be about another matter, and no moderator has decided"
    )
    opened_from: BoundedDatetime | None = None
    opened_to: BoundedDatetime | None = Field(default=None, description="Before this moment")
    number: int | None = Field(default=None, ge=1, le=2**63 - 1)
    q: StorableText | None = Field(
        default=None,
        max_length=200,
        description="Words in any form, in the messages, replies and notes that you may read, the address, the "
        'organisation or the number; "an exact phrase" in quotes, `-` before a word excludes it, `or` between two',
        examples=["дорога Бабушкина"],
    )

    def conditions(self, caller: Caller) -> list[ColumnElement[bool]]:
        """Return the filter's conditions, within the caller's scope."""
        sought = [Appeal.id.in_(found_appeals(caller, self.q))] if self.q else []
        return self.conditions_without_words(caller) + sought

    def conditions_without_words(self, caller: Caller) -> list[ColumnElement[bool]]:
        """Return the filter's conditions but that of `q`, within the caller's scope."""
        conditions: list[ColumnElement[bool]] = [caller.scope(Appeal.organisation_id)]
        if self.status:
            conditions.append(Appeal.status.in_([inline_literal(status) for status in self.status]))
        if self.triage_reason:
            conditions += [
                Appeal.status == inline_literal("triage"),
                Appeal.route["triage_reason"].astext.in_(self.triage_reason),
            ]
        for column, value in (
            (Appeal.organisation_id, self.organisation_id),
            (Appeal.assignee_id, self.assignee_id),
            (Appeal.municipality, self.municipality),
            (Appeal.source, self.source),
            (Appeal.settlement, self.settlement),
            (Appeal.utility_failure, self.utility_failure),
            (Appeal.number, self.number),
        ):
            if value is not None:
                conditions.append(and_(column == value))
        for column, fixed in (
            (Appeal.network, self.network),
            (Appeal.language, self.language),
            (Appeal.urgency, self.urgency),
            (Appeal.feedback_kind, self.feedback),
        ):
            if fixed is not None:
                conditions.append(and_(column == inline_literal(fixed)))
        if self.topic_id is not None:
            conditions.append(topics.in_topic(Appeal.topic_id, self.topic_id))
        if self.min_transfers is not None:
            # The second condition follows from the first, but only its literal lets the planner use the partial
            # index.
            conditions += [Appeal.transfers >= self.min_transfers, Appeal.transfers > literal_column("0")]
        if self.overdue is not None:
            # The overdue condition is written so that indexes serve it; "not overdue" is its complement.
            late = overdue_condition(clock.now())
            conditions.append(late if self.overdue else func.coalesce(late, False).is_(False))
        if self.external_id is not None:
            submitted = select(AppealSubmission.appeal_id).where(AppealSubmission.external_id == self.external_id)
            conditions.append(Appeal.id.in_(submitted))
        return conditions + self._noted() + self._assigned(caller) + self._opened()

    def _noted(self) -> list[ColumnElement[bool]]:
        return [
            noted.is_not(None) if wanted else noted.is_(None)
            for noted, wanted in (
                (Appeal.reply_failed, self.reply_failed),
                (Appeal.possible_other_matters, self.possible_other_matter),
            )
            if wanted is not None
        ]

    def _assigned(self, caller: Caller) -> list[ColumnElement[bool]]:
        if self.assignee == "me":
            # An API client is nobody's assignee.
            return [Appeal.assignee_id == actor_id(caller.subject)]
        if self.assignee == "none":
            open_statuses = [inline_literal(status) for status in OPEN_APPEAL_STATUSES]
            return [Appeal.assignee_id.is_(None), Appeal.status.in_(open_statuses)]
        return []

    def _opened(self) -> list[ColumnElement[bool]]:
        since = [Appeal.opened_at >= self.opened_from] if self.opened_from is not None else []
        until = [Appeal.opened_at < self.opened_to] if self.opened_to is not None else []
        return since + until


def _label(column: InstrumentedAttribute[str], name: str) -> Label[str]:
    return type_coerce(column, Text).label(name)


# The columns of an appeal that responses show unchanged.
SHOWN_COLUMNS = (
    "id", "number", "version", "status", "urgency", "outcome", "text", "written_at", "opened_at",
    "first_response_due_at", "first_response_at", "first_response_working_seconds", "next_response_due_at",
    "resolution_due_at", "promised_at", "closed_at", "language", "utility_failure", "incident_id", "transfers",
    "returns", "extensions", "reply_failed", "source", "final_answer_at", "feedback_kind",
)  # fmt: skip
# Those from which they show something else.
_OTHER_COLUMNS = (
    "organisation_id", "assignee_id", "topic_id", "municipality", "settlement", "street", "house", "network",
    "page_id", "url", "route", "possible_other_matters", "final_answer_due_at",
)  # fmt: skip


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
        )
        .select_from(Appeal)
        .outerjoin(Organisation, Organisation.id == Appeal.organisation_id)
        .outerjoin(Topic, Topic.id == Appeal.topic_id)
        .outerjoin(TopicGroup, TopicGroup.id == Topic.group_id)
        .outerjoin(Municipality, Municipality.oktmo == Appeal.municipality)
        .outerjoin(Person, Person.id == Appeal.assignee_id)
    )


SELECT_APPEAL = _with_names(select(Appeal)).options(selectinload(Appeal.clocks).joinedload(SlaClock.events))
# Columns, not objects: making those takes as long as the statement itself.
_SELECT_LISTED = _with_names(select(*(getattr(Appeal, name) for name in (*SHOWN_COLUMNS, *_OTHER_COLUMNS))))
_LISTED_NAMES = _SELECT_LISTED.selected_columns.keys()


def list_query(
    caller: Caller, filters: AppealFilter, paging: Paging, *, newest_first: bool = True
) -> Select[*tuple[Any, ...]]:
    """Return the query that lists appeals by the moment they were opened, one more than the page takes.

    Indexes end in `opened_at, id` and are read in either direction.
    """
    columns = (Appeal.opened_at, Appeal.id)
    order = [column.desc() if newest_first else column.asc() for column in columns]
    query = _SELECT_LISTED.where(*filters.conditions(caller)).order_by(*order).limit(paging.limit + 1)
    after = paging.after(columns, (datetime.fromisoformat, UUID), descending=newest_first)
    return query if after is None else query.where(after)


async def find(
    session: AsyncSession, caller: Caller, filters: AppealFilter, paging: Paging, *, newest_first: bool = True
) -> list[SimpleNamespace]:
    """Return a page of appeals and one more, by the moment they were opened, with `q` by number.

    A row has the columns of an appeal, and the names of its organisation, topic, topic group, municipality and
    assignee.
    """
    if not filters.q:
        return await _listed(session, list_query(caller, filters, paging, newest_first=newest_first))
    position = paging.position((int,))
    found = await next_appeals(
        session,
        caller,
        filters.q,
        filters.conditions_without_words(caller),
        organisation_id=filters.organisation_id,
        after=None if position is None else position[0],
        limit=paging.limit + 1,
        newest_first=newest_first,
    )
    rows = await _listed(session, _SELECT_LISTED.where(Appeal.id.in_(found), caller.scope(Appeal.organisation_id)))
    return sorted(rows, key=lambda row: row.number, reverse=newest_first)


async def _listed(session: AsyncSession, query: Select[*tuple[Any, ...]]) -> list[SimpleNamespace]:
    # The attributes of a row of the result are slow.
    return [SimpleNamespace(**dict(zip(_LISTED_NAMES, row, strict=True))) for row in await session.execute(query)]


def position_of(row: SimpleNamespace, filters: AppealFilter) -> tuple[Any, ...]:
    """Return the position of an appeal in the list, for its cursor."""
    return (row.number,) if filters.q else (row.opened_at, row.id)


async def count_by_status(
    session: AsyncSession, caller: Caller, filters: AppealFilter
) -> Sequence[Row[str, int, int]]:
    """Return each status of the appeals that the filter matches, how many have it, and how many are overdue.

    Raises `Invalid` for a search without words.
    """
    if filters.q:
        await require_words(session, filters.q)
    late = func.count().filter(func.coalesce(overdue_condition(clock.now()), False))
    query = select(Appeal.status, func.count(), late).where(*filters.conditions(caller)).group_by(Appeal.status)
    return (await session.execute(query)).all()


async def lock(session: WriteSession, caller: Caller, appeal_id: UUID, *, with_clocks: bool = True) -> Appeal:
    """Return the appeal, locked until the transaction ends.

    Without its clocks for a change that has nothing to do with deadlines. Raises `NotFound` when it does not exist
    or is out of the caller's scope.
    """
    query = select(Appeal).where(Appeal.id == appeal_id, caller.scope(Appeal.organisation_id)).with_for_update()
    appeal = await session.scalar(query if with_clocks else query.options(raiseload(Appeal.clocks)))
    if appeal is None:
        raise NotFound("No such appeal")
    return appeal


async def check_version(session: AsyncSession, appeal: Appeal, seen: int | None) -> None:
    """Raise 412, naming the last change, unless the locked appeal is in the version that the caller saw."""
    if seen is not None and seen != appeal.version:
        last = await timeline.last_change(session, appeal.id)
        preconditions.check_version(appeal.version, seen, version=appeal.version, last_change=last)


async def get_visible(session: AsyncSession, caller: Caller, appeal_id: UUID) -> Appeal:
    """Return the appeal without its clocks. Raises `NotFound` when it does not exist or is out of the caller's
    scope.
    """
    appeal = await session.scalar(
        select(Appeal)
        .options(raiseload(Appeal.clocks))
        .where(Appeal.id == appeal_id, caller.scope(Appeal.organisation_id))
    )
    if appeal is None:
        raise NotFound("No such appeal")
    return appeal


async def require_visible(session: AsyncSession, caller: Caller, appeal_id: UUID) -> None:
    """Raise `NotFound` unless the appeal exists and is in the caller's scope."""
    if not await is_visible(session, caller, appeal_id):
        raise NotFound("No such appeal")


async def is_visible(session: AsyncSession, caller: Caller, appeal_id: UUID) -> bool:
    """Return whether the appeal exists and is in the caller's scope."""
    query = select(Appeal.id).where(Appeal.id == appeal_id, caller.scope(Appeal.organisation_id))
    return await session.scalar(query) is not None
