"""The filter of lists of appeals."""

from typing import Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, Select, and_, func, literal_column, select
from typing_extensions import TypeAliasType

from services.appeals.assignees.directory import actor_id
from services.appeals.classification import topics
from services.appeals.field_types import OKTMO_PATTERN, BoundedDatetime, SingleLine, StorableText, TagName
from services.appeals.lifecycle.route_snapshot import TRIAGE_REASON_HELP, TriageReason
from services.appeals.search.matching import found_appeals
from services.appeals.sla.breaches import is_with_somebody, overdue_condition
from shared import clock
from shared.api.pagination import inline_literal
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.contracts.values import AppealStatus, FeedbackKind, Language, Urgency
from shared.database.id_conditions import is_one_of_query
from shared.networks import NetworkName
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal, AppealMessage, AppealSubmission
from shared.tables.appeals_lists import AppealTag, UnreadAppeal
from shared.tables.appeals_replies import Reply
from shared.tables.appeals_work import AppealWatcher
from shared.tables.ingest import Message

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
        default=None, description="`me`: appeals of the caller; `none`: open appeals without an assignee"
    )
    network: NetworkName | None = None
    source: SingleLine | None = Field(
        default=None, description="`phone`, `reception`, `letter`, or the name of a system", examples=["phone"]
    )
    external_id: SingleLine | None = Field(
        default=None,
        description="The appeal's id in the source, if it has one; from Open311 `{id of the client}:{its id}`",
    )
    topic_id: UUID | None = Field(default=None, description="A topic, or a group with all its topics")
    municipality: str | None = Field(default=None, pattern=OKTMO_PATTERN, description="OKTMO of the location")
    settlement: SingleLine | None = Field(default=None, description="As shown in `location`")
    language: Language | None = None
    utility_failure: SingleLine | None = Field(default=None, description="The utility failure", examples=["power"])
    urgency: Urgency | None = None
    min_transfers: int | None = Field(
        default=None, ge=1, le=1_000, description="Transferred between organisations at least this often"
    )
    returned: bool | None = Field(default=None, description="An organisation has returned it")
    unanswered: bool | None = Field(
        default=None, description="An organisation or person has it, and no reply was published"
    )
    on_approval: bool | None = Field(default=None, description="A reply waits for an approver")
    reply_refused: bool | None = Field(
        default=None, description="An approver refused the reply, which is a draft again"
    )
    due_before: BoundedDatetime | None = Field(default=None, description="`next_due_at` is before this moment")
    incident_id: UUID | None = Field(default=None, description="In this incident")
    in_incident: bool | None = Field(default=None, description="In any incident")
    tag: TagName | None = Field(default=None, description="Has this tag", examples=["крыльцо"])
    unread: bool | None = Field(
        default=None, description="With something that the caller should read and has not opened since"
    )
    watched: bool | None = Field(default=None, description="The caller is a watcher")
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
    updated_since: BoundedDatetime | None = Field(
        default=None,
        description="Changed after this moment, with `sort=updated_at` or `-updated_at` in lists. A change may be "
        "seen some seconds after its moment: to miss none, read the event feed",
    )
    author_key: SingleLine | None = Field(
        default=None,
        description="Appeals of the citizen whose messages have this `author_key`",
        examples=["3f9c2e71a0"],
    )
    number: int | None = Field(default=None, ge=1, le=2**63 - 1)
    q: StorableText | None = Field(
        default=None,
        max_length=200,
        description="Words in any form, in the messages, replies and notes that you may read, the address, the "
        'organisation or the number; "an exact phrase" in quotes, `-` before a word excludes it, `or` between two',
        examples=["дорога Бабушкина"],
    )

    def conditions(self, caller: Caller, *, tag_is_frequent: bool = False) -> list[ColumnElement[bool]]:
        """Return the filter's SQL conditions, within the caller's scope. `tag_is_frequent`: read appeals in the
        order of the list and look up the tag of each, instead of first reading all appeals with the tag.
        """
        sought = [Appeal.id.in_(found_appeals(caller, self.q))] if self.q else []
        return self.conditions_without_words(caller, tag_is_frequent=tag_is_frequent) + sought

    def conditions_without_words(
        self, caller: Caller, *, tag_is_frequent: bool = False
    ) -> list[ColumnElement[bool]]:
        """Return the filter's SQL conditions except the one of `q`, within the caller's scope."""
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
            (Appeal.incident_id, self.incident_id),
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
            # The second condition is implied by the first, but only its literal lets the planner use the partial
            # index.
            conditions += [Appeal.transfers >= self.min_transfers, Appeal.transfers > literal_column("0")]
        if self.overdue is not None:
            # The condition of overdue appeals is written for indexes; "not overdue" is its complement.
            late = overdue_condition(clock.now())
            conditions.append(late if self.overdue else func.coalesce(late, False).is_(False))
        if self.author_key is not None:
            of_author = select(Message.id).where(Message.author_key == self.author_key)
            written = select(AppealMessage.appeal_id).where(AppealMessage.message_id.in_(of_author))
            conditions.append(is_one_of_query(Appeal.id, written))
        if self.external_id is not None:
            submitted = select(AppealSubmission.appeal_id).where(AppealSubmission.external_id == self.external_id)
            conditions.append(Appeal.id.in_(submitted))
        conditions += self._awaiting(caller) + self._noted() + self._assigned(caller)
        return conditions + self._opened_or_changed() + self._tagged(in_order=tag_is_frequent)

    def _tagged(self, *, in_order: bool) -> list[ColumnElement[bool]]:
        if not self.tag:
            return []
        found = select(AppealTag.appeal_id).where(AppealTag.tag == self.tag)
        # `OFFSET 0` keeps the planner from reading the tags first.
        return [
            found.where(AppealTag.appeal_id == Appeal.id).offset(0).exists()
            if in_order
            else is_one_of_query(Appeal.id, found)
        ]

    def _awaiting(self, caller: Caller) -> list[ColumnElement[bool]]:
        """Return the SQL conditions of the filters that make work lists, such as `returned` and `unanswered`."""
        # Conditions are built only if set: building them all would take longer than the rest of the statement.
        states = [
            condition() if wanted else ~condition()
            for condition, wanted in (
                (_is_returned, self.returned),
                (_is_unanswered, self.unanswered),
                (_is_in_incident, self.in_incident),
            )
            if wanted is not None
        ]
        lists = [
            is_one_of_query(Appeal.id, found(caller)) if wanted else Appeal.id.not_in(found(caller))
            for found, wanted in (
                (_on_approval, self.on_approval),
                (_refused, self.reply_refused),
                (_unread_by, self.unread),
                (_watched_by, self.watched),
            )
            if wanted is not None
        ]
        return states + lists + ([overdue_condition(self.due_before)] if self.due_before is not None else [])

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
            # No appeal for an API client, which cannot be an assignee.
            return [Appeal.assignee_id == actor_id(caller.subject)]
        if self.assignee == "none":
            open_statuses = [inline_literal(status) for status in OPEN_APPEAL_STATUSES]
            return [Appeal.assignee_id.is_(None), Appeal.status.in_(open_statuses)]
        return []

    def _opened_or_changed(self) -> list[ColumnElement[bool]]:
        since = [Appeal.opened_at >= self.opened_from] if self.opened_from is not None else []
        until = [Appeal.opened_at < self.opened_to] if self.opened_to is not None else []
        changed = [Appeal.updated_at > self.updated_since] if self.updated_since is not None else []
        return since + until + changed


def _is_returned() -> ColumnElement[bool]:
    return Appeal.returns > literal_column("0")


def _is_unanswered() -> ColumnElement[bool]:
    return and_(Appeal.first_response_at.is_(None), is_with_somebody())


def _is_in_incident() -> ColumnElement[bool]:
    return Appeal.incident_id.is_not(None)


def _on_approval(_caller: Caller) -> Select[UUID]:
    return _with_reply("on_approval")


def _refused(_caller: Caller) -> Select[UUID]:
    return _with_reply("draft").where(Reply.approval["decision"].astext == inline_literal("refused"))


def _unread_by(caller: Caller) -> Select[UUID]:
    return select(UnreadAppeal.appeal_id).where(UnreadAppeal.person_id == actor_id(caller.subject))


def _watched_by(caller: Caller) -> Select[UUID]:
    return select(AppealWatcher.appeal_id).where(AppealWatcher.person_id == actor_id(caller.subject))


def _with_reply(status: str) -> Select[UUID]:
    return select(Reply.appeal_id).where(Reply.status == inline_literal(status))
