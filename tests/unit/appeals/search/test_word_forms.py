"""Forms of a searched word to which the stemmer gives another stem, and misspelt names of locations."""

import pytest
from snowballstemmer import stemmer

from services.appeals.search.word_forms import MAX_FORMS, MAX_WORDS, alternatives


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("остановка", "остановок"),
        ("площадок", "площадка"),
        ("рынок", "рынка"),
        ("Посёлки", "поселок"),
        ("лёд", "льда"),
        ("ОКНО", "окон"),
        ("огонь", "огня"),
        ("щенок", "щенка"),
        ("день", "днем"),
        ("уберите", "убрали"),
    ],
)
def test_forms_with_another_stem_are_found(word: str, form: str) -> None:
    ((written, forms),) = alternatives(word).items()
    assert written == word.lower().replace("ё", "е")
    stem = stemmer("russian").stemWord
    assert stem(form) in set(map(stem, forms))


@pytest.mark.parametrize(
    ("misspelt", "name"),
    [
        ("Бабушкна", "бабушкина"),
        ("закаминск", "закаменск"),
        ("северобайкалск", "северобайкальск"),
        ("кабнск", "кабанск"),
        ("онахой", "онохое"),
        ("Уде", "удэ"),
        ("сосновоозерск", "сосново <-> озерск"),
    ],
)
def test_misspelt_location_name_is_found_as_it_is_spelt(misspelt: str, name: str) -> None:
    assert name in alternatives(misspelt)[misspelt.lower()]


@pytest.mark.parametrize(
    "word",
    [
        "дорога",  # the stemmer finds all its forms
        "кабанск",  # spelt correctly
        "гагарина",
        "абракадабрус",  # similar to no location
        "уу",
        "2026",
        "street",
        "",
    ],
)
def test_word_without_other_stems_has_no_alternatives(word: str) -> None:
    assert alternatives(word) == {}


def test_former_name_of_a_settlement_is_not_an_alternative() -> None:
    # The town of Babushkin was called Mysovaya.
    assert alternatives("бабушкна") == {"бабушкна": ("бабушкина",)}


def test_numbers_of_words_and_of_their_forms_are_limited() -> None:
    words = "остановок площадок рынков поселков льдов окон огней щенков дней скамеек справок звонков дочек собак"
    found = alternatives(words)
    assert 0 < len(found) <= MAX_WORDS
    assert "дочек" not in found
    assert all(0 < len(forms) <= MAX_FORMS for forms in found.values())


def test_forms_of_one_word_are_replaced_once() -> None:
    # Each form has all others as alternatives: replacing every form would double the query at each step.
    words = "идти идет идешь иду идут идучи идущий шел шла шло шли шедший"
    found = alternatives(words)
    stem = stemmer("russian").stemWord
    inserted = [stem(form) for word, forms in found.items() for form in (word, *forms)]
    assert found
    assert len(inserted) == len(set(inserted))


@pytest.mark.parametrize("letters", ["недонедо" * 25, "х" * 200, "ыуаоэяию" * 25, "ёЁ" * 100, "🙂" * 200])
def test_overlong_word_has_no_overlong_alternatives(letters: str) -> None:
    assert all(len(word) <= 30 for word in alternatives(letters))
