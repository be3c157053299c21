"""Entries of the topic taxonomy are found by current and former names."""

import csv
from pathlib import Path

import pytest

from shared.text.normalize import fold_name
from shared.topic_taxonomy import entries, entries_by_name, groups

REFERENCE = Path(__file__).parents[4] / "shared" / "reference" / "topics.csv"
NAMED = entries_by_name()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Газ и топливо", "energy"),
        ("электроснабжение", "energy"),
        ("Мусор / Свалки / ТКО", "waste"),
        ("Здравоохранение/Медицина", "health"),
        ("Коронавирус", "health"),
        ("Безопасность", "safety"),
        ("Роспотребнадзор", "safety"),
        ("Мобилизация", "military"),
        ("Торговля", "economy"),
        ("Государственная собственность", "property-land"),
        ("МФЦ «Мои документы»", "authorities.04"),
        ("Погребение", "authorities.06"),
        ("Спецпроекты", "domestic-policy.03"),
        ("Памятники и объекты культурного наследия", "culture.04"),
        ("молодежная политика", "youth"),
    ],
)
def test_groups_are_found_by_former_names(name: str, code: str) -> None:
    assert NAMED[fold_name(name)].code == code


def test_alias_of_several_topics_means_their_common_group_or_nothing() -> None:
    assert NAMED[fold_name("ВУЗы и ССУЗы")].code == "education"
    holders = {found.group for found in entries() if "батарейки" in found.aliases}
    assert len(holders) > 1
    assert "батарейки" not in NAMED


def test_every_entry_is_found_by_its_name() -> None:
    assert [NAMED[fold_name(found.name)] for found in entries()] == list(entries())
    assert len(groups()) == 26


@pytest.mark.skipif(not REFERENCE.exists(), reason="needs ../shared/reference/topics.csv")
def test_names_of_the_reference_taxonomy_are_found_in_their_group() -> None:
    with REFERENCE.open(encoding="utf-8") as source:
        rows = list(csv.DictReader(source))
    assert len(rows) > 500
    assert [row["topic"] for row in rows if fold_name(row["topic"]) not in NAMED] == []
    elsewhere = {
        row["topic"]
        for row in rows
        if row["group"]
        and (found := NAMED[fold_name(row["topic"])])
        and (found.group or found.code) != NAMED[fold_name(row["group"])].code
    }
    # Former names whose subject now belongs to another group.
    assert elsewhere == {"Организация парковок", "Отсутствие электричества", "Занятость и трудоустройство"}
