"""Mean scores with their weights and intervals, and hints compared with people."""

import pytest

from services.appeals.replies.checks.hints import HintCode
from services.metrics.fairness.intervals import wilson_interval
from services.metrics.grading.hint_figures import figures_of_hint
from services.metrics.grading.quality import mean_score
from services.metrics.grading.rubrics import rubric_out
from shared.tables.metrics_grading import GradingRubric
from tests.unit.metrics.seeded_rubric import SEEDED


def test_mean_weights_each_answer_by_the_number_of_answers_it_represents() -> None:
    # Two answers of a large organisation represent 50 each, one of a small organisation only itself.
    found = mean_score([(2, 50), (1, 50), (0, 1)], 1)
    assert found.mean == pytest.approx(150 / 101)
    effective = 101**2 / 5001
    interval = wilson_interval(75 / 101 * effective, effective)
    assert interval is not None
    assert (found.low, found.high) == pytest.approx((2 * interval[0], 2 * interval[1]))


def test_interval_of_equal_scores_is_not_empty() -> None:
    found = mean_score([(2, 1.0)] * 10, 10)
    assert (found.mean, found.high) == pytest.approx((2, 2))
    # Wilson's lower bound of 10 of 10 is 10 / (10 + 1.96²).
    assert found.low == pytest.approx(2 * 10 / (10 + 1.959964**2), abs=1e-5)


@pytest.mark.parametrize("count", [0, 9])
def test_mean_of_too_few_scores_is_withheld(count: int) -> None:
    found = mean_score([(2, 1.0)] * count, 10)
    assert (found.n, found.mean, found.low, found.high, found.withheld) == (count, None, None, None, "too_few")


def test_hint_is_compared_with_faults_found_by_people() -> None:
    hint = frozenset({"canned_phrase"})
    answers = [
        *[({"own_words": 0.0}, hint)] * 15,
        *[({"own_words": 1.5}, hint)] * 5,
        *[({"own_words": 1.0}, frozenset[str]())] * 10,
        *[({"own_words": 2.0}, frozenset({"no_date"}))] * 20,
        # The criterion of the hint does not apply to this answer.
        ({"question": 0.0}, hint),
    ]
    found = figures_of_hint("canned_phrase", "own_words", answers, 20)
    assert (found.compared, found.flagged, found.faulty, found.both) == (50, 20, 25, 15)
    assert (found.precision.share, found.recall.share) == (0.75, 0.6)
    # Wilson's lower bound of 15 of 20 is .531.
    assert found.trusted is True
    assert figures_of_hint("canned_phrase", "own_words", answers, 21).trusted is None
    worse = figures_of_hint("canned_phrase", "own_words", [*answers, *[({"own_words": 2.0}, hint)] * 5], 20)
    assert (worse.precision.share, worse.trusted) == (0.6, False)


def test_hint_no_more_frequent_with_faults_than_without_is_not_trusted() -> None:
    hint = frozenset({"canned_phrase"})
    flagged = [({"own_words": 0.0}, hint)] * 45 + [({"own_words": 2.0}, hint)] * 5
    others = [({"own_words": 0.0}, frozenset[str]())] * 45 + [({"own_words": 2.0}, frozenset[str]())] * 5
    found = figures_of_hint("canned_phrase", "own_words", flagged + others, 20)
    # Wilson's lower bound of 45 of 50 is .786, below the .9 of answers without the hint that have the fault.
    assert (found.precision.share, found.trusted) == (0.9, False)
    assert figures_of_hint("canned_phrase", "own_words", flagged, 20).trusted is True


def test_hint_without_occurrences_has_no_precision() -> None:
    found = figures_of_hint("shouting", "politeness", [({"politeness": 2.0}, frozenset())], 1)
    assert (found.precision.share, found.precision.low, found.recall.share, found.trusted) == (None,) * 4


def test_seeded_rubric_is_valid_and_names_existing_hints() -> None:
    rubric = rubric_out(GradingRubric(**SEEDED))
    asked = [criterion.code for criterion in rubric.criteria if criterion.graded]
    assert asked == [
        "question", "action_or_date", "proof", "contact", "politeness", "plain_language", "own_words",
    ]  # fmt: skip
    hints = {code for criterion in rubric.criteria for code in criterion.hints}
    assert hints <= set(HintCode.__value__.__args__)
