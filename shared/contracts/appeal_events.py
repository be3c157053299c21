"""Events of the appeals service: appeals, replies, incidents and alerts."""

from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.auth.rights import Right
from shared.contracts.event_base import EventData, FeedOnly, Moment
from shared.contracts.values import (
    AlertKind,
    AppealOutcome,
    AppealStatus,
    AwaitedClock,
    ClassificationField,
    CountedClock,
    EscalationStep,
    ExtendableClock,
    ExtensionEndReason,
    FeedbackKind,
    IncidentOrigin,
    Language,
    NoteVisibility,
    PartnerStatus,
    ReplyChangeKind,
    ReplyKind,
    ReplyOrigin,
    Urgency,
    WithdrawalGround,
)
from shared.networks import NetworkName

_APPEAL: dict[str, Any] = {
    "id": "0198f3a0-7c1e-7e5a-9d3b-2f6f3a1c9e10",
    "number": 1024,
    "version": 3,
    "status": "assigned",
    "urgency": "normal",
    "network": "vk",
    "page_id": "0198f3a0-3333-7000-8000-000000000004",
    "url": "https://vk.com/wall-101_31",
    "organisation_id": "0198f3a0-0000-7000-8000-000000000001",
    "topic_id": "0198f3a0-aaaa-7000-8000-000000000012",
    "municipality": "81624000",
    "settlement": "Селенгинск",
    "language": "ru",
    "incident_id": None,
    "written_at": "2026-11-23T02:00:00+00:00",
    "opened_at": "2026-11-23T02:00:04+00:00",
    "first_response_due_at": "2026-11-24T02:00:04+00:00",
    "first_response_at": None,
    "next_response_due_at": None,
    "resolution_due_at": "2026-12-07T02:00:04+00:00",
}
_MESSAGE_ID = {"message_id": "0198f3a0-7777-7000-8000-000000000010"}
_ANSWERED = {"status": "answered", "first_response_at": "2026-11-23T03:30:00+00:00"}
_CLASSIFICATION = {name: _APPEAL[name] for name in ("topic_id", "municipality", "settlement")}
_REPLY_ID = {"reply_id": "0198f3a5-1111-7000-8000-000000000002"}
_CHANGE_ID = {"change_id": "0198f3a5-3333-7000-8000-000000000004"}
_PROMISE = {
    "promise_id": "0198f3a5-2222-7000-8000-000000000003",
    "promised_at": "2026-11-27T10:00:00+00:00",
}
_FAILURE = {"code": "vk:222", "reason": "Сеть не пропустила ссылку.", "failed_at": "2026-11-23T03:30:00+00:00"}


class AppealSnapshot(EventData):
    """The appeal at the time of the event."""

    required_right = Right.APPEALS_READ
    sent_by_webhooks = True

    id: UUID = Field(description="Id of the appeal")
    number: int = Field(description="Number of the appeal, as people quote it")
    version: int | None = Field(
        default=None,
        description="Version of the appeal after the event, as in its `ETag`: the fields of a "
        "body with a lower version than one that you have are older. Absent in events from before this field",
    )
    status: AppealStatus = Field(description="Status after the event")
    urgency: Urgency = Field(description="`high`: answer first")
    network: NetworkName | None = Field(description="Where it was written; null: entered by hand")
    page_id: Annotated[UUID | None, FeedOnly()] = Field(description="The page it was written on")
    url: str | None = Field(description="Address of the message in the network")
    organisation_id: Annotated[UUID | None, FeedOnly()] = Field(
        description="The organisation that answers; null: the centre"
    )
    topic_id: UUID | None = Field(description="`GET /topics/{id}` returns it with its topic group")
    municipality: str | None = Field(description="Location of the problem; OKTMO code")
    settlement: str | None = Field(description="Settlement of the problem, by name")
    language: Language | None = Field(description="Language of the message that opened it")
    incident_id: UUID | None = Field(description="The incident that the appeal belongs to")
    written_at: Moment = Field(description="When the message was written, by the network's clock")
    opened_at: Moment = Field(description="When the message was received")
    first_response_due_at: Moment | None = Field(description="Deadline of the first answer")
    first_response_at: Moment | None = Field(description="When the first answer was published")
    next_response_due_at: Moment | None = Field(description="Deadline of the answer that a reopened appeal awaits")
    resolution_due_at: Moment | None = Field(description="Deadline of the resolution")


class AppealOpened(AppealSnapshot):
    """A message that needs an answer opened an appeal, or a person entered one by hand (without `message_id`)."""

    event_type = "appeal.opened"
    example = _APPEAL | _MESSAGE_ID

    message_id: UUID | None = Field(default=None, description="The message that opened it")


class AppealMessageAdded(AppealSnapshot):
    """The citizen wrote again about the matter of an appeal."""

    event_type = "appeal.message_added"
    example = _APPEAL | _MESSAGE_ID

    message_id: UUID = Field(description="The new message")


class AppealMessageSplitOff(AppealSnapshot):
    """A person moved a message of the appeal, about another matter, to a new appeal (`appeal.opened`)."""

    event_type = "appeal.message_split_off"
    example = _APPEAL | _MESSAGE_ID | {"new_appeal_id": "0198f3a0-7c1e-7e5a-9d3b-2f6f3a1c9e11"}

    message_id: UUID = Field(description="The message")
    new_appeal_id: UUID = Field(description="The appeal that it belongs to now")


class AppealAssigned(AppealSnapshot):
    """The appeal was assigned to an organisation."""

    event_type = "appeal.assigned"
    example = _APPEAL


class AppealAssigneeChanged(AppealSnapshot):
    """Another person of the organisation (in triage: of the centre) owes the next step; `assignee_id` null:
    nobody.
    """

    event_type = "appeal.assignee_changed"
    sent_by_webhooks = False
    example = _APPEAL | {"assignee_id": "0198f3a0-5555-7000-8000-000000000003", "previous_assignee_id": None}

    assignee_id: UUID | None = Field(description="The person who owes the next step now")
    previous_assignee_id: UUID | None = Field(description="The person before")


class AppealNoteAdded(AppealSnapshot):
    """Somebody wrote an internal note; its text is not in the event. Sent to the organisation that has the appeal,
    or to the centre alone if another organisation wrote the note for itself.
    """

    event_type = "appeal.note_added"
    sent_by_webhooks = False
    example = _APPEAL | {
        "note_id": "0198f3a0-6666-7000-8000-000000000001",
        "visibility": "organisation",
        "mentions": ["0198f3a0-5555-7000-8000-000000000003"],
    }

    note_id: UUID = Field(description="The note; `GET /appeals/{id}/notes` shows it")
    visibility: NoteVisibility = Field(description="Who may read the note")
    mentions: list[UUID] = Field(description="The people whom the note mentions")


class AppealTagsChanged(AppealSnapshot):
    """Somebody added or removed tags; the tags are not in the event. `GET /appeals/{id}` shows them."""

    event_type = "appeal.tags_changed"
    sent_by_webhooks = False
    example = _APPEAL


class AppealPartnerStatusChanged(AppealSnapshot):
    """A partner system reported its status of the appeal; the status of the appeal itself does not change. The
    partner's note is not in the event. `GET /appeals/{id}` shows it.
    """

    event_type = "appeal.partner_status_changed"
    sent_by_webhooks = False
    example = _APPEAL | {
        "partner_id": "0198f3a5-4444-7000-8000-000000000005",
        "partner_status": "in_progress",
    }

    partner_id: UUID = Field(description="The partner that reported it")
    partner_status: PartnerStatus = Field(description="The status that the partner reported")


class AppealMoved(AppealSnapshot):
    """The appeal changed its status. An organisation that loses the appeal gets a separate event, with
    `assignment_lost: true` and itself as `organisation`, and no later events of the appeal.
    """

    model_config = ConfigDict(validate_by_name=True)

    event_type = "appeal.moved"
    example = _APPEAL | {"status": "in_progress", "from": "assigned", "to": "in_progress", "reason": None}

    from_status: AppealStatus = Field(alias="from", description="Status before")
    to_status: AppealStatus = Field(alias="to", description="Status after")
    reason: Annotated[str | None, FeedOnly()] = Field(description="What the person who moved it wrote")
    assignment_lost: bool = Field(default=False, description="True: the appeal was taken from `organisation`")


class AppealClassification(BaseModel):
    """Topic, location and urgency of an appeal. Streets and houses are omitted; the appeal has them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic_id: UUID | None = Field(description="Topic")
    municipality: str | None = Field(description="OKTMO code")
    settlement: str | None = Field(description="Settlement, by name")
    urgency: Urgency = Field(description="Urgency")


class AppealReclassified(AppealSnapshot):
    """Topic, location or urgency of the appeal was corrected by a person, or changed by another message of the
    citizen; the body contains the deadlines now in force.
    """

    event_type = "appeal.reclassified"
    example = _APPEAL | {
        "urgency": "high",
        "changed": ["urgency"],
        "before": _CLASSIFICATION | {"urgency": "normal"},
        "after": _CLASSIFICATION | {"urgency": "high"},
    }

    changed: list[ClassificationField] = Field(description="What changed")
    before: AppealClassification = Field(description="Classification before")
    after: AppealClassification = Field(description="Classification after")


class AppealAnswered(AppealSnapshot):
    """A reply was published in the network, or an answer given by other means was recorded."""

    event_type = "appeal.answered"
    example = (
        _APPEAL
        | _ANSWERED
        | _REPLY_ID
        | {
            "reply_url": "https://vk.com/wall-101_31?reply=32",
            "kind": "final",
            "origin": "gospablik",
            "published_at": "2026-11-23T03:30:00+00:00",
            "on_time": True,
        }
    )

    reply_id: UUID = Field(description="The published reply")
    reply_url: str | None = Field(description="Address of the reply in the network")
    kind: ReplyKind = Field(description="`interim`: a later answer was promised")
    origin: ReplyOrigin = Field(
        description="`network`: staff wrote it in the network itself; `recorded`: given by phone, in person or in "
        "writing"
    )
    published_at: Moment = Field(description="When it was published")
    on_time: bool | None = Field(description="Whether the deadline was kept; null: no clock ran")


class AppealOverdue(AppealSnapshot):
    """The appeal is late now: the deadline of a response or of the final answer has passed, or (with
    `promise.broken`) a promised date.
    """

    event_type = "appeal.overdue"
    example = _APPEAL | {
        "promised_at": None,
        "clock": "first_response",
        "due_at": "2026-11-24T02:00:04+00:00",
    }

    promised_at: Moment | None = Field(description="The date that an interim reply promised, if there is one")
    clock: AwaitedClock | None = Field(
        default=None, description="What is late; absent from older events, which concern a response or a promise"
    )
    due_at: Moment | None = Field(default=None, description="The deadline, or the promised date")


class AppealClockPaused(AppealSnapshot):
    """A person paused the clocks of the appeal: the organisation waits for something that it cannot speed up."""

    event_type = "appeal.clock_paused"
    example = _APPEAL | {
        "first_response_due_at": None,
        "resolution_due_at": None,
        "reason": "Ждём адрес от автора",
    }

    reason: Annotated[str, FeedOnly()] = Field(description="What the person who paused them wrote")


class AppealClockResumed(AppealSnapshot):
    """A person ended the pause of the clocks, merged an appeal whose question awaits an answer into this one, or
    decided that the paused message needs no answer while another one waits. The body contains the deadlines now in
    force.
    """

    event_type = "appeal.clock_resumed"
    example = _APPEAL | {"reason": None}

    reason: Annotated[str | None, FeedOnly()] = Field(
        description="What the person who resumed them wrote, which appeal was merged, or that a message waits"
    )


class AppealDeadlineNear(AppealSnapshot):
    """A share of the time until a deadline, set in the SLA policy, has passed. Sent in the working hours of
    the organisation.
    """

    event_type = "appeal.deadline_near"
    example = _APPEAL | {
        "clock": "first_response",
        "share": 0.8,
        "due_at": "2026-11-24T02:00:04+00:00",
        "left_seconds": 6480,
    }

    clock: CountedClock = Field(description="What is due")
    share: float = Field(description="The share of the time that is used")
    due_at: Moment = Field(description="The deadline")
    left_seconds: int = Field(description="How much time is left, in the working or calendar time of the policy")


class AppealEscalated(AppealSnapshot):
    """The next level was notified of a late or nearly late appeal: executor, manager, centre, deputy head. Sent in
    the working hours of the organisation, once for each step.
    """

    event_type = "appeal.escalated"
    example = _APPEAL | {
        "step": "manager",
        "clock": "first_response",
        "due_at": "2026-11-24T02:00:04+00:00",
        "told": ["0198f3a0-5555-7000-8000-000000000003"],
    }

    step: EscalationStep = Field(description="The level")
    clock: AwaitedClock = Field(description="What is due")
    due_at: Moment = Field(description="The deadline, or the promised date")
    told: Annotated[list[UUID], FeedOnly()] = Field(
        description="The people who hold the role; empty: nobody holds it, and the step was skipped"
    )


class AppealDeadlineChanged(AppealSnapshot):
    """A deadline of the appeal moved: a working calendar or the choice of the organisation's calendar changed, the
    clocks now start with a later message, which made the matter clear or waits because the former one needs no
    answer, or an appeal that started earlier was merged into it.
    """

    event_type = "appeal.deadline_changed"
    example = _APPEAL


class ExtensionSnapshot(AppealSnapshot):
    """A request to extend a deadline at the time of the event; `id` and `number` are the appeal's."""

    sent_by_webhooks = False
    example = _APPEAL | {
        "status": "in_progress",
        "request_id": "0198f3a5-3333-7000-8000-000000000004",
        "clock": "final_answer",
        "extension_seconds": 57_600,
    }

    request_id: UUID = Field(description="The request")
    clock: ExtendableClock = Field(description="The clock that it is about")
    extension_seconds: int = Field(description="How much longer, in the working or calendar time of the policy")


class AppealExtensionRequested(ExtensionSnapshot):
    """The organisation asked the centre for more time; the ground is not in the event."""

    event_type = "appeal.extension_requested"


class AppealExtensionApproved(ExtensionSnapshot):
    """The centre extended a deadline of the appeal; `due_at` is the new deadline."""

    event_type = "appeal.extension_approved"
    sent_by_webhooks = True
    example = ExtensionSnapshot.example | {"due_at": "2026-12-09T02:00:04+00:00"}

    due_at: Moment | None = Field(description="The deadline of the clock; null: it is paused")


class AppealExtensionRefused(ExtensionSnapshot):
    """The centre refused to extend a deadline; the remarks are shown with the request."""

    event_type = "appeal.extension_refused"


class AppealExtensionWithdrawn(ExtensionSnapshot):
    """The organisation withdrew its request to extend a deadline before the centre decided."""

    event_type = "appeal.extension_withdrawn"


class AppealExtensionEnded(ExtensionSnapshot):
    """A request to extend a deadline ended before the centre decided, because nothing is left to extend. Sent to
    the organisation that asked.
    """

    event_type = "appeal.extension_ended"
    example = ExtensionSnapshot.example | {"status": "answered", "reason": "answered"}

    reason: ExtensionEndReason = Field(description="Why it ended")


class AppealClosed(AppealSnapshot):
    """The appeal ended: `status` is `closed` (with `outcome` if one was given) or `not_required` (no answer is
    needed).
    """

    event_type = "appeal.closed"
    example = _APPEAL | _ANSWERED | {"status": "closed", "outcome": "solved", "reason": "Яма засыпана"}

    outcome: AppealOutcome | None = Field(description="How it ended, if the person who closed it said so")
    reason: Annotated[str | None, FeedOnly()] = Field(description="What the person who closed it wrote")


class AppealMerged(AppealSnapshot):
    """A moderator merged the appeal into another appeal of the same author, which now has its messages. Sent to
    both organisations.
    """

    event_type = "appeal.merged"
    example = _APPEAL | {
        "status": "merged",
        "into_id": "0198f3a0-7c1e-7e5a-9d3b-2f6f3a1c9e11",
        "into_number": 1025,
    }

    into_id: UUID = Field(description="The appeal that has its messages now")
    into_number: int = Field(description="Its number")


class AppealUnmerged(AppealSnapshot):
    """A moderator undid a merge: the appeal has its messages and its status again. Sent to both
    organisations.
    """

    event_type = "appeal.unmerged"
    example = _APPEAL | {"from_id": "0198f3a0-7c1e-7e5a-9d3b-2f6f3a1c9e11", "from_number": 1025}

    from_id: UUID = Field(description="The appeal that it was merged into")
    from_number: int = Field(description="Its number")


class AppealReopened(AppealSnapshot):
    """A closed or answered appeal was reopened."""

    event_type = "appeal.reopened"
    example = (
        _APPEAL
        | _ANSWERED
        | {
            "status": "reopened",
            "next_response_due_at": "2026-11-25T02:00:04+00:00",
            "reason": None,
        }
    )

    reason: Annotated[str | None, FeedOnly()] = Field(
        default=None, description="What the person who reopened it wrote"
    )


class AppealFeedback(AppealSnapshot):
    """The citizen's feedback on a final answer, with the state of the appeal after it."""

    example = (
        _APPEAL
        | _ANSWERED
        | _REPLY_ID
        | {"kind": "thanks", "mark": None, "message_id": "0198f3a0-7777-7000-8000-000000000010"}
    )

    reply_id: UUID = Field(description="The final answer")
    kind: FeedbackKind | None = Field(
        description="`not_solved`: the appeal is reopened; `silence`: no feedback came in time; null: a person "
        "found that the message says nothing about the answer"
    )
    mark: int | None = Field(description="1 to 5, if the citizen gave a mark")
    message_id: UUID | None = Field(description="The message with the feedback; null with `silence`")


class AppealFeedbackReceived(AppealFeedback):
    """The citizen gave thanks or a mark for a final answer, said that the matter is not solved, or gave no
    feedback in time.
    """

    event_type = "appeal.feedback_received"


class AppealFeedbackCorrected(AppealFeedback):
    """A moderator corrected how the citizen's feedback on a final answer was classified."""

    event_type = "appeal.feedback_corrected"


class ReplyQueued(AppealSnapshot):
    """A reply waits for its publication; `id` and `number` are the appeal's."""

    event_type = "reply.queued"
    sent_by_webhooks = False
    example = _APPEAL | {"status": "in_progress"} | _REPLY_ID

    reply_id: UUID = Field(description="The reply")


class ReplyApprovalSnapshot(AppealSnapshot):
    """A reply that needs approval at the time of the event; `id` and `number` are the appeal's."""

    sent_by_webhooks = False
    example = _APPEAL | {"status": "in_progress", "kind": "final"} | _REPLY_ID

    reply_id: UUID = Field(description="The reply")
    kind: ReplyKind = Field(description="`interim`: it promises a later answer")


class ReplyApprovalRequested(ReplyApprovalSnapshot):
    """A reply waits for an approver; `id` and `number` are the appeal's."""

    event_type = "reply.approval_requested"


class ReplyApproved(ReplyApprovalSnapshot):
    """An approver approved a reply, which now waits for its publication; `id` and `number` are the appeal's."""

    event_type = "reply.approved"


class ReplyRefused(ReplyApprovalSnapshot):
    """An approver refused a reply, which is a draft again; the remarks are shown with the reply."""

    event_type = "reply.refused"


class ReplyFailed(AppealSnapshot):
    """A reply could not be published: correct it and retry. `id` and `number` are the appeal's."""

    event_type = "reply.failed"
    example = _APPEAL | {"status": "in_progress", "kind": "final"} | _REPLY_ID | _FAILURE

    reply_id: UUID = Field(description="Retry with `POST /appeals/{id}/replies/{reply_id}/retry`")
    kind: ReplyKind = Field(description="`interim`: it promises a later answer")
    code: str | None = Field(description="Code of the reason, from the network or this system")
    reason: str | None = Field(description="Explanation for the author of the reply")
    failed_at: Moment = Field(description="When it failed")


class ReplyChangeSnapshot(AppealSnapshot):
    """A change of a published reply at the time of the event; `id` and `number` are the appeal's."""

    example = _APPEAL | _ANSWERED | _REPLY_ID | _CHANGE_ID | {"kind": "final"}

    reply_id: UUID = Field(description="The reply")
    change_id: UUID = Field(description="The edit or withdrawal; the reply shows who asked for it and why")
    kind: ReplyKind = Field(description="`interim`: the reply promises a later answer")


class ReplyEdited(ReplyChangeSnapshot):
    """The text of a published reply was edited in the network, through this system or, if staff wrote it there, by
    hand; the system keeps both texts.
    """

    event_type = "reply.edited"


class ReplyWithdrawn(ReplyChangeSnapshot):
    """A published reply was deleted in the network by its organisation or the centre, or by hand one that staff
    wrote there; the system keeps its text.

    If it had stopped a clock, the clock continues and the appeal awaits an answer again.
    """

    event_type = "reply.withdrawn"
    example = _APPEAL | _REPLY_ID | _CHANGE_ID | {"status": "reopened", "kind": "final", "ground": "factual_error"}

    ground: WithdrawalGround | None = Field(
        description="Why it was withdrawn; null: it was deleted by hand in the network"
    )


class ReplyChangeFailed(ReplyChangeSnapshot):
    """A published reply could not be edited or withdrawn."""

    event_type = "reply.change_failed"
    example = ReplyChangeSnapshot.example | _FAILURE | {"change": "edit"}

    change: ReplyChangeKind = Field(description="What was requested")
    code: str = Field(description="Code of the reason, from the network or this system")
    reason: str = Field(description="Explanation for the person who asked for it")
    failed_at: Moment = Field(description="When it failed")


class PromiseSnapshot(AppealSnapshot):
    """A promise at the time of the event; `id` and `number` are the appeal's."""

    example = _APPEAL | {"status": "interim"} | _PROMISE

    promise_id: UUID = Field(description="Id of the promise in `GET /promises`")
    promised_at: Moment = Field(description="The date that the interim reply named")


class PromiseMade(PromiseSnapshot):
    """A published interim reply promised a date."""

    event_type = "promise.made"


class PromiseReminded(PromiseSnapshot):
    """One working day is left until the promised date, and the final reply is not published."""

    event_type = "promise.reminded"


class PromiseKept(PromiseSnapshot):
    """The final reply was published by the promised date."""

    event_type = "promise.kept"
    example = _APPEAL | _ANSWERED | _PROMISE


class PromiseMoved(PromiseSnapshot):
    """Before the promised date another interim reply promised a new date, which is a separate promise."""

    event_type = "promise.moved"


class PromiseBroken(PromiseSnapshot):
    """The promised date passed without a final reply. The promise ledger counts it; `appeal.overdue` says whether
    the appeal is late.
    """

    event_type = "promise.broken"


class IncidentSnapshot(EventData):
    """An incident at the time of the event; its title is left out, because a person may have written it.

    Its lead organisation gets separate events with `own_appeals_only`, which count only its own appeals.
    """

    required_right = Right.APPEALS_READ
    sent_by_webhooks = True
    example: ClassVar = {
        "number": 7,
        "origin": "spike",
        "topic_id": None,
        "utility_failure": "power",
        "municipality": "81624000",
        "settlement": "Селенгинск",
        "urgency": "high",
        "own_appeals_only": True,
        "member_count": 12,
        "first_written_at": "2026-11-23T02:00:00+00:00",
        "last_written_at": "2026-11-23T02:08:00+00:00",
        "closed_at": None,
    }

    number: int = Field(description="Number of the incident, as people quote it")
    origin: IncidentOrigin = Field(description="`spike`: opened automatically by a spike of appeals")
    topic_id: UUID | None = Field(description="Topic of its appeals")
    utility_failure: str | None = Field(description="What is out of service: `power`, `heat`, `water` …")
    municipality: str | None = Field(description="OKTMO code")
    settlement: str | None = Field(description="Settlement, by name")
    urgency: Urgency = Field(description="Urgency of its appeals")
    own_appeals_only: bool = Field(
        description="True: for the lead organisation, counting only its own appeals; false: for the centre"
    )
    member_count: int = Field(description="Number of appeals in it")
    first_written_at: Moment | None = Field(description="When the first of its messages was written")
    last_written_at: Moment | None = Field(description="When the last of its messages was written")
    closed_at: Moment | None = Field(description="When a person closed it")


class IncidentOpened(IncidentSnapshot):
    """Appeals were grouped into an incident, by a person or automatically as a spike. Sent to the centre, and
    separately to the organisation that leads it, with `own_appeals_only: true` and only its own appeals counted.
    """

    event_type = "incident.opened"


class IncidentGrown(IncidentSnapshot):
    """The number of an incident's appeals reached 10, 20, 50, 100, 200, 500 …"""

    event_type = "incident.grown"
    example = IncidentSnapshot.example | {"member_count": 20}


class IncidentClosed(IncidentSnapshot):
    """A person closed an incident: appeals can no longer join it."""

    event_type = "incident.closed"
    example = IncidentSnapshot.example | {"member_count": 204, "closed_at": "2026-11-23T10:00:00+00:00"}


class AlertRaised(EventData):
    """Something needs a moderator's attention at once. Sent to the centre; the reason is left out, because it may
    quote a citizen.
    """

    event_type = "alert.raised"
    required_right = Right.APPEALS_TRIAGE
    sent_by_webhooks = True
    example: ClassVar = {
        "kind": "spike",
        "appeal_id": None,
        "appeal_number": None,
        "incident_id": "0198f3a0-8888-7000-8000-000000000010",
        "incident_number": 7,
    }

    kind: AlertKind = Field(
        description="`urgent`: an urgent appeal; `spike`: a spike opened an incident; "
        "`repeated_transfers`: organisations keep transferring an appeal"
    )
    appeal_id: UUID | None = Field(description="The appeal; null for an incident")
    appeal_number: int | None = Field(description="Its number")
    incident_id: UUID | None = Field(description="The incident; null for an appeal")
    incident_number: int | None = Field(description="Its number")
