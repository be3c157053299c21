"""A classifier trained on few rows: its predictions, its saved form, and words that it must not contain."""

import io

import numpy as np
import pytest

from services.appeals.classification.model.text_classifier import TextClassifier
from tests.unit.appeals.classification import sample_rows

TEXTS, LABELS = sample_rows.rows(120)
ASKED, TRUE = sample_rows.rows(60, seed=2)


@pytest.fixture(scope="module")
def trained() -> TextClassifier:
    return TextClassifier.train(TEXTS, LABELS)


def through_a_file(classifier: TextClassifier) -> TextClassifier:
    kept = io.BytesIO()
    np.savez_compressed(kept, **classifier.state())
    kept.seek(0)
    with np.load(kept, allow_pickle=False) as state:
        return TextClassifier.of(dict(state))


def test_trained_classifier_ranks_best_label_first(trained: TextClassifier) -> None:
    found = trained.rank(ASKED)
    assert np.mean([one.labels[0] == true for one, true in zip(found, TRUE, strict=True)]) > 0.9
    for one in found:
        assert len(set(one.labels)) == 3
        assert list(one.probabilities) == sorted(one.probabilities, reverse=True)
        assert sum(one.probabilities) == pytest.approx(1, abs=0.001)
        assert 0 <= one.confidence <= 1
    assert trained.rank([]) == []
    assert len(trained.rank(["яма"], top=1)[0].labels) == 1


def test_saved_classifier_predicts_the_same(trained: TextClassifier) -> None:
    again = through_a_file(trained)
    assert again.labels == trained.labels
    assert again.rank(ASKED) == trained.rank(ASKED)
    assert np.array_equal(again.probabilities(ASKED), trained.probabilities(ASKED))


def test_unknown_format_is_refused(trained: TextClassifier) -> None:
    with pytest.raises(ValueError, match="train it again"):
        TextClassifier.of(trained.state() | {"format": np.array(99)})


def test_ambiguous_text_has_lower_confidence(trained: TextClassifier) -> None:
    plain, unclear = trained.rank(["мусор не вывозят, баки переполнены", "здравствуйте"])
    assert plain.confidence > unclear.confidence


def test_label_with_one_row_is_trained() -> None:
    classifier = TextClassifier.train([*TEXTS, "кошка застряла на дереве, снимите кошку"], [*LABELS, "Животные"])
    assert "Животные" in classifier.labels
    assert classifier.rank(["снимите кошку с дерева"])[0].labels[0] == "Животные"


def test_names_of_labels_are_used_as_training_texts() -> None:
    labels = [str("ВДМ".index(label[0])) for label in LABELS]
    names = ["Уличное освещение: фонари, лампы, столбы" if label == "0" else "" for label in labels]
    named = TextClassifier.train(TEXTS, labels, names=names)
    asked = ["фонари и лампы на столбах, освещение"]
    assert named.rank(asked)[0].labels[0] == "0"
    chance = named.probabilities(asked)[0, named.labels.index("0")]
    without = TextClassifier.train(TEXTS, labels)
    assert chance > without.probabilities(asked)[0, without.labels.index("0")] + 0.1


def test_row_weights_change_the_result() -> None:
    texts = [*TEXTS, *["скамейка у подъезда"] * 2]
    labels = [*LABELS, "Мусор", "Дороги"]
    light, heavy = 0.01, 5.0
    one = TextClassifier.train(texts, labels, weights=[*[1.0] * len(TEXTS), heavy, light])
    other = TextClassifier.train(texts, labels, weights=[*[1.0] * len(TEXTS), light, heavy])
    assert one.rank(["скамейка у подъезда"])[0].labels[0] == "Мусор"
    assert other.rank(["скамейка у подъезда"])[0].labels[0] == "Дороги"


def test_explain_names_the_heaviest_words(trained: TextClassifier) -> None:
    text = "Добрый день! У школы снова свалка, мусор не вывозят"
    words = trained.explain(text, "Мусор", count=3)
    assert set(words) & {"мусор", "свалка", "вывозят"}
    assert "день" not in words
    with pytest.raises(ValueError, match="Погода"):
        trained.explain(text, "Погода")


def test_numbers_and_mail_addresses_are_not_in_the_vocabulary() -> None:
    said = "мой телефон 89025551234, почта petrov.ivan@mail.ru"
    state = TextClassifier.train([f"{text} {said}" for text in TEXTS], LABELS).state()
    words = f"{state['lemmas_words']} {state['pieces_words']}"
    assert "5551" not in words
    assert "89025551234" not in words
    assert "petrov" not in words


@pytest.mark.parametrize(
    ("texts", "labels"),
    [(["один"], ["а"]), (["а б в", "г д е"] * 9, ["а", "б"] * 9), (TEXTS, ["один"] * len(TEXTS))],
)
def test_too_little_training_data_is_refused(texts: list[str], labels: list[str]) -> None:
    with pytest.raises(ValueError, match="at least"):
        TextClassifier.train(texts, labels)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "123",
        "😀",
        "\x00",
        "я" * 50_000,
        "а-" * 20_000,
        "а@" * 20_000,
        "\U00017000 яма",
        "\u2028",
        "өглөөнэй мэндэ",
    ],
)
def test_any_text_is_ranked_without_error(trained: TextClassifier, text: str) -> None:
    (found,) = trained.rank([text])
    assert len(found.labels) == 3
    assert np.isfinite(found.probabilities).all()
    assert trained.rank([text, "яма", text])[1] == trained.rank(["яма"])[0]
