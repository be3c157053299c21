"""API models of page health: scores of pages by week, with inputs and evidence."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from services.metrics.schemas.page_formulas import PageCriterionKind, Week
from shared.contracts.values import ReachCountedBy
from shared.networks import NetworkName

PageLight = TypeAliasType("PageLight", Literal["green", "yellow", "red", "unknown"])
ScoredPageState = TypeAliasType("ScoredPageState", Literal["open", "closed", "gone"])
PostsSource = TypeAliasType("PostsSource", Literal["messages", "page_checks"])
EngagementBase = TypeAliasType("EngagementBase", Literal["views", "members"])
ScoreSource = TypeAliasType("ScoreSource", Literal["page_steps", "page_checks", "messages", "appeals"])

_ADVICE = "Публикуйте чаще: нужно не меньше 3 записей за 7 дней, сейчас 1. Это добавит 37,5 балла."
_CHANGE = "Difference to the score of the week before; null if one is missing, or if different formulas gave them"
_ENGAGEMENT = "Null: the reactions to the page's posts are unknown"
_REACH = "People reached in the week; null: unknown. Not the number of views"
_REACH_SHARE = "Reach in percent of the subscribers"
_LIGHT = "`unknown`: too little is known for a score"


class PageInputs(BaseModel):
    """The known data of a page in a week; null means unknown."""

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
    appeals_answered: int = Field(default=0, description="Of these, answered", examples=[4])
    reactions_on: date | None = Field(
        default=None,
        description="Day of the check that counted views, likes, comments and reposts: the last from Friday to "
        "Sunday that has them",
    )
    reacted_posts: int | None = Field(
        default=None, description="The page's own posts of the seven days before that check", examples=[4]
    )
    views: int | None = Field(
        default=None, description="How often these posts were shown; OK does not report it", examples=[2100]
    )
    likes: int | None = Field(default=None, description="Of these posts", examples=[64])
    comments: int | None = Field(
        default=None, description="On these posts, those by the page included", examples=[12]
    )
    reposts: int | None = Field(default=None, description="Of these posts", examples=[7])
    reach_on: date | None = Field(
        default=None, description="Day of the check that read the reach: the last one from Friday to Sunday"
    )
    reach: int | None = Field(
        default=None,
        description="How many people the page reached in the seven days before that check; null: no token of its "
        "manager could read it",
        examples=[830],
    )
    reach_counted_by: ReachCountedBy | None = Field(
        default=None, description="`week`: each person once (VK); `days`: the sum of days, once a day (OK)"
    )
    mean_post_reach: int | None = Field(
        default=None, description="Mean reach of a post; OK does not report it", examples=[310]
    )


class PageEngagement(BaseModel):
    """The engagement with the page's own posts of a week."""

    posts: int = Field(description="The page's own posts of seven days", examples=[4])
    views: int | None = Field(description="Null: the network does not report them", examples=[2100])
    interactions: int = Field(description="Likes, comments and reposts", examples=[83])
    rate: float | None = Field(
        description="Interactions per 100 views, or per 100 subscribers if views are unknown; null without either",
        examples=[3.95],
    )
    rate_of: EngagementBase | None = Field(description="`rate` is per 100 of these", examples=["views"])


class CriterionScore(BaseModel):
    """The points of a page for one criterion, with the evidence."""

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
    evidence: str = Field(description="Why, in words", examples=["Записей за 7 дней: 1"])


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
    score: float | None = Field(
        description="0 to 100, with one decimal; null: too little is known", examples=[62.5]
    )
    light: PageLight = Field(description=_LIGHT)
    change: float | None = Field(description=_CHANGE, examples=[-12.5])
    advice: str | None = Field(description="What would add most; null if nothing is missing", examples=[_ADVICE])
    last_post_at: datetime | None
    engagement: PageEngagement | None = Field(description=_ENGAGEMENT)
    reach: int | None = Field(description=_REACH, examples=[830])
    reach_share: float | None = Field(description=_REACH_SHARE, examples=[66.4])
    formula_id: UUID
    formula_number: int = Field(examples=[1])


class PageWeekScore(BaseModel):
    """The score of a page in a week, with all data that it was computed from."""

    week: Week
    score: float | None = Field(
        description="0 to 100, with one decimal; null: too little is known", examples=[62.5]
    )
    light: PageLight = Field(description=_LIGHT)
    change: float | None = Field(description=_CHANGE, examples=[-12.5])
    advice: str | None = Field(examples=[_ADVICE])
    points: int = Field(description="Sum of the criteria", examples=[50])
    possible: int = Field(
        description="Points that were possible: the score is 100 × points ÷ possible", examples=[80]
    )
    weight: int = Field(description="Weight of all criteria of the formula", examples=[95])
    criteria: list[CriterionScore]
    engagement: PageEngagement | None = Field(description=_ENGAGEMENT)
    reach: int | None = Field(description=_REACH, examples=[830])
    reach_share: float | None = Field(description=_REACH_SHARE, examples=[66.4])
    inputs: PageInputs
    formula_id: UUID
    formula_number: int = Field(examples=[1])
    scored_at: datetime


class NetworkLights(BaseModel):
    """The numbers of a network's pages by light."""

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


class PagePeerGroup(BaseModel):
    """Pages that are compared with each other: those of one peer group of organisations, in one network.

    Medians and quartiles are null if too few pages have the value.
    """

    code: str = Field(examples=["schools"])
    title: str = Field(examples=["Школы"])
    network: NetworkName
    pages: int = Field(description="Pages of the week", examples=[340])
    scored: int = Field(description="Pages with a score", examples=[332])
    median_score: float | None = Field(examples=[68.8])
    lower_quartile: float | None = Field(description="A quarter of the scores are below it", examples=[50.0])
    upper_quartile: float | None = Field(description="A quarter of the scores are above it", examples=[87.5])
    median_posts: float | None = Field(description="Own posts of seven days", examples=[4.0])
    median_engagement: float | None = Field(
        description="Interactions per 100 views, or per 100 subscribers if `engagement_of` says so", examples=[2.4]
    )
    engagement_of: EngagementBase | None = Field(examples=["views"])
    median_reach_share: float | None = Field(description="Reach in percent of the subscribers", examples=[41.5])
    note: str | None = Field(description="Why scores are not compared", examples=[None])


class PageAmongPeers(BaseModel):
    """A page compared with its peers."""

    page_id: UUID
    score: float | None = Field(examples=[62.5])
    rank: int | None = Field(
        description="From 1, the highest score; equal scores have equal ranks. Null without a score, or if the "
        "group is not compared",
        examples=[212],
    )
    to_median: float | None = Field(description="The score less the median", examples=[-6.3])


class PagePeers(BaseModel):
    """The pages of a week by peer group."""

    week: Week | None = Field(description="Null: no week has scores")
    groups: list[PagePeerGroup] = Field(description="By peer group, then network; with `page_id` only its own")
    page: PageAmongPeers | None = Field(description="With `page_id`, if the page was scored in the week")


class NetworkAudience(BaseModel):
    """Views, reactions and reach of a network's pages in a week, over the pages for which they are known."""

    network: NetworkName
    pages: int = Field(description="Pages whose reactions are known", examples=[1700])
    posts: int = Field(description="Their own posts of seven days", examples=[6800])
    views: int | None = Field(description="Of pages whose views are known; null: of none", examples=[910000])
    interactions: int = Field(description="Likes, comments and reposts", examples=[27300])
    engagement: float | None = Field(
        description="Interactions per 100 views, or per 100 subscribers in a network without views", examples=[3.0]
    )
    engagement_of: EngagementBase | None = Field(examples=["views"])
    reach_pages: int = Field(description="Pages whose reach is known", examples=[420])
    reach: int | None = Field(
        description="Sum of the reach of these pages: a person counts once for each of them", examples=[350000]
    )
    reach_share: float | None = Field(description="In percent of their subscribers", examples=[66.4])
    mean_post_reach: int | None = Field(
        description="People per post, of the pages where it is known", examples=[310]
    )


class PageHealthSummary(BaseModel):
    """The health of all pages in a week."""

    week: Week
    lights: list[NetworkLights] = Field(description="By network")
    silent: list[SilentPage] = Field(description="Pages that fell silent in the week, longest silence first")
    best: list[PageScoreChange] = Field(description="The largest rises against the week before")
    worst: list[PageScoreChange] = Field(description="The largest falls")
