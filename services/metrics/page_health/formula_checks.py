"""Rules for a formula of page scores that go beyond the types of its fields."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from services.metrics.schemas.page_formulas import CriterionLevel, PageCriterion, PageCriterionKind, PageFormula
from shared.http.problems import FieldError

_PARAMETERS = ("step", "parts", "days", "min_messages", "levels")
# The parameters that each kind of criterion requires.
PARAMETERS_OF_KIND: dict[PageCriterionKind, frozenset[str]] = {
    PageCriterionKind.STEP: frozenset({"step"}),
    PageCriterionKind.APPEARANCE: frozenset({"parts"}),
    PageCriterionKind.WIDGETS: frozenset({"levels"}),
    PageCriterionKind.POSTS: frozenset({"days", "levels"}),
    PageCriterionKind.FRESHNESS: frozenset({"levels"}),
    PageCriterionKind.REACH_SHARE: frozenset({"levels"}),
    PageCriterionKind.MEAN_POST_REACH: frozenset({"levels"}),
    PageCriterionKind.COMMENTS_OPEN: frozenset(),
    PageCriterionKind.COMMENTS_PER_POST: frozenset({"levels"}),
    PageCriterionKind.TWO_WAY_SHARE: frozenset({"min_messages", "levels"}),
    PageCriterionKind.ANSWERED_SHARE: frozenset({"min_messages", "levels"}),
    PageCriterionKind.ENGAGEMENT: frozenset({"levels"}),
}
# Criteria that may have no levels: a published regional monitor may give only the weight of such a criterion.
_WITHOUT_LEVELS = frozenset({PageCriterionKind.REACH_SHARE, PageCriterionKind.MEAN_POST_REACH})
# Percentages of a whole: thresholds are at most 100.
_AT_MOST_100 = frozenset({PageCriterionKind.TWO_WAY_SHARE, PageCriterionKind.ANSWERED_SHARE})


def formula_errors(formula: PageFormula) -> list[FieldError]:
    """Return the errors of a formula, each with a pointer to its field."""
    errors = []
    if formula.yellow_from >= formula.green_from:
        errors.append(FieldError(pointer="/yellow_from", detail="«yellow_from» must be below «green_from»"))
    first_of: dict[str, int] = {}
    for index, criterion in enumerate(formula.criteria):
        pointer = f"/criteria/{index}"
        errors += _criterion_errors(criterion, pointer)
        if (first := first_of.setdefault(criterion.key, index)) != index:
            errors.append(FieldError(pointer=pointer, detail=f"«{criterion.key}» is already criterion {first}"))
    return errors


def _criterion_errors(criterion: PageCriterion, pointer: str) -> Iterator[FieldError]:
    wanted = PARAMETERS_OF_KIND[criterion.kind]
    for name in _PARAMETERS:
        given = getattr(criterion, name) is not None
        if given != (name in wanted):
            verb = "takes no" if given else "needs"
            yield FieldError(pointer=f"{pointer}/{name}", detail=f"A criterion «{criterion.kind}» {verb} «{name}»")
    if criterion.parts is not None and (total := sum(criterion.parts.model_dump().values())) != criterion.weight:
        detail = f"The parts add up to {total}, but must add up to the weight, {criterion.weight}"
        yield FieldError(pointer=f"{pointer}/parts", detail=detail)
    if criterion.levels is not None and "levels" in wanted:
        yield from _level_errors(criterion, criterion.levels, f"{pointer}/levels")


def _level_errors(
    criterion: PageCriterion, levels: Sequence[CriterionLevel], pointer: str
) -> Iterator[FieldError]:
    if not levels:
        if criterion.kind not in _WITHOUT_LEVELS:
            yield FieldError(pointer=pointer, detail="At least one level is needed")
        return
    if (most := max(level.points for level in levels)) != criterion.weight:
        detail = f"The best level gives {most} points, but must give the weight, {criterion.weight}"
        yield FieldError(pointer=pointer, detail=detail)
    better = sorted(
        levels, key=lambda level: level.threshold, reverse=criterion.kind is PageCriterionKind.FRESHNESS
    )
    if any(one.threshold == other.threshold or one.points >= other.points for one, other in pairwise(better)):
        yield FieldError(
            pointer=pointer, detail="A better value must give more points, and each threshold occurs once"
        )
    if criterion.kind in _AT_MOST_100 and max(level.threshold for level in levels) > 100:
        yield FieldError(pointer=pointer, detail="A threshold is a percentage: it must be at most 100")
