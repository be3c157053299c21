"""The weekly report: one document, from which JSON, HTML, PDF and XLSX are rendered.

Every figure is a count of rows or follows from counts; `docs/moderator/weekly-report.md` defines the rows. Texts
are Russian, for officials. Percentages have one decimal; null means that there is nothing to measure.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from services.metrics.schemas.axes import Axis
from services.metrics.schemas.page_health import NetworkAudience
from shared.networks import NetworkName

AttentionKind = TypeAliasType(
    "AttentionKind",
    Literal["overdue", "promises_broken", "questions_deleted", "pages_silent", "topic_grows", "closed_unanswered"],
)
ReportStatus = TypeAliasType("ReportStatus", Literal["preliminary", "published"])
MeasureUnit = TypeAliasType("MeasureUnit", Literal["percent", "count", "hours", "mark"])
_LIGHT_CHANGES = "This week less last week; null: no page was scored then, or another formula scored them"


class ReportPopulation(StrEnum):
    """The populations of rows that figures count, defined in `services/metrics/report_populations`."""

    OPENED = "opened"
    RESPONSES = "responses"
    OVERDUE = "overdue"
    ANSWERS = "answers"
    PROMISES = "promises"
    DELETED = "deleted"
    CLOSED_UNANSWERED = "closed_unanswered"
    FEEDBACK = "feedback"
    PAGES = "pages"


class _Part(BaseModel):
    """A part of the document. Unknown fields are an error, so that no field of a stored document is lost."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ComparedCount(_Part):
    """A count of the week with those of earlier weeks; null for weeks without collected data."""

    value: int = Field(examples=[508])
    last_week: int | None = Field(examples=[558])
    change: int | None = Field(description="`value` less `last_week`", examples=[-50])
    last_year: int | None = Field(description="The week with the same number a year before", examples=[None])
    change_to_last_year: int | None = Field(examples=[None])
    mean_of_8_weeks: float | None = Field(
        description="Mean of the eight weeks before, to one decimal", examples=[531.4]
    )


class ChannelTotal(_Part):
    """The appeals of one channel."""

    channel: str = Field(
        description="`all`, a network, the source of appeals that came through none, or `manual`", examples=["vk"]
    )
    label: str = Field(examples=["ВКонтакте"])
    appeals: ComparedCount


class ReportOutcomes(_Part):
    """The states of the appeals opened in the week, at its end. `opened = answered + waiting + overdue +
    closed_unanswered`.
    """

    opened: int = Field(examples=[508])
    answered: int = Field(description="A reply was published", examples=[470])
    waiting: int = Field(description="Unanswered, and the deadline has not passed", examples=[25])
    overdue: int = Field(description="Unanswered after the deadline", examples=[12])
    closed_unanswered: int = Field(description="Closed without a reply", examples=[1])
    final_answered: int = Field(description="Of the answered: with a final answer", examples=[410])
    interim: int = Field(description="Of the answered: so far only with an interim reply", examples=[60])
    solved: int = Field(description="Of those with a final answer: the matter is solved", examples=[180])
    not_required: int = Field(description="Not in `opened`: found to need no answer", examples=[40])
    in_triage: int = Field(description="Not in `opened`: with the moderators", examples=[3])


class NamedCount(_Part):
    """A count with its label."""

    name: str = Field(examples=["Гололёд"])
    count: int = Field(examples=[17])


class TopicRow(_Part):
    """The appeals of one topic group, with details for the first five groups."""

    topic_group_id: UUID | None = Field(description="Null: appeals without a topic")
    label: str = Field(examples=["Здравоохранение"])
    appeals: ComparedCount
    share: float | None = Field(description="Percent of all", examples=[39.6])
    subtopics: list[NamedCount]
    locations: list[NamedCount]


class MunicipalityRow(_Part):
    """The appeals about one district or city."""

    oktmo: str | None = Field(description="Null: no location is known")
    name: str = Field(examples=["Кабанский район"])
    appeals: ComparedCount
    overdue: int = Field(description="Awaited answers past their deadline at the end of the week", examples=[2])


class ReportCell(_Part):
    """The appeals of one topic group about one municipality, answered by one organisation."""

    topic_group_id: UUID | None
    oktmo: str | None
    organisation_id: UUID | None
    appeals: int = Field(examples=[3])


class MeasureValue(_Part):
    """The value of a measure. A percentage has its counts and its 95 % Wilson interval."""

    code: str = Field(examples=["response_on_time"])
    value: float | None = Field(examples=[94.1])
    numerator: int | None = Field(description="Of a percentage: the rows that count for it", examples=[478])
    denominator: int | None = Field(
        description="How many rows were measured; null: the value itself is a count", examples=[508]
    )
    low: float | None = Field(examples=[91.7])
    high: float | None = Field(examples=[95.8])
    last_week: float | None = Field(examples=[92.0])
    change: float | None = Field(
        description="`value` less `last_week`, for percentages in percentage points; null: the week has not "
        "ended, or one of the values is null",
        examples=[2.1],
    )


class AxisValues(_Part):
    """The measures of one axis for the region."""

    axis: Axis
    title: str = Field(examples=["Оперативность"])
    measures: list[MeasureValue]


class OrganisationRow(_Part):
    """The figures of one organisation, and its rank among its peers."""

    organisation_id: UUID
    name: str = Field(examples=["Школа № 1"])
    appeals: int = Field(description="Opened in the week", examples=[12])
    responses: int = Field(
        description="Responses given in time in the week, and those whose deadline passed in it", examples=[14]
    )
    on_time: int = Field(examples=[13])
    overdue: int = Field(description="Awaited answers past their deadline at the end of the week", examples=[1])
    unanswered: int = Field(description="Responses due in the week that were not given by its end", examples=[0])
    deleted: int = Field(description="Questions that the community deleted", examples=[0])
    closed_unanswered: int = Field(examples=[0])
    final_answers: int = Field(description="Published in the week", examples=[11])
    solved: int = Field(examples=[6])
    canned: int = Field(description="Answers with the text of another answer", examples=[0])
    not_solved_said: int = Field(description="How often citizens said that it is not solved", examples=[1])
    score: float | None = Field(
        description="Percent answered in time, drawn towards the peers' mean if there are few", examples=[91.2]
    )
    low: float | None = Field(description="95 % interval of the share answered in time", examples=[68.5])
    high: float | None = Field(examples=[98.7])
    rank: int | None = Field(description="Among its peers; null: too little data", examples=[2])


class RankedOrganisation(_Part):
    """An organisation among the best or worst of its group, with the reason."""

    organisation_id: UUID
    name: str = Field(examples=["Школа № 1"])
    reason: str = Field(examples=["98,7 % (76 из 77), в среднем по группе — 91,2 %"])


class PeerGroup(_Part):
    """Organisations that are compared with each other."""

    code: str = Field(examples=["schools"])
    title: str = Field(examples=["Школы"])
    organisations: list[OrganisationRow]
    best: list[RankedOrganisation]
    worst: list[RankedOrganisation]


class AttentionItem(_Part):
    """A matter that needs attention, with a link to its rows."""

    kind: AttentionKind
    count: int = Field(examples=[12])
    text: str = Field(examples=["12 ответов просрочено на конец недели"])
    population: ReportPopulation | None
    filter: dict[str, str] = Field(
        default={},
        description="Query of `/reports/weekly/{week}/rows/{population}` that gives exactly these rows; without a "
        "population, of `/metrics/pages` with the week",
        examples=[{"status": "broken"}],
    )


class HardAppeal(_Part):
    """An appeal that the leadership should read in full. Personal data is masked."""

    appeal_id: UUID
    number: int = Field(examples=[1024])
    opened_at: datetime
    channel: str = Field(examples=["ВКонтакте"])
    topic: str | None = Field(examples=["Гололёд"])
    municipality: str | None
    organisation: str | None
    text: str = Field(examples=["Третий день нет тепла."])
    reason: str = Field(
        examples=["гражданин 2 раза сказал, что вопрос не решён; на дату отчёта срок пропущен на 3 дня"]
    )


class PromiseFigures(_Part):
    """The promises with a date in the week. `due = kept + moved + broken + open`."""

    due: int = Field(examples=[8])
    kept: int = Field(examples=[5])
    moved: int = Field(description="A later reply named another date in time", examples=[1])
    broken: int = Field(examples=[2])
    open: int = Field(description="Of a week that has not ended", examples=[0])


class CoverageRow(_Part):
    """Numbers of organisations in a network at the end of the week: those that must have a page, those exempt,
    those with a verified page, and of these those with a live one.
    """

    network: NetworkName
    required: int = Field(examples=[1980])
    exempt: int = Field(examples=[20])
    covered: int = Field(examples=[1900])
    live: int = Field(examples=[1500])
    percent: float | None = Field(description="`covered` in percent of `required`", examples=[96.0])


class ReportSilentPage(_Part):
    """A page that has fallen silent."""

    page_id: UUID
    name: str = Field(examples=["Школа № 1"])
    network: NetworkName
    last_post_on: date | None


class ReportAudience(NetworkAudience):
    """Views, reactions and reach of a network's pages, compared with last week."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engagement_last_week: float | None = Field(
        description="Null: unknown, or on the other base (views or subscribers)", examples=[2.8]
    )
    reach_share_last_week: float | None = Field(examples=[61.2])


class PageLights(_Part):
    """The numbers of pages by light, or their changes since last week."""

    green: int = Field(examples=[2500])
    yellow: int = Field(examples=[1000])
    red: int = Field(examples=[400])
    unknown: int = Field(description="Pages of which too little is known for a score", examples=[12])


class PageGroupFigures(PageLights):
    """The health of the pages of one peer group."""

    code: str = Field(examples=["schools"])
    title: str = Field(examples=["Школы"])
    light_changes: PageLights | None = Field(description=_LIGHT_CHANGES)
    mean_score: float | None = Field(description="0 to 100", examples=[68.4])
    change: float | None = Field(description="Change of the mean score since last week", examples=[-1.2])


class ReportFormula(_Part):
    """The version of the formula that scored the pages, and its thresholds for green and yellow."""

    number: int = Field(examples=[1])
    name: str = Field(examples=["Светофор 2026"])
    green_from: int = Field(examples=[80])
    yellow_from: int = Field(examples=[50])


class PageFigures(_Part):
    """The health of pages in the week. Reports of earlier versions lack the fields that have a default."""

    scored: int = Field(examples=[3900])
    green: int = Field(examples=[2500])
    yellow: int = Field(examples=[1000])
    red: int = Field(examples=[400])
    unknown: int | None = Field(
        default=None, description="Pages of which too little is known for a score; not in `scored`", examples=[12]
    )
    lights_last_week: PageLights | None = Field(default=None, description="Null: no page was scored then")
    light_changes: PageLights | None = Field(default=None, description=_LIGHT_CHANGES)
    mean_score: float | None = Field(description="0 to 100", examples=[71.3])
    mean_score_last_week: float | None = Field(
        default=None, description="Null: unknown, or by another formula", examples=[70.9]
    )
    change: float | None = Field(description="Change of the mean score since last week", examples=[0.4])
    formulas: list[ReportFormula] = Field(
        default=[], description="One, unless a formula was added while the week was scored"
    )
    groups: list[PageGroupFigures] = Field(default=[], description="By peer group; together they cover all pages")
    silent: list[ReportSilentPage]
    audience: list[ReportAudience] = Field(
        default=[], description="By network, over the pages for which it is known; empty: for none"
    )


class GradeFigures(_Part):
    """People's grades of sampled answers of the four weeks before, by criterion."""

    code: str = Field(examples=["question"])
    title: str = Field(examples=["Отвечает на заданный вопрос"])
    axes: list[Axis]
    mean: float | None = Field(description="0 to 2", examples=[1.62])
    graded: int = Field(examples=[120])
    kappa: float | None = Field(description="Agreement of two graders, linearly weighted", examples=[0.71])


class MeasureDefinition(_Part):
    """The definition of a measure, which every report contains."""

    code: str = Field(examples=["response_on_time"])
    version: int = Field(examples=[1])
    axis: Axis
    name: str = Field(examples=["Ответы в срок"])
    formula: str = Field(examples=["данные в срок ÷ учтённые за неделю"])
    unit: MeasureUnit
    clock: str = Field(examples=["рабочее время"], description="Which time counts")
    population: ReportPopulation
    exclusions: str = Field(examples=["нет"])


class PageMeasureDefinition(_Part):
    """The definition of a measure of pages, which every report contains."""

    code: str = Field(examples=["page_engagement"])
    version: int = Field(examples=[1])
    name: str = Field(examples=["Вовлечённость"])
    formula: str = Field(examples=["100 × реакции ÷ просмотры"])
    unit: MeasureUnit
    clock: str = Field(examples=["семь дней перед проверкой страницы"], description="Which time counts")
    population: str = Field(examples=["собственные записи страниц"], description="Which rows count")
    exclusions: str = Field(examples=["нет"])


class ReportDocument(_Part):
    """The report of a week."""

    format: int = Field(default=1, description="Version of this structure")
    week: str = Field(description="ISO week in the region", examples=["2026-W47"])
    first_day: date = Field(examples=["2026-11-16"])
    last_day: date = Field(examples=["2026-11-22"])
    time_zone: str = Field(examples=["Asia/Irkutsk"])
    as_of: datetime = Field(
        description="The moment with which open deadlines are compared: the end of the week; before it, now",
        examples=["2026-11-23T00:00:00+08:00"],
    )
    totals: list[ChannelTotal] = Field(description="All channels together first (`all`)")
    outcomes: ReportOutcomes
    attention: list[AttentionItem]
    topics: list[TopicRow] = Field(description="Most frequent first")
    municipalities: list[MunicipalityRow] = Field(description="Most frequent first")
    cells: list[ReportCell]
    axes: list[AxisValues]
    peer_groups: list[PeerGroup]
    hard_appeals: list[HardAppeal]
    promises: PromiseFigures
    coverage: list[CoverageRow]
    pages: PageFigures | None = Field(description="Null: the pages were not scored in this week")
    grades: list[GradeFigures] = Field(description="Empty: no answers of the four weeks before were graded")
    definitions: list[MeasureDefinition]
    page_definitions: list[PageMeasureDefinition] = Field(default=[], description="Of the measures of pages")
    gaps: list[str] = Field(
        examples=[["Сбор начался 17.11.2026: неделя неполная."]],
        description="What is missing in the data of the week",
    )


class CorrectedFigure(_Part):
    """A figure that differs from the published one."""

    pointer: str = Field(description="Where it is in the document", examples=["/totals/all/appeals/value"])
    published: int | float | str | None
    now: int | float | str | None


class ReportOut(_Part):
    """The report of a week, and whether it is published. A published report never changes."""

    status: ReportStatus
    published_at: datetime | None
    digest: str | None = Field(description="SHA-256 of the published document, hexadecimal")
    corrections: list[CorrectedFigure] = Field(
        description="Figures that would differ now, because rows were added or changed; `report` has the old ones"
    )
    corrected_at: datetime | None
    report: ReportDocument


class ReportSummary(_Part):
    """A published report in the list."""

    week: str = Field(examples=["2026-W47"])
    first_day: date
    last_day: date
    published_at: datetime
    digest: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    appeals: int = Field(examples=[508])
    corrected: bool


class ReportRow(_Part):
    """A row that a figure counts."""

    row_id: UUID = Field(description="Id of the appeal, clock, reply, promise, message, feedback or page")
    appeal_id: UUID | None = Field(description="Null: a page, or a deleted question that belongs to no appeal")
    number: int | None = Field(examples=[1024])
    at: datetime = Field(
        description="When it was opened, given or due, published, promised, deleted, closed, said, scored"
    )
    channel: str = Field(examples=["vk"])
    organisation_id: UUID | None
    oktmo: str | None
    topic_group_id: UUID | None
    topic_id: UUID | None
    values: dict[str, bool | int | float | datetime | str | None] = Field(
        description="The columns that only this population has", examples=[{"state": "answered", "solved": True}]
    )
