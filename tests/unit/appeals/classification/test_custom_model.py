"""A custom model combined with the built-in one: it decides about the topics of its training rows only."""

from pathlib import Path

import numpy as np
import pytest

from services.appeals.classification.model.custom_model import MIN_ROWS_PER_LABEL, LabelMapping, TopicEnsemble
from services.appeals.classification.model.message_classifier import MessageClassifier
from services.appeals.classification.model.model_store import ModelStore, ModelStoreError, text_digests
from services.appeals.classification.model.text_classifier import TextClassifier
from services.appeals.classification.types import MessageContext
from shared.topic_taxonomy import entries

BUILT_IN = MessageClassifier.load()
# The first two labels are names of topic groups; the third is not a topic.
TEXTS = {
    "Дороги": "яма на дороге номер {}",
    "Культура": "ёлка в клубе для детей {}",
    "СВОЙ КЛАСС": "каток не залит в парке {}",
}
DOCTOR = "Завтра врач-кардиолог ведёт приём в поликлинике"


def kept(folder: Path, rows: dict[str, int], texts: dict[str, str] = TEXTS) -> Path:
    """Train and save an active version on this many rows per label; return the folder of models."""
    learnt = [(texts[label].format(n), label) for label, count in rows.items() for n in range(count)]
    words, labels = zip(*learnt, strict=True)
    store = ModelStore(folder)
    card = {"data": {"labels": rows}}
    store.activate(store.save(TextClassifier.train(words, labels), card, text_digests(words)))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> MessageClassifier:
    return MessageClassifier.load(kept(tmp_path_factory.mktemp("groups"), {"Дороги": 12, "Культура": 12}))


def best(model: MessageClassifier, text: str, post: str | None = None) -> tuple[str, float]:
    (found,) = model.predict([(text, MessageContext(post_text=post))])
    return found.groups[0]


def test_custom_model_decides_its_topics_and_is_recorded_as_the_classifier(model: MessageClassifier) -> None:
    # The custom model has seen «ёлка» only in rows about culture, never about roads.
    text = "на дороге ёлка в клубе для детей"
    assert best(model, text)[0] == "culture"
    assert best(model, text)[1] > best(BUILT_IN, text)[1]
    assert model.name == f"{BUILT_IN.name}+topics-1"


def test_topics_without_training_rows_keep_built_in_probabilities(model: MessageClassifier) -> None:
    for text, post in (
        ("как записаться к врачу в поликлинику?", None), ("во всём селе нет света", None), ("во сколько?", DOCTOR),
    ):  # fmt: skip
        group, chance = best(BUILT_IN, text, post)
        assert group not in ("roads", "culture")
        found, left = best(model, text, post)
        assert found == group
        assert left == pytest.approx(chance, abs=1e-3)


def test_custom_model_uses_the_post_above(model: MessageClassifier) -> None:
    above = "яма на дороге номер 3"
    assert best(model, "когда?", above)[0] == "roads"
    assert best(model, "когда?", "ёлка в клубе для детей 5")[0] == "culture"


def test_model_trained_on_group_labels_keeps_the_built_in_shares_of_topics(model: MessageClassifier) -> None:
    texts = [
        ("Огромная яма на дороге на улице Ленина, пробил колесо", MessageContext()),
        ("разбита дорога в деревню", MessageContext()),
    ]
    for own, built_in in zip(model.predict(texts), BUILT_IN.predict(texts), strict=True):
        assert own.groups[0][0] == built_in.groups[0][0] == "roads"
        assert [code for code, _ in own.topics] == [code for code, _ in built_in.topics]
        assert [share for _, share in own.topics] == pytest.approx(
            [share for _, share in built_in.topics], abs=1e-3
        )


def test_unmapped_label_falls_back_to_the_built_in_model(tmp_path: Path) -> None:
    found = MessageClassifier.load(kept(tmp_path, {"Дороги": 24, "Культура": 24, "СВОЙ КЛАСС": 12}))
    assert "«СВОЙ КЛАСС» (12)" in found.unmapped_labels
    text = "каток не залит в парке"
    assert best(found, text)[0] == best(BUILT_IN, text)[0] not in ("roads", "culture")


def test_combined_probabilities_sum_to_one() -> None:
    groups, topics = BUILT_IN.labels
    texts = ["яма", "нет света", "", "спасибо", "врач"]
    by_group, by_topic = BUILT_IN.topic_probabilities(texts)
    labels = ("Дороги", groups[0], "чужое")
    joint = TopicEnsemble(
        labels,
        LabelMapping.of(dict.fromkeys(("Дороги", "Здравоохранение", "чужое"), MIN_ROWS_PER_LABEL)),
        groups,
        topics,
    )
    said = np.array([[0.7, 0.1, 0.2]] * len(texts))
    for found in joint.combined(said, by_group, by_topic):
        assert found.sum(axis=1) == pytest.approx(1.0, abs=1e-4)
    # A text without any known word keeps the built-in probabilities.
    unmoved, _ = joint.combined(np.array([[0.0, 0.0, 1.0]] * len(texts)), by_group, by_topic)
    assert unmoved == pytest.approx(by_group, abs=1e-4)


def test_custom_model_distributes_only_the_share_of_its_topics() -> None:
    groups, topics = BUILT_IN.labels
    by_group = np.full((1, len(groups)), 0.2 / (len(groups) - 1))
    by_group[0, groups.index("roads")] = 0.8
    by_topic = np.full((1, len(topics)), 1 / len(topics))
    named = {item.code: item for item in entries()}
    count = sum(topic.startswith("roads.") for topic in topics)
    read = LabelMapping({"а": 9, "б": 9}, {"а": named["roads.01"], "б": named["roads.02"]}, {})
    _, found = TopicEnsemble(("а", "б"), read, groups, topics).combined(np.array([[0.9, 0.1]]), by_group, by_topic)
    left = 0.8 * 2 / count
    assert found[0, topics.index("roads.01")] == pytest.approx(0.9 * left, rel=1e-3)
    assert found[0, topics.index("roads.02")] == pytest.approx(0.1 * left, rel=1e-3)
    assert found[0, topics.index("roads.03")] == pytest.approx(0.8 / count, rel=1e-3)


def test_label_with_few_rows_is_ignored() -> None:
    labels = LabelMapping.of({"Дороги": MIN_ROWS_PER_LABEL, "Культура": MIN_ROWS_PER_LABEL - 1, "Чужое": 1})
    assert set(labels.usable) == {"Дороги"}
    assert labels.unusable_reason() is None
    assert (
        labels.describe_unmapped()
        == f"1 of 3 labels, on 1 of {2 * MIN_ROWS_PER_LABEL} rows, name no group or topic: «Чужое» (1)"
    )


def test_unusable_folder_is_refused_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(ModelStoreError, match=r"none holds no model"):
        MessageClassifier.load(tmp_path / "none")
    own = {"А": "яма на дороге {}", "Б": "каток не залит {}"}
    with pytest.raises(ModelStoreError, match=r"own: version 1 .*2 of 2 labels, on 24 of 24 rows.*«А» \(12\)"):
        MessageClassifier.load(kept(tmp_path / "own", dict.fromkeys(own, 12), own))
    with pytest.raises(ModelStoreError, match="no group or topic has 5 rows"):
        MessageClassifier.load(kept(tmp_path / "few", {"Дороги": 4, "Культура": 4}))
