"""Cross-field rules of an organisation, for the API and for imported files."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from shared.http.problems import FieldError


def find_contradictions(
    values: Mapping[str, Any], changed_fields: frozenset[str], today: date
) -> list[FieldError]:
    """Return the contradictions between fields.

    `values`: all fields after the change. `changed_fields`: those that the request contains or the file changes.
    An error points to a changed field if one is involved.
    """
    errors = []

    def fault(detail: str, *fields: str) -> None:
        at = next((name for name in fields if name in changed_fields), fields[0])
        errors.append(FieldError(pointer=f"/{at}", detail=detail))

    if not oktmo_within_municipality(values.get("oktmo"), values.get("municipality")):
        fault("This ОКТМО is outside the municipality", "oktmo", "municipality")
    others = values.get("other_spheres") or []
    if len({*others, values.get("sphere")}) != len(others) + 1:
        fault("The same sphere is given twice", "other_spheres", "sphere")
    if others and values.get("sphere") is None:
        fault("Give the main sphere before the others", "sphere", "other_spheres")
    if values.get("exempt_document") is not None and values.get("exempt_reason") is None:
        fault(
            "A document alone does not exempt an organisation: also give the reason",
            "exempt_document",
            "exempt_reason",
        )
    begins, ends = values.get("valid_from"), values.get("valid_to")
    if begins is not None and ends is not None and ends < begins:
        fault("The last day is before the first", "valid_to", "valid_from")
    if "active" in changed_fields and values.get("active") and ends is not None and ends < today:
        fault("The organisation's last day has passed: it cannot be active", "active")
    return errors


def oktmo_within_municipality(oktmo: str | None, municipality: str | None) -> bool:
    """Return whether an OKTMO code belongs to a district or city.

    The three final zeros of the district's or city's code stand for any digits.
    """
    return oktmo is None or municipality is None or oktmo.startswith(municipality.removesuffix("000"))
