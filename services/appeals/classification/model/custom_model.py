"""A model trained on an organisation's own history, combined with the built-in model.

See docs/developer/classification.md.

The custom model decides about the topics in its history. Other topics keep their built-in probabilities. So does
the probability share of labels that name no topic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from services.appeals.classification.model.builtin_model import Floats
from services.appeals.classification.model.model_store import ModelStore, ModelStoreError
from shared.text.normalize import fold_name
from shared.topic_taxonomy import TaxonomyEntry, entries, entries_by_name

# A label with fewer rows has too little training data to decide about its topic.
MIN_ROWS_PER_LABEL = 5
# Above this share of rows with unmapped labels, the history is about other matters than this system's messages.
MAX_UNMAPPED_SHARE = 0.2
_LISTED = 10
_TINY = 1e-9


@dataclass(frozen=True)
class LabelMapping:
    """The labels of a history mapped to topics. `rows`: rows per label; `unmapped`: labels that name no topic."""

    rows: Mapping[str, int]
    mapped: Mapping[str, TaxonomyEntry]
    unmapped: Mapping[str, int]

    @staticmethod
    def of(rows: Mapping[str, int]) -> "LabelMapping":
        """Map labels by the names and aliases of groups and topics."""
        named = {label: found for label in rows if (found := entries_by_name().get(fold_name(label)))}
        foreign = sorted((label for label in rows if label not in named), key=lambda label: -rows[label])
        return LabelMapping(rows, named, {label: rows[label] for label in foreign})

    @property
    def usable(self) -> dict[str, TaxonomyEntry]:
        """Return the labels that name a topic and have enough rows."""
        return {label: found for label, found in self.mapped.items() if self.rows[label] >= MIN_ROWS_PER_LABEL}

    def describe_unmapped(self) -> str:
        """Return a description of the labels that name no topic, most frequent first; empty if every label names
        one.
        """
        if not self.unmapped:
            return ""
        listed = ", ".join(f"«{label}» ({rows})" for label, rows in list(self.unmapped.items())[:_LISTED])
        more = f" and {len(self.unmapped) - _LISTED} more" if len(self.unmapped) > _LISTED else ""
        return (
            f"{len(self.unmapped)} of {len(self.rows)} labels, on {sum(self.unmapped.values())} of "
            f"{sum(self.rows.values())} rows, name no group or topic: {listed}{more}"
        )

    def unusable_reason(self) -> str | None:
        """Return the reason why a model with these labels cannot classify this system's messages; None if it
        can.
        """
        if sum(self.unmapped.values()) > MAX_UNMAPPED_SHARE * sum(self.rows.values()):
            return f"{self.describe_unmapped()}; at most {MAX_UNMAPPED_SHARE:.0%} of the rows may have such labels"
        if not self.usable:
            return f"no group or topic has {MIN_ROWS_PER_LABEL} rows in its training data"
        return None


class TopicEnsemble:
    """Combines the label probabilities of a custom model with the built-in probabilities of groups and topics."""

    def __init__(
        self, labels: Sequence[str], read: LabelMapping, groups: Sequence[str], topics: Sequence[str]
    ) -> None:
        """Take the column names of inputs and results: `labels`, `groups` and `topics`."""
        group_of = {item.code: item.group for item in entries()}
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
        """Return the built-in topic probabilities: the group's probability times the share within the group."""
        return (groups @ self._of_group) * self._within(topics)

    def combined(
        self, by_label: npt.NDArray[Any], groups: npt.NDArray[Any], topics: npt.NDArray[Any]
    ) -> tuple[Floats, Floats]:
        """Return the combined probabilities of groups and of topics, a row per text.

        `by_label` are the labels' probabilities. They are distributed over the topics that labels name, within the
        total probability of these topics in the built-in model. A label that names a group leaves the proportions
        of its topics unchanged.
        """
        alone = self.builtin_only(groups, topics)
        by_custom = by_label @ self._as_topic + (by_label @ self._as_group @ self._of_group) * self._within(topics)
        mapped = by_custom.sum(axis=1, keepdims=True)
        left = alone[:, self._known].sum(axis=1, keepdims=True)
        together = np.where(self._known, by_custom * left, mapped * alone) + (1 - mapped) * alone
        return (together @ self._of_group.T).astype(np.float32), together.astype(np.float32)

    def _within(self, topics: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        raised = topics.astype(np.float64) + _TINY
        return np.asarray(raised / (raised @ self._of_group.T @ self._of_group))


class CustomModel:
    """The active custom model of a folder, combined with the built-in groups and topics."""

    def __init__(self, folder: Path, groups: Sequence[str], topics: Sequence[str]) -> None:
        """Load the active version. Raises `ModelStoreError` if none is active, it cannot be read, or too few
        labels name topics.
        """
        kept = ModelStore(folder).load_active()
        try:
            self.labels = LabelMapping.of(kept.card["data"]["labels"])
        except (KeyError, TypeError) as error:
            raise ModelStoreError(
                f"{folder}: the card of version {kept.version} does not list its labels"
            ) from error
        if obstacle := self.labels.unusable_reason():
            raise ModelStoreError(
                f"{folder}: version {kept.version} cannot classify the messages of this system: {obstacle}"
            )
        self.version = kept.version
        self.card = kept.card
        self.label_probabilities = kept.classifier.probabilities
        self.combine = TopicEnsemble(kept.classifier.labels, self.labels, groups, topics).combined
