"""Trained models stored in a folder by version, with their model cards; one of them is active.

- `versions/<n>/model.npz`: arrays without Python objects, so that loading executes no code
- `versions/<n>/card.json`: description of the training data, and scores
- `current`: the number of the active version
"""

import json
import os
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from services.appeals.classification.model.text_classifier import TextClassifier
from shared.text.normalize import fold_text

TextDigests = npt.NDArray[np.uint64]


class ModelStoreError(ValueError):
    """The folder has no such model, or the model cannot be read; the message names the folder."""


@dataclass(frozen=True)
class StoredModel:
    """A stored version. `training_digests`: digests of the texts that it was trained on."""

    version: int
    classifier: TextClassifier
    card: dict[str, Any]
    training_digests: TextDigests


def text_digests(texts: Iterable[str]) -> TextDigests:
    """Return the first eight bytes of each text's SHA-256, ignoring case, «ё» and outer spaces."""
    return np.array(
        [int.from_bytes(sha256(fold_text(text).strip().encode()).digest()[:8], "big") for text in texts],
        dtype=np.uint64,
    )


class ModelStore:
    """The versions of a model in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def active_version(self) -> int | None:
        """Return the number of the active version, or None. Raises `ModelStoreError` if `current` names no
        version.
        """
        pointer = self.folder / "current"
        if not pointer.exists():
            return None
        said = pointer.read_text(encoding="utf-8").strip()
        if not said.isdigit() or not self._at(int(said)).is_dir():
            raise ModelStoreError(
                f"{pointer} names «{said}», which is not a version in {self.folder / 'versions'}"
            )
        return int(said)

    def versions(self) -> list[int]:
        """Return all versions, oldest first."""
        versions = self.folder / "versions"
        return (
            sorted(int(one.name) for one in versions.iterdir() if one.name.isdigit()) if versions.is_dir() else []
        )

    def load_active(self) -> StoredModel:
        """Load the active version. Raises `ModelStoreError` when there is none, or it cannot be read."""
        wanted = self.active_version()
        if wanted is None and self.versions():
            newest = self.load()
            why = newest.card.get("why", "its card does not say why")
            raise ModelStoreError(f"{self.folder}: no version is active; version {newest.version}: {why}")
        return self.load(wanted)

    def load(self, version: int | None = None) -> StoredModel:
        """Load a version, by default the active one, or the newest if none is active.

        Raises `ModelStoreError` when it does not exist or cannot be read.
        """
        wanted = version or self.active_version() or max(self.versions(), default=None)
        if wanted is None:
            raise ModelStoreError(f"{self.folder} holds no model: train one first")
        try:
            with (
                (self._at(wanted) / "model.npz").open("rb") as kept,
                np.load(kept, allow_pickle=False) as state,
            ):
                arrays = dict(state)
            card = json.loads((self._at(wanted) / "card.json").read_text(encoding="utf-8"))
            return StoredModel(wanted, TextClassifier.of(arrays), card, arrays["learnt"])
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise ModelStoreError(f"{self._at(wanted)} cannot be read: {error}") from error

    def save(self, classifier: TextClassifier, card: dict[str, Any], learnt: TextDigests) -> int:
        """Write a new version atomically and return its number. It is not active yet."""
        (self.folder / "versions").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".new-") as made:
            filled = Path(made) / "version"
            filled.mkdir()
            np.savez_compressed(filled / "model.npz", learnt=learnt, **classifier.state())
            while True:
                number = max(self.versions(), default=0) + 1
                said = json.dumps({"version": number, **card}, ensure_ascii=False, indent=2)
                (filled / "card.json").write_text(said + "\n", encoding="utf-8")
                try:
                    # Renaming onto a non-empty folder fails, so two concurrent trainings get different numbers.
                    filled.rename(self._at(number))
                except OSError:
                    if not self._at(number).exists():
                        raise
                else:
                    return number

    def activate(self, version: int) -> None:
        """Activate a version. Raises `ModelStoreError` if it does not exist."""
        if not self._at(version).is_dir():
            raise ModelStoreError(f"{self.folder} contains no version {version}")
        fresh = self.folder / f".current-{os.getpid()}"
        fresh.write_text(f"{version}\n", encoding="utf-8")
        fresh.replace(self.folder / "current")

    def _at(self, version: int) -> Path:
        return self.folder / "versions" / str(version)
