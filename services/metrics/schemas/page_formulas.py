"""API models of the formula of page scores: a closed set of criteria with their parameters."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from typing_extensions import TypeAliasType

from shared.text.single_line import single_line

WEEK_PATTERN = r"^20[0-9]{2}-W[0-9]{2}$"
_LEVELS = [{"threshold": 3, "points": 30}]
_EXAMPLE = {"kind": "posts", "weight": 30, "days": 7, "levels": _LEVELS}

ScoredStep = TypeAliasType("ScoredStep", Literal["verified", "gov_badge", "connected", "live"])


class PageCriterionKind(StrEnum):
    """The kinds of criteria.

    `step`: the page has reached a step; `appearance`: avatar, description, cover; `widgets`: number of widgets
    shown; `posts`: the page's own posts in a number of days; `freshness`: days since its last post; `reach_share`:
    reach of the week as a percentage of the subscribers; `mean_post_reach`: mean reach of a post; `comments_open`:
    citizens can comment; `comments_per_post`: citizens' comments and posts per own post of the week;
    `two_way_share`: percentage of these after which the page wrote in the thread; `answered_share`: percentage of
    appeals from the page that were answered, of those answered or due; `engagement`: likes, comments and reposts
    of the week's posts as a percentage of their views.
    """

    STEP = "step"
    APPEARANCE = "appearance"
    WIDGETS = "widgets"
    POSTS = "posts"
    FRESHNESS = "freshness"
    REACH_SHARE = "reach_share"
    MEAN_POST_REACH = "mean_post_reach"
    COMMENTS_OPEN = "comments_open"
    COMMENTS_PER_POST = "comments_per_post"
    TWO_WAY_SHARE = "two_way_share"
    ANSWERED_SHARE = "answered_share"
    ENGAGEMENT = "engagement"


class _Part(BaseModel):
    """Base of the models of a formula; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CriterionLevel(_Part):
    """The points for a value that is at least the threshold; for `freshness`, at most the threshold."""

    threshold: int = Field(ge=0, le=1_000_000_000, examples=[3])
    points: int = Field(ge=0, le=1_000, examples=[30])


class AppearanceParts(_Part):
    """The points for each part of the appearance."""

    avatar: int = Field(ge=0, le=1_000, examples=[5])
    description: int = Field(ge=0, le=1_000, examples=[5])
    cover: int = Field(ge=0, le=1_000, examples=[10])


class PageCriterion(_Part):
    """A criterion. The parameters of each kind are listed in docs/moderator/page-health.md."""

    kind: PageCriterionKind = Field(examples=["posts"])
    weight: int = Field(ge=1, le=1_000, description="Its maximum number of points", examples=[30])
    step: ScoredStep | None = Field(default=None, description="Only with the kind `step`")
    parts: AppearanceParts | None = Field(
        default=None,
        description="Only with the kind `appearance`; the parts add up to the weight",
        examples=[None],
    )
    days: int | None = Field(default=None, ge=1, le=60, description="Only with the kind `posts`", examples=[7])
    min_messages: int | None = Field(
        default=None,
        ge=1,
        le=1_000,
        description="Only with `two_way_share` and `answered_share`: with fewer messages or appeals, no data",
    )
    levels: list[CriterionLevel] | None = Field(
        default=None,
        max_length=10,
        description="With all kinds that measure a value; the best level gives the weight. An empty list, allowed "
        "only for reach, means that the rule is not known, so there is no data",
        examples=[_LEVELS],
    )

    @property
    def key(self) -> str:
        """Return the criterion's key, unique within a formula: `step_connected`, `posts_7`, `widgets`."""
        parameter = self.step if self.kind is PageCriterionKind.STEP else self.days
        return self.kind.value if parameter is None else f"{self.kind.value}_{parameter}"


class PageFormula(_Part):
    """A formula: the criteria, and the thresholds of the lights."""

    criteria: list[PageCriterion] = Field(min_length=1, max_length=30, examples=[[_EXAMPLE]])
    green_from: int = Field(
        default=80, ge=1, le=100, description="The minimum score of a green light", examples=[80]
    )
    yellow_from: int = Field(
        default=50,
        ge=0,
        le=100,
        description="The minimum score of a yellow light; below it the light is red",
        examples=[50],
    )
    min_known_percent: int = Field(
        default=50,
        ge=0,
        le=100,
        description="A page gets no score if the criteria with data have less than this percent of the weight",
        examples=[50],
    )


ScoredWeek = Annotated[
    str | None,
    Field(
        pattern=WEEK_PATTERN,
        description="An ISO week. Default: the last week with scores",
        examples=["2026-W48"],
    ),
]
Week = Annotated[str, Field(pattern=WEEK_PATTERN, examples=["2026-W48"])]


class PageFormulaIn(PageFormula):
    """A new version of the formula."""

    name: Annotated[
        str,
        BeforeValidator(lambda value: value.strip() if isinstance(value, str) else value),
        Field(min_length=1, max_length=200, examples=["Светофор 2027: важнее диалог"]),
        AfterValidator(single_line),
    ]
    valid_from: Week | None = Field(
        default=None, description="The first ISO week that it scores: the current one (default) or a later one"
    )


class PageFormulaOut(PageFormula):
    """A version of the formula, which never changes."""

    id: UUID
    number: int = Field(description="1 is the formula of the installation", examples=[2])
    name: str = Field(examples=["Светофор 2027: важнее диалог"])
    valid_from: Week = Field(
        description="The first ISO week that it may score. A week is scored by the formula with the latest first "
        "week that is not after it; of several with the same first week, by the one with the highest number"
    )
    created_by: str = Field(
        description="Id of the person or API client; `migration`: the formula of the installation",
        examples=["0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"],
    )
    created_at: datetime
