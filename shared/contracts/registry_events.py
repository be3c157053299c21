"""Events of the registry service: pages, organisations, calendars, people and API clients."""

from datetime import date
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from shared.auth.rights import Right
from shared.contracts.event_base import EventData, FeedOnly, Moment
from shared.networks import NetworkName

OfficialBadge = TypeAliasType("OfficialBadge", Literal["verified", "gov_badge"])
OtherPageStep = TypeAliasType("OtherPageStep", Literal["created", "connected", "widgets", "live"])
ReachedPageStep = TypeAliasType(
    "ReachedPageStep", Literal["created", "verified", "gov_badge", "connected", "widgets", "live"]
)
StepEvidenceKind = TypeAliasType("StepEvidenceKind", Literal["network", "document", "screenshot", "manual"])
OrganisationSuccessionKind = TypeAliasType(
    "OrganisationSuccessionKind", Literal["renamed", "merged", "split", "reorganised"]
)
TakeoverSignal = TypeAliasType("TakeoverSignal", Literal["name_and_screen_name_changed", "badge_lost_with_rename"])

_PAGE: dict[str, Any] = {"network": "vk", "external_id": "101", "url": "https://vk.com/club101"}
_REGISTERED = _PAGE | {"active": True, "go_live_at": "2026-11-20T01:00:00+00:00", "version": 1}
_PREVIOUS = {"previous_organisation_id": "0198f3a0-0000-7000-8000-000000000008"}
_RENAMED = {
    "name": {"before": "Школа № 1", "after": "Скидки каждый день"},
    "screen_name": {"before": "school1", "after": "sale_every_day"},
}
_ORGANISATION: dict[str, Any] = {"code": "school-1", "version": 2}


class PageReference(EventData):
    """An official page; the subject of the event."""

    required_right = Right.REGISTRY_READ
    sent_by_webhooks = True

    network: NetworkName = Field(description="Network of the page")
    external_id: str = Field(description="The network's own id of the community")
    url: str = Field(description="Address of the page")


class PageRegistration(PageReference):
    """The page as it is in the registry."""

    active: bool = Field(description="Whether messages are collected")
    go_live_at: Moment = Field(description="Messages written from then on open appeals")
    version: Annotated[int, FeedOnly()] = Field(description="Version of the registry's entry")


class PageRegistered(PageRegistration):
    """A page was registered."""

    event_type = "page.registered"
    example = _REGISTERED


class PageChanged(PageRegistration):
    """The registry's entry of a page changed."""

    event_type = "page.changed"
    example = _REGISTERED | {"version": 2, "changed": ["active"], "active": False}

    changed: list[str] = Field(description="Names of the changed fields")
    previous_organisation_id: UUID | None = Field(
        default=None, description="The previous organisation, if the page moved to another one"
    )


class PageTransferred(PageRegistration):
    """The page was transferred to another organisation in the registry."""

    event_type = "page.transferred"
    example = _REGISTERED | {"version": 2} | _PREVIOUS

    previous_organisation_id: UUID = Field(description="The previous organisation")


class PageStepReached(PageReference):
    """A page reached a step after its registration, or the day or evidence of a step was corrected."""

    event_type = "page.step_reached"
    example = _PAGE | {"step": "connected", "reached_on": "2026-10-01", "evidence_kind": "document"}

    step: ReachedPageStep = Field(description="The step")
    reached_on: date = Field(description="The day it was reached")
    evidence_kind: StepEvidenceKind = Field(description="How the step is known")


class PageStepLost(PageReference):
    """A page lost a step other than a badge; a lost badge has the event `page.badge_lost`."""

    event_type = "page.step_lost"
    example = _PAGE | {
        "step": "widgets",
        "reached_on": "2026-10-01",
        "lost_on": "2026-11-23",
        "reason": "Виджеты сняты",
    }

    step: OtherPageStep = Field(description="The lost step")
    reached_on: date = Field(description="The day it was reached")
    lost_on: date = Field(description="The day it was lost")
    reason: str = Field(description="What the person who recorded it wrote")


class PageBadgeLost(PageReference):
    """A page lost a badge. Both dates are absent if the daily check noticed the loss of an unrecorded badge."""

    event_type = "page.badge_lost"
    example = _PAGE | {
        "step": "verified",
        "reached_on": "2026-10-01",
        "lost_on": "2026-11-23",
        "reason": "Сеть больше не показывает отметку",
    }

    step: OfficialBadge = Field(
        description="`verified`: the network's own badge; `gov_badge`: the badge of state pages"
    )
    reached_on: date | None = Field(default=None, description="The day it was reached")
    lost_on: date | None = Field(default=None, description="The day it was lost")
    reason: str = Field(description="What the daily check or a person says")


class PageUnavailable(PageReference):
    """A page that the network does not show to everyone."""

    # A plain string, because a network may give other reasons.
    reason: str | None = Field(
        description="`deleted`, `banned`, `closed_group`, `private_group`, `not_found`, or a word of the network"
    )


class PageClosed(PageUnavailable):
    """The network shows the page to nobody (`deleted`, `banned`) or only to members (`closed_group`,
    `private_group`).
    """

    event_type = "page.closed"
    example = _PAGE | {"reason": "banned"}


class PageGone(PageUnavailable):
    """The network no longer returns the page."""

    event_type = "page.gone"
    example = _PAGE | {"reason": "not_found"}


class ValueChange(BaseModel):
    """A value before and after a change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    before: str | None = Field(description="Before")
    after: str | None = Field(description="After")


class PageNameChange(PageReference):
    """A page whose name or short name changed in its network."""

    name: ValueChange | None = Field(default=None, description="Absent: the name did not change")
    screen_name: ValueChange | None = Field(default=None, description="Absent: the short name did not change")


class PageRenamed(PageNameChange):
    """The name or short name of a page changed in its network."""

    event_type = "page.renamed"
    example = _PAGE | _RENAMED


class PageTakeoverSuspected(PageNameChange):
    """The changes of a page suggest that somebody has hijacked it: check it at once."""

    event_type = "page.takeover_suspected"
    example = _PAGE | _RENAMED | {"signals": ["name_and_screen_name_changed"]}

    signals: list[TakeoverSignal] = Field(description="What suggests a takeover")


class OrganisationReference(EventData):
    """An organisation; the subject of the event."""

    required_right = Right.REGISTRY_READ

    code: Annotated[str | None, FeedOnly()] = Field(description="The region's own short code of the organisation")
    version: Annotated[int, FeedOnly()] = Field(description="Version of the registry's entry")


class OrganisationRegistered(OrganisationReference):
    """An organisation was registered."""

    event_type = "organisation.registered"
    example = _ORGANISATION | {"version": 1}


class OrganisationChanged(OrganisationReference):
    """The registry's entry of an organisation changed."""

    event_type = "organisation.changed"
    example = _ORGANISATION | {"changed": ["phone"]}

    changed: list[str] = Field(description="Names of the changed fields; also `names` and `successions`")


class SuccessionRecorded(OrganisationReference):
    """The successors of an organisation were recorded. Its appeals and pages stay with it."""

    event_type = "organisation.succession_recorded"
    sent_by_webhooks = True
    example = _ORGANISATION | {
        "kind": "merged",
        "effective_on": "2026-09-01",
        "successor_ids": ["0198f3a0-0000-7000-8000-000000000009"],
    }

    kind: OrganisationSuccessionKind = Field(description="How the organisation ended")
    effective_on: date = Field(description="The first day of the successors")
    successor_ids: list[UUID] = Field(description="Ids of the successors")


class CalendarReference(EventData):
    """A working calendar; the subject of the event."""

    required_right = Right.REGISTRY_READ

    version: int = Field(description="Version of the calendar")


class CalendarRegistered(CalendarReference):
    """A working calendar was created."""

    event_type = "calendar.registered"
    example: ClassVar = {"version": 1}


class CalendarChanged(CalendarReference):
    """Fields of a working calendar changed (`changed`), or its days between two dates (`start`, `end`)."""

    event_type = "calendar.changed"
    example: ClassVar = {"version": 2, "start": "2026-01-01", "end": "2026-12-31"}

    changed: list[str] | None = Field(default=None, description="Names of the changed fields")
    start: date | None = Field(default=None, description="First day of the replaced period")
    end: date | None = Field(default=None, description="Last day of the replaced period")


class AccessChange(EventData):
    """A change of access of a person or client: the names of changed fields, never values."""

    example: ClassVar = {"changed": ["locked_at"], "version": 3}

    changed: list[str] = Field(description="Names of the changed fields")
    version: int = Field(description="Version of the entry")


class PersonChanged(AccessChange):
    """The access of a person changed."""

    event_type = "person.changed"
    required_right = Right.PEOPLE_READ


class ClientChanged(AccessChange):
    """The access of an API client changed."""

    event_type = "client.changed"
    required_right = Right.CLIENTS_READ
