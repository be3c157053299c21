"""The score of a page by a formula: a pure function of the page's inputs.

A criterion without data gives no points, and its weight is not counted: the score is 100 × points ÷ possible
points. A page that the network does not show gets no points at all.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Any

from services.metrics.page_health.engagement import interactions_of
from services.metrics.schemas.page_formulas import PageCriterion, PageCriterionKind, PageFormula
from services.metrics.schemas.page_health import PageInputs, PageLight, ScoreSource

DAY_SECONDS = 86_400
# The number of days over which posts, reactions and reach are counted.
WEEK_DAYS = 7


@dataclass(frozen=True)
class CriterionPoints:
    """The points of a criterion. `possible` is 0 without data. `value` is the value that was compared with the
    levels.
    """

    key: str
    points: int
    possible: int
    value: bool | float | dict[str, bool | None] | None
    source: ScoreSource | None

    def as_json(self) -> dict[str, Any]:
        """Return the points as they are stored."""
        return {name: getattr(self, name) for name in ("key", "points", "possible", "value", "source")}


@dataclass(frozen=True)
class PageResult:
    """The score (None if too little is known), the light, and the points in the order of the criteria."""

    score: Decimal | None
    light: PageLight
    criteria: list[CriterionPoints]


def score_page(formula: PageFormula, inputs: PageInputs, week_end: datetime) -> PageResult:
    """Return the score of a page with its light and the points of each criterion."""
    criteria = [_criterion_points(criterion, inputs, week_end) for criterion in formula.criteria]
    points = sum(found.points for found in criteria)
    possible = sum(found.possible for found in criteria)
    weight = sum(criterion.weight for criterion in formula.criteria)
    if possible == 0 or 100 * possible < formula.min_known_percent * weight:
        return PageResult(None, "unknown", criteria)
    score = rounded_score(points, possible)
    return PageResult(score, light_of(score, formula), criteria)


def rounded_score(points: int, possible: int) -> Decimal:
    """Return 100 × points ÷ possible with one decimal; halves are rounded up."""
    return (Decimal(100 * points) / possible).quantize(Decimal("0.1"), ROUND_HALF_UP)


def light_of(score: Decimal, formula: PageFormula) -> PageLight:
    """Return the light for a score."""
    if score >= formula.green_from:
        return "green"
    return "yellow" if score >= formula.yellow_from else "red"


def is_hidden(inputs: PageInputs) -> bool:
    """Return whether the network did not show the page when it was last checked."""
    return inputs.state in {"closed", "gone"}


def _criterion_points(criterion: PageCriterion, inputs: PageInputs, week_end: datetime) -> CriterionPoints:
    if criterion.levels == []:
        return _no_data(criterion)
    if is_hidden(inputs):
        # Nobody can read the page, so steps reached and posts stored earlier give no points.
        if criterion.kind in _OFTEN_UNKNOWN and _RULES[criterion.kind](criterion, inputs, week_end).possible == 0:
            return _no_data(criterion)
        return CriterionPoints(criterion.key, 0, criterion.weight, None, "page_checks")
    return _RULES[criterion.kind](criterion, inputs, week_end)


def _no_data(criterion: PageCriterion) -> CriterionPoints:
    return CriterionPoints(criterion.key, 0, 0, None, None)


def _by_flag(criterion: PageCriterion, flag: bool | None, source: ScoreSource | None) -> CriterionPoints:
    if flag is None:
        return _no_data(criterion)
    return CriterionPoints(criterion.key, criterion.weight if flag else 0, criterion.weight, flag, source)


def _by_level(
    criterion: PageCriterion,
    value: Fraction | None,
    source: ScoreSource | None,
    is_reached: Callable[[Fraction, int], bool] = operator.ge,
) -> CriterionPoints:
    if value is None:
        return _no_data(criterion)
    reached = [level.points for level in criterion.levels or [] if is_reached(value, level.threshold)]
    # Rounded away from the threshold: a value that just misses it must not be shown as equal to it.
    shown = (floor if is_reached is operator.ge else ceil)(value * 10) / 10
    return CriterionPoints(criterion.key, max(reached, default=0), criterion.weight, shown, source)


def _percent(part: int | None, whole: int | None) -> Fraction | None:
    return Fraction(100 * part, whole) if part is not None and whole else None


def _fraction(value: int | None) -> Fraction | None:
    return None if value is None else Fraction(value)


def _step(criterion: PageCriterion, inputs: PageInputs, _week_end: datetime) -> CriterionPoints:
    return _by_flag(criterion, criterion.step in inputs.steps, "page_steps")


def _appearance(criterion: PageCriterion, inputs: PageInputs, _week_end: datetime) -> CriterionPoints:
    weights = criterion.parts.model_dump() if criterion.parts is not None else {}
    seen: dict[str, bool | None] = {name: getattr(inputs, name) for name in weights}
    points = sum(weight for name, weight in weights.items() if seen[name])
    possible = sum(weight for name, weight in weights.items() if seen[name] is not None)
    return CriterionPoints(criterion.key, points, possible, seen, "page_checks" if possible else None)


def _widgets(criterion: PageCriterion, inputs: PageInputs, _week_end: datetime) -> CriterionPoints:
    return _by_level(criterion, _fraction(inputs.widgets), "page_steps")


def _posts(criterion: PageCriterion, inputs: PageInputs, _week_end: datetime) -> CriterionPoints:
    return _by_level(criterion, _fraction((inputs.posts or {}).get(criterion.days or 0)), inputs.posts_source)


def _freshness(criterion: PageCriterion, inputs: PageInputs, week_end: datetime) -> CriterionPoints:
    if inputs.posts_source is None:
        return _no_data(criterion)
    if inputs.last_post_at is None:  # the wall is read, and the page has no posts
        return CriterionPoints(criterion.key, 0, criterion.weight, None, inputs.posts_source)
    age = Fraction(int((week_end - inputs.last_post_at).total_seconds()), DAY_SECONDS)
    return _by_level(criterion, age, inputs.posts_source, operator.le)


def _reach_share(criterion: PageCriterion, inputs: PageInputs, _week_end: datetime) -> CriterionPoints:
    return _by_level(criterion, _percent(inputs.reach, inputs.members), "page_checks")


def _mean_post_reach(criterion: PageCriterion, inputs: PageInputs, _week_end: datetime) -> CriterionPoints:
    return _by_level(criterion, _fraction(inputs.mean_post_reach), "page_checks")


def _comments_open(criterion: PageCriterion, inputs: PageInputs, _week_end: datetime) -> CriterionPoints:
    return _by_flag(criterion, inputs.comments_open, "page_checks")


def _comments_per_post(criterion: PageCriterion, inputs: PageInputs, _week_end: datetime) -> CriterionPoints:
    posts = (inputs.posts or {}).get(WEEK_DAYS)
    return _by_level(criterion, Fraction(inputs.citizen_messages, posts) if posts else None, "messages")


def _two_way_share(criterion: PageCriterion, inputs: PageInputs, _week_end: datetime) -> CriterionPoints:
    enough = inputs.citizen_messages >= (criterion.min_messages or 1)
    share = _percent(inputs.citizen_messages_in_dialogue, inputs.citizen_messages) if enough else None
    return _by_level(criterion, share, "messages")


def _answered_share(criterion: PageCriterion, inputs: PageInputs, _week_end: datetime) -> CriterionPoints:
    enough = inputs.appeals_due >= (criterion.min_messages or 1)
    return _by_level(
        criterion, _percent(inputs.appeals_answered, inputs.appeals_due) if enough else None, "appeals"
    )


def _engagement(criterion: PageCriterion, inputs: PageInputs, _week_end: datetime) -> CriterionPoints:
    # Computed only from views: the levels are not comparable for engagement per subscriber.
    return _by_level(criterion, _percent(interactions_of(inputs), inputs.views), "page_checks")


# Not every network reports these values, and reach is reported only to some tokens.
_OFTEN_UNKNOWN = frozenset(
    {PageCriterionKind.REACH_SHARE, PageCriterionKind.MEAN_POST_REACH, PageCriterionKind.ENGAGEMENT}
)
_RULES: Mapping[PageCriterionKind, Callable[[PageCriterion, PageInputs, datetime], CriterionPoints]] = {
    PageCriterionKind.STEP: _step,
    PageCriterionKind.APPEARANCE: _appearance,
    PageCriterionKind.WIDGETS: _widgets,
    PageCriterionKind.POSTS: _posts,
    PageCriterionKind.FRESHNESS: _freshness,
    PageCriterionKind.REACH_SHARE: _reach_share,
    PageCriterionKind.MEAN_POST_REACH: _mean_post_reach,
    PageCriterionKind.COMMENTS_OPEN: _comments_open,
    PageCriterionKind.COMMENTS_PER_POST: _comments_per_post,
    PageCriterionKind.TWO_WAY_SHARE: _two_way_share,
    PageCriterionKind.ANSWERED_SHARE: _answered_share,
    PageCriterionKind.ENGAGEMENT: _engagement,
}
