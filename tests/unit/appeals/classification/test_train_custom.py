"""When a newly trained model is activated, and what its card contains."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from services.appeals.classification.model.custom_model import CustomModel
from services.appeals.classification.model.message_classifier import MessageClassifier
from services.appeals.classification.model.model_store import ModelStore, ModelStoreError
from services.appeals.classification.training.evaluation import Scores
from services.appeals.classification.training.labelled_data import LabelledData
from services.appeals.classification.training.train_custom import (
    TrainingOutcome,
    TrainingSource,
    is_better,
    train_custom_model,
)
from services.appeals.classification.types import MessageContext
from shared.topic_taxonomy import entries
from tests.unit.appeals.classification import sample_rows

OWN = {"Дороги": "Отдел первый", "Вода": "Отдел второй", "Мусор": "Отдел третий"}
GROUPS = {"Дороги": "Дороги", "Вода": "ЖКХ", "Мусор": "Обращение с отходами"}


def table(count: int, seed: int = 1, *, spoilt: bool = False, called: dict[str, str] = OWN) -> LabelledData:
    """Return rows with labels named by `called`; `spoilt` shuffles the labels."""
    texts, labels = sample_rows.rows(count, seed)
    labels = [called[label] for label in labels]
    if spoilt:
        random.Random(3).shuffle(labels)
    return LabelledData(texts, labels, [""] * count, None, list(range(1, count + 1)), [4, 9], [7])


def joined(*parts: LabelledData) -> LabelledData:
    """Return one table with the rows of all tables."""
    return LabelledData(
        [text for part in parts for text in part.texts],
        [label for part in parts for label in part.labels],
        [name for part in parts for name in part.names],
        None,
        list(range(sum(len(part.texts) for part in parts))),
        [],
        [],
    )


def trained(store: ModelStore, data: LabelledData, *, force: bool = False) -> TrainingOutcome:
    return train_custom_model(
        data, store, TrainingSource(Path("folder/history.csv"), "ab12", "Текст", "Тема"), force=force
    )


def test_first_version_is_activated_and_its_card_is_complete(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    data = joined(table(80), LabelledData(["кошка на дереве"], ["Животные"], [""], None, [1], [], []))
    outcome = trained(store, data)
    assert (outcome.version, outcome.activated) == (1, True)
    assert outcome.why.startswith("no model was active; cannot classify the messages of this system")
    card = json.loads((tmp_path / "versions" / "1" / "card.json").read_text(encoding="utf-8"))
    assert card["version"] == 1
    assert card["data"]["file"] == "history.csv"
    assert card["data"]["sha256"] == "ab12"
    assert card["data"]["rows"] == 81
    assert card["data"]["labels"]["Животные"] == card["data"]["labels_with_one_row"] == 1
    assert card["held_back"]["rows"] == 81
    assert card["held_back"]["accuracy"] == outcome.scores.accuracy > 0.8
    # If the label with one row were scored, it would be wrong in every fold and lower the mean F1 below 0.75.
    assert card["held_back"]["macro_f1"] > 0.8
    assert card["held_out"] is card["built_in"] is None
    assert card["labels_without_class"] == card["data"]["labels"]
    level = card["automatic"]["0.90"]
    assert level["accuracy"] >= 0.9
    assert 0 < level["coverage"] <= 1
    assert "кошка" not in json.dumps(card, ensure_ascii=False)


def test_better_version_is_activated(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    trained(store, table(60, spoilt=True))
    outcome = trained(store, table(90, seed=5))
    assert (outcome.version, outcome.activated, store.active_version()) == (2, True, 2)
    assert outcome.why.startswith("beats version 1 on 90 rows that neither was trained on: weighted F1 ")
    assert outcome.comparison is not None
    assert outcome.comparison.new.rows == outcome.comparison.present.rows == 90
    assert outcome.comparison.only_new_right > outcome.comparison.only_present_right


@pytest.mark.long
def test_worse_version_is_saved_but_not_activated(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    trained(store, table(120))
    outcome = trained(store, table(24, seed=5))
    assert (outcome.version, outcome.activated) == (2, False)
    assert outcome.why.startswith("does not beat version 1")
    assert (store.active_version(), store.versions()) == (1, [1, 2])
    assert store.load(2).card["took_over"] is False
    forced = trained(store, table(24, seed=5), force=True)
    assert (forced.version, forced.activated, store.active_version()) == (3, True, 3)
    assert forced.why.endswith("activated anyway, as requested")


@pytest.mark.long
def test_rows_that_the_active_version_was_trained_on_are_not_compared(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    first, fresh = table(60), table(30, seed=5)
    trained(store, first)
    again = trained(store, first)
    assert not again.activated
    assert again.why.startswith("nothing can be compared: 60 of 60 rows are among those version 1 was trained on")
    grown = trained(store, joined(first, fresh))
    assert grown.comparison is not None
    assert grown.comparison.new.rows == 30


def test_label_with_one_row_is_not_compared(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    trained(store, table(60))
    rare = LabelledData(["кошка на дереве"], ["Животные"], [""], None, [1], [], [])
    outcome = trained(store, joined(table(30, seed=5), rare))
    assert outcome.comparison is not None
    assert outcome.comparison.new.rows == 30
    assert "Животные" in store.load(outcome.version).classifier.labels


def test_model_with_disjoint_labels_does_not_replace_the_active_version(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    trained(store, table(60))
    other = table(60, seed=5)
    outcome = trained(store, replace(other, labels=[f"{label}-2" for label in other.labels]))
    assert not outcome.activated
    assert "no label in common with version 1" in outcome.why


def test_topic_labels_are_also_compared_with_the_built_in_model(tmp_path: Path) -> None:
    """The built-in model cannot know what the organisation's own label names mean."""
    store = ModelStore(tmp_path)
    swapped = {"Дороги": "ЖКХ", "Вода": "Обращение с отходами", "Мусор": "Дороги"}
    foreign = LabelledData(
        ["кошка на дереве №1", "кошка на дереве №2"], ["Животные"] * 2, [""] * 2, None, [1, 2], [], []
    )
    outcome = trained(store, joined(table(90, called=swapped), foreign))
    assert outcome.activated
    assert outcome.why.startswith("beats the built-in model on 90 rows that neither was trained on: weighted F1 ")
    left = "left to the built-in model: 1 of 4 labels, on 2 of 92 rows, name no group or topic: «Животные» (2)"
    assert left in outcome.why
    card = store.load_active().card
    assert outcome.built_in is not None
    assert card["built_in"]["new"]["weighted_f1"] == outcome.built_in.new.weighted_f1 > 0.5
    assert card["built_in"]["present"]["weighted_f1"] == outcome.built_in.present.weighted_f1 < 0.5
    assert card["labels_without_class"] == {"Животные": 2}
    assert CustomModel(tmp_path, *MessageClassifier.load().labels).version == 1


def test_version_not_better_than_the_built_in_model_is_not_activated(tmp_path: Path) -> None:
    plain = replace(table(60, called=GROUPS), texts=[f"обращение {'а' * (at + 1)}" for at in range(60)])
    store = ModelStore(tmp_path)
    outcome = trained(store, plain)
    assert not outcome.activated
    assert outcome.why.startswith("does not beat the built-in model on 60 rows")
    assert store.active_version() is None
    with pytest.raises(ModelStoreError, match="no version is active; version 1: does not beat the built-in model"):
        store.load_active()
    assert store.load().version == 1
    forced = trained(store, plain, force=True)
    assert (forced.version, store.active_version()) == (2, 2)
    assert forced.why.endswith("; activated anyway, as requested")


def test_topic_labels_are_compared_as_topics(tmp_path: Path) -> None:
    """The organisation uses the label names for other topics than the built-in model does."""
    named = {item.code: item.name for item in entries()}
    built_in = MessageClassifier.load()
    plain = built_in.predict(
        [(text, MessageContext()) for text in ("яма на дороге", "нет горячей воды", "свалка")]
    )
    road, water, dump = (named[found.topics[0][0]] for found in plain)
    outcome = trained(ModelStore(tmp_path), table(60, called={"Дороги": water, "Вода": dump, "Мусор": road}))
    assert outcome.built_in is not None
    assert outcome.built_in.new.rows == 60
    assert outcome.built_in.new.accuracy > outcome.built_in.present.accuracy + 0.1
    assert outcome.activated


@pytest.mark.parametrize(
    ("new", "present", "better"),
    [((0.8, 0.7), (0.79, 0.9), True), ((0.8, 0.7), (0.8, 0.7), False), ((0.8, 0.71), (0.8, 0.7), True),
     ((0.79, 0.9), (0.8, 0.7), False)],
)  # fmt: skip
def test_models_are_ranked_by_weighted_f1_then_accuracy(
    new: tuple[float, float], present: tuple[float, float], better: bool
) -> None:
    one, other = (Scores(10, accuracy, f1, 0.5, 0.9) for f1, accuracy in (new, present))
    assert is_better(one, other) is better
