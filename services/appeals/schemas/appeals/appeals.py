"""Schemas of appeals. Times are RFC 3339 with offset; texts are unchanged, as their authors wrote them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from services.appeals.assignees.assignee_wish import AssigneeWish
from services.appeals.assignees.directory import ActorRef
from services.appeals.field_types import BoundedDatetime, NonBlankText, SingleLine
from services.appeals.lifecycle.other_matters import PossibleOtherMatter
from services.appeals.lifecycle.route_snapshot import TRIAGE_REASON_HELP, TriageReason
from services.appeals.lifecycle.timeline import TimelineEntryKind
from services.appeals.lifecycle.transitions import AssignmentKind
from services.appeals.lifecycle.unread_marks import UNREAD_HELP, UnreadReason
from services.appeals.moderation.corrections import Corrections
from services.appeals.moderation.manual_appeals import NewSubmission
from services.appeals.schemas.appeals.feedback import KIND_HELP, FeedbackOut
from services.appeals.schemas.appeals.search import Highlight
from services.appeals.schemas.appeals.submissions import ContactIn, ExternalId, Metadata, Source, SubmissionOut
from services.appeals.schemas.classification.classifications import ClassificationOut
from services.appeals.schemas.common import _ID, Channel, Location, LocationIn, NamedRef, RequestBody, TopicRef
from services.appeals.schemas.replies.promises import PromiseOut
from services.appeals.schemas.replies.replies import FailedReply, ReplyOut
from services.appeals.schemas.routing.routes import RouteOut
from shared.contracts.values import (
    AppealOutcome,
    AppealStatus,
    DeletedBy,
    FeedbackKind,
    Language,
    MessageKind,
    Urgency,
)
from shared.http.problems import Invalid

MatterDecision = TypeAliasType("MatterDecision", Literal["split_off", "keep"])
AppealExpansion = TypeAliasType("AppealExpansion", Literal["route"])


class UnreadOut(BaseModel):
    """Something new in an appeal that the reader has not seen yet."""

    reason: UnreadReason = Field(
        description=f"The last reason, if there are several. {UNREAD_HELP}", examples=["message"]
    )
    at: datetime = Field(
        description="Send it as `until` once the appeal has been read", examples=["2026-11-27T10:00:00.123Z"]
    )


class ReadIn(RequestBody):
    """The time up to which a person has read an appeal."""

    until: BoundedDatetime = Field(
        description="`unread.at` of the appeal as it was shown", examples=["2026-11-27T10:00:00.123Z"]
    )


class AppealSummary(BaseModel):
    """The fields of an appeal that both lists and the appeal itself show."""

    id: UUID = Field(examples=[_ID])
    number: int = Field(examples=[1024])
    version: int = Field(description="Send as `If-Match` to change the appeal", examples=[3])
    status: AppealStatus = Field(examples=["assigned"])
    triage_reason: TriageReason | None = Field(
        description=f"In `triage`: why a moderator decides. {TRIAGE_REASON_HELP}"
    )
    urgency: Urgency = Field(examples=["normal"])
    outcome: AppealOutcome | None = Field(
        description="How the matter ended, as the final answer or the person who closed the appeal says"
    )
    feedback_kind: FeedbackKind | None = Field(
        description=f"What the citizen said about the last final answer. {KIND_HELP}", examples=[None]
    )
    organisation: NamedRef | None
    assignee: ActorRef | None = Field(description="The person who owes the next step; null: nobody yet")
    topic: TopicRef | None
    location: Location | None
    language: Language | None
    utility_failure: str | None = Field(
        description="The utility failure, if the appeal reports one", examples=["power"]
    )
    incident_id: UUID | None = Field(description="The incident that the appeal is in")
    transfers: int = Field(description="How often it was transferred between organisations", examples=[0])
    returns: int = Field(description="How often an organisation returned it", examples=[0])
    extensions: int = Field(description="How often one of its deadlines was extended", examples=[0])
    channel: Channel
    source: str | None = Field(
        description="`phone`, `reception`, `letter`, or a system's name; null for an appeal from a network",
        examples=[None],
    )
    unread: UnreadOut | None = Field(description="Null: there is nothing new for you", examples=[None])
    tags: list[str] = Field(
        description="Short words that staff put on the appeal, in alphabetical order", examples=[["крыльцо"]]
    )
    text: str = Field(
        description="The text that opened the appeal. In lists personal data is masked in it, and with `q` it "
        "is an extract around the found words",
        examples=["Когда починят дорогу на ул. Бабушкина?"],
    )
    written_at: datetime = Field(description="When the citizen wrote, by the network's clock, or called")
    opened_at: datetime = Field(description="When the message was received")
    updated_at: datetime = Field(description="When its version last changed; its incident and notes do not count")
    next_due_at: datetime | None = Field(
        description="The earliest open deadline: of the first or next reply, of a promise, of the final answer; "
        "null: there is none, or moderators have the appeal",
        examples=["2026-11-30T17:40:00+08:00"],
    )
    first_response_due_at: datetime | None = Field(examples=["2026-11-30T17:40:00+08:00"])
    first_response_at: datetime | None
    first_response_working_seconds: int | None = Field(description="Working time until the first public reply")
    next_response_due_at: datetime | None = Field(
        description="Deadline of the reply to a message after the first reply"
    )
    resolution_due_at: datetime | None
    final_answer_at: datetime | None = Field(description="When the first final answer was published")
    promised_at: datetime | None = Field(description="Promised by the last interim reply")
    closed_at: datetime | None
    erased_at: datetime | None = Field(
        description="When the citizen's data was erased: the texts of the appeal and of its messages, replies "
        "and notes are empty; show «данные удалены» in their place",
        examples=[None],
    )
    overdue: bool = Field(description="Whether a reply is late")
    reply_failed: FailedReply | None = Field(
        description="The last reply failed; null again when one is queued, retried or published", examples=[None]
    )
    possible_other_matters: list[PossibleOtherMatter] = Field(
        description="Messages that may be about another matter: a moderator decides "
        "(`POST /appeals/{id}/matter-decisions`)",
        examples=[[]],
    )
    allowed_moves: list[AppealStatus] = Field(
        description="Statuses that you may move the appeal to", examples=[["in_progress", "assigned", "triage"]]
    )


class AppealListItem(AppealSummary):
    """An appeal as lists show it."""

    route: RouteOut | None = Field(description="With `expand=route`; null otherwise")
    highlights: list[Highlight] = Field(
        description="With `q`: up to three of the texts that have its words, the oldest first", examples=[[]]
    )


class AppealMessageOut(BaseModel):
    """A message of the appeal."""

    id: UUID
    kind: MessageKind
    external_id: str = Field(examples=["-1_3"])
    text: str = Field(examples=["Когда починят дорогу на ул. Бабушкина?"])
    attachments: list[Any] = Field(examples=[[]])
    url: str = Field(examples=["https://vk.com/wall-1_2?reply=3"])
    written_at: datetime
    received_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None
    deleted_by: DeletedBy | None
    erased_at: datetime | None = Field(description="When the author's data was erased; the text is empty")
    classification: ClassificationOut | None


class AssignmentOut(BaseModel):
    """An assignment of the appeal; a null organisation is the centre."""

    at: datetime
    kind: AssignmentKind
    from_organisation: NamedRef | None
    to_organisation: NamedRef | None
    rule_id: UUID | None
    reason: str | None = Field(examples=["Дорога республиканская, не наша"])
    actor: ActorRef


class TimelineEntryOut(BaseModel):
    """An entry of the appeal's timeline."""

    at: datetime
    kind: TimelineEntryKind = Field(examples=["opened"])
    actor: ActorRef
    data: dict[str, Any] = Field(
        examples=[{"status": "assigned", "message_id": "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"}]
    )


class AppealLink(BaseModel):
    """A reference to another appeal."""

    id: UUID = Field(examples=[_ID])
    number: int = Field(examples=[1025])


class AppealPage(NamedRef):
    """The official page where the citizen wrote, and the organisation that owns it."""

    organisation: NamedRef


class AppealOut(AppealSummary):
    """An appeal with its messages, replies, timeline and other details."""

    page: AppealPage | None = Field(description="Null: not from a network")
    thread_key: str | None = Field(
        description="The thread in the network, as `GET /messages` takes it; for those who may read messages",
        examples=["vk:-1_2"],
    )
    route: RouteOut
    deadline: dict[str, Any] | None = Field(
        description="How the deadlines were computed; `text` is for people",
        examples=[
            {
                "text": "9 рабочих часов с пятницы 27.11 16:40: 27.11 — 1 ч 20 мин; 28.11 — не идёт; "
                "29.11 — не идёт; 30.11 — 7 ч 40 мин → понедельник 30.11 17:40"
            }
        ],
    )
    submission: SubmissionOut | None = Field(description="How it was submitted, if it has a `source`")
    watchers: list[ActorRef] = Field(description="People who follow the appeal and may read it")
    merged_into: AppealLink | None = Field(description="With `merged`: the appeal that has its messages now")
    merged_appeals: list[AppealLink] = Field(
        description="The appeals that were merged into this one", examples=[[]]
    )
    messages: list[AppealMessageOut]
    replies: list[ReplyOut]
    promises: list[PromiseOut] = Field(description="Promised dates, oldest first")
    feedback: list[FeedbackOut] = Field(
        description="What the citizen said about each final answer, oldest first", examples=[[]]
    )
    assignments: list[AssignmentOut] = Field(description="Assignments, oldest first")
    timeline: list[TimelineEntryOut]


AppealText = Annotated[
    NonBlankText, Field(max_length=20_000, examples=["По телефону: на ул. Гагарина не горят фонари"])
]


class AppealFields(LocationIn):
    """The optional fields of an appeal that is opened from a text, whatever its source."""

    written_at: BoundedDatetime | None = Field(
        default=None, description="When the citizen called or wrote; default: now"
    )
    contact: ContactIn | None = None
    metadata: Metadata | None = Field(default=None, description="Data of the source, kept unchanged")
    organisation_id: UUID | None = None
    topic_id: UUID | None = None
    urgency: Urgency | None = None
    url: Annotated[SingleLine, Field(pattern=r"^https?://")] | None = None

    def corrections(self) -> Corrections:
        """Return the person's corrections of the classification."""
        return Corrections(self.organisation_id, self.topic_id, self.urgency, location=self.parts())


class AppealIn(AppealFields):
    """An appeal to be opened manually: from a stored message, or from a text received in another way. Staff of an
    organisation must give the `source`, and may give only their own organisation.
    """

    message_id: UUID | None = Field(default=None, description="A stored message; needs `appeals:triage`")
    source: Source | None = None
    external_id: ExternalId | None = Field(
        default=None,
        description="The id in the source, which systems give. A repeated request with the same id and content "
        "returns the first appeal",
    )
    text: AppealText | None = None

    def submission(self) -> NewSubmission | None:
        """Return how the appeal was submitted; None without a source. Raises `Invalid` naming a field that
        requires another one.
        """
        if self.source is None:
            for name in ("external_id", "written_at", "contact", "metadata"):
                if getattr(self, name) is not None:
                    raise Invalid.field(f"/{name}", f"Give `source` too: `{name}` describes a submission from it")
            return None
        request = self.model_dump(mode="json", exclude={"contact"}, exclude_none=True)
        return NewSubmission(
            source=self.source,
            external_id=self.external_id,
            written_at=self.written_at,
            contact=self.contact.parts() if self.contact is not None else None,
            metadata=self.metadata or {},
            request=request,
        )


class MoveIn(RequestBody):
    """The target status of a move and the fields that it requires; `assignee_id` alone changes only the
    assignee.
    """

    to: AppealStatus | None = Field(
        default=None, description="The new status; left out: the status stays", examples=["assigned"]
    )
    organisation_id: UUID | None = Field(
        default=None,
        description="With `assigned`: the new organisation. Staff must give a reason, and cannot name an "
        "organisation that has had the appeal",
    )
    reason: SingleLine | None = Field(default=None, examples=["Дорога республиканская, не наша"])
    outcome: AppealOutcome | None = Field(default=None, description="With `closed`")
    assignee_id: UUID | None = Field(
        default=None,
        description="The person who owes the next step: of the appeal's organisation, in `triage` of the centre. "
        "`null`: nobody; left out: the person stays, unless they may not work on the appeal after the move",
        examples=["0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"],
    )

    def assignee(self) -> AssigneeWish:
        """Return the requested assignee."""
        return AssigneeWish(given="assignee_id" in self.model_fields_set, person_id=self.assignee_id)


class MatterDecisionIn(RequestBody):
    """The decision whether a message of the appeal is about another matter."""

    message_id: UUID = Field(examples=[_ID])
    decision: MatterDecision = Field(
        description="`split_off`: the message gets a separate appeal; `keep`: it stays", examples=["split_off"]
    )
    reason: SingleLine | None = Field(default=None, examples=["Спрашивает о другой дороге"])


class MergeIn(RequestBody):
    """The appeal to merge into, and the reason."""

    into: UUID = Field(
        description="The appeal of the same author that was received earlier",
        examples=["0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"],
    )
    reason: SingleLine = Field(examples=["Повтор того же вопроса на другой странице"])


class UnmergeIn(RequestBody):
    """The reason for undoing a merge."""

    reason: SingleLine = Field(examples=["Это другая дорога"])


class AppealCounts(BaseModel):
    """The number of appeals that match the filter."""

    total: int
    by_status: dict[AppealStatus, int] = Field(examples=[{"assigned": 12, "answered": 40}])
    overdue: int
    list_version: str | None = Field(
        description="With `with_list_version`: identifies these appeals in `POST /appeals/bulk`. Null: not "
        "requested, or more appeals than a bulk operation changes",
        examples=["AAZFlxSCUAC8kM1uC4sL0n3yVQk7m2Xo"],
    )
