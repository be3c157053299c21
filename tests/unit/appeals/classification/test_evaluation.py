"""Scores of an evaluation equal those computed by hand."""

import numpy as np
import pytest

from services.appeals.classification.training.evaluation import (
    calibration_error,
    confidence_threshold,
    coverage,
    evaluate_splits,
    mean_and_spread,
    score,
)
from services.appeals.classification.training.labelled_data import LabelledData
from tests.unit.appeals.classification import sample_rows


def test_calibration_error_is_the_mean_distance_over_bins_of_equal_size() -> None:
    confidences = np.array([0.9, 0.1, 0.9, 0.1])
    # The uncertain half is right half the time (distance .4), the certain half always (distance .1).
    right = np.array([True, True, True, False])
    assert calibration_error(confidences, right, bins=2) == pytest.approx(0.25)
    assert calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0
    assert calibration_error(np.array([1.0]), np.array([False])) == 1


def test_threshold_is_the_lowest_that_keeps_the_target_accuracy() -> None:
    confidences = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    right = np.array([True, True, False, True, False])
    assert confidence_threshold(confidences, right, 1.0) == 0.8
    assert confidence_threshold(confidences, right, 0.75) == 0.6
    assert confidence_threshold(confidences, right, 0.6) == 0.5
    assert confidence_threshold(confidences, ~right, 0.9) is None


def test_answers_of_equal_confidence_are_on_one_side_of_the_threshold() -> None:
    confidences = np.array([0.9, 0.7, 0.7])
    assert confidence_threshold(confidences, np.array([True, True, False]), 0.9) == 0.9


def test_coverage_is_the_share_of_answers_above_the_threshold() -> None:
    confidences = np.array([0.9, 0.8, 0.7, 0.6])
    right = np.array([True, False, True, True])
    assert coverage(confidences, right, 0.8) == (0.5, 0.5)
    assert coverage(confidences, right, 0.95) == (0.0, None)
    assert coverage(confidences, right, None) == (0.0, None)


def test_scores_of_three_answers_match_hand_computation() -> None:
    found = score(
        [("a", "b", "c", "d"), ("a", "c", "d", "b"), ("b", "a", "c", "d")],
        ["a", "b", "b"],
        np.array([0.9, 0.2, 0.8]),
        0.5,
    )
    assert found.rows == 3
    assert found.accuracy == pytest.approx(2 / 3)
    # F1 of a: precision 1/2, recall 1; of b: precision 1, recall 1/2.
    assert found.macro_f1 == found.weighted_f1 == pytest.approx(2 / 3)
    assert found.top3 == pytest.approx(2 / 3)
    assert found.coverage == pytest.approx(2 / 3)
    assert found.covered_accuracy == 1
    assert score([("a",)], ["a"]).coverage is None


def test_macro_f1_is_the_mean_over_all_or_given_labels() -> None:
    answers, truth = [("a",), ("a",), ("b",), ("a",)], ["a", "a", "c", "a"]
    assert score(answers, truth).macro_f1 == pytest.approx(1 / 3)
    assert score(answers, truth, scored_labels={"a"}).macro_f1 == 1


def test_splits_score_held_out_rows_and_the_baseline() -> None:
    texts, labels = sample_rows.rows(60)
    data = LabelledData(texts, labels, [""] * 60, None, list(range(1, 61)), [], [])
    reported: list[int] = []
    splits = evaluate_splits(data, range(2), 0.9, lambda seed, ours, plain: reported.append(seed))
    assert reported == [0, 1]
    assert [one.rows for one in splits.ours + splits.baseline] == [12] * 4
    accuracy = mean_and_spread(splits.ours, "accuracy")
    assert accuracy is not None
    assert accuracy[0] == pytest.approx(np.mean([one.accuracy for one in splits.ours]))
    assert mean_and_spread(splits.baseline, "coverage") is None
    assert accuracy[0] > 0.7
