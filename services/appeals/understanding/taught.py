"""Groups and topics by a classifier that an organisation's own history has taught (docs/topics.md)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from services.appeals.understanding.heads import Floats
from services.appeals.understanding.model_store import Store, StoreError
from shared.classifier import by_name, fold_name


class Taught:
    """The version in force of a folder, its labels read as classes of the classifier of topics."""

    def __init__(self, folder: Path) -> None:
        """Raises `StoreError` when there is no model, or none of its labels is a group or topic."""
        kept = Store(folder).load()
        self.version = kept.version
        self._classifier = kept.classifier
        named = by_name()
        self._classes = [named.get(fold_name(label)) for label in kept.classifier.labels]
        if not any(self._classes):
            raise StoreError(f"{folder}: none of its labels is a group or topic of the classifier")

    def chances(self, texts: Sequence[str], groups: Sequence[str], topics: Sequence[str]) -> tuple[Floats, Floats]:
        """Probabilities of groups and of topics, columns as given; a topic's count for its group too."""
        said = self._classifier.chances(texts)
        by_group = np.full((len(texts), len(groups)), 1e-6, dtype=np.float32)
        by_topic = np.full((len(texts), len(topics)), 1e-6, dtype=np.float32)
        for column, found in enumerate(self._classes):
            if found is None:
                continue
            by_group[:, groups.index(found.group or found.code)] += said[:, column]
            if found.group:
                by_topic[:, topics.index(found.code)] += said[:, column]
        return by_group / by_group.sum(axis=1, keepdims=True), by_topic
