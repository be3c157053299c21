"""Normalisation of organisation names, and scores of names against queries."""

import pytest

from services.registry.organisations.name_normalization import distinctive_words, in_russian_layout, normalize_name
from services.registry.organisations.search_ranking import QueryMatcher


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        (
            (
                "МАОУ «СОШ № 71 г. Улан-Удэ»",
                "Муниципальное автономное общеобразовательное учреждение «Средняя общеобразовательная школа №71», "
                "г.Улан-Удэ",
                "  ШКОЛА номер 71 улан-удэ ",
                "школа N71 города Улан-Удэ",
            ),
            "школа 71 улан удэ",
        ),
        (
            (
                "МБДОУ «Берёзка»",
                "д/с Березка",
                "Д.С. «Березка»",
                "Муниципальное дошкольное образовательное учреждение детский сад «Берёзка»",
                "садик березка",
            ),
            "детский сад березка",
        ),
        (
            ("Администрация Кабанского р-на", "Администрация МО Кабанского района"),
            "администрация кабанского района",
        ),
        (("ГБУЗ «Муйская ЦРБ»", "Муйская центральная районная больница"), "муйская центральная районная больница"),
        (("8-я школа", "8я школа", "8 школа"), "8 школа"),
        (("дом культуры", "ДК", "Учреждение культуры «Дом культуры»"), "дом культуры"),
        # A Latin «a» and «o» among Cyrillic letters.
        (("Кaбaнск, шкoла",), "кабанск школа"),
        # A name that is only a legal form is kept.
        (("Муниципальное бюджетное учреждение",), "муниципальное бюджетное учреждение"),
        (("№", "«»", "!?"), ""),
    ],
)
def test_spellings_of_a_name_normalize_to_one(names: tuple[str, ...], folded: str) -> None:
    assert {normalize_name(name) for name in names} == {folded}


def test_ministry_keeps_its_sphere_in_the_normalized_name() -> None:
    assert normalize_name("Министерство здравоохранения") == "министерство здравоохранения"
    assert normalize_name("Минздрав") == "министерство здравоохранения"


def test_query_in_the_wrong_layout_is_retyped() -> None:
    assert in_russian_layout("irjkf 71") == "школа 71"
    assert in_russian_layout("школа IT") is None
    assert in_russian_layout("71") is None


def test_distinctive_words_are_kept() -> None:
    assert distinctive_words("школа 71 улан удэ") == "71 улан удэ"
    assert distinctive_words("школа 71") == "школа 71"
    assert distinctive_words("районная больница") == "районная больница"


def test_matching_name_scores_best() -> None:
    asked = QueryMatcher("школа 17 улан уде")
    exact, other_number, elsewhere = "школа 17 улан удэ", "школа 71 улан удэ", "школа 17 северобайкальск"
    assert asked.score(exact) > asked.score(other_number)
    assert asked.score(exact) > asked.score(elsewhere)
    assert asked.score("улан удэ 17 школа") == asked.score(exact)
    assert QueryMatcher(exact).score(exact) == pytest.approx(1)
    assert QueryMatcher(exact).score("") == 0


def test_joined_and_separate_words_match() -> None:
    parted, joined = "сад усть еловка", "сад устьеловка"
    assert QueryMatcher(joined).score(parted) == pytest.approx(1)
    assert QueryMatcher(parted).score(joined) == pytest.approx(1)
    assert QueryMatcher(joined).score("сад усть петровка") < 0.9
