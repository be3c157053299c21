"""API models of the daily pulse."""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

PulseLevel = TypeAliasType("PulseLevel", Literal["calmer", "usual", "tenser", "unknown"])


class PulseFigure(BaseModel):
    """A figure of the day, with those of earlier days. Days before the first appeal that the caller may see have
    no figures.
    """

    value: int = Field(examples=[96])
    previous: int | None = Field(description="Of the day before; null: it has no figures", examples=[88])
    change: int | None = Field(description="`value − previous`; null without `previous`", examples=[8])
    mean: float | None = Field(
        description="Mean over those of the seven days before it that have figures; null: none has",
        examples=[81.4],
    )


class PulseFigures(BaseModel):
    """The figures of a day. Appeals are counted as in the SLA figures."""

    opened: PulseFigure = Field(description="Appeals opened on the day")
    answered: PulseFigure = Field(description="Appeals whose first response was given on the day")
    overdue: PulseFigure = Field(
        description="Appeals whose first response was overdue and still missing at the end of the day"
    )


class PulseChannel(PulseFigures):
    """The figures of one channel."""

    channel: str = Field(
        description="A network, the source of appeals that came through none, or `manual`", examples=["vk"]
    )
    name: str = Field(description="In Russian", examples=["ВКонтакте"])


class PulseVerdict(BaseModel):
    """Whether the day was calmer or tenser than usual, by the number of opened appeals, including those in
    triage.
    """

    level: PulseLevel = Field(description="`unknown`: less than four weeks of history", examples=["usual"])
    text: str = Field(
        description="In Russian",
        examples=["как обычно: поступило 96 обращений, во вторник обычно около 91,5"],
    )
    expected: float | None = Field(description="What is usual on this weekday", examples=[91.5])


class PulseTopic(BaseModel):
    """A topic group in a municipality about which far more people wrote than is usual on this weekday."""

    topic_group_id: UUID
    topic_group: str = Field(examples=["ЖКХ"])
    municipality: str = Field(description="OKTMO code of the location", examples=["81624000"])
    municipality_name: str = Field(examples=["Кабанский район"])
    topics: list[str] = Field(
        description="Topics of these appeals, most frequent first, at most three",
        examples=[["Отсутствие отопления"]],
    )
    people: int = Field(description="Different authors; this number is tested", examples=[24])
    appeals: int = Field(examples=[26])
    expected: float = Field(description="People who usually write on this weekday", examples=[6.2])
    probability: float = Field(
        description="Probability that at least this many people write on a usual day (negative binomial)",
        examples=[1.4e-7],
    )
    reason: str = Field(
        description="In Russian",
        examples=["написали 24 человека, во вторник обычно около 6,2: случайностью это не объяснить"],
    )
    appeal_ids: list[UUID] = Field(description="The appeals, in the order in which they were opened")


class PulseReport(BaseModel):
    """The figures of a past day, and what was unusual about it."""

    day: date = Field(examples=["2026-11-24"])
    time_zone: str = Field(examples=["Asia/Irkutsk"])
    total: PulseFigures
    in_triage: int = Field(
        description="Not in `opened`: opened on the day and still waiting in the moderators' queue", examples=[3]
    )
    channels: list[PulseChannel]
    verdict: PulseVerdict
    unusual_topics: list[PulseTopic] = Field(description="Least probable first; empty on a usual day")
    pairs_tested: int = Field(description="Pairs of a topic group and a municipality", examples=[312])
    history_days: int = Field(description="Days before the day with which it is compared", examples=[84])
