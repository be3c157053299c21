"""Cross-field rules of organisations."""

from datetime import date
from typing import Any

import pytest

from services.registry.organisations.validation import find_contradictions, oktmo_within_municipality

TODAY = date(2026, 6, 15)


@pytest.mark.parametrize(
    ("oktmo", "municipality", "lies"),
    [
        ("81624410", "81624000", True),
        ("81624410106", "81624000", True),
        ("81624000", "81624000", True),
        ("81627410", "81624000", False),
        ("81701000001", "81701000", True),
        ("81700000", "81701000", False),
        (None, "81701000", True),
        ("81701000001", None, True),
    ],
)
def test_location_code_decides_its_municipality(oktmo: str | None, municipality: str | None, lies: bool) -> None:
    assert oktmo_within_municipality(oktmo, municipality) is lies


@pytest.mark.parametrize(
    ("values", "given", "named"),
    [
        ({"sphere": "а", "other_spheres": ["б"]}, {"sphere"}, []),
        ({"sphere": "а", "other_spheres": ["а"]}, {"sphere"}, ["/sphere"]),
        ({"other_spheres": ["а"]}, {"other_spheres"}, ["/other_spheres"]),
        ({"exempt_document": "№ 1"}, {"exempt_reason"}, ["/exempt_reason"]),
        ({"active": True, "valid_to": date(2026, 6, 14)}, {"active"}, ["/active"]),
        ({"active": True, "valid_to": date(2026, 6, 15)}, {"active"}, []),
        ({"active": True, "valid_to": date(2026, 6, 14)}, {"phone"}, []),
    ],
)
def test_error_points_to_a_given_field(values: dict[str, Any], given: set[str], named: list[str]) -> None:
    assert [fault.pointer for fault in find_contradictions(values, frozenset(given), TODAY)] == named
