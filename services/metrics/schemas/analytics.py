"""API models of analytics: figures of appeals in tables, rankings among peers, and the map."""

from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from services.metrics.schemas.metrics import OfPeriod

_LINK = "/api/v1/metrics/appeals?from=2026-11-23T00%3A00%3A00%2B08%3A00&to=2026-11-30T00%3A00%3A00%2B08%3A00"


class AppealDimension(StrEnum):
    """The dimensions by which appeals can be grouped and filtered.

    `municipality` is that of the organisation, as in `GET /metrics/sla`; `location` is that of the problem, as in
    the weekly report.
    """

    ORGANISATION = "organisation"
    MUNICIPALITY = "municipality"
    LOCATION = "location"
    NETWORK = "network"
    TOPIC_GROUP = "topic_group"
    TOPIC = "topic"
    DAY = "day"
    WEEK = "week"


class RankedMeasure(StrEnum):
    """The share by which organisations are ranked.

    `on_time`: answers in time as a share of those in time or overdue: `on_time / (on_time + overdue)`, figures of
    `GET /metrics/table`. `answered`: answered appeals as a share of all but those waiting before their deadline:
    `answered / (opened - waiting)`.
    """

    ON_TIME = "on_time"
    ANSWERED = "answered"


class ShareInterval(BaseModel):
    """A share with its 95 % Wilson interval; null if there is nothing to measure."""

    share: float | None = Field(examples=[0.918])
    low: float | None = Field(examples=[0.851])
    high: float | None = Field(examples=[0.957])


class AppealFigures(BaseModel):
    """The counts of `GET /metrics/sla`, and the link to the counted appeals."""

    opened: int = Field(description="Appeals opened in the period that need an answer", examples=[120])
    answered: int = Field(examples=[100])
    on_time: int = Field(examples=[90])
    overdue: int = Field(examples=[8])
    waiting: int = Field(examples=[21])
    closed_unanswered: int = Field(examples=[1])
    final_answered: int = Field(examples=[80])
    solved: int = Field(examples=[52])
    disputed: int = Field(examples=[6])
    not_required: int = Field(description="Not in `opened`", examples=[40])
    in_triage: int = Field(description="Not in `opened`", examples=[5])
    on_time_share: ShareInterval = Field(description="`on_time / (on_time + overdue)`")
    appeals: str = Field(
        description="The opened appeals; with `&figure=overdue`, those of another figure", examples=[_LINK]
    )


class TableGroup(AppealFigures):
    """A row or column of a table with its totals."""

    key: str = Field(
        description="Id, OKTMO code, network, date or ISO week; `none` for appeals without one",
        examples=["2026-W48"],
    )
    name: str | None = Field(description="Display name, where the group has one")


class TableCell(AppealFigures):
    """The figures of one row and one column."""

    row: str = Field(description="`key` of the row", examples=["2026-W48"])
    column: str = Field(description="`key` of the column", examples=["0198f3a0-0000-7000-8000-000000000001"])


class AppealTable(OfPeriod):
    """Figures of appeals opened in a period by one or two dimensions."""

    row_dimension: AppealDimension
    column_dimension: AppealDimension | None
    total: AppealFigures
    rows: list[TableGroup] = Field(description="Days and weeks of the period without appeals are rows too")
    columns: list[TableGroup] = Field(description="Empty without a second dimension")
    cells: list[TableCell] = Field(description="Cells without appeals are left out; empty without `columns`")


class RankedRow(BaseModel):
    """The rank of an organisation among its peers."""

    organisation_id: UUID
    name: str = Field(examples=["Школа № 1"])
    rank: int | None = Field(description="From 1; equal scores have equal ranks. Null: little data", examples=[2])
    note: str | None = Field(
        description="Why there is no rank", examples=["мало данных: 3 обращения, а для места нужно не меньше 10"]
    )
    successes: int = Field(examples=[76])
    trials: int = Field(description="The appeals from which the share is computed", examples=[77])
    share: float | None = Field(examples=[0.987])
    low: float | None = Field(description="95 % Wilson interval", examples=[0.93])
    high: float | None = Field(examples=[0.998])
    score: float | None = Field(
        description="The share drawn towards the mean of the peers, by which they are ranked", examples=[0.965]
    )
    appeals: str = Field(
        description="Its opened appeals; with `&figure=`, those of a figure from which the measure is computed",
        examples=[_LINK],
    )


class ListedRow(BaseModel):
    """An organisation among the best or worst of its group, with the reason in Russian."""

    organisation_id: UUID
    name: str = Field(examples=["Школа № 1"])
    reason: str = Field(examples=["98,7 % (76 из 77), в среднем по группе — 91,2 %"])


class RankedPeerGroup(BaseModel):
    """Organisations that are compared with each other; ranked ones come first."""

    code: str = Field(examples=["schools"])
    title: str = Field(examples=["Школы"])
    mean: float | None = Field(description="The peers' mean share", examples=[0.912])
    ranked: int = Field(description="How many have a rank", examples=[18])
    organisations: list[RankedRow]
    best: list[ListedRow] = Field(description="Better than chance explains; may be empty")
    worst: list[ListedRow] = Field(description="Worse than chance explains; may be empty")


class PeerRankings(OfPeriod):
    """Ranks of organisations among their peers, by appeals opened in a period."""

    measure: RankedMeasure
    groups: list[RankedPeerGroup]


class MunicipalityFigures(AppealFigures):
    """The figures of appeals about one municipality."""

    oktmo: str = Field(examples=["81624000"])
    name: str | None = Field(
        description="Null: appeals have this code, but the registry no longer has it", examples=["Кабанский район"]
    )
    population: int | None = Field(description="Null: the region's map file does not say", examples=[52300])
    opened_per_1000: float | None = Field(description="`opened` per 1,000 inhabitants", examples=[2.29])


class MunicipalityFeature(BaseModel):
    """A municipality as a GeoJSON feature (RFC 7946)."""

    type: Literal["Feature"] = "Feature"
    id: str = Field(description="OKTMO code", examples=["81624000"])
    geometry: dict[str, Any] | None = Field(
        description="From the region's map file; null without one: join your own borders by OKTMO",
        examples=[{"type": "Point", "coordinates": [106.65, 52.05]}],
    )
    properties: MunicipalityFigures


class MunicipalityMap(OfPeriod):
    """All municipalities of the region as a GeoJSON feature collection."""

    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: list[MunicipalityFeature]
    elsewhere: AppealFigures = Field(description="Appeals whose location is not known")
