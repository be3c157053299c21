"""The built-in model: one set of text features, several linear classification heads.

`need`: whether an answer is due; `type`; `group` (26) and `topic` (347); `urgent`. Trained on the project's own
examples and the texts of the taxonomy, so it works for an organisation without any history.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from services.appeals.classification.model.rule_features import need_features, urgency_features
from services.appeals.classification.model.sparse_rows import SparseRows
from services.appeals.classification.model.tfidf_features import TfidfFeatures
from services.appeals.classification.rules.keyword_classifier import KeywordMatches
from services.appeals.classification.rules.urgency_signals import UrgencySignals, detect_urgency_signals
from services.appeals.classification.text.text_limits import truncate_input, truncation_note
from services.appeals.classification.text.transliteration import to_cyrillic
from services.appeals.classification.types import MessageContext

Floats = npt.NDArray[np.float32]

_SMALL = np.float16


@dataclass(frozen=True)
class PreparedText:
    """A text prepared for the heads, truncated to its maximum length; `truncation_note` says if it was."""

    text: str
    context: MessageContext
    keywords: KeywordMatches
    truncation_note: str = ""

    @staticmethod
    def of(text: str, context: MessageContext) -> "PreparedText":
        """Prepare a text; Russian typed in Latin letters is converted to Cyrillic."""
        note = truncation_note(text)
        text, context = truncate_input(text, context)
        text = to_cyrillic(text)
        return PreparedText(text, context, KeywordMatches(text), note)

    @cached_property
    def signs(self) -> UrgencySignals:
        """Return the urgency signals of the text."""
        return detect_urgency_signals(self.keywords.source)


@dataclass(frozen=True)
class ClassificationHead:
    """A linear head for `labels`: `weights` (columns × labels), `intercepts`, and `scale`, which multiplies
    margins.
    """

    labels: tuple[str, ...]
    weights: SparseRows
    intercepts: Floats
    scale: float

    def margins(self, rows: SparseRows) -> Floats:
        """Return the margins, a row per text and a column per label."""
        return np.asarray(rows @ self.weights + self.intercepts, dtype=np.float32)

    def probabilities(self, rows: SparseRows) -> Floats:
        """Return the probabilities, a row per text and a column per label."""
        return softmax(self.margins(rows) * self.scale)


def builtin_model_dir() -> Path:
    """Return the folder of the built-in model: `builtin.npz` and `card.json`."""
    return Path(str(resources.files("services.appeals.classification.model"))) / "data"


def softmax(margins: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the softmax of each row of margins, in their precision."""
    raised = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def text_features(features: TfidfFeatures, seen: Sequence[PreparedText]) -> SparseRows:
    """Return the word and character features of the texts."""
    return features.rows([item.keywords.source for item in seen])


def with_need_features(rows: SparseRows, seen: Sequence[PreparedText]) -> SparseRows:
    """Return the rows with the need features appended."""
    return _beside(rows, [need_features(item.text, item.context, item.keywords) for item in seen])


def with_urgency_features(rows: SparseRows, seen: Sequence[PreparedText]) -> SparseRows:
    """Return the rows with the urgency features appended."""
    return _beside(rows, [urgency_features(item.signs, item.text, item.context) for item in seen])


def _beside(rows: SparseRows, signs: list[list[float]]) -> SparseRows:
    return SparseRows.beside([rows, SparseRows.of_dense(np.array(signs, dtype=np.float32))])


@dataclass(frozen=True)
class BuiltinModel:
    """The features and heads of the built-in model, as saved in one file."""

    features: TfidfFeatures
    need: ClassificationHead
    type: ClassificationHead
    group: ClassificationHead
    topic: ClassificationHead
    urgent: ClassificationHead

    HEAD_NAMES = ("need", "type", "group", "topic", "urgent")

    def state(self) -> dict[str, Any]:
        """Return the model as arrays without Python objects; weights in half precision."""
        kept = self.features.state()
        for name in self.HEAD_NAMES:
            head: ClassificationHead = getattr(self, name)
            kept[f"{name}_labels"] = np.array("\n".join(head.labels))
            kept[f"{name}_data"] = head.weights.data.astype(_SMALL)
            kept[f"{name}_indices"] = head.weights.indices.astype(np.int32)
            kept[f"{name}_indptr"] = head.weights.indptr.astype(np.int32)
            kept[f"{name}_intercepts"] = head.intercepts
            kept[f"{name}_scale"] = np.array(head.scale)
        return kept

    @staticmethod
    def of(state: Any) -> "BuiltinModel":
        """Return the model that `state` describes."""
        return BuiltinModel(
            TfidfFeatures.of(state),
            **{
                name: ClassificationHead(
                    tuple(str(state[f"{name}_labels"]).split("\n")),
                    SparseRows(
                        state[f"{name}_data"].astype(np.float32),
                        state[f"{name}_indices"],
                        state[f"{name}_indptr"],
                        len(state[f"{name}_intercepts"]),
                    ),
                    state[f"{name}_intercepts"],
                    float(state[f"{name}_scale"]),
                )
                for name in BuiltinModel.HEAD_NAMES
            },
        )
