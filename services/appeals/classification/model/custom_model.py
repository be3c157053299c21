"""A classifier that an organisation's own history has taught, joined with the built-in one.

See docs/operations/train-a-topic-model.md.

It speaks for the classes that its history knows. The others keep what the built-in model says, and so does what it
takes for one of its labels that name no class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from services.appeals.classification.model.builtin_model import Floats
from services.appeals.classification.model.model_store import ModelStore, ModelStoreError
from shared.topic_taxonomy import Class, by_name, classes, fold_name

# A label with fewer rows has taught too little to speak for its class.
MIN_ROWS_PER_LABEL = 5
# When more of the rows bear labels that name no class, the history speaks of other things than messages do here.
MAX_UNMAPPED_SHARE = 0.2
_LISTED = 10
_TINY = 1e-9


@dataclass(frozen=True)
class LabelMapping:
    """Labels of a history read as classes. `rows`: how many rows each label has; `foreign` names no class."""

    rows: Mapping[str, int]
    mapped: Mapping[str, Class]
    unmapped: Mapping[str, int]

    @staticmethod
    def of(rows: Mapping[str, int]) -> "LabelMapping":
        """Read labels by the names and aliases of groups and topics."""
        named = {label: found for label in rows if (found := by_name().get(fold_name(label)))}
        foreign = sorted((label for label in rows if label not in named), key=lambda label: -rows[label])
        return LabelMapping(rows, named, {label: rows[label] for label in foreign})

    @property
    def usable(self) -> dict[str, Class]:
        """Labels with enough rows to speak for their class."""
        return {label: found for label, found in self.mapped.items() if self.rows[label] >= MIN_ROWS_PER_LABEL}

    def describe_unmapped(self) -> str:
        """Which labels name no class, the most frequent first; empty when all do."""
        if not self.unmapped:
            return ""
        listed = ", ".join(f"«{label}» ({rows})" for label, rows in list(self.unmapped.items())[:_LISTED])
        more = f" and {len(self.unmapped) - _LISTED} more" if len(self.unmapped) > _LISTED else ""
        return (
            f"{len(self.unmapped)} of {len(self.rows)} labels, on {sum(self.unmapped.values())} of "
            f"{sum(self.rows.values())} rows, name no group or topic: {listed}{more}"
        )

    def unusable_reason(self) -> str | None:
        """Why a model with these labels cannot read messages here; None when it can."""
        if sum(self.unmapped.values()) > MAX_UNMAPPED_SHARE * sum(self.rows.values()):
            return f"{self.describe_unmapped()}; at most {MAX_UNMAPPED_SHARE:.0%} of the rows may bear such labels"
        if not self.usable:
            return f"no group or topic has {MIN_ROWS_PER_LABEL} rows among what it has learnt from"
        return None


class TopicEnsemble:
    """Joins what a classifier says of its labels with the built-in probabilities of groups and topics."""

    def __init__(
        self, labels: Sequence[str], read: LabelMapping, groups: Sequence[str], topics: Sequence[str]
    ) -> None:
        """`labels`, `groups` and `topics` are the columns of what is joined."""
        group_of = {item.code: item.group for item in classes()}
        self._of_group = np.array([[group_of[topic] == group for topic in topics] for group in groups], np.float64)
        self._as_group = np.zeros((len(labels), len(groups)))
        self._as_topic = np.zeros((len(labels), len(topics)))
        for row, label in enumerate(labels):
            found = read.usable.get(label)
            if found is None:
                continue
            if found.group:
                self._as_topic[row, topics.index(found.code)] = 1.0
            else:
                self._as_group[row, groups.index(found.code)] = 1.0
        self._known = (self._as_topic.sum(axis=0) + self._as_group.sum(axis=0) @ self._of_group) > 0

    def builtin_only(self, groups: npt.NDArray[Any], topics: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The built-in probabilities of topics: of their group, by their share within it."""
        return (groups @ self._of_group) * self._within(topics)

    def combined(
        self, said: npt.NDArray[Any], groups: npt.NDArray[Any], topics: npt.NDArray[Any]
    ) -> tuple[Floats, Floats]:
        """Probabilities of groups and of topics, a row per text.

        `said`: probabilities of the labels. They are spread over the classes that they name, in the share that the
        built-in model leaves to these classes; a label that is a group leaves its topics as they are within it.
        """
        alone = self.builtin_only(groups, topics)
        taught = said @ self._as_topic + (said @ self._as_group @ self._of_group) * self._within(topics)
        heard = taught.sum(axis=1, keepdims=True)
        left = alone[:, self._known].sum(axis=1, keepdims=True)
        together = np.where(self._known, taught * left, heard * alone) + (1 - heard) * alone
        return (together @ self._of_group.T).astype(np.float32), together.astype(np.float32)

    def _within(self, topics: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        raised = topics.astype(np.float64) + _TINY
        return np.asarray(raised / (raised @ self._of_group.T @ self._of_group))


class CustomModel:
    """The version in force of a folder, joined with the built-in groups and topics."""

    def __init__(self, folder: Path, groups: Sequence[str], topics: Sequence[str]) -> None:
        """Raises `StoreError` when no model is in force there, it cannot be read, or its labels are no classes."""
        kept = ModelStore(folder).load_active()
        try:
            self.labels = LabelMapping.of(kept.card["data"]["labels"])
        except (KeyError, TypeError) as error:
            raise ModelStoreError(
                f"{folder}: the card of version {kept.version} does not list its labels"
            ) from error
        if obstacle := self.labels.unusable_reason():
            raise ModelStoreError(f"{folder}: version {kept.version} cannot read messages here: {obstacle}")
        self.version = kept.version
        self.card = kept.card
        self.label_probabilities = kept.classifier.probabilities
        self.combine = TopicEnsemble(kept.classifier.labels, self.labels, groups, topics).combined
