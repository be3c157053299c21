"""API models of SLA figures, agreement, transfers and extensions."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field

from shared.contracts.values import AppealStatus
from shared.networks import NetworkName


class SlaGroupBy(StrEnum):
    """The groupings of SLA figures."""

    ORGANISATION = "organisation"
    MUNICIPALITY = "municipality"
    NETWORK = "network"
    TOPIC_GROUP = "topic_group"
    TOPIC = "topic"
    DAY = "day"
    WEEK = "week"


class SlaFigure(StrEnum):
    """The figures that are counts; their appeals can be listed."""

    OPENED = "opened"
    ANSWERED = "answered"
    ON_TIME = "on_time"
    OVERDUE = "overdue"
    WAITING = "waiting"
    CLOSED_UNANSWERED = "closed_unanswered"
    FINAL_ANSWERED = "final_answered"
    SOLVED = "solved"
    DISPUTED = "disputed"
    NOT_REQUIRED = "not_required"
    IN_TRIAGE = "in_triage"


class DurationQuantiles(BaseModel):
    """Median and 90th percentile in seconds; null if there is nothing to measure."""

    median: float | None = Field(examples=[5400.0])
    p90: float | None = Field(examples=[21600.0])


class SlaFigures(BaseModel):
    """Figures of a set of appeals. `opened = on_time + overdue + waiting + closed_unanswered`."""

    opened: int = Field(description="Appeals opened in the period that need an answer", examples=[120])
    answered: int = Field(description="Of these, with a first response", examples=[100])
    on_time: int = Field(description="First response by its deadline", examples=[90])
    overdue: int = Field(description="Answered late, or unanswered after the deadline", examples=[14])
    waiting: int = Field(description="Unanswered before the deadline", examples=[15])
    closed_unanswered: int = Field(description="Closed before the deadline without a response", examples=[1])
    final_answered: int = Field(description="With a published final answer", examples=[80])
    solved: int = Field(
        description="Outcome `solved`, and the citizen has not said the contrary about the last final answer",
        examples=[52],
    )
    disputed: int = Field(
        description="The citizen said about the last final answer that the matter is not solved", examples=[6]
    )
    first_response: DurationQuantiles = Field(description="Working time until the first response")
    receipt_delay: DurationQuantiles = Field(description="Clock time from writing in the network to receipt here")
    not_required: int = Field(description="Not in `opened`: classified as needing no answer", examples=[40])
    in_triage: int = Field(description="Not in `opened`: waiting in the moderators' queue", examples=[5])


class SlaGroup(SlaFigures):
    """Figures of one organisation, municipality, network, topic group, topic, day or week."""

    key: str = Field(
        description="Id, OKTMO code, network, date or ISO week; `none` for appeals without one",
        examples=["vk", "2026-11-23", "2026-W48"],
    )
    name: str | None = Field(description="Display name, where the group has one")


class OfPeriod(BaseModel):
    """Fields of a report on a period."""

    start: datetime = Field(serialization_alias="from", examples=["2026-11-23T00:00:00+08:00"])
    end: datetime = Field(
        serialization_alias="to", description="Not included", examples=["2026-11-30T00:00:00+08:00"]
    )
    time_zone: str = Field(examples=["Asia/Irkutsk"])


class SlaReport(OfPeriod):
    """SLA figures of appeals opened in a period."""

    computed_at: datetime = Field(description="The time with which open deadlines were compared")
    group_by: SlaGroupBy | None
    total: SlaFigures
    groups: list[SlaGroup]


class SlaAppeal(BaseModel):
    """An appeal that a figure counts."""

    id: UUID
    number: int = Field(examples=[1024])
    status: AppealStatus = Field(examples=["answered"])
    organisation_id: UUID | None
    network: NetworkName | None = Field(examples=["vk"])
    url: str | None
    opened_at: datetime
    first_response_due_at: datetime | None
    first_response_at: datetime | None
    first_response_working_seconds: int | None = Field(examples=[5400])
    closed_at: datetime | None


class AgreementGroupBy(StrEnum):
    """The groupings of agreement figures; `classified_by` is the version of the classifier."""

    TOPIC_GROUP = "topic_group"
    MUNICIPALITY = "municipality"
    ORGANISATION = "organisation"
    WEEK = "week"
    CLASSIFIED_BY = "classified_by"


class AgreementShare(BaseModel):
    """How often reviewers agreed; `low` and `high` are the 95 % Wilson interval.

    Null if nothing was compared.
    """

    compared: int = Field(description="Reviews in which classifier and reviewer both gave a value", examples=[50])
    agreed: int = Field(examples=[45])
    share: float | None = Field(examples=[0.9])
    low: float | None = Field(examples=[0.786])
    high: float | None = Field(examples=[0.957])


class AgreementFigures(BaseModel):
    """Agreement between the classifier and the people who reviewed its classifications."""

    reviewed: int = Field(description="Messages that people reviewed", examples=[60])
    needs_answer: AgreementShare = Field(description="Whether the message needs an answer")
    topic_group: AgreementShare = Field(description="Topic group")
    topic: AgreementShare = Field(description="Topic")
    location: AgreementShare = Field(description="Municipality")
    urgency: AgreementShare
    organisation: AgreementShare = Field(description="The organisation that the rules assigned or suggested")


class AgreementGroup(AgreementFigures):
    """Agreement for one topic group, municipality, organisation, week or classifier version."""

    key: str = Field(
        description="Id, OKTMO code, ISO week or name of a rule or model; `none` for reviews without one",
        examples=["2026-W48"],
    )
    name: str | None = Field(description="Display name, where the group has one")


class AgreementReport(OfPeriod):
    """Agreement in the reviews of a period."""

    group_by: AgreementGroupBy | None
    total: AgreementFigures
    groups: list[AgreementGroup]


class TransferFigures(BaseModel):
    """The numbers of transferred appeals."""

    appeals: int = Field(description="Appeals opened in the period that the organisation has had", examples=[120])
    transferred_out: int = Field(
        description="Transfers to another organisation, directly or through the centre", examples=[9]
    )
    transferred_in: int = Field(description="Transfers from another organisation", examples=[7])
    returns: int = Field(
        description="How often an appeal went back to the centre: returned or taken back", examples=[4]
    )
    repeated_transfers: int = Field(
        description="Appeals among these for which a `repeated_transfers` alert was raised", examples=[1]
    )


class TransferGroup(TransferFigures):
    """The transfers of one organisation's appeals."""

    key: str = Field(description="Id of the organisation", examples=["0198f3a0-0000-7000-8000-000000000001"])
    name: str = Field(description="Display name", examples=["Комитет по строительству"])


class TransferReport(OfPeriod):
    """Transfers of appeals opened in a period, by organisation."""

    total: TransferFigures
    groups: list[TransferGroup]


class ExtensionFigures(BaseModel):
    """The numbers of extended deadlines, and their effect.

    `requested = approved + refused + withdrawn + ended + open`.
    """

    requested: int = Field(description="Requests to extend a deadline", examples=[13])
    approved: int = Field(description="Of these, approved", examples=[7])
    refused: int = Field(description="Refused", examples=[2])
    withdrawn: int = Field(description="Taken back by the organisation before a decision", examples=[1])
    ended: int = Field(description="Ended by themselves before a decision", examples=[2])
    open: int = Field(description="Not decided yet", examples=[1])
    stopped: int = Field(description="Clocks that a published answer stopped", examples=[200])
    on_time: int = Field(description="Of these, by the deadline", examples=[180])
    on_time_extended: int = Field(
        description="Of these, only because of an extension: after the deadline without it", examples=[5]
    )


class ExtensionGroup(ExtensionFigures):
    """The extensions of one organisation's deadlines."""

    key: str = Field(description="Id of the organisation", examples=["0198f3a0-0000-7000-8000-000000000001"])
    name: str = Field(description="Display name", examples=["Комитет по строительству"])


class ExtensionReport(OfPeriod):
    """Extensions of deadlines of appeals opened in a period, by organisation."""

    total: ExtensionFigures
    groups: list[ExtensionGroup]
