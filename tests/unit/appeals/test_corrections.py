"""Locations given by a person, merged with the stored location."""

import pytest

from services.appeals.classification.types import LOCATION_PARTS
from services.appeals.moderation.corrections import Corrections, LocationParts
from shared.http.problems import Invalid

KNOWN: LocationParts = {
    "municipality": "81628000",
    "settlement": "Кабанск",
    "street": "улица Ленина",
    "house": "7",
}


def placed(**named: str) -> list[str | None]:
    found = Corrections(location=named).merged_location(KNOWN)
    assert list(found) == list(LOCATION_PARTS)
    return list(found.values())


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({}, ["81628000", "Кабанск", "улица Ленина", "7"]),
        ({"house": "9"}, ["81628000", "Кабанск", "улица Ленина", "9"]),
        ({"street": "улица Ленина"}, ["81628000", "Кабанск", "улица Ленина", "7"]),
        ({"street": "улица Кирова"}, ["81628000", "Кабанск", "улица Кирова", None]),
        ({"settlement": "Селенгинск"}, ["81628000", "Селенгинск", None, None]),
        ({"municipality": "81701000"}, ["81701000", None, None, None]),
        ({"municipality": "81701000", "street": "улица Ленина"}, ["81701000", None, "улица Ленина", None]),
    ],
)
def test_finer_parts_are_cleared_when_a_coarser_one_changes(
    named: dict[str, str], expected: list[str | None]
) -> None:
    assert placed(**named) == expected


def test_settlement_without_municipality_is_refused() -> None:
    nowhere: LocationParts = dict.fromkeys(LOCATION_PARTS)
    with pytest.raises(Invalid) as refused:
        Corrections(location={"settlement": "Кабанск"}).merged_location(nowhere)
    assert [error.pointer for error in refused.value.errors] == ["/municipality"]
    named = {"municipality": "81628000", "settlement": "Кабанск"}
    assert Corrections(location=named).merged_location(nowhere) == nowhere | named


def test_no_location_clears_all_parts() -> None:
    assert set(Corrections(no_location=True).merged_location(KNOWN).values()) == {None}
    assert not Corrections().sets_location
    assert Corrections(no_location=True).sets_location
