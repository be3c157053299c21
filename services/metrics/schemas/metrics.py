"""What crosses the wire of metrics."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field


class SlaGroupBy(StrEnum):
    """What the figures may be broken down by: `topic` is the classifier's group, `subtopic` the topic itself."""

    ORGANISATION = "organisation"
    MUNICIPALITY = "municipality"
    NETWORK = "network"
    TOPIC_GROUP = "topic"
    TOPIC = "subtopic"
    DAY = "day"
    WEEK = "week"


class SlaFigure(StrEnum):
    """Figures that are counts, each of which can show its rows."""

    OPENED = "opened"
    ANSWERED = "answered"
    ON_TIME = "on_time"
    OVERDUE = "overdue"
    WAITING = "waiting"
    CLOSED_UNANSWERED = "closed_unanswered"
    NOT_REQUIRED = "not_required"
    MERGED = "merged"
    IN_TRIAGE = "in_triage"


class DurationQuantiles(BaseModel):
    """Median and 90th percentile in seconds; null when there is nothing to measure."""

    median: float | None = Field(examples=[5400.0])
    p90: float | None = Field(examples=[21600.0])


class SlaFigures(BaseModel):
    """Figures of one set of cases. `opened = on_time + overdue + waiting + closed_unanswered`."""

    opened: int = Field(description="Cases opened in the period that ask for an answer", examples=[120])
    answered: int = Field(description="Of these, with a first response", examples=[100])
    on_time: int = Field(description="First response by its deadline", examples=[90])
    overdue: int = Field(description="Answered late, or unanswered past the deadline", examples=[14])
    waiting: int = Field(description="Unanswered and still within the deadline", examples=[15])
    closed_unanswered: int = Field(description="Closed within the deadline without a response", examples=[1])
    first_response: DurationQuantiles = Field(description="Working time to the first response")
    delay: DurationQuantiles = Field(description="Clock time from written in the network to received here")
    not_required: int = Field(description="Counted apart: judged to need no answer", examples=[40])
    merged: int = Field(description="Counted apart: merged into another case", examples=[3])
    in_triage: int = Field(description="Counted apart: waiting in the moderators' queue", examples=[5])


class SlaGroup(SlaFigures):
    """Figures of one organisation, municipality, network, group of topics, topic, day or week."""

    key: str = Field(
        description="Id, OKTMO code, network, date or ISO week; `none` for cases without one",
        examples=["vk", "2026-11-23", "2026-W48"],
    )
    name: str | None = Field(description="Name to show, where the group has one")


class SlaReport(BaseModel):
    """SLA figures of cases opened in a period."""

    start: datetime = Field(serialization_alias="from", examples=["2026-11-23T00:00:00+08:00"])
    end: datetime = Field(
        serialization_alias="to", description="Not included", examples=["2026-11-30T00:00:00+08:00"]
    )
    zone: str = Field(examples=["Asia/Irkutsk"])
    computed_at: datetime = Field(description="The moment at which «past the deadline» was judged")
    group_by: SlaGroupBy | None
    total: SlaFigures
    groups: list[SlaGroup]


class SlaAppeal(BaseModel):
    """One row behind a figure."""

    id: UUID
    number: int = Field(examples=[1024])
    status: str = Field(examples=["answered"])
    organisation_id: UUID | None
    network: str | None = Field(examples=["vk"])
    url: str | None
    opened_at: datetime
    first_response_due_at: datetime | None
    first_response_at: datetime | None
    first_response_working_seconds: int | None = Field(examples=[5400])
    closed_at: datetime | None


class AgreementGroupBy(StrEnum):
    """What agreement may be broken down by: `topic` is the classifier's group, `judged_by` the model's version."""

    TOPIC_GROUP = "topic"
    MUNICIPALITY = "municipality"
    ORGANISATION = "organisation"
    WEEK = "week"
    CLASSIFIED_BY = "judged_by"


class AgreementShare(BaseModel):
    """How often people agreed; `low` and `high` are Wilson's interval of 95 %. Null of nothing."""

    compared: int = Field(description="Reviews in which both sides said something about it", examples=[50])
    agreed: int = Field(examples=[45])
    share: float | None = Field(examples=[0.9])
    low: float | None = Field(examples=[0.786])
    high: float | None = Field(examples=[0.957])


class AgreementFigures(BaseModel):
    """Agreement between the judge of messages and the people who reviewed it."""

    reviewed: int = Field(description="Messages that people reviewed", examples=[60])
    need: AgreementShare = Field(description="Whether an answer is due")
    group: AgreementShare = Field(description="Group of topics")
    topic: AgreementShare = Field(description="Topic")
    place: AgreementShare = Field(description="Municipality")
    urgency: AgreementShare
    owner: AgreementShare = Field(description="Whom the rules gave the case to, or suggested")


class AgreementGroup(AgreementFigures):
    """Agreement on one group of topics, municipality, organisation, week or with one judge."""

    key: str = Field(
        description="Id, OKTMO code, ISO week or name of a rule or model; `none` for reviews without one",
        examples=["2026-W48"],
    )
    name: str | None = Field(description="Name to show, where the group has one")


class AgreementReport(BaseModel):
    """Agreement in the reviews of a period."""

    start: datetime = Field(serialization_alias="from", examples=["2026-11-23T00:00:00+08:00"])
    end: datetime = Field(
        serialization_alias="to", description="Not included", examples=["2026-11-30T00:00:00+08:00"]
    )
    zone: str = Field(examples=["Asia/Irkutsk"])
    group_by: AgreementGroupBy | None
    total: AgreementFigures
    groups: list[AgreementGroup]


class TransferFigures(BaseModel):
    """How often cases went from hand to hand."""

    cases: int = Field(description="Cases opened in the period that an organisation has had", examples=[120])
    handed_over: int = Field(
        description="Ways of a case from here to another organisation, also by way of the centre", examples=[9]
    )
    received: int = Field(description="Ways of a case from another organisation to here", examples=[7])
    returns: int = Field(
        description="How often a case went back to the centre: given back, or taken back", examples=[4]
    )
    ping_pong: int = Field(
        description="Cases among these about which a `ping_pong` alert was raised", examples=[1]
    )


class TransferGroup(TransferFigures):
    """How often the cases of one organisation went from hand to hand."""

    key: str = Field(description="Id of the organisation", examples=["0198f3a0-0000-7000-8000-000000000001"])
    name: str = Field(description="Name to show")


class TransferReport(BaseModel):
    """Cases opened in a period, from hand to hand, by organisation."""

    start: datetime = Field(serialization_alias="from", examples=["2026-11-23T00:00:00+08:00"])
    end: datetime = Field(
        serialization_alias="to", description="Not included", examples=["2026-11-30T00:00:00+08:00"]
    )
    zone: str = Field(examples=["Asia/Irkutsk"])
    total: TransferFigures
    groups: list[TransferGroup]
