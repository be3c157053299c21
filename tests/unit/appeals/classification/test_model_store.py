"""Versions of a model in a folder: written atomically, one of them active."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from services.appeals.classification.model.model_store import ModelStore, ModelStoreError, text_digests
from services.appeals.classification.model.text_classifier import TextClassifier
from tests.unit.appeals.classification import sample_rows

TEXTS, LABELS = sample_rows.rows(40)


@pytest.fixture(scope="module")
def trained() -> TextClassifier:
    return TextClassifier.train(TEXTS, LABELS)


def test_saved_version_is_loaded_unchanged(tmp_path: Path, trained: TextClassifier) -> None:
    store = ModelStore(tmp_path / "model")
    assert store.active_version() is None
    assert store.versions() == []
    first = store.save(trained, {"о чём": "данные"}, text_digests(TEXTS))
    assert (first, store.active_version(), store.versions()) == (1, None, [1])
    store.activate(first)
    kept = store.load()
    assert (kept.version, kept.card) == (1, {"version": 1, "о чём": "данные"})
    assert kept.classifier.rank(TEXTS) == trained.rank(TEXTS)
    assert np.array_equal(kept.training_digests, text_digests(TEXTS))
    assert (tmp_path / "model" / "current").read_text() == "1\n"
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["current", "versions"]


def test_concurrent_trainings_get_different_versions(tmp_path: Path, trained: TextClassifier) -> None:
    store = ModelStore(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda at: store.save(trained, {"at": at}, text_digests([])), range(8)))
    assert sorted(numbers) == store.versions() == list(range(1, 9))
    assert {number: store.load(number).card["version"] for number in numbers} == {n: n for n in numbers}


def test_missing_or_broken_version_is_refused_with_its_reason(tmp_path: Path, trained: TextClassifier) -> None:
    store = ModelStore(tmp_path)
    with pytest.raises(ModelStoreError, match="holds no model: train one first"):
        store.load()
    with pytest.raises(ModelStoreError, match="no version 7"):
        store.activate(7)
    store.activate(store.save(trained, {}, text_digests(TEXTS)))
    (tmp_path / "current").write_text("2")
    with pytest.raises(ModelStoreError, match="is not a version"):
        store.active_version()
    (tmp_path / "current").write_text("1")
    (tmp_path / "versions" / "1" / "model.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(ModelStoreError, match="cannot be read"):
        store.load()


def test_pickled_file_is_refused(tmp_path: Path, trained: TextClassifier) -> None:
    store = ModelStore(tmp_path)
    store.activate(store.save(trained, {}, text_digests(TEXTS)))
    hostile = trained.state() | {"learnt": text_digests(TEXTS), "labels": np.array([print], dtype=object)}
    np.savez(tmp_path / "versions" / "1" / "model.npz", allow_pickle=True, **hostile)
    with pytest.raises(ModelStoreError, match="allow_pickle"):
        store.load()


def test_digests_ignore_case_and_differ_by_text() -> None:
    one, same, other = text_digests(["Ёлка у школы", " елка У ШКОЛЫ\n", "ёлка у дома"])
    assert one == same
    assert one != other
