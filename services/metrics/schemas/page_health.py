"""Schemas of page health: scores of pages by week, with inputs and evidence."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from services.metrics.schemas.page_formulas import PageCriterionKind, Week
from shared.networks import NetworkName

PageLight = TypeAliasType("PageLight", Literal["green", "yellow", "red", "unknown"])
ScoredPageState = TypeAliasType("ScoredPageState", Literal["open", "closed", "gone"])
PostsSource = TypeAliasType("PostsSource", Literal["messages", "page_checks"])
ScoreSource = TypeAliasType("ScoreSource", Literal["page_steps", "page_checks", "messages", "appeals"])

_ADVICE = "Публикуйте не реже: 3 записи за 7 дней, сейчас 1. Это добавит 37,5 балла."
_CHANGE = (
    "Difference to the score of the week before; null if one of the two is missing, or if another formula gave it"
)
_LIGHT = "`unknown`: too little is known for a score"


class PageInputs(BaseModel):
    """What was known about a page in a week. Null means that it is not known."""

    model_config = ConfigDict(frozen=True)

    state: ScoredPageState | None = Field(default=None, description="Of the last check in the week")
    state_reason: str | None = Field(default=None, description="Why the page was not open")
    checked_on: date | None = Field(default=None, description="Day of the last check in the week")
    profile_on: date | None = Field(
        default=None, description="Day of the last check that could see the page: appearance, comments, members"
    )
    avatar: bool | None = None
    description: bool | None = None
    cover: bool | None = None
    comments_open: bool | None = None
    members: int | None = Field(default=None, examples=[1250])
    steps: dict[str, date] = Field(
        default={},
        description="Steps that the page had at the end of the week, with the day they were reached",
        examples=[{"verified": "2026-11-02"}],
    )
    widgets: int | None = Field(default=None, description="2 with the step `widgets`, else 0", examples=[2])
    posts: dict[int, int] | None = Field(
        default=None,
        description="The page's own posts, not deleted, by the number of days before the end of the week",
        examples=[{"7": 4}],
    )
    posts_source: PostsSource | None = Field(
        default=None,
        description="`messages`: the stored posts of a wall that is read; `page_checks`: the check of Sunday",
        examples=["messages"],
    )
    last_post_at: datetime | None = Field(
        default=None, description="The page's last own post before the week's end"
    )
    citizen_messages: int = Field(
        default=0, description="Comments and posts of citizens received in the week", examples=[12]
    )
    citizen_messages_in_dialogue: int = Field(
        default=0, description="Those after which the page wrote in the thread within the week", examples=[9]
    )
    appeals_due: int = Field(
        default=0,
        description="Appeals opened on the page in the week whose first answer was given or due by its end",
        examples=[5],
    )
    appeals_answered: int = Field(default=0, description="Those with an answer", examples=[4])
    reach: int | None = Field(default=None, description="Reach of the week; no network reports it")
    mean_post_reach: int | None = Field(default=None, description="Mean reach of a post; no network reports it")


class CriterionScore(BaseModel):
    """The points of a page for one criterion, and why."""

    key: str = Field(description="Unique within the formula", examples=["posts_7"])
    kind: PageCriterionKind = Field(examples=["posts"])
    title: str = Field(examples=["Публикации за 7 дней"])
    weight: int = Field(examples=[30])
    possible: int = Field(
        description="The points that were possible with what is known; 0: no data, the criterion is left out",
        examples=[30],
    )
    points: int = Field(examples=[0])
    source: ScoreSource | None = Field(description="Which rows it was computed from", examples=["messages"])
    evidence: str = Field(description="Why, in words", examples=["Публикаций за 7 дней: 1"])


class PageOwner(BaseModel):
    """The organisation that keeps a page."""

    id: UUID
    name: str = Field(examples=["Школа № 71"])


class PageScoreListItem(BaseModel):
    """The score of a page in a week."""

    page_id: UUID
    name: str = Field(examples=["Школа № 71"])
    network: NetworkName
    url: str = Field(examples=["https://vk.com/club101"])
    organisation: PageOwner
    week: Week
    score: float | None = Field(description="0 to 100, with one decimal; null: no data", examples=[62.5])
    light: PageLight = Field(description=_LIGHT)
    change: float | None = Field(description=_CHANGE, examples=[-12.5])
    advice: str | None = Field(description="What would add most; null if nothing is missing", examples=[_ADVICE])
    last_post_at: datetime | None
    formula_id: UUID
    formula_number: int = Field(examples=[1])


class PageWeekScore(BaseModel):
    """The score of a page in a week, with all that it was computed from."""

    week: Week
    score: float | None = Field(description="0 to 100, with one decimal; null: no data", examples=[62.5])
    light: PageLight = Field(description=_LIGHT)
    change: float | None = Field(description=_CHANGE, examples=[-12.5])
    advice: str | None = Field(examples=[_ADVICE])
    points: int = Field(description="Sum of the criteria", examples=[50])
    possible: int = Field(
        description="Points that were possible: the score is 100 × points ÷ possible", examples=[80]
    )
    weight: int = Field(description="Weight of all criteria of the formula", examples=[95])
    criteria: list[CriterionScore]
    inputs: PageInputs
    formula_id: UUID
    formula_number: int = Field(examples=[1])
    scored_at: datetime


class NetworkLights(BaseModel):
    """How many pages of a network have which light."""

    network: NetworkName
    green: int = Field(examples=[900])
    yellow: int = Field(examples=[500])
    red: int = Field(examples=[350])
    unknown: int = Field(examples=[50])


class SilentPage(BaseModel):
    """A page that fell silent."""

    page_id: UUID
    name: str
    network: NetworkName
    url: str
    organisation: PageOwner
    last_post_at: datetime


class PageScoreChange(BaseModel):
    """A page whose score changed."""

    page_id: UUID
    name: str
    network: NetworkName
    url: str
    organisation: PageOwner
    score: float
    change: float


class PageHealthSummary(BaseModel):
    """The health of all pages in a week."""

    week: Week
    lights: list[NetworkLights] = Field(description="By network")
    silent: list[SilentPage] = Field(description="Pages that fell silent in the week, longest silence first")
    best: list[PageScoreChange] = Field(description="The largest rises against the week before")
    worst: list[PageScoreChange] = Field(description="The largest falls")
