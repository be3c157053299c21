"""An organisation's own classifier in the place of the built-in groups and topics."""

from pathlib import Path

import pytest

from services.appeals.understanding.classifier import TextClassifier
from services.appeals.understanding.judgement import Context
from services.appeals.understanding.model_store import Store, StoreError, digests
from services.appeals.understanding.understand import Understanding

TEXTS = {
    "Дороги": "яма на дороге номер {}",
    "СПОРТ И КАТКИ НАШЕГО РАЙОНА": "каток не залит в парке {}",
    "Культура": "ёлка в клубе для детей {}",
}


def _kept(folder: Path, labels: dict[str, str]) -> Path:
    texts = [text.format(n) for text in labels.values() for n in range(12)]
    names = [label for label in labels for _ in range(12)]
    store = Store(folder)
    store.put_in_force(store.keep(TextClassifier.train(texts, names), {}, digests(texts)))
    return folder


def test_its_labels_that_are_classes_decide_and_its_version_is_named(tmp_path: Path) -> None:
    model = Understanding.load(_kept(tmp_path, TEXTS))
    (found,) = model.judge([("ёлка в клубе для детей когда будет?", Context())])
    assert found.top[0][0] == "culture"
    assert model.name == f"{Understanding.load().name}+topics-1"


def test_a_folder_without_a_model_or_with_labels_of_its_own_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no model"):
        Understanding.load(tmp_path / "none")
    with pytest.raises(StoreError, match="none of its labels"):
        Understanding.load(_kept(tmp_path / "own", {"А": "яма на дороге {}", "Б": "каток не залит {}"}))
