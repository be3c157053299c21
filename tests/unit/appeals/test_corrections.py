"""What a person says of a place, laid over what is known of it."""

import pytest

from services.appeals.classification.types import PLACE
from services.appeals.moderation.corrections import Place, Wishes
from shared.http.problems import Invalid

KNOWN: Place = {"municipality": "81628000", "settlement": "Кабанск", "street": "улица Ленина", "house": "7"}


def placed(**named: str) -> list[str | None]:
    found = Wishes(place=named).placed(KNOWN)
    assert list(found) == list(PLACE)
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
def test_what_is_finer_falls_with_the_coarser_part_that_changed(
    named: dict[str, str], expected: list[str | None]
) -> None:
    assert placed(**named) == expected


def test_a_settlement_lies_in_a_municipality() -> None:
    nowhere: Place = dict.fromkeys(PLACE)
    with pytest.raises(Invalid) as refused:
        Wishes(place={"settlement": "Кабанск"}).placed(nowhere)
    assert [error.pointer for error in refused.value.errors] == ["/municipality"]
    named = {"municipality": "81628000", "settlement": "Кабанск"}
    assert Wishes(place=named).placed(nowhere) == nowhere | named


def test_a_place_that_is_none_has_no_parts() -> None:
    assert set(Wishes(no_place=True).placed(KNOWN).values()) == {None}
    assert not Wishes().about_place
    assert Wishes(no_place=True).about_place
