"""Consistency of the gazetteer's files, and case forms of its names."""

import csv
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from services.appeals.classification.locations import gazetteer as module
from services.appeals.classification.locations.declension import adjective_stems, case_forms
from services.appeals.classification.locations.gazetteer import gazetteer
from services.appeals.classification.locations.page_locations import owner_scope
from services.appeals.classification.locations.spelling_correction import correct_spelling

_DATA = Path(module.__file__).parent / "data"


def _rows(name: str) -> list[dict[str, str]]:
    with (_DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_municipality_names_match_the_registry() -> None:
    with files("migrations.reference").joinpath("municipalities.csv").open(encoding="utf-8") as source:
        registered = {row["name"] for row in csv.DictReader(source)}
    assert {row["name"] for row in _rows("municipalities")} == registered


@pytest.mark.parametrize("name", ["settlements", "localities", "landmarks", "streets"])
def test_every_row_has_a_known_municipality(name: str) -> None:
    known = {row["name"] for row in _rows("municipalities")}
    assert {row["municipality"] for row in _rows(name)} <= known


@pytest.mark.parametrize("name", ["localities", "landmarks", "streets"])
def test_settlement_of_a_row_belongs_to_the_municipality_of_the_row(name: str) -> None:
    known = {(row["name"], row["municipality"]) for row in _rows("settlements")}
    named = {(row["settlement"], row["municipality"]) for row in _rows(name) if row["settlement"]}
    assert named <= known


def test_at_most_one_settlement_of_a_name_is_the_default() -> None:
    main = Counter(row["name"] for row in _rows("settlements") if row["main"] == "yes")
    assert max(main.values()) == 1


def test_there_are_23_municipalities() -> None:
    assert len(gazetteer().municipalities) == 23


@pytest.mark.parametrize(
    ("name", "case", "form"),
    [
        *(
            ("кабанск", "l", "кабанске"),
            ("кяхта", "g", "кяхты"),
            ("кяхта", "a", "кяхту"),
            ("бичура", "l", "бичуре"),
        ),
        *(("заиграево", "l", "заиграеве"), ("заиграево", "l", "заиграево"), ("таксимо", "l", "таксимо")),
        *(("онохой", "g", "онохоя"), ("мухоршибирь", "l", "мухоршибири"), ("наушки", "g", "наушек")),
        *(
            ("тальцы", "l", "тальцах"),
            ("верхняя", "l", "верхней"),
            ("нижний", "g", "нижнего"),
            ("бор", "l", "бору"),
        ),
        *(("озеро", "l", "озере"), ("кижинга", "g", "кижинги"), ("дворец", "l", "дворце"), ("удэ", "l", "удэ")),
    ],
)
def test_case_form_of_a_name_is_derived(name: str, case: str, form: str) -> None:
    assert form in case_forms(name)[case]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        *(("кабанск", "кабанск"), ("таксимо", "таксимовск"), ("сотниково", "сотниковск"), ("онохой", "онохойск")),
        *(("бичура", "бичурск"), ("наушки", "наушкинск"), ("ильинка", "ильинск"), ("кырен", "кыренск")),
    ],
)
def test_adjective_stem_of_a_settlement_is_derived(name: str, stem: str) -> None:
    assert stem in adjective_stems(name)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        *((word, "турунтаево") for word in ("турунтаво", "турунттаево", "турунтоево", "турнутаево")),
        *((word, word) for word in ("трунутаево", "турунтае", "турунтаево")),
    ],
)
def test_names_with_one_typing_error_are_corrected_and_with_two_are_not(word: str, meant: str) -> None:
    assert correct_spelling(word) == meant


@pytest.mark.parametrize("word", ["заявление", "каменная", "романтика", "проезжают", "северного", "кырн"])
def test_common_words_and_short_names_are_not_corrected(word: str) -> None:
    assert correct_spelling(word) == word


@pytest.mark.parametrize(
    ("owner", "scope"),
    [
        ("Министерство здравоохранения Республики Бурятия", "republic"),
        ("Администрация МО «Бичурский район» Республики Бурятия", "local"),
        ("Республиканская спортивная школа", "republic"),
        ("МБОУ СОШ № 5", "local"),
        ("Упрдор «Южный Байкал»", "region"),
        ("ООО «Ромашка»", None),
    ],
)
def test_owner_scope_is_derived_from_the_name(owner: str, scope: str | None) -> None:
    assert owner_scope(owner) == scope
