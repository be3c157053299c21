"""Weights of terms equal those of scikit-learn, with which stored models were trained."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.preprocessing import normalize

from bench import labelled_messages
from services.appeals.classification.model.tfidf_features import TfidfFeatures, char_ngrams, lemma_ngrams
from services.appeals.incidents.similarity import content_words, text_vectors

TEXTS = [
    row["text"]
    for path in sorted(labelled_messages.MESSAGE_SETS_DIR.glob("*.csv"))
    for row in labelled_messages.read(path)
][:300]
ODD = ["", "яма", "яма яма яма", "слово которого нет", "🙏", "а", "1" * 500]


def test_weights_equal_those_of_scikit_learn() -> None:
    ours = TfidfFeatures().fit(TEXTS)
    restored = TfidfFeatures.of(ours.state())
    parts = [
        TfidfVectorizer(analyzer=analyzer, sublinear_tf=True, min_df=2, dtype=np.float32).fit(TEXTS)
        for analyzer in (lemma_ngrams, char_ngrams)
    ]
    theirs = np.hstack([part.transform([*TEXTS, *ODD]).toarray() for part in parts])
    assert ours.lemmas == [*parts[0].get_feature_names_out()]
    assert ours.column_count == theirs.shape[1]
    np.testing.assert_allclose(restored.rows([*TEXTS, *ODD]).toarray(), theirs, atol=1e-6)


def test_fit_fails_when_no_word_occurs_in_two_texts() -> None:
    with pytest.raises(ValueError, match="no word occurs in 2 texts"):
        TfidfFeatures().fit(["яма"])


def test_similarity_approximates_that_of_counted_ngrams() -> None:
    texts = [content_words(text) for text in [*TEXTS, *ODD]]
    counted = CountVectorizer(analyzer="char_wb", ngram_range=(3, 4), lowercase=False).fit_transform(texts)
    exact = normalize(counted.astype(float))
    ours = text_vectors([*TEXTS, *ODD])
    difference = abs(ours @ ours.T - (exact @ exact.T).toarray())
    # A few n-grams share a column because they are hashed.
    assert difference.max() < 0.1
    assert (difference > 0.03).mean() < 0.001
