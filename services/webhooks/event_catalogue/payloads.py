"""What the events of the catalogue say. Only these fields leave the house."""

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class EventPayload(BaseModel):
    """What an event says: fields that are not named here stay in the house."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class OrganisationRef(EventPayload):
    """The organisation that answers."""

    id: UUID
    name: str | None


class AppealPayload(EventPayload):
    """The case at the moment of the event."""

    id: UUID
    number: int | None = None
    status: str | None = None
    urgency: str | None = None
    network: str | None = None
    url: str | None = Field(default=None, description="The message in the network")
    organisation: OrganisationRef | None = None
    topic_id: UUID | None = Field(default=None, description="`GET /topics/{id}` names it, and its group")
    municipality: str | None = Field(default=None, description="Where the trouble is; OKTMO")
    settlement: str | None = None
    language: str | None = Field(default=None, description="Of the words that opened it: `ru`, `bxr` or `mixed`")
    incident_id: UUID | None = Field(default=None, description="The incident that the case is a voice of")
    written_at: datetime | None = None
    opened_at: datetime | None = None
    first_response_due_at: datetime | None = None
    first_response_at: datetime | None = None
    next_response_due_at: datetime | None = Field(default=None, description="Of the answer a reopened case awaits")
    resolution_due_at: datetime | None = None


class ClassificationPayload(EventPayload):
    """What a case is about, where and how urgent."""

    topic_id: UUID | None = None
    municipality: str | None = Field(default=None, description="OKTMO")
    settlement: str | None = None
    urgency: str | None = None


class AppealReclassifiedPayload(AppealPayload):
    """Also what was changed, and from what to what. Streets and houses are not told: the case shows them."""

    changed: list[str] | None = Field(
        default=None,
        description="Of `topic_id`, `municipality`, `settlement`, `street`, `house`, `urgency`",
    )
    before: ClassificationPayload | None = None
    after: ClassificationPayload | None = None


class AppealMessagePayload(AppealPayload):
    """Also what the citizen wrote: with personal data masked, unless the endpoint asks for it."""

    message_id: UUID | None = None
    text: str | None = Field(
        default=None, description="The citizen's words; personal data is masked unless the endpoint asks for it"
    )


class AppealStatusPayload(AppealPayload):
    """Also the statuses it moved between.

    Who loses the case gets the event too: there `left` is true, and `organisation` is the one that lost it.
    """

    from_: str | None = Field(default=None, alias="from")
    to: str | None = None
    left: bool | None = Field(default=None, description="True: `organisation` has the case no more")


class AppealAnsweredPayload(AppealPayload):
    """Also the answer that was published; `origin` is `gospablik` or `network` (by hand)."""

    reply_id: UUID | None = None
    reply_url: str | None = None
    kind: str | None = Field(default=None, description="`final` or `interim`")
    origin: str | None = None
    published_at: datetime | None = None
    on_time: bool | None = None


class ReplyFailedPayload(AppealPayload):
    """Also the reply that reached nobody, and why."""

    reply_id: UUID | None = Field(
        default=None, description="`POST /appeals/{id}/replies/{reply_id}/retry` tries it again"
    )
    kind: str | None = Field(default=None, description="`final` or `interim`")
    code: str | None = Field(default=None, description="Of the reason, as the network or the system names it")
    reason: str | None = Field(default=None, description="In words, for the author of the reply")
    failed_at: datetime | None = None


class AppealOverduePayload(AppealPayload):
    """Also the date that an interim answer promised, if one did."""

    promised_at: datetime | None = None


class AppealClosedPayload(AppealPayload):
    """Also how it ended."""

    outcome: str | None = None


class MessageDeletedPayload(EventPayload):
    """A message that was removed in the network; its words stay here."""

    id: UUID = Field(description="Of the message")
    page_id: UUID | None = None
    network: str | None = None
    kind: str | None = None
    organisation: OrganisationRef | None = None
    deleted_by: str | None = Field(default=None, description="`author`, `community`, or `unknown`")


class TokenStatePayload(EventPayload):
    """A credential of a network that changed its state."""

    id: UUID = Field(description="Of the credential")
    page_id: UUID | None = Field(default=None, description="The page it belongs to, if it belongs to one")
    network: str | None = None
    kind: str | None = Field(default=None, description="`group`, `service` or `user`")
    state: str | None = Field(
        default=None, description="`healthy`, `limited`, `captcha`, `revoked`, `blocked`, `retired`"
    )
    reason: str | None = None
    organisation: OrganisationRef | None = None


class GapFoundPayload(EventPayload):
    """Messages of a page that no ordinary way had brought; they are stored now."""

    id: UUID = Field(description="Of the page")
    page_id: UUID | None = Field(default=None, description="The same")
    network: str | None = None
    organisation: OrganisationRef | None = None
    reconciliation_id: UUID | None = None
    since: datetime | None = Field(default=None, description="How far back was compared")
    count: int | None = Field(default=None, description="How many were missing")


class PagePayload(EventPayload):
    """An official page; `organisation` is the one that keeps it."""

    id: UUID = Field(description="Of the page")
    network: str | None = None
    external_id: str | None = Field(default=None, description="The network's own id of the community")
    url: str | None = None
    organisation: OrganisationRef | None = None


class PageRegisteredPayload(PagePayload):
    """Also whether it is followed, and since when what citizens write there opens cases."""

    active: bool | None = None
    live_from: datetime | None = None


class PageChangedPayload(PageRegisteredPayload):
    """Also the fields that changed, and the organisation that kept it before, if that is one of them."""

    changed: list[str] | None = None
    moved_from: UUID | None = None


class PageStepReachedPayload(PagePayload):
    """Also which step of its way to being official and live, since when, and by what evidence."""

    step: str | None = Field(
        default=None, description="`created`, `verified`, `marked`, `connected`, `widgets` or `live`"
    )
    reached_on: date | None = None
    evidence_kind: str | None = Field(default=None, description="`network`, `document`, `screenshot` or `manual`")


class PageStepLostPayload(PagePayload):
    """Also which step, and since when it stands no more."""

    step: str | None = Field(default=None, description="`created`, `connected`, `widgets` or `live`")
    reached_on: date | None = None
    lost_on: date | None = None
    reason: str | None = None


class PageClosedPayload(PagePayload):
    """Also why the network does not show it."""

    reason: str | None = Field(
        default=None, description="`deleted`, `banned`, `closed_group`, `private_group`, `not_found`"
    )


class ValueChange(EventPayload):
    """What a name was and what it is."""

    before: str | None
    after: str | None


class PageRenamedPayload(PagePayload):
    """Also the name, the short name in the address, or both, as they were and as they are."""

    name: ValueChange | None = None
    screen_name: ValueChange | None = None


class PageTakeoverSuspectedPayload(PageRenamedPayload):
    """Also what makes it suspicious."""

    signs: list[str] | None = Field(default=None, description="`name_and_address_changed`, `mark_lost_with_name`")


class PageBadgeLostPayload(PagePayload):
    """Also which mark, and since when it stands no more."""

    step: str | None = Field(
        default=None, description="`verified`: the network's own mark; `marked`: that of a state page"
    )
    reached_on: date | None = None
    lost_on: date | None = None
    reason: str | None = None


class PageTransferredPayload(PagePayload):
    """Also the organisation that kept it before."""

    moved_from: UUID | None = None


class SuccessionRecordedPayload(EventPayload):
    """What becomes of an organisation. Its cases and pages stay with it."""

    id: UUID = Field(description="Of the organisation")
    organisation: OrganisationRef | None = None
    kind: str | None = Field(default=None, description="`renamed`, `merged`, `split` or `reorganised`")
    took_place_on: date | None = Field(default=None, description="The first day of its successors")
    successors: list[UUID] | None = Field(default=None, description="Ids of the organisations that take over")


class IncidentPayload(EventPayload):
    """An incident at the moment of the event; its title stays in the house.

    Who leads it gets events of its own, with `own`: those count its own cases alone.
    """

    id: UUID = Field(description="Of the incident")
    number: int | None = None
    origin: str | None = Field(default=None, description="`burst`: it opened by itself; `person`")
    topic_id: UUID | None = None
    fault: str | None = Field(default=None, description="What is out: `power`, `heat`, `water` …")
    municipality: str | None = Field(default=None, description="OKTMO")
    settlement: str | None = None
    urgency: str | None = None
    own: bool | None = Field(
        default=None,
        description="True: for who leads it, and only its own cases are counted; false: for the centre",
    )
    members: int | None = Field(default=None, description="How many cases it holds")
    first_at: datetime | None = Field(default=None, description="When the first of them was written")
    last_at: datetime | None = None
    closed_at: datetime | None = None
    organisation: OrganisationRef | None = Field(
        default=None, description="Who leads it, where `own` is true; null in what is told to the centre"
    )


class AlertPayload(EventPayload):
    """What a moderator must see at once; the reason, which may quote a citizen, stays in the house."""

    id: UUID = Field(description="Of the alert")
    kind: str | None = Field(default=None, description="`urgent`, `burst` or `ping_pong`")
    appeal_id: UUID | None = None
    appeal_number: int | None = None
    incident_id: UUID | None = None
    incident_number: int | None = None
    organisation: OrganisationRef | None = Field(default=None, description="Null: alerts are the centre's")


class TestPayload(EventPayload):
    """Sent on request, to try an endpoint."""

    endpoint_id: UUID
