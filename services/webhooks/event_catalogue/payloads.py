"""Payloads of the catalogue's events. Only these fields are sent."""

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class EventPayload(BaseModel):
    """Data of an event; fields that are not declared are not sent."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class OrganisationRef(EventPayload):
    """The organisation that answers."""

    id: UUID
    name: str | None


class AppealPayload(EventPayload):
    """The appeal at the time of the event."""

    id: UUID
    number: int | None = None
    status: str | None = None
    urgency: str | None = None
    network: str | None = None
    url: str | None = Field(default=None, description="Address of the message in the network")
    organisation: OrganisationRef | None = None
    topic_id: UUID | None = Field(default=None, description="`GET /topics/{id}` returns it with its topic group")
    municipality: str | None = Field(default=None, description="Location of the problem; OKTMO code")
    settlement: str | None = None
    language: str | None = Field(
        default=None, description="Language of the message that opened it: `ru`, `bxr` or `mixed`"
    )
    incident_id: UUID | None = Field(default=None, description="The incident that the appeal belongs to")
    written_at: datetime | None = None
    opened_at: datetime | None = None
    first_response_due_at: datetime | None = None
    first_response_at: datetime | None = None
    next_response_due_at: datetime | None = Field(
        default=None, description="Deadline of the answer that a reopened appeal awaits"
    )
    resolution_due_at: datetime | None = None


class ClassificationPayload(EventPayload):
    """Classification of an appeal: topic, location and urgency."""

    topic_id: UUID | None = None
    municipality: str | None = Field(default=None, description="OKTMO")
    settlement: str | None = None
    urgency: str | None = None


class AppealReclassifiedPayload(AppealPayload):
    """Adds the changed classification, before and after.

    Streets and houses are omitted: read the appeal for them.
    """

    changed: list[str] | None = Field(
        default=None,
        description="Of `topic_id`, `municipality`, `settlement`, `street`, `house`, `urgency`",
    )
    before: ClassificationPayload | None = None
    after: ClassificationPayload | None = None


class AppealMessagePayload(AppealPayload):
    """Adds the citizen's text: personal data is masked, unless the endpoint asks for unmasked texts."""

    message_id: UUID | None = None
    text: str | None = Field(
        default=None,
        description="The citizen's text; personal data is masked unless the endpoint asks for unmasked texts",
    )


class AppealStatusPayload(AppealPayload):
    """Adds the statuses before and after.

    The organisation that loses the appeal gets the event too: there `left` is true and `organisation` is that one.
    """

    from_: str | None = Field(default=None, alias="from")
    to: str | None = None
    left: bool | None = Field(default=None, description="True: the appeal was taken from `organisation`")


class AppealAnsweredPayload(AppealPayload):
    """Adds the published answer; `origin` is `gospablik` or `network` (published by hand)."""

    reply_id: UUID | None = None
    reply_url: str | None = None
    kind: str | None = Field(default=None, description="`final` or `interim`")
    origin: str | None = None
    published_at: datetime | None = None
    on_time: bool | None = None


class ReplyFailedPayload(AppealPayload):
    """Adds the reply that was not published, and the reason."""

    reply_id: UUID | None = Field(
        default=None, description="Retry with `POST /appeals/{id}/replies/{reply_id}/retry`"
    )
    kind: str | None = Field(default=None, description="`final` or `interim`")
    code: str | None = Field(default=None, description="Code of the reason, from the network or this system")
    reason: str | None = Field(default=None, description="Explanation for the author of the reply")
    failed_at: datetime | None = None


class AppealOverduePayload(AppealPayload):
    """Adds the date that an interim reply promised, if there is one."""

    promised_at: datetime | None = None


class AppealClosedPayload(AppealPayload):
    """Adds the outcome."""

    outcome: str | None = None


class MessageDeletedPayload(EventPayload):
    """A message that was deleted in the network; its text is not sent."""

    id: UUID = Field(description="Id of the message")
    page_id: UUID | None = None
    network: str | None = None
    kind: str | None = None
    organisation: OrganisationRef | None = None
    deleted_by: str | None = Field(default=None, description="`author`, `community`, or `unknown`")


class TokenStatePayload(EventPayload):
    """A network credential that changed its state."""

    id: UUID = Field(description="Id of the credential")
    page_id: UUID | None = Field(default=None, description="The page it belongs to, if any")
    network: str | None = None
    kind: str | None = Field(default=None, description="`group`, `service` or `user`")
    state: str | None = Field(
        default=None, description="`healthy`, `limited`, `captcha`, `revoked`, `blocked`, `retired`"
    )
    reason: str | None = None
    organisation: OrganisationRef | None = None


class GapFoundPayload(EventPayload):
    """Messages of a page that a reconciliation found missing; they are stored now."""

    id: UUID = Field(description="Id of the page")
    page_id: UUID | None = Field(default=None, description="The same")
    network: str | None = None
    organisation: OrganisationRef | None = None
    reconciliation_id: UUID | None = None
    since: datetime | None = Field(default=None, description="Start of the compared period")
    count: int | None = Field(default=None, description="Number of missing messages")


class PagePayload(EventPayload):
    """An official page; `organisation` is the one that keeps it."""

    id: UUID = Field(description="Id of the page")
    network: str | None = None
    external_id: str | None = Field(default=None, description="The network's own id of the community")
    url: str | None = None
    organisation: OrganisationRef | None = None


class PageRegisteredPayload(PagePayload):
    """Adds whether messages are collected, and from when on they open appeals."""

    active: bool | None = None
    live_from: datetime | None = None


class PageChangedPayload(PageRegisteredPayload):
    """Adds the changed fields, and the previous organisation if the page was moved."""

    changed: list[str] | None = None
    moved_from: UUID | None = None


class PageStepReachedPayload(PagePayload):
    """Adds the step, the day it was reached and its evidence."""

    step: str | None = Field(
        default=None, description="`created`, `verified`, `marked`, `connected`, `widgets` or `live`"
    )
    reached_on: date | None = None
    evidence_kind: str | None = Field(default=None, description="`network`, `document`, `screenshot` or `manual`")


class PageStepLostPayload(PagePayload):
    """Adds the step and the day it was lost."""

    step: str | None = Field(default=None, description="`created`, `connected`, `widgets` or `live`")
    reached_on: date | None = None
    lost_on: date | None = None
    reason: str | None = None


class PageClosedPayload(PagePayload):
    """Adds the reason why the network does not show the page."""

    reason: str | None = Field(
        default=None, description="`deleted`, `banned`, `closed_group`, `private_group`, `not_found`"
    )


class ValueChange(EventPayload):
    """A value before and after a change."""

    before: str | None
    after: str | None


class PageRenamedPayload(PagePayload):
    """Adds the name, the short name or both, before and after."""

    name: ValueChange | None = None
    screen_name: ValueChange | None = None


class PageTakeoverSuspectedPayload(PageRenamedPayload):
    """Adds the signs of a takeover."""

    signs: list[str] | None = Field(default=None, description="`name_and_address_changed`, `mark_lost_with_name`")


class PageBadgeLostPayload(PagePayload):
    """Adds the badge and the day it was lost."""

    step: str | None = Field(
        default=None, description="`verified`: the network's own badge; `marked`: the badge of state pages"
    )
    reached_on: date | None = None
    lost_on: date | None = None
    reason: str | None = None


class PageTransferredPayload(PagePayload):
    """Adds the previous organisation."""

    moved_from: UUID | None = None


class SuccessionRecordedPayload(EventPayload):
    """Successors of an organisation. Its appeals and pages stay with it."""

    id: UUID = Field(description="Id of the organisation")
    organisation: OrganisationRef | None = None
    kind: str | None = Field(default=None, description="`renamed`, `merged`, `split` or `reorganised`")
    took_place_on: date | None = Field(default=None, description="The first day of the successors")
    successors: list[UUID] | None = Field(default=None, description="Ids of the successors")


class IncidentPayload(EventPayload):
    """An incident at the time of the event; its title is not sent.

    Its lead organisation gets separate events with `own`: those count only its own appeals.
    """

    id: UUID = Field(description="Id of the incident")
    number: int | None = None
    origin: str | None = Field(default=None, description="`burst`: opened automatically by a spike; `person`")
    topic_id: UUID | None = None
    fault: str | None = Field(default=None, description="What is out of service: `power`, `heat`, `water` …")
    municipality: str | None = Field(default=None, description="OKTMO")
    settlement: str | None = None
    urgency: str | None = None
    own: bool | None = Field(
        default=None,
        description="True: for the lead organisation, counting only its own appeals; false: for the centre",
    )
    members: int | None = Field(default=None, description="Number of appeals in it")
    first_at: datetime | None = Field(default=None, description="When the first of its messages was written")
    last_at: datetime | None = None
    closed_at: datetime | None = None
    organisation: OrganisationRef | None = Field(
        default=None, description="The lead organisation, where `own` is true; null in events for the centre"
    )


class AlertPayload(EventPayload):
    """An alert for moderators; the reason is not sent, because it may quote a citizen."""

    id: UUID = Field(description="Id of the alert")
    kind: str | None = Field(default=None, description="`urgent`, `burst` or `ping_pong`")
    appeal_id: UUID | None = None
    appeal_number: int | None = None
    incident_id: UUID | None = None
    incident_number: int | None = None
    organisation: OrganisationRef | None = Field(
        default=None, description="Always null: alerts belong to the centre"
    )


class TestPayload(EventPayload):
    """Sent on request, to test an endpoint."""

    endpoint_id: UUID
