"""Schemas of bulk operations."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.appeals.assignees.directory import ActorRef
from services.appeals.bulk.changes import BulkAction, BulkChange, RequestedAction, check_parameters
from services.appeals.bulk.list_versions import PATTERN, ListVersion
from services.appeals.bulk.operations import MAX_APPEALS, BulkOutcome, Selection
from services.appeals.field_types import SingleLine
from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.schemas.common import _ID, NamedRef, RequestBody
from shared.contracts.values import AppealOutcome, AppealStatus, Urgency
from shared.http.problems import FieldError, Invalid

_SELECTION = ("appeal_ids", "filter", "list_version")


class BulkFilter(AppealFilter):
    """The filter of `GET /appeals` as an object. An unknown field is an error: ignoring it would change more
    appeals.
    """

    model_config = ConfigDict(extra="forbid")


class BulkOperationIn(RequestBody):
    """A change of many appeals: those in `appeal_ids`, or all that `filter` matches now.

    Each action takes only its own parameters; `reason` is required if the same move of a single appeal needs one.
    """

    action: RequestedAction = Field(
        description="`assign` to a person; `transfer` to an organisation; `close`; `triage`: a decision whether "
        "an answer is due",
        examples=["assign"],
    )
    appeal_ids: list[UUID] | None = Field(
        default=None, min_length=1, max_length=MAX_APPEALS, description="The appeals", examples=[[_ID]]
    )
    filter: BulkFilter | None = Field(
        default=None,
        description=f"All appeals that match, {MAX_APPEALS} at most. The request fixes them",
        examples=[None],
    )
    list_version: str | None = Field(
        default=None,
        pattern=PATTERN,
        description="With `filter`: the `list_version` that `GET /appeals/counts` returned for it. If the filter "
        "matches other appeals now, nothing is changed: 412 with the `total`. Appeals opened since are left out",
        examples=[None],
    )
    assignee_id: UUID | None = Field(
        default=None,
        description="With `assign`: the person; `null`: nobody",
        examples=["0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"],
    )
    organisation_id: UUID | None = Field(
        default=None,
        description="With `transfer`: the new organisation; with `triage`: who must answer",
        examples=[None],
    )
    reason: SingleLine | None = Field(default=None, description="With `transfer` and `close`", examples=[None])
    outcome: AppealOutcome | None = Field(default=None, description="With `close`", examples=[None])
    needs_answer: bool | None = Field(
        default=None, description="With `triage`: whether an answer is due", examples=[None]
    )
    confirm: bool = Field(
        default=False,
        description="With `triage`: fields that are left out are correct as classified",
        examples=[False],
    )
    topic_id: UUID | None = Field(default=None, description="With `triage`", examples=[None])
    urgency: Urgency | None = Field(default=None, description="With `triage`", examples=[None])

    def selection(self) -> Selection:
        """Return the appeals to change. Raises `Invalid` unless exactly one of `appeal_ids` and `filter` is given,
        and for a `list_version` that is malformed or comes without `filter`.
        """
        if (self.appeal_ids is None) == (self.filter is None):
            detail = "Give either appeal_ids or filter"
            errors = [FieldError(pointer=f"/{name}", detail=detail) for name in ("appeal_ids", "filter")]
            raise Invalid(detail, errors=errors)
        if self.list_version is None:
            return Selection(self.appeal_ids, self.filter)
        if self.filter is None:
            raise Invalid.field(
                "/list_version", "Give `list_version` only with `filter`: `appeal_ids` already names the appeals"
            )
        try:
            return Selection(filter=self.filter, list_version=ListVersion.parsed(self.list_version))
        except ValueError as error:
            raise Invalid.field(
                "/list_version",
                "Not the version of a list: give the `list_version` that GET /appeals/counts returned",
            ) from error

    def change(self) -> BulkChange:
        """Return the change. Raises `Invalid` naming a parameter that is missing or belongs to another action."""
        given = set(self.model_dump(exclude={"action", *_SELECTION}, exclude_defaults=True))
        if self.action == "assign":
            given |= self.model_fields_set & {"assignee_id"}  # null is a value here: release the appeal
        check_parameters(self.action, given)
        return BulkChange(action=self.action, **{name: getattr(self, name) for name in given})


class BulkCounts(BaseModel):
    """How many appeals have each outcome."""

    total: int = Field(examples=[1000])
    pending: int = Field(description="Appeals without an outcome yet", examples=[0])
    done: int = Field(examples=[963])
    refused: int = Field(examples=[37])
    unchanged: int = Field(description="Appeals that already were in the requested state", examples=[0])


class BulkOperationOut(BaseModel):
    """A bulk operation and its progress."""

    id: UUID = Field(examples=[_ID])
    action: BulkAction = Field(examples=["assign"])
    author: ActorRef
    assignee: ActorRef | None = Field(description="With `assign`; null: nobody")
    organisation: NamedRef | None = Field(description="With `transfer` and `triage`")
    reason: str | None = Field(examples=[None])
    outcome: AppealOutcome | None = Field(examples=[None])
    needs_answer: bool | None = Field(description="With `triage`", examples=[None])
    counts: BulkCounts
    created_at: datetime
    completed_at: datetime | None = Field(description="When the last appeal got its outcome; null: under way")
    duration_seconds: float | None = Field(description="From the request to the last outcome", examples=[41.5])
    undoable: bool = Field(
        description="`POST /appeals/bulk/{id}/undo` undoes it for the appeals that nobody changed since"
    )
    undoes_id: UUID | None = Field(description="With `undo`: the operation that it undoes", examples=[None])
    undone_by_id: UUID | None = Field(description="The last operation that undid this one", examples=[None])


class RowProblem(BaseModel):
    """Why the change of an appeal was refused: the problem that the route for a single appeal would return."""

    type: str = Field(examples=["/problems/conflict"])
    title: str = Field(examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str = Field(examples=["An appeal in status «closed» cannot be assigned to a person or released"])
    errors: list[FieldError] | None = Field(default=None, examples=[None])


class BulkRowAppeal(BaseModel):
    """The text of an appeal of a bulk operation, and its current status and organisation."""

    text: str = Field(description="Personal data is masked, as in lists", examples=["Не горят фонари"])
    status: AppealStatus = Field(examples=["assigned"])
    organisation: NamedRef | None


class BulkRowOut(BaseModel):
    """An appeal of a bulk operation."""

    appeal_id: UUID = Field(examples=[_ID])
    number: int | None = Field(
        description="Null: no such appeal, or it was out of the author's scope", examples=[1024]
    )
    appeal: BulkRowAppeal | None = Field(description="Null: you may not read the appeal now, or it does not exist")
    outcome: BulkOutcome = Field(examples=["refused"])
    problem: RowProblem | None = Field(description="With `refused`")
    changed_at: datetime | None = Field(description="When it got its outcome")
