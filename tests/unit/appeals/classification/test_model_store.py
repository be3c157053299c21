"""Versions in a folder: whole or not there, and one in force."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from services.appeals.classification.model.model_store import Store, StoreError, digests
from services.appeals.classification.model.text_classifier import TextClassifier
from tests.unit.appeals.classification import sample_rows

TEXTS, LABELS = sample_rows.rows(40)


@pytest.fixture(scope="module")
def taught() -> TextClassifier:
    return TextClassifier.train(TEXTS, LABELS)


def test_a_version_comes_back_as_it_was(tmp_path: Path, taught: TextClassifier) -> None:
    store = Store(tmp_path / "model")
    assert store.current() is None
    assert store.versions() == []
    first = store.keep(taught, {"о чём": "данные"}, digests(TEXTS))
    assert (first, store.current(), store.versions()) == (1, None, [1])
    store.put_in_force(first)
    kept = store.load()
    assert (kept.version, kept.card) == (1, {"version": 1, "о чём": "данные"})
    assert kept.classifier.rank(TEXTS) == taught.rank(TEXTS)
    assert np.array_equal(kept.learnt, digests(TEXTS))
    assert (tmp_path / "model" / "current").read_text() == "1\n"
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["current", "versions"]


def test_two_trainings_at_once_get_a_number_each(tmp_path: Path, taught: TextClassifier) -> None:
    store = Store(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda at: store.keep(taught, {"at": at}, digests([])), range(8)))
    assert sorted(numbers) == store.versions() == list(range(1, 9))
    assert {number: store.load(number).card["version"] for number in numbers} == {n: n for n in numbers}


def test_what_is_not_there_or_broken_is_said(tmp_path: Path, taught: TextClassifier) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreError, match="holds no model: train one first"):
        store.load()
    with pytest.raises(StoreError, match="no version 7"):
        store.put_in_force(7)
    store.put_in_force(store.keep(taught, {}, digests(TEXTS)))
    (tmp_path / "current").write_text("2")
    with pytest.raises(StoreError, match="no version"):
        store.current()
    (tmp_path / "current").write_text("1")
    (tmp_path / "versions" / "1" / "model.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(StoreError, match="cannot be read"):
        store.load()


def test_a_pickle_is_never_opened(tmp_path: Path, taught: TextClassifier) -> None:
    store = Store(tmp_path)
    store.put_in_force(store.keep(taught, {}, digests(TEXTS)))
    hostile = taught.state() | {"learnt": digests(TEXTS), "labels": np.array([print], dtype=object)}
    np.savez(tmp_path / "versions" / "1" / "model.npz", allow_pickle=True, **hostile)
    with pytest.raises(StoreError, match="allow_pickle"):
        store.load()


def test_digests_do_not_tell_case_apart_and_tell_texts_apart() -> None:
    one, same, other = digests(["Ёлка у школы", " елка У ШКОЛЫ\n", "ёлка у дома"])
    assert one == same
    assert one != other
