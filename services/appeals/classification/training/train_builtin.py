"""Trains the built-in model on the examples: `python -m services.appeals.classification.training.train_builtin`.

The result is stored in `model/data/`: weights, and a card with the training data and the scores on held-out
examples. A test checks that the card belongs to the current examples.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.svm import LinearSVC

from services.appeals.classification.model.builtin_model import (
    BuiltinModel,
    ClassificationHead,
    Floats,
    PreparedText,
    builtin_model_dir,
    text_features,
    with_need_features,
    with_urgency_features,
)
from services.appeals.classification.model.calibration import fit_temperature
from services.appeals.classification.model.sparse_rows import SparseRows
from services.appeals.classification.model.tfidf_features import TfidfFeatures
from services.appeals.classification.text import word_lists
from services.appeals.classification.training.examples import TrainingExample, examples_digest, load_examples
from shared.topic_taxonomy import VERSION, entries

FOLDS = 5
_SEED = 17
_C = 0.3
_OWN_WORDS = 0.5
# Rare groups are rare on real pages too: with fully balanced weights they would attract vague messages.
_GROUPS_EVENED = 0.5
# Number of weights kept per class: the smallest weights do not matter and would make the file ten times as large.
_KEEP_FEW = 10_000
_KEEP_MANY = 1_500

# A scipy sparse matrix; scipy has no type stubs.
Matrix = Any
LabelledTexts = Sequence[tuple[str, str, str]]


def taxonomy_texts() -> list[tuple[str, str, str]]:
    """Return names, aliases and descriptions of the taxonomy as training texts: (text, group, topic)."""
    return [
        (text, item.group, item.code)
        for item in entries(VERSION)
        if item.group
        for text in (item.name, item.contains, *item.aliases)
        if text
    ]


def fit_binary_head(rows: Matrix, yes: npt.NDArray[np.bool_]) -> ClassificationHead:
    """Return a calibrated binary head; both classes have equal weight, even if one is rare."""
    machine = LogisticRegression(C=10.0, class_weight="balanced", max_iter=1_000).fit(rows, yes)
    half = machine.coef_[0].astype(np.float32) / 2
    weights = SparseRows.of_dense(np.stack([-half, half], axis=1))
    offset = float(machine.intercept_[0]) / 2
    return ClassificationHead(("no", "yes"), weights, np.array([-offset, offset], dtype=np.float32), 1.0)


def fit_multiclass_head(
    rows: Matrix,
    labels: Sequence[str],
    *,
    max_weights: int,
    scale: float = 3.0,
    class_balance: float = 1.0,
    row_weights: Floats | None = None,
) -> ClassificationHead:
    """Return a multiclass head with the `max_weights` greatest weights per class.

    `class_balance`: 1 gives each class equal weight, .5 the square root of its number of rows.
    """
    weights = _class_weights(labels, class_balance)
    machine = LinearSVC(C=_C, class_weight=weights, random_state=_SEED)
    machine.fit(rows, list(labels), sample_weight=row_weights)
    return ClassificationHead(
        tuple(str(label) for label in machine.classes_),
        _heaviest(machine.coef_, max_weights),
        machine.intercept_.astype(np.float32),
        scale,
    )


def _class_weights(labels: Sequence[str], evened: float) -> dict[str, float]:
    counted = Counter(labels)
    return {label: (len(labels) / (len(counted) * rows)) ** evened for label, rows in counted.items()}


def _heaviest(weights: npt.NDArray[np.float64], keep: int) -> SparseRows:
    """Return the weights (columns × classes) with only those of greatest absolute value in each class."""
    if keep < weights.shape[1]:
        edges = -np.partition(-np.abs(weights), keep, axis=1)[:, [keep]]
        weights = np.where(np.abs(weights) > edges, weights, 0.0)
    return SparseRows.of_dense(weights.T.astype(np.float32))


def fit_model(learnt: Sequence[TrainingExample]) -> BuiltinModel:
    """Return a model trained on these examples."""
    seen = [PreparedText.of(item.text, item.context) for item in learnt]
    words = taxonomy_texts()
    features = TfidfFeatures().fit([item.text for item in learnt] + [text for text, _, _ in words])
    rows = text_features(features, seen)
    wanting = _scipy_matrix(with_need_features(rows, seen))
    need = fit_binary_head(wanting, np.array([item.needs_answer for item in learnt]))
    kind = fit_multiclass_head(wanting, [item.type for item in learnt], max_weights=_KEEP_FEW)
    asking = [at for at, item in enumerate(learnt) if item.needs_answer]
    alarming = _scipy_matrix(with_urgency_features(rows, seen))[asking]
    urgent = fit_binary_head(alarming, np.array([learnt[at].urgency == "high" for at in asking]))
    described = _scipy_matrix(features.rows([text for text, _, _ in words]))
    known = _scipy_matrix(rows)
    return BuiltinModel(
        features=features,
        need=need,
        type=kind,
        group=_grouped(known, described, learnt, asking, words),
        topic=_topical(known, described, learnt, asking, words),
        urgent=urgent,
    )


def _grouped(
    rows: Matrix, described: Matrix, learnt: Sequence[TrainingExample], asking: list[int], words: LabelledTexts
) -> ClassificationHead:
    labels = [learnt[at].group for at in asking] + [group for _, group, _ in words]
    weights = np.array([1.0] * len(asking) + [_OWN_WORDS] * len(words), dtype=np.float32)
    return fit_multiclass_head(
        _stacked(rows[asking], described),
        labels,
        max_weights=_KEEP_FEW,
        class_balance=_GROUPS_EVENED,
        row_weights=weights,
    )


def _topical(
    rows: Matrix, described: Matrix, learnt: Sequence[TrainingExample], asking: list[int], words: LabelledTexts
) -> ClassificationHead:
    known = [at for at in asking if learnt[at].topic]
    labels = [learnt[at].topic for at in known] + [topic for _, _, topic in words]
    return fit_multiclass_head(_stacked(rows[known], described), labels, max_weights=_KEEP_MANY)


def _scipy_matrix(rows: SparseRows) -> Matrix:
    return sparse.csr_matrix((rows.data, rows.indices, rows.indptr), rows.shape)


def _stacked(rows: Matrix, described: Matrix) -> Matrix:
    return sparse.vstack([rows, described], format="csr")


def word_list_digest() -> str:
    """Return the SHA-256 of the word lists and the taxonomy, which are part of the training data."""
    learnt = "\n".join("\t".join(row) for row in taxonomy_texts())
    return sha256((word_lists.all_files_as_text() + learnt).encode()).hexdigest()


@dataclass(frozen=True)
class CrossValidation:
    """Predictions for examples by models that were not trained on them."""

    need: Floats
    urgent: Floats
    group_margins: Floats
    group_labels: tuple[str, ...]
    topic_margins: Floats
    topic_labels: tuple[str, ...]


def cross_validate(learnt: Sequence[TrainingExample]) -> CrossValidation:
    """Return predictions for each fifth of the examples by a model trained on the other four."""
    groups = tuple(sorted({item.group for item in learnt if item.group}))
    topics = tuple(sorted({topic for _, _, topic in taxonomy_texts()}))
    found = CrossValidation(
        np.zeros(len(learnt), np.float32),
        np.zeros(len(learnt), np.float32),
        np.zeros((len(learnt), len(groups)), np.float32),
        groups,
        np.zeros((len(learnt), len(topics)), np.float32),
        topics,
    )
    for trained, held in KFold(FOLDS, shuffle=True, random_state=_SEED).split(learnt):
        model = fit_model([learnt[at] for at in trained])
        seen = [PreparedText.of(learnt[at].text, learnt[at].context) for at in held]
        rows = text_features(model.features, seen)
        found.need[held] = model.need.probabilities(with_need_features(rows, seen))[:, 1]
        found.urgent[held] = model.urgent.probabilities(with_urgency_features(rows, seen))[:, 1]
        found.group_margins[held] = model.group.margins(rows)
        found.topic_margins[held] = model.topic.margins(rows)
    return found


def threshold_at_recall(probabilities: Floats, yes: npt.NDArray[np.bool_], recall: float) -> float:
    """Return the greatest threshold at which at least the share `recall` of the positives is found."""
    ranked = np.sort(probabilities[yes])
    return float(ranked[int(np.floor((1 - recall) * len(ranked)))])


def precision_recall(probabilities: Floats, yes: npt.NDArray[np.bool_], threshold: float) -> tuple[float, float]:
    """Return precision and recall of answering yes at or above the threshold."""
    said = probabilities >= threshold
    both = float(np.sum(said & yes))
    return both / max(float(said.sum()), 1.0), both / max(float(yes.sum()), 1.0)


# Thresholds chosen on the first set of `bench/data/messages`; the scores on held-out examples are in the card.
NEED_THRESHOLD = 0.36
URGENT_THRESHOLD = 0.25
# At this probability of urgency or above, an answer is due even if the probability of need only reaches the
# threshold `maybe`.
DANGER_OVERRIDE_THRESHOLD = 0.5
# Share of the held-out examples needing an answer that must reach the threshold `maybe`. Below this threshold the
# model leaves only replies to the page and truncated texts to a moderator.
UNSURE_RECALL = 0.99


def train(learnt: Sequence[TrainingExample]) -> tuple[BuiltinModel, dict[str, Any]]:
    """Train the model, and return it with its card."""
    blind = cross_validate(learnt)
    needs = np.array([item.needs_answer for item in learnt])
    asking = np.flatnonzero(needs).tolist()
    urgent = np.array([item.urgency == "high" for item in learnt])
    groups = [learnt[at].group for at in asking]
    known = [at for at in asking if learnt[at].topic]
    places = np.array([blind.group_labels.index(group) for group in groups])
    topics = np.array([blind.topic_labels.index(learnt[at].topic) for at in known])
    group_scale = fit_temperature(blind.group_margins[asking], places)
    topic_scale = fit_temperature(blind.topic_margins[known], topics)
    model = fit_model(learnt)
    model = replace(
        model, group=replace(model.group, scale=group_scale), topic=replace(model.topic, scale=topic_scale)
    )
    thresholds = {
        "need": NEED_THRESHOLD,
        "maybe": threshold_at_recall(blind.need, needs, UNSURE_RECALL),
        "urgent": URGENT_THRESHOLD,
        "lifts": DANGER_OVERRIDE_THRESHOLD,
    }
    ranked = np.argsort(-blind.group_margins[asking], axis=1)
    best = np.argmax(blind.topic_margins[known], axis=1)
    card = {
        "name": "builtin",
        "classifier": VERSION,
        "examples": {
            "digest": examples_digest(),
            "words": word_list_digest(),
            "rows": len(learnt),
            "need_answer": int(needs.sum()),
            "urgent": int(urgent.sum()),
            "groups": {group: groups.count(group) for group in sorted(set(groups))},
            "origin": "written for this project; no citizen's words",
        },
        "thresholds": {name: round(value, 4) for name, value in thresholds.items()},
        "unseen": {
            "folds": FOLDS,
            "need": _scores(blind.need, needs, NEED_THRESHOLD),
            "urgent": _scores(blind.urgent * blind.need, urgent, URGENT_THRESHOLD),
            "group_first": round(float(np.mean(ranked[:, 0] == places)), 4),
            "group_in_three": round(float(np.mean((ranked[:, :3] == places[:, None]).any(axis=1))), 4),
            "topic_first": round(float(np.mean(best == topics)), 4),
        },
    }
    return model, card


def _scores(probabilities: Floats, yes: npt.NDArray[np.bool_], threshold: float) -> dict[str, float]:
    precision, recall = precision_recall(probabilities, yes, threshold)
    return {"precision": round(precision, 4), "recall": round(recall, 4)}


def main() -> None:
    """Train the model, and save it with its card."""
    model, card = train(load_examples())
    builtin_model_dir().mkdir(exist_ok=True)
    np.savez_compressed(builtin_model_dir() / "builtin.npz", **model.state())
    (builtin_model_dir() / "card.json").write_text(
        json.dumps(card, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
